//! The quasi-recurrent unit over a window, forward and backward. No unit reads another one: on a
//! GPU, one dispatch processes a window, an invocation all steps of one unit of one stream.

pub(super) mod cases;
mod cpu;

use bytemuck::Zeroable;

use super::dropout::Mask;
use super::recurrent::{Carried, RecurrentSchedule, Reset, unit_dispatches, unit_operations};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// What multiplies f (Krueger 2017): where it is 0, a unit keeps its memory.
#[derive(Debug, Clone, Copy)]
pub enum Zoneout {
    /// The same value for every f, above 0: 1 without zoneout; outside of training, 1 minus the
    /// rate.
    Factor(f32),
    /// 0 with the mask's rate and otherwise 1, drawn for each element of `[T*B, H]`, whatever the
    /// mask's pattern is.
    Mask(Mask),
}

impl Zoneout {
    /// The largest value by which an f was multiplied, which [`QrnnBackward`] needs.
    pub fn factor(&self) -> f32 {
        match self {
            Self::Factor(factor) => *factor,
            Self::Mask(_) => 1.0,
        }
    }
}

/// For every step of a window and every stream, with m from [`Zoneout`] (Bradbury 2016):
///
/// ```text
/// z = tanh(p + b_z)   f = m sigmoid(q + b_f)   o = sigmoid(r + b_o)
/// c(t) = f z + (1 - f) c(t-1)                  h(t) = o c(t)
/// ```
#[derive(Debug, Clone, Copy)]
pub struct QrnnForward {
    /// `[T*B, 3H]`: p, q and r, overwritten with z, f and o.
    pub gates: Tensor,
    /// `[(T+1)*B, H]`: slot 0 receives c(-1); slot t+1 receives c(t).
    pub cells: Tensor,
    /// `[T*B, H]`, overwritten with h(t).
    pub output: Tensor,
    /// c before the window, and where the next window starts.
    pub carried: Carried<1>,
    /// `[1, 3H]`: b_z, b_f and b_o; otherwise they are 0.
    pub bias: Option<Tensor>,
    /// Where c of a stream is reset. The previous states are not kept.
    pub reset: Reset,
    /// m.
    pub zoneout: Zoneout,
}

/// The gradient of [`QrnnForward`]:
///
/// ```text
/// dc(t) += dh(t) o
/// dp = dc(t) f (1 - z²)                dq = dc(t) (z - c(t-1)) f (1 - f/m), 0 where m is 0
/// dr = dh(t) c(t) o (1 - o)            dc(t-1) = dc(t) (1 - f)
/// db = Σ (dp, dq, dr)
/// ```
#[derive(Debug, Clone, Copy)]
pub struct QrnnBackward {
    /// `[T*B, 3H]`: z, f and o from the forward kernel, overwritten with the gradients of p, q and
    /// r.
    pub gates: Tensor,
    /// `[(T+1)*B, H]`: the result of the forward kernel.
    pub cells: Tensor,
    /// `[T*B, H]`: the gradient of h(t).
    pub gradient: Tensor,
    /// `[4*B, H]`, overwritten with the gradient of c(-1), `[B, H]`, then with each stream's part
    /// of the gradients of the biases, `[B, 3H]`.
    pub unit_gradients: Tensor,
    /// As in the forward kernel.
    pub reset: Reset,
    /// [`Zoneout::factor`] of the forward kernel: m where it is not 0.
    pub factor: f32,
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
    bias_offset: u32,
    factor: f32,
    seed: u32,
    site: u32,
    draw: u32,
    threshold: u32,
    mask_first: u32,
    mask_stride: u32,
}

pub(super) static FORWARD: Shader = Shader {
    stem: "qrnn",
    source: concat!(
        include_str!("../../shaders/qrnn.wgsl"),
        include_str!("../../shaders/threefry.wgsl"),
        include_str!("../../shaders/unit_steps.wgsl")
    ),
    entry_point: "forward",
    bindings: &[
        ("gates", Access::Write),
        ("cells", Access::Write),
        ("output", Access::Write),
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
        ("unit_gradients", Access::Write),
        ("tokens", Access::Read),
        ("gradient", Access::Read),
    ],
    ..FORWARD
};

/// Gates of a unit.
const GATES: usize = 3;

/// B, H and T.
fn sizes(gates: &Tensor, cells: &Tensor) -> [usize; 3] {
    let [batch, size] = [cells.rows() - gates.rows(), cells.columns()];
    [batch, size, gates.rows() / batch]
}

/// The arguments of both directions for a whole window.
fn arguments_of([batch, size, time_steps]: [usize; 3], reset: &Reset, factor: f32) -> Arguments {
    Arguments {
        time_steps: to_u32(time_steps),
        batch: to_u32(batch),
        hidden_size: to_u32(size),
        tokens_offset: reset.tokens().1,
        initial: reset.initial,
        factor,
        ..Zeroable::zeroed()
    }
}

impl Kernel for QrnnForward {
    fn name(&self) -> &'static str {
        FORWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        cpu::forward(self, cpu);
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let sizes @ [batch, size, time_steps] = sizes(&self.gates, &self.cells);
        let tokens = self.reset.tokens().0;
        let (bias, bias_offset) = match &self.bias {
            Some(bias) => Binding::with_offset(bias),
            None => (gpu.scratch(), 0),
        };
        let [gates, cells, output] = [&self.gates, &self.cells, &self.output].map(Binding::whole);
        let carried = self
            .carried
            .arguments(RecurrentSchedule::Fused, [self.cells]);
        let mut arguments = Arguments {
            carried_offset: carried.offset,
            advance: carried.advance,
            bias_offset,
            ..arguments_of(sizes, &self.reset, self.zoneout.factor())
        };
        let is_masked = match self.zoneout {
            Zoneout::Factor(_) => false,
            Zoneout::Mask(mask) => {
                [arguments.seed, arguments.site, arguments.draw] =
                    [mask.seed, mask.site, mask.draw];
                arguments.threshold = mask.threshold();
                arguments.mask_first = to_u32(mask.row_of_all(0) * size);
                arguments.mask_stride =
                    to_u32((mask.row_of_all(batch) - mask.row_of_all(0)) * size);
                true
            }
        };
        for steps in unit_dispatches(time_steps) {
            gpu.launch_work(
                &FORWARD,
                &[
                    self.reset.constant(),
                    ("HAS_BIAS", f64::from(u8::from(self.bias.is_some()))),
                    ("MASKED", f64::from(u8::from(is_masked))),
                ],
                &[gates, cells, output, tokens, bias],
                &Arguments {
                    first_step: steps[0],
                    end_step: steps[1],
                    previous_offset: carried.previous_offset(steps[0], batch * size),
                    ..arguments
                },
                workgroups(batch * size, 64),
                unit_operations(batch * size, steps),
            );
        }
    }
}

impl Kernel for QrnnBackward {
    fn name(&self) -> &'static str {
        BACKWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        cpu::backward(self, cpu);
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let sizes @ [batch, size, time_steps] = sizes(&self.gates, &self.cells);
        let tokens = self.reset.tokens().0;
        let [gates, cells, gradient, unit_gradients] = [
            &self.gates,
            &self.cells,
            &self.gradient,
            &self.unit_gradients,
        ]
        .map(Binding::whole);
        for steps in unit_dispatches(time_steps).into_iter().rev() {
            gpu.launch_work(
                &BACKWARD,
                &[self.reset.constant()],
                &[gates, cells, unit_gradients, tokens, gradient],
                &Arguments {
                    first_step: steps[0],
                    end_step: steps[1],
                    ..arguments_of(sizes, &self.reset, self.factor)
                },
                workgroups(batch * size, 64),
                unit_operations(batch * size, steps),
            );
        }
    }
}
