//! The LSTM without its products, for layers that compute them between the steps.
//!
//! A window is [`LstmCellStart`], then for each step the products and [`LstmCellForward`]; backwards
//! for each step [`LstmCellBackward`] and the products, then [`LstmCellEnd`].

use super::{Arguments, BACKWARD as WINDOW_BACKWARD, FORWARD as WINDOW_FORWARD, arguments_of, cpu};
use crate::device::{Binding, Cpu, Gpu, Kernel, Shader, to_u32, workgroups};
use crate::kernels::recurrent::{Carried, RecurrentSchedule, Reset};
use crate::tensor::Tensor;

/// Slot 0 of `cells` and `states` receives the carried ones. With resets, `reset.previous` receives
/// the states before step 0.
#[derive(Debug, Clone, Copy)]
pub struct LstmCellStart {
    /// `[T*B, 4H]`: z, which this kernel leaves as it is.
    pub gates: Tensor,
    /// `[(T+1)*B, H]`: slot 0 receives c(-1).
    pub cells: Tensor,
    /// `[(T+1)*B, H]`: slot 0 receives h(-1).
    pub states: Tensor,
    /// h and c before the window, and where the next window starts.
    pub carried: Carried<2>,
    /// Where h and c of a stream are reset.
    pub reset: Reset,
}

/// One step of [`LstmForward`](crate::kernels::LstmForward), whose z(t) contains the product with
/// the state; the gate activations i, f, g and o overwrite it. With resets, `reset.previous`
/// receives the states before the next step.
#[derive(Debug, Clone, Copy)]
pub struct LstmCellForward {
    /// t.
    pub step: usize,
    /// The tensors of the window.
    pub window: LstmCellStart,
}

/// One step of [`LstmBackward`](crate::kernels::LstmBackward), whose dh(t-1) and dc(t-1) are those
/// of the step before in `initial_gradient`.
#[derive(Debug, Clone, Copy)]
pub struct LstmCellBackward {
    /// t.
    pub step: usize,
    /// `[T*B, 4H]`: the gate activations from the forward kernel, overwritten with the gradient of
    /// z(t).
    pub gates: Tensor,
    /// `[(T+1)*B, H]`: the result of the forward kernel.
    pub cells: Tensor,
    /// `[T*B, H]`: the gradient of h(t) from the layer above.
    pub gradient: Tensor,
    /// `[2*B, H]`: the gradient of h(t) from the next step, unused in the last one, followed by
    /// that of c(t), which is overwritten with that of c(t-1).
    pub initial_gradient: Tensor,
    /// As in the forward kernel.
    pub reset: Reset,
}

/// With resets, clears the gradients of h(-1) and c(-1) of streams that are reset at step 0.
#[derive(Debug, Clone, Copy)]
pub struct LstmCellEnd {
    /// The tensors of the window, whose `initial_gradient` has the gradient of h(-1) followed by
    /// that of c(-1).
    pub first: LstmCellBackward,
}

pub(in crate::kernels) static START: Shader = Shader {
    entry_point: "cell_start",
    ..WINDOW_FORWARD
};
pub(in crate::kernels) static FORWARD: Shader = Shader {
    entry_point: "cell_forward",
    ..WINDOW_FORWARD
};
pub(in crate::kernels) static BACKWARD: Shader = Shader {
    entry_point: "cell_backward",
    ..WINDOW_BACKWARD
};
pub(in crate::kernels) static END: Shader = Shader {
    entry_point: "cell_end",
    ..WINDOW_BACKWARD
};

impl LstmCellStart {
    /// The buffers of the carried states.
    pub(super) fn buffers(&self) -> [Tensor; 2] {
        [self.states, self.cells]
    }

    /// B, H and T.
    pub(super) fn sizes(&self) -> [usize; 3] {
        let batch = self.carried.states[0].rows();
        let steps = self.states.rows() / batch - 1;
        [batch, self.states.columns(), steps]
    }

    /// Launches an entry point of the forward pass.
    fn launch(&self, gpu: &mut Gpu, shader: &'static Shader, step: usize) {
        let sizes @ [batch, size, _] = self.sizes();
        // Every step is a dispatch, but none reads carried states that another one replaces.
        let schedule = RecurrentSchedule::Fused;
        let carried = self.carried.arguments(schedule, self.buffers());
        let [gates, cells, states, previous] =
            [&self.gates, &self.cells, &self.states, &self.reset.previous].map(Binding::whole);
        let tokens = self.reset.tokens().0;
        gpu.launch(
            shader,
            &[self.reset.constant()],
            // There is no weight.
            &[gates, cells, states, tokens, tokens, previous],
            &Arguments {
                carried_offset: carried.offset,
                advance: carried.advance,
                ..arguments_of(&self.reset, sizes, [step, step + 1].map(to_u32))
            },
            workgroups(batch * size, 256),
        );
    }
}

impl Kernel for LstmCellStart {
    fn name(&self) -> &'static str {
        START.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        self.carried.load_on_cpu(cpu, self.buffers());
        cpu::keep_state(self, cpu, 0);
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        self.launch(gpu, &START, 0);
    }
}

impl Kernel for LstmCellForward {
    fn name(&self) -> &'static str {
        FORWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        cpu::cell_forward(self, cpu);
        cpu::keep_state(&self.window, cpu, self.step + 1);
        let carried = self.window.carried;
        if carried.advance == self.step + 1 {
            carried.store_on_cpu(cpu, self.window.buffers());
        }
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        self.window.launch(gpu, &FORWARD, self.step);
    }
}

impl Kernel for LstmCellBackward {
    fn name(&self) -> &'static str {
        BACKWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        cpu::cell_backward(self, cpu);
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        self.launch(gpu, &BACKWARD);
    }
}

impl LstmCellBackward {
    /// B, H and T.
    pub(super) fn sizes(&self) -> [usize; 3] {
        let batch = self.initial_gradient.rows() / 2;
        [batch, self.cells.columns(), self.gates.rows() / batch]
    }

    /// Launches an entry point of the backward pass.
    fn launch(&self, gpu: &mut Gpu, shader: &'static Shader) {
        let sizes @ [batch, size, _] = self.sizes();
        let [gates, cells, gradient, initial_gradient] = [
            &self.gates,
            &self.cells,
            &self.gradient,
            &self.initial_gradient,
        ]
        .map(Binding::whole);
        let tokens = self.reset.tokens().0;
        gpu.launch(
            shader,
            &[self.reset.constant()],
            // There is no weight.
            &[gates, cells, gradient, tokens, tokens, initial_gradient],
            &arguments_of(&self.reset, sizes, [self.step, self.step + 1].map(to_u32)),
            workgroups(batch * size, 256),
        );
    }
}

impl Kernel for LstmCellEnd {
    fn name(&self) -> &'static str {
        END.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let LstmCellBackward {
            reset,
            initial_gradient,
            ..
        } = self.first;
        let [batch, size, _] = self.first.sizes();
        let tokens = cpu.read(&reset.tokens);
        let mut gradients = cpu.write(&initial_gradient);
        for gradient in gradients.chunks_exact_mut(batch * size) {
            reset.clear_gradients(gradient, &tokens, 0, size);
        }
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        if self.first.reset.enabled {
            self.first.launch(gpu, &END);
        }
    }
}
