//! Scaling of a parameter: L2 regularization as in rnnlm, applied separately from the gradient.

pub(super) mod cases;

use super::parallel::{for_row_chunks, vectorized};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, Shard, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// `values *= factor`. With factor `1 - rate * l2` before an update of SGD, this is the update for
/// the loss plus `l2/2 Σ values²`.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Any shape, updated in place; may be a sharded table.
    pub values: Tensor,
    /// The factor.
    pub factor: f32,
}

arguments! { count: u32, factor: f32 }

pub(super) static SHADER: Shader = Shader {
    stem: "scale",
    source: include_str!("../../shaders/scale.wgsl"),
    entry_point: "main",
    bindings: &[("values", Access::Write)],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};

impl Kernel for Scale {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        for_row_chunks(
            cpu.threads(),
            &mut cpu.write(&self.values),
            1,
            |_, chunk| {
                vectorized(
                    #[inline(always)]
                    || chunk.iter_mut().for_each(|value| *value *= self.factor),
                );
            },
        );
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        for Shard { tensor, .. } in gpu.shards(&self.values) {
            let arguments = Arguments {
                count: to_u32(tensor.len()),
                factor: self.factor,
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
