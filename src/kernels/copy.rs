//! Copying numbers from one tensor to another.

use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// `output = input`.
#[derive(Debug, Clone, Copy)]
pub struct CopyValues {
    /// Any shape.
    pub input: Tensor,
    /// As many numbers, overwritten; in another buffer.
    pub output: Tensor,
}

arguments! { count: u32, input_offset: u32, output_offset: u32 }

pub(super) static SHADER: Shader = Shader {
    stem: "copy",
    source: include_str!("../../shaders/copy.wgsl"),
    entry_point: "main",
    bindings: &[("input", Access::Read), ("output", Access::Write)],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};

impl Kernel for CopyValues {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        cpu.write(&self.output)
            .copy_from_slice(&cpu.read(&self.input));
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let ((input, input_offset), (output, output_offset)) = (
            Binding::with_offset(&self.input),
            Binding::with_offset(&self.output),
        );
        let count = to_u32(self.output.len());
        let arguments = Arguments {
            count,
            input_offset,
            output_offset,
        };
        gpu.launch(
            &SHADER,
            &[],
            &[input, output],
            &arguments,
            workgroups(self.output.len(), 256),
        );
    }
}
