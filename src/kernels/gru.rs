//! The GRU over a window, forward and backward. One matrix product per step computes all three
//! gates; its result is kept separate from the input projection.

pub(super) mod cases;
mod cpu;

use super::recurrent::gated::{Arguments, GatedWindow, forward_weight, gated_sizes};
use super::recurrent::{Carried, RecurrentSchedule, Reset};
use crate::device::{Access, Binding, Cpu, Gpu, Kernel, Shader};
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

pub(super) static FORWARD: Shader = Shader {
    stem: "gru",
    source: concat!(
        include_str!("../../shaders/gru.wgsl"),
        include_str!("../../shaders/gated_states.wgsl"),
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
    arguments: Arguments::LAYOUT,
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

impl GruForward {
    /// B, H and T.
    fn sizes(&self) -> [usize; 3] {
        gated_sizes(&self.states, &self.gates, self.schedule)
    }
}

impl GruBackward {
    /// B, H and T.
    fn sizes(&self) -> [usize; 3] {
        gated_sizes(&self.states, &self.gates, self.schedule)
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
        let weight = forward_weight(gpu, self.schedule, self.weight, self.weight_t);
        let [gates, recurrent, states, weight, bias, previous] = [
            &self.gates,
            &self.recurrent,
            &self.states,
            &weight,
            &self.bias.unwrap_or(weight),
            &self.reset.previous,
        ]
        .map(Binding::whole);
        let window = GatedWindow {
            fused: &FORWARD,
            step: &STEP_FORWARD,
            schedule: self.schedule,
            gates: GATES,
            sizes: self.sizes(),
            reset: &self.reset,
            constants: &[("BIAS", f64::from(u8::from(self.bias.is_some())))],
            bindings: &[
                gates,
                recurrent,
                states,
                weight,
                bias,
                self.reset.tokens().0,
                previous,
            ],
        };
        let carried = self.carried.arguments(self.schedule, [self.states]);
        window.forward(gpu, carried);
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
        let [gates, recurrent, states, weight, gradient, initial_gradient] = [
            &self.gates,
            &self.recurrent,
            &self.states,
            &self.weight,
            &self.gradient,
            &self.initial_gradient,
        ]
        .map(Binding::whole);
        let window = GatedWindow {
            fused: &BACKWARD,
            step: &STEP_BACKWARD,
            schedule: self.schedule,
            gates: GATES,
            sizes: self.sizes(),
            reset: &self.reset,
            constants: &[],
            bindings: &[
                gates,
                recurrent,
                states,
                weight,
                gradient,
                self.reset.tokens().0,
                initial_gradient,
            ],
        };
        window.backward(gpu);
    }
}
