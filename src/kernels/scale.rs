//! Shrinking a parameter: L2 regularisation as rnnlm does it, beside the gradient.

use super::parallel::{for_row_parts, vectorised};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, Shard, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// `values *= factor`; with factor `1 - rate * l2` before an update, the step of SGD on the loss
/// plus `l2/2 Σ values²`.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Any shape, changed in place; may be a table of several pieces.
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
        for_row_parts(cpu.threads(), &mut cpu.write(&self.values), 1, |_, part| {
            vectorised(
                #[inline(always)]
                || part.iter_mut().for_each(|value| *value *= self.factor),
            );
        });
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
