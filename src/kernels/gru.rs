//! The GRU over a window, forward and backward. One matrix product per step computes all three
//! gates; its result is kept separate from the input projection.

pub(super) mod cases;
mod cpu;

use super::recurrent::{
    Carried, GATED_UNITS, RecurrentSchedule, Reset, STEP_UNITS, gated_dispatches,
    product_constants, step_operations, step_workgroups,
};
use super::transpose::Transpose;
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// For every step of a window and every stream (Cho 2014; PyTorch's order of gates, with the reset
/// gate applied after the product):
///
/// ```text
/// (ur, uz, un) = W h(t-1) + b             r = sigmoid(zr(t) + ur)      z = sigmoid(zz(t) + uz)
/// n = tanh(zn(t) + r un)                  h(t) = (1 - z) n + z h(t-1)
/// ```
///
/// The input projection, zr(t), zz(t) and zn(t), is stored in `gates`.
///
/// # Panics
/// If `schedule` is [`RecurrentSchedule::Fused`] and H is above 682.
#[derive(Debug, Clone, Copy)]
pub struct GruForward {
    /// `[T*B, 3H]`: the input projection, overwritten with r, z and n.
    pub gates: Tensor,
    /// `[T*B, 3H]`, overwritten with W h(t-1). The last third includes b: it is un.
    pub recurrent: Tensor,
    /// `[(T+1)*B, H]`: slot 0 receives h(-1); slot t+1 receives h(t).
    pub states: Tensor,
    /// h before the window, and where the next window starts.
    pub carried: Carried<1>,
    /// W, `[3H to, H from]`.
    pub weight: Tensor,
    /// `[H, 3H]`, scratch space for a copy of W in the order in which the device reads it
    /// fastest.
    pub weight_t: Tensor,
    /// b, `[1, 3H]`, or `None` for zeros.
    pub bias: Option<Tensor>,
    /// Where streams are reset.
    pub reset: Reset,
    /// How a GPU processes the window.
    pub schedule: RecurrentSchedule,
}

/// The gradient of [`GruForward`], where dx is the gradient of the loss with respect to x:
///
/// ```text
/// dzn(t) = dh (1 - z) (1 - n²)
/// dzr(t) = dzn(t) un r (1 - r)
/// dzz(t) = dh (h(t-1) - n) z (1 - z)
/// (dur, duz, dun) = (dzr(t), dzz(t), dzn(t) r)
/// dh(t-1) = gradient(t-1) + dh z + Wᵀ (dur, duz, dun)
/// ```
///
/// # Panics
/// If `schedule` is [`RecurrentSchedule::Fused`] and H is above 682.
#[derive(Debug, Clone, Copy)]
pub struct GruBackward {
    /// `[T*B, 3H]`: the gate activations from the forward kernel, overwritten with the gradient of
    /// the input projection.
    pub gates: Tensor,
    /// `[T*B, 3H]`: the result of the forward kernel, overwritten with the gradient of W h(t-1) +
    /// b.
    pub recurrent: Tensor,
    /// `[(T+1)*B, H]`: the result of the forward kernel.
    pub states: Tensor,
    /// W, `[3H to, H from]`.
    pub weight: Tensor,
    /// `[T*B, H]`: the gradient of h(t) from the layer above.
    pub gradient: Tensor,
    /// `[B, H]`, overwritten with the gradient of h(-1).
    pub initial_gradient: Tensor,
    /// As in the forward kernel.
    pub reset: Reset,
    /// As in the forward kernel.
    pub schedule: RecurrentSchedule,
}

/// Number of gates.
const GATES: usize = 3;

arguments! {
    time_steps: u32,
    first_step: u32,
    end_step: u32,
    batch: u32,
    hidden_size: u32,
    tokens_offset: u32,
    initial: f32,
    carried_offset: u32,
    previous_offset: u32,
    advance: u32,
}

pub(super) static FORWARD: Shader = Shader {
    stem: "gru",
    source: concat!(
        include_str!("../../shaders/gru.wgsl"),
        include_str!("../../shaders/fused_product.wgsl"),
        include_str!("../../shaders/step_product.wgsl")
    ),
    entry_point: "forward",
    bindings: &[
        ("gates", Access::Write),
        ("recurrent", Access::Write),
        ("states", Access::Write),
        ("weight", Access::Read),
        ("bias", Access::Read),
        ("tokens", Access::Read),
        ("previous_states", Access::Write),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: true,
};
pub(super) static BACKWARD: Shader = Shader {
    entry_point: "backward",
    bindings: &[
        ("gates", Access::Write),
        ("recurrent", Access::Write),
        ("states", Access::Write),
        ("weight", Access::Read),
        ("gradient", Access::Read),
        ("tokens", Access::Read),
        ("initial_gradient", Access::Write),
    ],
    ..FORWARD
};
pub(super) static STEP_FORWARD: Shader = Shader {
    entry_point: "step_forward",
    ..FORWARD
};
pub(super) static STEP_BACKWARD: Shader = Shader {
    entry_point: "step_backward",
    ..BACKWARD
};

/// B, H and T.
fn sizes(states: &Tensor, gates: &Tensor, schedule: RecurrentSchedule) -> [usize; 3] {
    let batch = states.rows() - gates.rows();
    schedule.check_size(GATES, states.columns());
    [batch, states.columns(), gates.rows() / batch]
}

/// The arguments of a dispatch for the steps `first_step..end_step`.
fn arguments_of(reset: &Reset, sizes: [usize; 3], [first_step, end_step]: [u32; 2]) -> Arguments {
    let [batch, hidden_size, time_steps] = sizes.map(to_u32);
    Arguments {
        time_steps,
        first_step,
        end_step,
        batch,
        hidden_size,
        tokens_offset: reset.tokens().1,
        initial: reset.initial,
        carried_offset: 0,
        previous_offset: 0,
        advance: 0,
    }
}

impl GruForward {
    /// The arguments of a dispatch for the steps `first_step..end_step`.
    fn arguments(&self, sizes: [usize; 3], steps: [u32; 2]) -> Arguments {
        let carried = self.carried.arguments(self.schedule, [self.states]);
        Arguments {
            carried_offset: carried.offset,
            previous_offset: carried.previous_offset(steps[0], sizes[0] * sizes[1]),
            advance: carried.advance,
            ..arguments_of(&self.reset, sizes, steps)
        }
    }
}

impl Kernel for GruForward {
    fn name(&self) -> &'static str {
        FORWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        cpu::forward(self, cpu);
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let sizes @ [batch, size, time_steps] = sizes(&self.states, &self.gates, self.schedule);
        let constants = [
            self.reset.constant(),
            ("BIAS", f64::from(u8::from(self.bias.is_some()))),
        ];
        let weight = if self.schedule == RecurrentSchedule::Fused {
            self.weight_t
        } else {
            self.weight
        };
        let [gates, recurrent, states, weight, bias, previous] = [
            &self.gates,
            &self.recurrent,
            &self.states,
            &weight,
            &self.bias.unwrap_or(weight),
            &self.reset.previous,
        ]
        .map(Binding::whole);
        let bindings = [
            gates,
            recurrent,
            states,
            weight,
            bias,
            self.reset.tokens().0,
            previous,
        ];
        if self.schedule == RecurrentSchedule::Fused {
            Transpose {
                input: self.weight,
                output: self.weight_t,
            }
            .on_gpu(gpu);
            let [sums, first, second] = product_constants(gpu, size, GATES * size);
            let [reset, bias] = constants;
            let constants = [reset, bias, sums, first, second];
            for dispatch in gated_dispatches(sizes, GATES, gpu.max_operations()) {
                gpu.launch_work(
                    &FORWARD,
                    &constants,
                    &bindings,
                    &self.arguments(sizes, dispatch.steps),
                    workgroups(batch, 1),
                    dispatch.operations,
                );
            }
            return;
        }
        for t in 0..to_u32(time_steps) {
            gpu.launch_work(
                &STEP_FORWARD,
                &constants,
                &bindings,
                &self.arguments(sizes, [t, t + 1]),
                step_workgroups(batch, size, GATED_UNITS),
                step_operations(batch, GATES, size),
            );
        }
        if self.carried.is_stored_last(self.schedule) {
            let [reset, bias] = constants;
            gpu.launch(
                &STEP_FORWARD,
                &[reset, bias, ("STORE", 1.0)],
                &bindings,
                &Arguments {
                    advance: 1,
                    ..self.arguments(sizes, [0, 1])
                },
                step_workgroups(batch, size, GATED_UNITS),
            );
        }
    }
}

impl Kernel for GruBackward {
    fn name(&self) -> &'static str {
        BACKWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        cpu::backward(self, cpu);
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let sizes @ [batch, size, time_steps] = sizes(&self.states, &self.gates, self.schedule);
        let [gates, recurrent, states, weight, gradient, initial_gradient] = [
            &self.gates,
            &self.recurrent,
            &self.states,
            &self.weight,
            &self.gradient,
            &self.initial_gradient,
        ]
        .map(Binding::whole);
        let bindings = [
            gates,
            recurrent,
            states,
            weight,
            gradient,
            self.reset.tokens().0,
            initial_gradient,
        ];
        if self.schedule == RecurrentSchedule::Fused {
            let [sums, first, second] = product_constants(gpu, GATES * size, size);
            let constants = [self.reset.constant(), sums, first, second];
            for dispatch in gated_dispatches(sizes, GATES, gpu.max_operations())
                .into_iter()
                .rev()
            {
                gpu.launch_work(
                    &BACKWARD,
                    &constants,
                    &bindings,
                    &arguments_of(&self.reset, sizes, dispatch.steps),
                    workgroups(batch, 1),
                    dispatch.operations,
                );
            }
            return;
        }
        let mut launch = |t: u32, initial: f64| {
            gpu.launch_work(
                &STEP_BACKWARD,
                &[self.reset.constant(), ("INITIAL", initial)],
                &bindings,
                &arguments_of(&self.reset, sizes, [t, t + 1]),
                step_workgroups(batch, size, STEP_UNITS),
                step_operations(batch, GATES, size),
            );
        };
        (0..to_u32(time_steps)).rev().for_each(|t| launch(t, 0.0));
        launch(0, 1.0);
    }
}
