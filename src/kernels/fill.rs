//! Setting every element of a tensor to one value.

pub(super) mod cases;

use super::parallel::for_row_chunks;
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, Shard, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// `values = value`.
#[derive(Debug, Clone, Copy)]
pub struct Fill {
    /// Any shape, overwritten; may be a sharded table.
    pub values: Tensor,
    /// The value of every element.
    pub value: f32,
}

arguments! { count: u32, values_offset: u32, value: f32 }

pub(super) static SHADER: Shader = Shader {
    stem: "fill",
    source: include_str!("../../shaders/fill.wgsl"),
    entry_point: "main",
    bindings: &[("values", Access::Write)],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};

impl Kernel for Fill {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        for_row_chunks(
            cpu.threads(),
            &mut cpu.write(&self.values),
            1,
            |_, chunk| {
                chunk.fill(self.value);
            },
        );
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        for Shard { tensor, .. } in gpu.shards(&self.values) {
            let (values, values_offset) = Binding::with_offset(&tensor);
            let arguments = Arguments {
                count: to_u32(tensor.len()),
                values_offset,
                value: self.value,
            };
            gpu.launch(
                &SHADER,
                &[],
                &[values],
                &arguments,
                workgroups(tensor.len(), 256),
            );
        }
    }
}
