//! Adagrad: a learning rate per element that decreases with the accumulated squared gradients.

pub(super) mod cases;

use super::rows::{
    Gradient, RowwiseUpdate, Update, UpdateParts, Updates, optimizer_shader, optimizer_source,
};
use crate::device::{Access, Cpu, Gpu, Kernel, Shader};
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

const BINDINGS: &[(&str, Access)] = &[
    ("parameter", Access::Write),
    ("squares", Access::Write),
    ("gradient", Access::Read),
    ("scale", Access::Read),
    ("tokens", Access::Read),
    ("order", Access::Read),
];
pub(super) static DENSE: Shader = optimizer_shader(
    "adagrad",
    optimizer_source!("adagrad.wgsl", "update_two.wgsl"),
    BINDINGS.split_at(4).0,
);
pub(super) static DENSE_2: Shader = Shader {
    entry_point: "dense_2",
    bindings: &[
        ("parameter", Access::Write),
        ("squares", Access::Write),
        ("gradient", Access::Read),
        ("scale", Access::Read),
        ("parameter_1", Access::Write),
        ("squares_1", Access::Write),
        ("gradient_1", Access::Read),
    ],
    ..DENSE
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
        Updates(std::slice::from_ref(self)).on_gpu(gpu);
    }
}

impl Update for Adagrad {
    const DENSE: &'static [&'static Shader] = &[&DENSE, &DENSE_2];
    const SPARSE: &'static Shader = &SPARSE;
    const DECAYS: bool = false;

    fn parts(&self) -> UpdateParts {
        UpdateParts {
            tensors: vec![self.parameter, self.squares],
            gradient: self.gradient,
            scale: self.scale,
            rate: self.rate,
            sqrt_correction: 1.0,
            constant: None,
        }
    }
}
