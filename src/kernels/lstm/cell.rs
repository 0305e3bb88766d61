//! The LSTM without its products, for layers that compute them between the steps.
//!
//! A window is [`LstmCellStart`], then for each step the products and [`LstmCellForward`];
//! backwards for each step [`LstmCellBackward`] and the products, then [`LstmCellEnd`].

use rayon::prelude::*;

use super::cpu::{BackwardInputs, CellResets};
use super::{BACKWARD as WINDOW_BACKWARD, FORWARD as WINDOW_FORWARD, GATES, capped};
use crate::device::{Binding, Cpu, Gpu, Kernel, Shader, to_u32, workgroups};
use crate::kernels::parallel::{MIN_PARALLEL_ELEMENTS, rows_per_chunk, vectorized_math};
use crate::kernels::recurrent::gated::Arguments;
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
    /// Whether at most 1 - f of g is written to c.
    pub capped: bool,
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
    pub capped: bool,
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
            &[self.reset.constant(), capped(self.capped)],
            // There is no weight.
            &[gates, cells, states, tokens, tokens, previous],
            &Arguments::new(&self.reset, sizes, [step, step + 1].map(to_u32)).with_carried(carried),
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
        keep_state(self, cpu, 0);
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
        cell_forward(self, cpu);
        keep_state(&self.window, cpu, self.step + 1);
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
        cell_backward(self, cpu);
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
            &[self.reset.constant(), capped(self.capped)],
            // There is no weight.
            &[gates, cells, gradient, tokens, tokens, initial_gradient],
            &Arguments::new(&self.reset, sizes, [self.step, self.step + 1].map(to_u32)),
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

/// With resets, keeps the states before step `t` of a window, if it has that step.
fn keep_state(window: &LstmCellStart, cpu: &Cpu, t: usize) {
    let reset = &window.reset;
    let [batch, size, time_steps] = window.sizes();
    if !reset.enabled || t == time_steps {
        return;
    }
    let rows = t * batch..(t + 1) * batch;
    let tokens = cpu.read(&reset.tokens);
    let states = cpu.read(&window.states.slice_rows(rows.clone()));
    let mut previous = cpu.write(&reset.previous.slice_rows(rows));
    reset.copy_with_resets(&states, &mut previous, &tokens, t * batch, size);
}

/// One step without its products.
fn cell_forward(kernel: &LstmCellForward, cpu: &Cpu) {
    let window = &kernel.window;
    let [batch, size, _] = window.sizes();
    let first = kernel.step * batch;
    let resets = CellResets {
        reset: &window.reset,
        tokens: &cpu.read(&window.reset.tokens),
        initial_cell: &vec![window.reset.initial; size],
        capped: window.capped,
    };
    let rows = |tensor: Tensor, slot: usize| tensor.slice_rows(slot * batch..(slot + 1) * batch);
    let mut gates = cpu.write(&rows(window.gates, kernel.step));
    let mut cells = cpu.write(&window.cells.slice_rows(first..first + 2 * batch));
    let (previous_cells, cells) = cells.split_at_mut(batch * size);
    let mut states = cpu.write(&rows(window.states, kernel.step + 1));
    let chunk_rows = rows_per_task(cpu, batch, size);
    gates
        .par_chunks_mut(chunk_rows * GATES * size)
        .zip(previous_cells.par_chunks(chunk_rows * size))
        .zip(cells.par_chunks_mut(chunk_rows * size))
        .zip(states.par_chunks_mut(chunk_rows * size))
        .enumerate()
        .for_each(|(chunk, (((gates, previous_cells), cells), states))| {
            let first = first + chunk * chunk_rows;
            vectorized_math(
                #[inline(always)]
                |math| resets.forward_rows(math, first, gates, previous_cells, cells, states),
            );
        });
}

/// One step backwards without its products.
fn cell_backward(kernel: &LstmCellBackward, cpu: &Cpu) {
    let reset = &kernel.reset;
    let [batch, size, time_steps] = kernel.sizes();
    let tokens = cpu.read(&reset.tokens);
    let inputs = BackwardInputs {
        resets: CellResets {
            reset,
            tokens: &tokens,
            initial_cell: &vec![reset.initial; size],
            capped: kernel.capped,
        },
        batch,
        cells: &cpu.read(&kernel.cells),
        gradient: &cpu.read(&kernel.gradient),
    };
    let first = kernel.step * batch;
    let mut gates = cpu.write(&kernel.gates.slice_rows(first..first + batch));
    let mut from_next = cpu.write(&kernel.initial_gradient);
    let (state_gradient, dc) = from_next.split_at_mut(batch * size);
    let mut dh = state_gradient.to_vec();
    if kernel.step + 1 == time_steps {
        dh.fill(0.0);
        dc.fill(0.0);
    } else if reset.enabled {
        reset.clear_gradients(&mut dh, &tokens, first + batch, size);
        reset.clear_gradients(dc, &tokens, first + batch, size);
    }
    let chunk_rows = rows_per_task(cpu, batch, size);
    gates
        .par_chunks_mut(chunk_rows * GATES * size)
        .zip(dh.par_chunks(chunk_rows * size))
        .zip(dc.par_chunks_mut(chunk_rows * size))
        .enumerate()
        .for_each(|(chunk, ((gates, dh), dc))| {
            let first = first + chunk * chunk_rows;
            vectorized_math(
                #[inline(always)]
                |math| inputs.backward_rows(math, first, gates, dh, dc),
            );
        });
}

/// The streams of a step that a thread processes: all of them in a small layer.
fn rows_per_task(cpu: &Cpu, batch: usize, size: usize) -> usize {
    let is_small = batch * GATES * size < MIN_PARALLEL_ELEMENTS;
    rows_per_chunk(if is_small { 1 } else { cpu.threads() }, batch)
}
