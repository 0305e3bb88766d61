//! Reductions: the sum of all values, or of their squares.

pub(super) mod cases;

use rayon::prelude::*;

use super::parallel::{MIN_PARALLEL_ELEMENTS, rows_per_chunk, vectorized};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, OPERATIONS_PER_ACCESS, Shader, arguments,
    to_u32,
};
use crate::tensor::Tensor;

/// `output = Σ values`.
#[derive(Debug, Clone, Copy)]
pub struct Sum {
    /// Any shape; may be a sharded table.
    pub values: Tensor,
    /// At least [`PARTIAL_SUMS`] elements, overwritten with intermediate sums.
    pub partial: Tensor,
    /// `[1, 1]`, overwritten.
    pub output: Tensor,
}

/// `output = Σ values²`.
#[derive(Debug, Clone, Copy)]
pub struct SumOfSquares {
    /// Any shape; may be a sharded table.
    pub values: Tensor,
    /// At least [`PARTIAL_SUMS`] elements, overwritten with intermediate sums.
    pub partial: Tensor,
    /// `[1, 1]`, overwritten.
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

/// Values per workgroup below which another workgroup costs more than it saves.
const VALUES_PER_GROUP: usize = 2048;
/// Values that are summed in f32. The sums of these blocks are added in f64.
const BLOCK: usize = 4096;

/// The minimum number of elements of `partial` of [`Sum`] and [`SumOfSquares`].
pub const PARTIAL_SUMS: usize = 256;

/// The sum of a block, with 32 accumulators so that the loop vectorizes.
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

/// The sums of all blocks. A `for` loop, because `for_each` is not inlined here and would be
/// compiled for narrow vectors.
#[inline(always)]
fn block_sums(sums: &mut [f64], values: &[f32], term: impl Fn(f32) -> f32) {
    for (sum, block) in sums.iter_mut().zip(values.chunks(BLOCK)) {
        *sum = block_sum(block, &term);
    }
}

/// Writes to `output` the total of the block sums that `sums_of(sums, values)` computes.
#[inline(always)]
fn on_cpu(cpu: &Cpu, values: Tensor, output: Tensor, sums_of: impl Fn(&mut [f64], &[f32]) + Sync) {
    let values = cpu.read(&values);
    let values = &*values;
    // The blocks' sums are added in order: the result does not depend on the number of threads.
    let mut sums = vec![0.0; values.len().div_ceil(BLOCK)];
    let chunk_blocks = if values.len() < MIN_PARALLEL_ELEMENTS {
        sums.len()
    } else {
        rows_per_chunk(cpu.threads(), sums.len())
    };
    sums.par_chunks_mut(chunk_blocks.max(1))
        .zip(values.par_chunks(chunk_blocks.max(1) * BLOCK))
        .for_each(|(sums, values)| {
            vectorized(
                #[inline(always)]
                || sums_of(sums, values),
            );
        });
    cpu.write(&output)[0] = sums.iter().sum::<f64>() as f32;
}

fn on_gpu(gpu: &mut Gpu, values: Tensor, partial: Tensor, output: Tensor, square: bool) {
    let partial = Binding::whole(&partial);
    let constants = [("SQUARE", f64::from(u8::from(square)))];
    let shards = gpu.shards(&values);
    assert!(
        shards.len() <= PARTIAL_SUMS,
        "a table of {} shards",
        shards.len()
    );
    let mut sums = 0;
    for shard in &shards {
        let (values, values_offset) = Binding::with_offset(&shard.tensor);
        let count = shard.tensor.len();
        let groups = count
            .div_ceil(VALUES_PER_GROUP)
            .clamp(1, PARTIAL_SUMS / shards.len());
        let arguments = Arguments {
            count: to_u32(count),
            values_offset,
            output_offset: to_u32(sums),
        };
        gpu.launch_work(
            &PARTIAL,
            &constants,
            &[values, partial],
            &arguments,
            [to_u32(groups), 1, 1],
            count as u64 * OPERATIONS_PER_ACCESS,
        );
        sums += groups;
    }
    let (output, output_offset) = Binding::with_offset(&output);
    let arguments = Arguments {
        count: to_u32(sums),
        values_offset: 0,
        output_offset,
    };
    gpu.launch(&TOTAL, &[], &[partial, output], &arguments, [1, 1, 1]);
}

impl Kernel for Sum {
    fn name(&self) -> &'static str {
        PARTIAL.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        on_cpu(
            cpu,
            self.values,
            self.output,
            #[inline(always)]
            |sums, values| block_sums(sums, values, |value| value),
        );
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        on_gpu(gpu, self.values, self.partial, self.output, false);
    }
}

impl Kernel for SumOfSquares {
    fn name(&self) -> &'static str {
        PARTIAL.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        on_cpu(
            cpu,
            self.values,
            self.output,
            #[inline(always)]
            |sums, values| block_sums(sums, values, |value| value * value),
        );
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        on_gpu(gpu, self.values, self.partial, self.output, true);
    }
}
