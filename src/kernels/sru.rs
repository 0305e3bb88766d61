//! The simple recurrent unit over a window, forward and backward. No unit reads another one: on a
//! GPU, one dispatch processes a window, an invocation all steps of one unit of one stream.

pub(super) mod cases;
mod cpu;

use super::recurrent::{Carried, RecurrentSchedule, Reset, unit_dispatches, unit_operations};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// For every step of a window and every stream (Lei 2018):
///
/// ```text
/// f = sigmoid(p + v_f c(t-1) + b_f)       c(t) = f c(t-1) + (1 - f) u
/// r = sigmoid(q + v_r c(t-1) + b_r)       h(t) = r c(t) + (1 - r) x(t)
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SruForward {
    /// `[T*B, G*H]`: u, p and q, of which p and q are overwritten with f and r; with G = 4, x(t)
    /// after them.
    pub gates: Tensor,
    /// `[(T+1)*B, H]`: slot 0 receives c(-1); slot t+1 receives c(t).
    pub cells: Tensor,
    /// `[T*B, H]`, overwritten with h(t).
    pub output: Tensor,
    /// c before the window, and where the next window starts.
    pub carried: Carried<1>,
    /// `[T*B, H]`: x(t), if G is 3.
    pub input: Option<Tensor>,
    /// `[1, 2H]`: v_f and v_r.
    pub weight: Tensor,
    /// `[1, 2H]`: b_f and b_r; otherwise they are 0.
    pub bias: Option<Tensor>,
    /// Where c of a stream is reset. The previous states are not kept.
    pub reset: Reset,
}

/// The gradient of [`SruForward`], where dx is the gradient of the loss with respect to x:
///
/// ```text
/// dc(t) += dh(t) r
/// dp = dc(t) (c(t-1) - u) f (1 - f)       du = dc(t) (1 - f)
/// dq = dh(t) (c(t) - x(t)) r (1 - r)      dx(t) = dh(t) (1 - r)
/// dc(t-1) = dc(t) f + dp v_f + dq v_r
/// dv = Σ (dp, dq) c(t-1)                  db = Σ (dp, dq)
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SruBackward {
    /// `[T*B, G*H]`: u, f and r from the forward kernel, overwritten with the gradients of u, p and
    /// q; with G = 4, also x(t) with its gradient.
    pub gates: Tensor,
    /// `[(T+1)*B, H]`: the result of the forward kernel.
    pub cells: Tensor,
    /// `[T*B, H]`: the gradient of h(t), overwritten with the highway's part of that of x(t).
    pub gradient: Tensor,
    /// As in the forward kernel.
    pub input: Option<Tensor>,
    /// As in the forward kernel.
    pub weight: Tensor,
    /// `[5*B, H]`, overwritten with the gradient of c(-1), `[B, H]`, then with each stream's part
    /// of the gradients of v_f and v_r, and of those of b_f and b_r, `[B, 2H]` each.
    pub unit_gradients: Tensor,
    /// As in the forward kernel.
    pub reset: Reset,
}

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
    input_offset: u32,
    weight_offset: u32,
    bias_offset: u32,
}

pub(super) static FORWARD: Shader = Shader {
    stem: "sru",
    source: concat!(
        include_str!("../../shaders/sru.wgsl"),
        include_str!("../../shaders/unit_steps.wgsl")
    ),
    entry_point: "forward",
    bindings: &[
        ("gates", Access::Write),
        ("cells", Access::Write),
        ("output", Access::Write),
        ("input", Access::Read),
        ("weight", Access::Read),
        ("tokens", Access::Read),
        ("bias", Access::Read),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};
pub(super) static BACKWARD: Shader = Shader {
    entry_point: "backward",
    bindings: &[
        ("gates", Access::Write),
        ("cells", Access::Write),
        ("gradient", Access::Write),
        ("input", Access::Read),
        ("weight", Access::Read),
        ("tokens", Access::Read),
        ("unit_gradients", Access::Write),
    ],
    ..FORWARD
};

/// B, H, T and G.
fn sizes(gates: &Tensor, cells: &Tensor) -> [usize; 4] {
    let [batch, size] = [cells.rows() - gates.rows(), cells.columns()];
    [batch, size, gates.rows() / batch, gates.columns() / size]
}

/// The arguments of a whole window.
fn arguments_of([batch, size, time_steps, _]: [usize; 4], reset: &Reset) -> Arguments {
    Arguments {
        time_steps: to_u32(time_steps),
        first_step: 0,
        end_step: to_u32(time_steps),
        batch: to_u32(batch),
        hidden_size: to_u32(size),
        tokens_offset: reset.tokens().1,
        initial: reset.initial,
        carried_offset: 0,
        previous_offset: 0,
        advance: 0,
        input_offset: 0,
        weight_offset: 0,
        bias_offset: 0,
    }
}

impl Kernel for SruForward {
    fn name(&self) -> &'static str {
        FORWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        cpu::forward(self, cpu);
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let sizes @ [batch, size, time_steps, gates] = sizes(&self.gates, &self.cells);
        // Where a tensor is absent, another one that is only read takes its place.
        let (input, input_offset) = Binding::with_offset(&self.input.unwrap_or(self.weight));
        let (weight, weight_offset) = Binding::with_offset(&self.weight);
        let (bias, bias_offset) = Binding::with_offset(&self.bias.unwrap_or(self.weight));
        let [all_gates, cells, output] =
            [&self.gates, &self.cells, &self.output].map(Binding::whole);
        let carried = self
            .carried
            .arguments(RecurrentSchedule::Fused, [self.cells]);
        for steps in unit_dispatches(time_steps) {
            gpu.launch_work(
                &FORWARD,
                &[
                    self.reset.constant(),
                    ("GATES", gates as f64),
                    ("HAS_BIAS", f64::from(u8::from(self.bias.is_some()))),
                ],
                &[
                    all_gates,
                    cells,
                    output,
                    input,
                    weight,
                    self.reset.tokens().0,
                    bias,
                ],
                &Arguments {
                    first_step: steps[0],
                    end_step: steps[1],
                    carried_offset: carried.offset,
                    previous_offset: carried.previous_offset(steps[0], batch * size),
                    advance: carried.advance,
                    input_offset,
                    weight_offset,
                    bias_offset,
                    ..arguments_of(sizes, &self.reset)
                },
                workgroups(batch * size, 64),
                unit_operations(batch * size, steps),
            );
        }
    }
}

impl Kernel for SruBackward {
    fn name(&self) -> &'static str {
        BACKWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        cpu::backward(self, cpu);
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let sizes @ [batch, size, time_steps, gates] = sizes(&self.gates, &self.cells);
        let (input, input_offset) = Binding::with_offset(&self.input.unwrap_or(self.weight));
        let (weight, weight_offset) = Binding::with_offset(&self.weight);
        let [all_gates, cells, gradient, unit_gradients] = [
            &self.gates,
            &self.cells,
            &self.gradient,
            &self.unit_gradients,
        ]
        .map(Binding::whole);
        for steps in unit_dispatches(time_steps).into_iter().rev() {
            gpu.launch_work(
                &BACKWARD,
                &[self.reset.constant(), ("GATES", gates as f64)],
                &[
                    all_gates,
                    cells,
                    gradient,
                    input,
                    weight,
                    self.reset.tokens().0,
                    unit_gradients,
                ],
                &Arguments {
                    first_step: steps[0],
                    end_step: steps[1],
                    input_offset,
                    weight_offset,
                    ..arguments_of(sizes, &self.reset)
                },
                workgroups(batch * size, 64),
                unit_operations(batch * size, steps),
            );
        }
    }
}
