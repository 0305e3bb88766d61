//! RMSprop: the gradient divided by the square root of the running mean of its squares.

pub(super) mod cases;

use super::rows::{
    Gradient, RowwiseUpdate, Update, UpdateParts, Updates, optimizer_shader, optimizer_source,
};
use crate::device::{Access, Cpu, Gpu, Kernel, Shader};
use crate::tensor::Tensor;

/// With `g = scale * gradient`:
/// `squares = 0.99 squares + 0.01 g²; parameter -= rate * g / (√squares + 1e-8)` (Tieleman and
/// Hinton 2012, as in PyTorch, not centered and without momentum).
///
/// The squares of a table decay in every row, touched or not.
#[derive(Debug, Clone, Copy)]
pub struct Rmsprop {
    /// Any shape, updated in place.
    pub parameter: Tensor,
    /// The parameter's shape: the running mean of squared gradients, updated in place.
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
    "rmsprop",
    optimizer_source!("rmsprop.wgsl", "update_two.wgsl"),
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

/// The decay factor of the running mean.
const ALPHA: f32 = 0.99;
/// The weight of the squared gradient. A constant because 1 - 0.99 in f32 has a relative error of
/// 1e-6.
const ONE_MINUS_ALPHA: f32 = 0.01;

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
        let rate = self.rate;
        let scale = cpu.read(&self.scale)[0];
        self.update().decaying_state_on_cpu(
            cpu,
            #[inline(always)]
            |[parameter, squares], gradient| {
                for ((parameter, squares), g) in parameter.iter_mut().zip(squares).zip(gradient) {
                    let g = scale * g;
                    *squares = ALPHA * *squares + ONE_MINUS_ALPHA * (g * g);
                    *parameter -= rate * g / (squares.sqrt() + 1e-8);
                }
            },
            #[inline(always)]
            |[parameter, squares], gradient| {
                for ((parameter, squares), g) in parameter.iter_mut().zip(squares).zip(gradient) {
                    let g = scale * g;
                    *squares += ONE_MINUS_ALPHA / ALPHA * (g * g);
                    // Without a gradient the dense step only decays the squares, so the parameter
                    // is updated here, with the squares after that decay.
                    *parameter -= rate * g / ((ALPHA * *squares).sqrt() + 1e-8);
                }
            },
        );
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        Updates(std::slice::from_ref(self)).on_gpu(gpu);
    }
}

impl Update for Rmsprop {
    const DENSE: &'static [&'static Shader] = &[&DENSE, &DENSE_2];
    const SPARSE: &'static Shader = &SPARSE;
    const DECAYS: bool = true;

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
