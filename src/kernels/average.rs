//! Running averages of parameters over the updates of a run.

pub(super) mod cases;

use super::parallel::{for_row_chunks, vectorized};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// `average += weight * (values - average)`. With weight 1/n at the n-th call, this is the mean of
/// the values of all calls (Polyak and Juditsky 1992).
#[derive(Debug, Clone, Copy)]
pub struct Average {
    /// Any shape, updated in place; may be a sharded table.
    pub average: Tensor,
    /// The average's shape and shards: the values to include.
    pub values: Tensor,
    /// Between 0 and 1.
    pub weight: f32,
}

arguments! { count: u32, weight: f32 }

pub(super) static SHADER: Shader = Shader {
    stem: "average",
    source: include_str!("../../shaders/average.wgsl"),
    entry_point: "main",
    bindings: &[("average", Access::Write), ("values", Access::Read)],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};

impl Kernel for Average {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let weight = self.weight;
        let values = cpu.read(&self.values);
        let values = &*values;
        for_row_chunks(
            cpu.threads(),
            &mut cpu.write(&self.average),
            1,
            |first, chunk| {
                let values = &values[first..][..chunk.len()];
                vectorized(
                    #[inline(always)]
                    || {
                        chunk
                            .iter_mut()
                            .zip(values)
                            .for_each(|(average, value)| *average += weight * (value - *average));
                    },
                );
            },
        );
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        for (average, values) in gpu
            .shards(&self.average)
            .into_iter()
            .zip(gpu.shards(&self.values))
        {
            let count = average.tensor.len();
            let arguments = Arguments {
                count: to_u32(count),
                weight: self.weight,
            };
            let bindings = [average, values].map(|shard| Binding::whole(&shard.tensor));
            gpu.launch(&SHADER, &[], &bindings, &arguments, workgroups(count, 256));
        }
    }
}
