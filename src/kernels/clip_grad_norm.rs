//! Gradient clipping by norm.

pub(super) mod cases;

use crate::device::{Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32};
use crate::tensor::Tensor;

/// `scale = min(1, maximum / (norm + 1e-6))`, where `norm` is the L2 norm of all parameters'
/// gradients together (Pascanu 2013, as PyTorch's `clip_grad_norm_`). Optimizers multiply gradients
/// by `scale`.
#[derive(Debug, Clone, Copy)]
pub struct ClipGradNorm {
    /// One value per parameter: the sum of its gradient's squares.
    pub squares: Tensor,
    /// The largest norm that is left unchanged.
    pub maximum: f32,
    /// `[1, 1]`, overwritten.
    pub scale: Tensor,
}

arguments! { count: u32, squares_offset: u32, maximum: f32 }

pub(super) static SHADER: Shader = Shader {
    stem: "clip_grad_norm",
    source: include_str!("../../shaders/clip_grad_norm.wgsl"),
    entry_point: "main",
    bindings: &[("squares", Access::Read), ("scale", Access::Write)],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};

impl Kernel for ClipGradNorm {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let norm = cpu.read(&self.squares).iter().sum::<f32>().sqrt();
        let ratio = self.maximum / (norm + 1e-6);
        // Not `min`, which would turn NaN into 1.
        cpu.write(&self.scale)[0] = if ratio > 1.0 { 1.0 } else { ratio };
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (squares, squares_offset) = Binding::with_offset(&self.squares);
        let arguments = Arguments {
            count: to_u32(self.squares.len()),
            squares_offset,
            maximum: self.maximum,
        };
        gpu.launch(
            &SHADER,
            &[],
            &[squares, Binding::whole(&self.scale)],
            &arguments,
            [1, 1, 1],
        );
    }
}
