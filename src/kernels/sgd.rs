//! Stochastic gradient descent.

pub(super) mod cases;

use super::rows::{
    Gradient, RowwiseUpdate, Update, UpdateParts, Updates, optimizer_shader, optimizer_source,
};
use crate::device::{Access, Cpu, Gpu, Kernel, Shader};
use crate::tensor::Tensor;

/// `parameter -= rate * scale * gradient`.
#[derive(Debug, Clone, Copy)]
pub struct Sgd {
    /// Any shape, updated in place.
    pub parameter: Tensor,
    /// The parameter's gradient.
    pub gradient: Gradient,
    /// `[1, 1]`: a factor for the gradient, from [`ClipGradNorm`](super::ClipGradNorm).
    pub scale: Tensor,
    /// The learning rate.
    pub rate: f32,
}

const BINDINGS: &[(&str, Access)] = &[
    ("parameter", Access::Write),
    ("gradient", Access::Read),
    ("scale", Access::Read),
    ("tokens", Access::Read),
    ("order", Access::Read),
];
pub(super) static DENSE: Shader = optimizer_shader(
    "sgd",
    optimizer_source!("sgd.wgsl", "update_two.wgsl"),
    BINDINGS.split_at(3).0,
);
const THREE_BINDINGS: &[(&str, Access)] = &[
    ("parameter", Access::Write),
    ("gradient", Access::Read),
    ("scale", Access::Read),
    ("parameter_1", Access::Write),
    ("gradient_1", Access::Read),
    ("parameter_2", Access::Write),
    ("gradient_2", Access::Read),
];
pub(super) static DENSE_2: Shader = Shader {
    entry_point: "dense_2",
    bindings: THREE_BINDINGS.split_at(5).0,
    ..DENSE
};
pub(super) static DENSE_3: Shader = Shader {
    entry_point: "dense_3",
    bindings: THREE_BINDINGS,
    ..DENSE
};
pub(super) static SPARSE: Shader = Shader {
    entry_point: "sparse",
    bindings: BINDINGS,
    ..DENSE
};

impl Kernel for Sgd {
    fn name(&self) -> &'static str {
        DENSE.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let rate = self.rate * cpu.read(&self.scale)[0];
        RowwiseUpdate {
            gradient: self.gradient,
            tensors: [self.parameter],
        }
        .on_cpu(
            cpu,
            #[inline(always)]
            |[parameter], gradient| {
                parameter
                    .iter_mut()
                    .zip(gradient)
                    .for_each(|(parameter, g)| *parameter -= rate * g);
            },
        );
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        Updates(std::slice::from_ref(self)).on_gpu(gpu);
    }
}

impl Update for Sgd {
    const DENSE: &'static [&'static Shader] = &[&DENSE, &DENSE_2, &DENSE_3];
    const SPARSE: &'static Shader = &SPARSE;
    const DECAYS: bool = false;

    fn parts(&self) -> UpdateParts {
        UpdateParts {
            tensors: vec![self.parameter],
            gradient: self.gradient,
            scale: self.scale,
            rate: self.rate,
            sqrt_correction: 1.0,
            constant: None,
        }
    }
}
