//! RMSprop: the gradient divided by the root of its running square.

use super::rows::{Gradient, RowwiseUpdate};
use crate::device::{Access, Arguments as _, Cpu, Gpu, Kernel, Shader, arguments};
use crate::tensor::Tensor;

/// With `g = scale * gradient`:
/// `squares = 0.99 squares + 0.01 g²; parameter -= rate * g / (√squares + 1e-8)` (Tieleman and
/// Hinton 2012, as in PyTorch, neither centred nor with momentum).
///
/// A table's squares fade in every row, touched or not.
#[derive(Debug, Clone, Copy)]
pub struct Rmsprop {
    /// Any shape, changed in place.
    pub parameter: Tensor,
    /// The parameter's shape: the running mean of squared gradients, changed in place.
    pub squares: Tensor,
    /// The parameter's gradient.
    pub gradient: Gradient,
    /// One number that multiplies the gradient; from [`ClipGradNorm`](super::ClipGradNorm).
    pub scale: Tensor,
    /// The learning rate.
    pub rate: f32,
}

arguments! {
    count: u32,
    columns: u32,
    tokens_offset: u32,
    order_offset: u32,
    first_row: u32,
    end_row: u32,
    rate: f32,
}

const BINDINGS: &[(&str, Access)] = &[
    ("parameter", Access::Write),
    ("squares", Access::Write),
    ("gradient", Access::Read),
    ("scale", Access::Read),
    ("tokens", Access::Read),
    ("order", Access::Read),
];
pub(super) static DENSE: Shader = Shader {
    stem: "rmsprop",
    source: include_str!("../../shaders/rmsprop.wgsl"),
    entry_point: "dense",
    bindings: BINDINGS.split_at(4).0,
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};
pub(super) static ROWS: Shader = Shader {
    entry_point: "rows",
    bindings: BINDINGS,
    ..DENSE
};

/// What the mean keeps of itself.
const KEEP: f32 = 0.99;
/// What it takes from the gradient: 1 - 0.99 in f32 is off by 1e-6 of itself.
const TAKE: f32 = 0.01;

impl Rmsprop {
    fn update(&self) -> RowwiseUpdate<2> {
        RowwiseUpdate {
            gradient: self.gradient,
            tensors: [self.parameter, self.squares],
        }
    }
}

impl Kernel for Rmsprop {
    fn name(&self) -> &'static str {
        DENSE.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let (rate, scale) = (self.rate, cpu.read(&self.scale)[0]);
        self.update().decaying_state_on_cpu(
            cpu,
            #[inline(always)]
            |[parameter, squares], gradient| {
                for ((parameter, squares), g) in parameter.iter_mut().zip(squares).zip(gradient) {
                    let g = scale * g;
                    *squares = KEEP * *squares + TAKE * (g * g);
                    *parameter -= rate * g / (squares.sqrt() + 1e-8);
                }
            },
            #[inline(always)]
            |[parameter, squares], gradient| {
                for ((parameter, squares), g) in parameter.iter_mut().zip(squares).zip(gradient) {
                    let g = scale * g;
                    *squares += TAKE / KEEP * (g * g);
                    // The dense step moves nothing without g, so the parameter takes its step here,
                    // by the squares as that step leaves them.
                    *parameter -= rate * g / ((KEEP * *squares).sqrt() + 1e-8);
                }
            },
        );
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        self.update()
            .decaying_state_on_gpu(gpu, [&DENSE, &ROWS], &[], self.scale, |sizes| Arguments {
                count: sizes.count,
                columns: sizes.columns,
                tokens_offset: sizes.tokens_offset,
                order_offset: sizes.order_offset,
                first_row: sizes.first,
                end_row: sizes.end,
                rate: self.rate,
            });
    }
}
