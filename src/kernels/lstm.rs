//! The LSTM over a window, forward and backward. One matrix product per step computes all four
//! gates.

pub(super) mod cases;
mod cell;
pub(super) mod cell_cases;
mod cpu;

pub(super) use cell::{BACKWARD as CELL_BACKWARD, END, FORWARD as CELL_FORWARD, START};
pub(super) use cpu::{is_capped, split_gates, write_gate};

pub use cell::{LstmCellBackward, LstmCellEnd, LstmCellForward, LstmCellStart};

use super::recurrent::{
    Carried, GATED_UNITS, RecurrentSchedule, Reset, STEP_UNITS, gated_dispatches,
    product_constants, step_operations, step_workgroups,
};
use super::transpose::Transpose;
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
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
    stem: "lstm",
    source: concat!(
        include_str!("../../shaders/lstm.wgsl"),
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
    arguments: Arguments::FIELDS,
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
        let batch = self.states.rows() - self.gates.rows();
        self.schedule.check_size(GATES, self.states.columns());
        [batch, self.states.columns(), self.gates.rows() / batch]
    }

    /// The buffers of the carried states.
    fn buffers(&self) -> [Tensor; 2] {
        [self.states, self.cells]
    }

    /// The shader's bindings, with `weight` or its transpose.
    fn bindings(&self, weight: &Tensor) -> [Binding; 6] {
        let [gates, cells, states, weight, previous] = [
            &self.gates,
            &self.cells,
            &self.states,
            weight,
            &self.reset.previous,
        ]
        .map(Binding::whole);
        [
            gates,
            cells,
            states,
            weight,
            self.reset.tokens().0,
            previous,
        ]
    }

    /// The arguments of a dispatch for the steps `first_step..end_step`.
    fn arguments(&self, steps: [u32; 2]) -> Arguments {
        let carried = self.carried.arguments(self.schedule, self.buffers());
        let sizes @ [batch, size, _] = self.sizes();
        Arguments {
            carried_offset: carried.offset,
            previous_offset: carried.previous_offset(steps[0], batch * size),
            advance: carried.advance,
            ..arguments_of(&self.reset, sizes, steps)
        }
    }
}

/// The shaders' constant `CAPPED`.
fn capped(is_capped: bool) -> (&'static str, f64) {
    ("CAPPED", f64::from(u8::from(is_capped)))
}

/// The arguments of a dispatch for the steps `first_step..end_step`.
fn arguments_of(
    reset: &Reset,
    [batch, size, time_steps]: [usize; 3],
    [first_step, end_step]: [u32; 2],
) -> Arguments {
    let [time_steps, batch, hidden_size] = [time_steps, batch, size].map(to_u32);
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

impl Kernel for LstmForward {
    fn name(&self) -> &'static str {
        FORWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        cpu::forward(self, cpu);
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let [batch, size, time_steps] = self.sizes();
        if self.schedule == RecurrentSchedule::Fused {
            let [sums, first, second] = product_constants(gpu, size, GATES * size);
            let constants = [
                self.reset.constant(),
                capped(self.capped),
                sums,
                first,
                second,
            ];
            Transpose {
                input: self.weight,
                output: self.weight_t,
            }
            .on_gpu(gpu);
            for dispatch in gated_dispatches([batch, size, time_steps], GATES, gpu.max_operations())
            {
                gpu.launch_work(
                    &FORWARD,
                    &constants,
                    &self.bindings(&self.weight_t),
                    &self.arguments(dispatch.steps),
                    workgroups(batch, 1),
                    dispatch.operations,
                );
            }
            return;
        }
        let bindings = self.bindings(&self.weight);
        for t in 0..to_u32(time_steps) {
            gpu.launch_work(
                &STEP_FORWARD,
                &[self.reset.constant(), capped(self.capped)],
                &bindings,
                &self.arguments([t, t + 1]),
                step_workgroups(batch, size, GATED_UNITS),
                step_operations(batch, GATES, size),
            );
        }
        if self.carried.is_stored_last(self.schedule) {
            gpu.launch(
                &STEP_FORWARD,
                &[self.reset.constant(), ("STORE", 1.0)],
                &bindings,
                &Arguments {
                    advance: 1,
                    ..self.arguments([0, 1])
                },
                step_workgroups(batch, size, GATED_UNITS),
            );
        }
    }
}

impl LstmBackward {
    /// B, H and T.
    fn sizes(&self) -> [usize; 3] {
        let batch = self.cells.rows() - self.gates.rows();
        self.schedule.check_size(GATES, self.cells.columns());
        [batch, self.cells.columns(), self.gates.rows() / batch]
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
        let [batch, size, time_steps] = self.sizes();
        let [gates, cells, gradient, weight, initial_gradient] = [
            &self.gates,
            &self.cells,
            &self.gradient,
            &self.weight,
            &self.initial_gradient,
        ]
        .map(Binding::whole);
        let bindings = [
            gates,
            cells,
            gradient,
            weight,
            self.reset.tokens().0,
            initial_gradient,
        ];
        if self.schedule == RecurrentSchedule::Fused {
            let [sums, first, second] = product_constants(gpu, GATES * size, size);
            let constants = [
                self.reset.constant(),
                capped(self.capped),
                sums,
                first,
                second,
            ];
            for dispatch in gated_dispatches([batch, size, time_steps], GATES, gpu.max_operations())
                .into_iter()
                .rev()
            {
                let arguments =
                    arguments_of(&self.reset, [batch, size, time_steps], dispatch.steps);
                gpu.launch_work(
                    &BACKWARD,
                    &constants,
                    &bindings,
                    &arguments,
                    workgroups(batch, 1),
                    dispatch.operations,
                );
            }
            return;
        }
        let mut launch = |t: u32, initial: f64| {
            gpu.launch_work(
                &STEP_BACKWARD,
                &[
                    self.reset.constant(),
                    capped(self.capped),
                    ("INITIAL", initial),
                ],
                &bindings,
                &arguments_of(&self.reset, [batch, size, time_steps], [t, t + 1]),
                step_workgroups(batch, size, STEP_UNITS),
                step_operations(batch, GATES, size),
            );
        };
        (0..to_u32(time_steps)).rev().for_each(|t| launch(t, 0.0));
        launch(0, 1.0);
    }
}
