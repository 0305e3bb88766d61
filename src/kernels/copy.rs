//! Copying of values from one tensor to another.

pub(super) mod cases;

use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// `output = input`.
#[derive(Debug, Clone, Copy)]
pub struct CopyValues {
    /// Any shape; may be a sharded table.
    pub input: Tensor,
    /// The input's number of elements and shards, overwritten. In another buffer.
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
        let inputs = gpu.shards(&self.input);
        let outputs = gpu.shards(&self.output);
        assert_eq!(inputs.len(), outputs.len(), "shards of input and output");
        for (input, output) in inputs.iter().zip(&outputs) {
            let (input, input_offset) = Binding::with_offset(&input.tensor);
            let count = output.tensor.len();
            let (output, output_offset) = Binding::with_offset(&output.tensor);
            let arguments = Arguments {
                count: to_u32(count),
                input_offset,
                output_offset,
            };
            gpu.launch(
                &SHADER,
                &[],
                &[input, output],
                &arguments,
                workgroups(count, 256),
            );
        }
    }
}
