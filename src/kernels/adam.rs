//! Adam: the running mean of gradients divided by the square root of the running mean of their
//! squares.

pub(super) mod cases;

use super::rows::{
    Gradient, RowwiseUpdate, Update, UpdateParts, Updates, optimizer_shader, optimizer_source,
};
use crate::device::{Access, Cpu, Gpu, Kernel, Shader};
use crate::tensor::Tensor;

/// With `g = scale * gradient`: `first = 0.9 first + 0.1 g; second = 0.999 second + 0.001 g²;`
/// `parameter -= rate * first' / (√second' + 1e-8)`, where `first' = first / (1 - 0.9^step)` and
/// `second' = second / (1 - 0.999^step)` (Kingma and Ba 2015, as in PyTorch).
///
/// The moments of a table decay in every row, touched or not, so every row is updated: this is
/// Adam, not its lazy variant.
#[derive(Debug, Clone, Copy)]
pub struct Adam {
    /// Any shape, updated in place.
    pub parameter: Tensor,
    /// The parameter's shape: the running mean of gradients, updated in place.
    pub first: Tensor,
    /// The parameter's shape: the running mean of squared gradients, updated in place.
    pub second: Tensor,
    /// The parameter's gradient.
    pub gradient: Gradient,
    /// `[1, 1]`: a factor for the gradient, from [`ClipGradNorm`](super::ClipGradNorm).
    pub scale: Tensor,
    /// The learning rate.
    pub rate: f32,
    /// The index of this update, counted from 1.
    pub step: u32,
}

const BINDINGS: &[(&str, Access)] = &[
    ("parameter", Access::Write),
    ("first_moment", Access::Write),
    ("second_moment", Access::Write),
    ("gradient", Access::Read),
    ("scale", Access::Read),
    ("tokens", Access::Read),
    ("order", Access::Read),
];
pub(super) static DENSE: Shader = optimizer_shader(
    "adam",
    optimizer_source!("adam.wgsl"),
    BINDINGS.split_at(5).0,
);
pub(super) static SPARSE: Shader = Shader {
    entry_point: "sparse",
    bindings: BINDINGS,
    ..DENSE
};

// In f64, because 1 - 0.999 in f32 has a relative error of 1e-5.
const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
/// Decay factors of the two moments.
const BETAS: [f32; 2] = [BETA_1 as f32, BETA_2 as f32];
/// Weights of the gradient in the two moments: 1 - β.
const ONE_MINUS_BETAS: [f32; 2] = [(1.0 - BETA_1) as f32, (1.0 - BETA_2) as f32];

impl Adam {
    /// The learning rate divided by the first moment's bias correction, and the square root of the
    /// second moment's.
    fn corrections(&self) -> (f32, f32) {
        let step = f64::from(self.step);
        let first = 1.0 - BETA_1.powf(step);
        let second = 1.0 - BETA_2.powf(step);
        ((f64::from(self.rate) / first) as f32, second.sqrt() as f32)
    }

    fn update(&self) -> RowwiseUpdate<3> {
        RowwiseUpdate {
            gradient: self.gradient,
            tensors: [self.parameter, self.first, self.second],
        }
    }
}

/// Updates one element, given the result of [`Adam::corrections`].
#[inline(always)]
fn step(
    (rate, sqrt_correction): (f32, f32),
    parameter: &mut f32,
    first: &mut f32,
    second: &mut f32,
    g: f32,
) {
    *first = BETAS[0] * *first + ONE_MINUS_BETAS[0] * g;
    *second = BETAS[1] * *second + ONE_MINUS_BETAS[1] * (g * g);
    *parameter -= rate * *first / (second.sqrt() / sqrt_correction + 1e-8);
}

impl Kernel for Adam {
    fn name(&self) -> &'static str {
        DENSE.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let corrections = self.corrections();
        let scale = cpu.read(&self.scale)[0];
        self.update().decaying_state_on_cpu(
            cpu,
            #[inline(always)]
            |[parameter, first, second], gradient| {
                for (((parameter, first), second), g) in
                    parameter.iter_mut().zip(first).zip(second).zip(gradient)
                {
                    step(corrections, parameter, first, second, scale * g);
                }
            },
            #[inline(always)]
            |[_, first, second], gradient| {
                for ((first, second), g) in first.iter_mut().zip(second).zip(gradient) {
                    let g = scale * g;
                    *first += ONE_MINUS_BETAS[0] / BETAS[0] * g;
                    *second += ONE_MINUS_BETAS[1] / BETAS[1] * (g * g);
                }
            },
        );
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        Updates(std::slice::from_ref(self)).on_gpu(gpu);
    }
}

impl Update for Adam {
    const DENSE: &'static [&'static Shader] = &[&DENSE];
    const SPARSE: &'static Shader = &SPARSE;
    const DECAYS: bool = true;

    fn parts(&self) -> UpdateParts {
        let (rate, sqrt_correction) = self.corrections();
        UpdateParts {
            tensors: vec![self.parameter, self.first, self.second],
            gradient: self.gradient,
            scale: self.scale,
            rate,
            sqrt_correction,
            constant: None,
        }
    }
}
