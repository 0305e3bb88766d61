//! Gradient clipping by value.

pub(super) mod cases;

use super::parallel::{for_row_chunks, vectorized};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, Shard, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// `values = min(max(values, -maximum), maximum)` (PyTorch's `clip_grad_value_`). NaN stays NaN, so
/// that later checks still detect it.
#[derive(Debug, Clone, Copy)]
pub struct ClipGradValue {
    /// Any shape, updated in place; may be a sharded table.
    pub values: Tensor,
    /// The largest magnitude that is left unchanged, above 0.
    pub maximum: f32,
}

arguments! { count: u32, maximum: f32 }

pub(super) static SHADER: Shader = Shader {
    stem: "clip_grad_value",
    source: include_str!("../../shaders/clip_grad_value.wgsl"),
    entry_point: "main",
    bindings: &[("values", Access::Write)],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};

impl Kernel for ClipGradValue {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let maximum = self.maximum;
        for_row_chunks(
            cpu.threads(),
            &mut cpu.write(&self.values),
            1,
            |_, chunk| {
                vectorized(
                    #[inline(always)]
                    || {
                        chunk
                            .iter_mut()
                            .for_each(|value| *value = value.clamp(-maximum, maximum));
                    },
                );
            },
        );
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        for Shard { tensor, .. } in gpu.shards(&self.values) {
            let arguments = Arguments {
                count: to_u32(tensor.len()),
                maximum: self.maximum,
            };
            gpu.launch(
                &SHADER,
                &[],
                &[Binding::whole(&tensor)],
                &arguments,
                workgroups(tensor.len(), 256),
            );
        }
    }
}
