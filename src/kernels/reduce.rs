//! One number from many: a sum, or a sum of squares.

use rayon::prelude::*;

use super::parallel::{SMALLEST_SPLIT, rows_per_part, vectorised};
use crate::device::{Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32};
use crate::tensor::Tensor;

/// What a [`Reduce`] sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// The values.
    Sum,
    /// Their squares.
    SumOfSquares,
}

/// `output = Σ values`, or `Σ values²`.
#[derive(Debug, Clone, Copy)]
pub struct Reduce {
    /// What is summed.
    pub reduction: Reduction,
    /// Any shape; may be a table of several pieces.
    pub values: Tensor,
    /// At least [`Reduce::PARTIAL_SUMS`] numbers, overwritten: sums on the way.
    pub partial: Tensor,
    /// One number, overwritten.
    pub output: Tensor,
}

arguments! { count: u32, values_offset: u32, output_offset: u32 }

pub(super) static PARTIAL: Shader = Shader {
    stem: "reduce",
    source: include_str!("../../shaders/reduce.wgsl"),
    entry_point: "partial",
    bindings: &[("values", Access::Read), ("output", Access::Write)],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};
pub(super) static TOTAL: Shader = Shader {
    entry_point: "total",
    ..PARTIAL
};

/// Values that one workgroup sums before a second one pays.
const VALUES_PER_GROUP: usize = 2048;
/// Values summed in f32 before the sum goes on in f64.
const BLOCK: usize = 4096;

impl Reduce {
    /// Numbers that `partial` must have room for.
    pub const PARTIAL_SUMS: usize = 256;
}

/// A block's sum in 32 running sums, so that it vectorises.
#[inline(always)]
fn block_sum(block: &[f32], term: impl Fn(f32) -> f32) -> f64 {
    let mut lanes = [0.0_f32; 32];
    let chunks = block.chunks_exact(32);
    let rest: f32 = chunks.remainder().iter().map(|&value| term(value)).sum();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += term(value);
        }
    }
    f64::from(lanes.iter().sum::<f32>() + rest)
}

/// The sums of blocks. Loops, not `for_each`: that is not inlined here, and would be compiled for
/// narrow vectors.
#[inline(always)]
fn block_sums(sums: &mut [f64], values: &[f32], term: impl Fn(f32) -> f32) {
    for (sum, block) in sums.iter_mut().zip(values.chunks(BLOCK)) {
        *sum = block_sum(block, &term);
    }
}

impl Kernel for Reduce {
    fn name(&self) -> &'static str {
        PARTIAL.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let (values, mut output) = (cpu.read(&self.values), cpu.write(&self.output));
        // Sums of whole blocks, added up in their order: the same bits for every number of threads.
        let mut sums = vec![0.0; values.len().div_ceil(BLOCK)];
        let values = &*values;
        let part = if values.len() < SMALLEST_SPLIT {
            sums.len()
        } else {
            rows_per_part(cpu.threads(), sums.len())
        };
        sums.par_chunks_mut(part.max(1))
            .zip(values.par_chunks(part.max(1) * BLOCK))
            .for_each(|(sums, values)| {
                vectorised(
                    #[inline(always)]
                    || match self.reduction {
                        Reduction::Sum => block_sums(sums, values, |value| value),
                        Reduction::SumOfSquares => block_sums(sums, values, |value| value * value),
                    },
                );
            });
        output[0] = sums.iter().sum::<f64>() as f32;
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (output, output_offset) = Binding::with_offset(&self.output);
        let partial = Binding::whole(&self.partial);
        let square = f64::from(u8::from(self.reduction == Reduction::SumOfSquares));
        let pieces = gpu.shards(&self.values);
        assert!(
            pieces.len() <= Self::PARTIAL_SUMS,
            "a table of {} pieces",
            pieces.len()
        );
        let mut sums = 0;
        for piece in &pieces {
            let (values, values_offset) = Binding::with_offset(&piece.tensor);
            let count = piece.tensor.len();
            let groups = count
                .div_ceil(VALUES_PER_GROUP)
                .clamp(1, Self::PARTIAL_SUMS / pieces.len());
            let arguments = Arguments {
                count: to_u32(count),
                values_offset,
                output_offset: to_u32(sums),
            };
            gpu.launch(
                &PARTIAL,
                &[("SQUARE", square)],
                &[values, partial],
                &arguments,
                [to_u32(groups), 1, 1],
            );
            sums += groups;
        }
        let arguments = Arguments {
            count: to_u32(sums),
            values_offset: 0,
            output_offset,
        };
        gpu.launch(&TOTAL, &[], &[partial, output], &arguments, [1, 1, 1]);
    }
}
