//! Stochastic gradient descent with momentum.

pub(super) mod cases;

use super::rows::{
    Gradient, RowwiseUpdate, Update, UpdateParts, Updates, optimizer_shader, optimizer_source,
};
use crate::device::{Access, Cpu, Gpu, Kernel, Shader};
use crate::tensor::Tensor;

/// With `g = scale * gradient`: `velocity = 0.9 velocity + g; parameter -= rate * velocity`, or
/// with Nesterov momentum `parameter -= rate * (g + 0.9 velocity)` (Sutskever 2013, in the form of
/// PyTorch's `SGD`).
///
/// The velocity of a table decays in every row, touched or not, so every row is updated.
#[derive(Debug, Clone, Copy)]
pub struct Momentum {
    /// Any shape, updated in place.
    pub parameter: Tensor,
    /// The parameter's shape: the decaying sum of gradients, updated in place.
    pub velocity: Tensor,
    /// The parameter's gradient.
    pub gradient: Gradient,
    /// `[1, 1]`: a factor for the gradient, from [`ClipGradNorm`](super::ClipGradNorm).
    pub scale: Tensor,
    /// The learning rate.
    pub rate: f32,
    /// Whether to use Nesterov momentum.
    pub nesterov: bool,
}

const BINDINGS: &[(&str, Access)] = &[
    ("parameter", Access::Write),
    ("velocity", Access::Write),
    ("gradient", Access::Read),
    ("scale", Access::Read),
    ("tokens", Access::Read),
    ("order", Access::Read),
];
pub(super) static DENSE: Shader = optimizer_shader(
    "momentum",
    optimizer_source!("momentum.wgsl", "update_two.wgsl"),
    BINDINGS.split_at(4).0,
);
pub(super) static DENSE_2: Shader = Shader {
    entry_point: "dense_2",
    bindings: &[
        ("parameter", Access::Write),
        ("velocity", Access::Write),
        ("gradient", Access::Read),
        ("scale", Access::Read),
        ("parameter_1", Access::Write),
        ("velocity_1", Access::Write),
        ("gradient_1", Access::Read),
    ],
    ..DENSE
};
pub(super) static SPARSE: Shader = Shader {
    entry_point: "sparse",
    bindings: BINDINGS,
    ..DENSE
};

/// The momentum coefficient.
const MOMENTUM: f32 = 0.9;

impl Momentum {
    fn update(&self) -> RowwiseUpdate<2> {
        RowwiseUpdate {
            gradient: self.gradient,
            tensors: [self.parameter, self.velocity],
        }
    }
}

impl Kernel for Momentum {
    fn name(&self) -> &'static str {
        DENSE.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let rate = self.rate;
        let nesterov = self.nesterov;
        let scale = cpu.read(&self.scale)[0];
        self.update().decaying_state_on_cpu(
            cpu,
            #[inline(always)]
            |[parameter, velocity], gradient| {
                for ((parameter, velocity), g) in parameter.iter_mut().zip(velocity).zip(gradient) {
                    let g = scale * g;
                    *velocity = MOMENTUM * *velocity + g;
                    *parameter -= rate
                        * if nesterov {
                            g + MOMENTUM * *velocity
                        } else {
                            *velocity
                        };
                }
            },
            #[inline(always)]
            |[parameter, velocity], gradient| {
                for ((parameter, velocity), g) in parameter.iter_mut().zip(velocity).zip(gradient) {
                    let g = scale * g;
                    *velocity += 1.0 / MOMENTUM * g;
                    // The dense step applies g only through the velocity; Nesterov's term g is
                    // applied here.
                    if nesterov {
                        *parameter -= rate * g;
                    }
                }
            },
        );
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        Updates(std::slice::from_ref(self)).on_gpu(gpu);
    }
}

impl Update for Momentum {
    const DENSE: &'static [&'static Shader] = &[&DENSE, &DENSE_2];
    const SPARSE: &'static Shader = &SPARSE;
    const DECAYS: bool = true;

    fn parts(&self) -> UpdateParts {
        UpdateParts {
            tensors: vec![self.parameter, self.velocity],
            gradient: self.gradient,
            scale: self.scale,
            rate: self.rate,
            sqrt_correction: 1.0,
            constant: Some(("NESTEROV", f64::from(u8::from(self.nesterov)))),
        }
    }
}
