//! The LSTM over a window, forward and backward. One matrix product per step computes all four
//! gates.

pub(super) mod cases;
mod cell;
pub(super) mod cell_cases;
mod cpu;

pub(super) use cell::{BACKWARD as CELL_BACKWARD, END, FORWARD as CELL_FORWARD, START};
pub(super) use cpu::{is_capped, split_gates, write_gate};

pub use cell::{LstmCellBackward, LstmCellEnd, LstmCellForward, LstmCellStart};

use super::recurrent::gated::{Arguments, GatedWindow, forward_weight, gated_sizes};
use super::recurrent::{Carried, RecurrentSchedule, Reset};
use crate::device::{Access, Binding, Cpu, Gpu, Kernel, Shader};
use crate::tensor::Tensor;

/// For every step of a window and every stream (Hochreiter and Schmidhuber 1997, Gers 2000;
/// PyTorch's order of gates):
///
/// ```text
/// (i, f, g, o) = z(t) + W h(t-1)          then sigmoid for i, f and o, tanh for g
/// c(t) = f c(t-1) + i g                   h(t) = o tanh(c(t))
/// ```
///
/// z(t), the part of the pre-activations that does not depend on h(t-1), is stored in `gates`. With
/// `capped`, `min(1 - f, i)` takes the place of i in c(t) (Melis 2020).
///
/// # Panics
/// If `schedule` is [`RecurrentSchedule::Fused`] and H is above 512.
#[derive(Debug, Clone, Copy)]
pub struct LstmForward {
    /// `[T*B, 4H]`: z(t), overwritten with the gate activations i, f, g and o.
    pub gates: Tensor,
    /// `[(T+1)*B, H]`: slot 0 receives c(-1); slot t+1 receives c(t).
    pub cells: Tensor,
    /// `[(T+1)*B, H]`: slot 0 receives h(-1); slot t+1 receives h(t).
    pub states: Tensor,
    /// h and c before the window, and where the next window starts.
    pub carried: Carried<2>,
    /// W, `[4H to, H from]`.
    pub weight: Tensor,
    /// `[H, 4H]`, scratch space for a copy of W in the order in which the device reads it
    /// fastest.
    pub weight_t: Tensor,
    /// Whether at most 1 - f of g is written to c.
    pub capped: bool,
    /// Where h and c of a stream are reset.
    pub reset: Reset,
    /// How a GPU processes the window.
    pub schedule: RecurrentSchedule,
}

/// The gradient of [`LstmForward`], where dx is the gradient of the loss with respect to x:
///
/// ```text
/// dc(t) += dh(t) o (1 - tanh²(c(t)))
/// dz(t) = (dc g i (1 - i),  dc c(t-1) f (1 - f),  dc i (1 - g²),  dh tanh(c(t)) o (1 - o))
/// dc(t-1) = dc f                          dh(t-1) = gradient(t-1) + Wᵀ dz(t)
/// ```
///
/// With `capped` and where 1 - f < i, 1 - f takes the place of i in dg, `c(t-1) - g` that of
/// c(t-1), and the gradient of i is 0. Where 1 - f = i, the gradient is that of i, as without
/// `capped`.
///
/// # Panics
/// If `schedule` is [`RecurrentSchedule::Fused`] and H is above 512.
#[derive(Debug, Clone, Copy)]
pub struct LstmBackward {
    /// `[T*B, 4H]`: the gate activations from the forward kernel, overwritten with the gradient of
    /// z.
    pub gates: Tensor,
    /// `[(T+1)*B, H]`: the result of the forward kernel.
    pub cells: Tensor,
    /// W, `[4H to, H from]`.
    pub weight: Tensor,
    /// `[T*B, H]`: the gradient of h(t) from the layer above.
    pub gradient: Tensor,
    /// `[2*B, H]`, overwritten with the gradient of h(-1) followed by that of c(-1).
    pub initial_gradient: Tensor,
    /// As in the forward kernel.
    pub capped: bool,
    /// As in the forward kernel.
    pub reset: Reset,
    /// As in the forward kernel.
    pub schedule: RecurrentSchedule,
}

/// Number of gates.
const GATES: usize = 4;

pub(super) static FORWARD: Shader = Shader {
    stem: "lstm",
    source: concat!(
        include_str!("../../shaders/lstm.wgsl"),
        include_str!("../../shaders/gated_states.wgsl"),
        include_str!("../../shaders/fused_product.wgsl"),
        include_str!("../../shaders/step_product.wgsl"),
        include_str!("../../shaders/lstm_cell.wgsl")
    ),
    entry_point: "forward",
    bindings: &[
        ("gates", Access::Write),
        ("cells", Access::Write),
        ("states", Access::Write),
        ("weight", Access::Read),
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
        ("cells", Access::Write),
        ("gradient", Access::Write),
        ("weight", Access::Read),
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

impl LstmForward {
    /// B, H and T.
    fn sizes(&self) -> [usize; 3] {
        gated_sizes(&self.states, &self.gates, self.schedule)
    }

    /// The buffers of the carried states.
    fn buffers(&self) -> [Tensor; 2] {
        [self.states, self.cells]
    }
}

impl LstmBackward {
    /// B, H and T.
    fn sizes(&self) -> [usize; 3] {
        gated_sizes(&self.cells, &self.gates, self.schedule)
    }
}

/// The shaders' constant `CAPPED`.
fn capped(is_capped: bool) -> (&'static str, f64) {
    ("CAPPED", f64::from(u8::from(is_capped)))
}

impl Kernel for LstmForward {
    fn name(&self) -> &'static str {
        FORWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        cpu::forward(self, cpu);
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let weight = forward_weight(gpu, self.schedule, self.weight, self.weight_t);
        let [gates, cells, states, weight, previous] = [
            &self.gates,
            &self.cells,
            &self.states,
            &weight,
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
            constants: &[capped(self.capped)],
            bindings: &[
                gates,
                cells,
                states,
                weight,
                self.reset.tokens().0,
                previous,
            ],
        };
        let carried = self.carried.arguments(self.schedule, self.buffers());
        window.forward(gpu, carried);
    }
}

impl Kernel for LstmBackward {
    fn name(&self) -> &'static str {
        BACKWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        cpu::backward(self, cpu);
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let [gates, cells, gradient, weight, initial_gradient] = [
            &self.gates,
            &self.cells,
            &self.gradient,
            &self.weight,
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
            constants: &[capped(self.capped)],
            bindings: &[
                gates,
                cells,
                gradient,
                weight,
                self.reset.tokens().0,
                initial_gradient,
            ],
        };
        window.backward(gpu);
    }
}
