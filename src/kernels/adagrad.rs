//! Adagrad: a learning rate per element that decreases with the accumulated squared gradients.

pub(super) mod cases;

use super::rows::{Gradient, RowwiseUpdate};
use crate::device::{Access, Arguments as _, Cpu, Gpu, Kernel, Shader, arguments};
use crate::tensor::Tensor;

/// With `g = scale * gradient`: `squares += g²; parameter -= rate * g / (√squares + 1e-10)`
/// (Duchi 2011, as in PyTorch).
///
/// Elements with a zero gradient do not change, so the update of a table skips untouched rows.
#[derive(Debug, Clone, Copy)]
pub struct Adagrad {
    /// Any shape, updated in place.
    pub parameter: Tensor,
    /// The parameter's shape: the sum of the squared gradients of all updates, updated in place.
    pub squares: Tensor,
    /// The parameter's gradient.
    pub gradient: Gradient,
    /// `[1, 1]`: a factor for the gradient, from [`ClipGradNorm`](super::ClipGradNorm).
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
    stem: "adagrad",
    source: include_str!("../../shaders/adagrad.wgsl"),
    entry_point: "dense",
    bindings: BINDINGS.split_at(4).0,
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};
pub(super) static SPARSE: Shader = Shader {
    entry_point: "sparse",
    bindings: BINDINGS,
    ..DENSE
};

impl Kernel for Adagrad {
    fn name(&self) -> &'static str {
        DENSE.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let rate = self.rate;
        let scale = cpu.read(&self.scale)[0];
        RowwiseUpdate {
            gradient: self.gradient,
            tensors: [self.parameter, self.squares],
        }
        .on_cpu(
            cpu,
            #[inline(always)]
            |[parameter, squares], gradient| {
                for ((parameter, squares), g) in parameter.iter_mut().zip(squares).zip(gradient) {
                    let g = scale * g;
                    *squares += g * g;
                    *parameter -= rate * g / (squares.sqrt() + 1e-10);
                }
            },
        );
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let update = RowwiseUpdate {
            gradient: self.gradient,
            tensors: [self.parameter, self.squares],
        };
        update.on_gpu(gpu, [&DENSE, &SPARSE], &[], self.scale, |sizes| Arguments {
            count: sizes.count,
            columns: sizes.columns,
            tokens_offset: sizes.tokens_offset,
            order_offset: sizes.order_offset,
            first_row: sizes.first_row,
            end_row: sizes.end_row,
            rate: self.rate,
        });
    }
}
