//! Reductions: sums of the values, or of their squares, of several tensors at once, and the factor
//! that clips the norm of a gradient.

pub(super) mod cases;

use rayon::prelude::*;

use super::parallel::{MIN_PARALLEL_ELEMENTS, rows_per_chunk, vectorized};
use super::rows::Gradient;
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, OPERATIONS_PER_ACCESS, Shader, Shard,
    arguments, to_u32,
};
use crate::tensor::Tensor;

/// `output[i] = Σ v` or `Σ v²` over the values v of `summands[i]`. NaN and infinity propagate.
///
/// # Panics
/// If `clip` is given and a summand without squares follows one with squares.
#[derive(Debug, Clone, Copy)]
pub struct Sums<'a> {
    /// What is summed.
    pub summands: &'a [Summand],
    /// `[summands, PARTIAL_SUMS]` or larger, overwritten with intermediate sums.
    pub partial: Tensor,
    /// `[1, summands]`, overwritten.
    pub output: Tensor,
    /// The factor that clips the norm of all squared summands together, if it is wanted.
    pub clip: Option<ClipGradNorm>,
}

/// `scale = min(1, maximum / (norm + 1e-6))`, where `norm` is the square root of the sums of
/// squares of a [`Sums`]: the L2 norm of all parameters' gradients together (Pascanu 2013, as
/// PyTorch's `clip_grad_norm_`). Optimizers multiply gradients by `scale`. For a norm of NaN it is
/// NaN.
#[derive(Debug, Clone, Copy)]
pub struct ClipGradNorm {
    /// The largest norm that is left unchanged.
    pub maximum: f32,
    /// `[1, 1]`, overwritten.
    pub scale: Tensor,
}

/// A tensor that [`Sums`] sums.
#[derive(Debug, Clone, Copy)]
pub struct Summand {
    /// Any shape; may be a sharded table.
    pub values: Tensor,
    /// Whether the squares of the values are summed.
    pub is_squared: bool,
}

impl Summand {
    /// The squares of each gradient, for its norm.
    pub fn squares(gradients: &[Gradient]) -> impl Iterator<Item = Self> {
        gradients.iter().map(|gradient| Self {
            values: gradient.values(),
            is_squared: true,
        })
    }
}

arguments! {
    count_0: u32,
    count_1: u32,
    count_2: u32,
    count_3: u32,
    count_4: u32,
    count_5: u32,
    offset_0: u32,
    offset_1: u32,
    offset_2: u32,
    offset_3: u32,
    offset_4: u32,
    offset_5: u32,
    squares: u32,
    first_row: u32,
    first_slot: u32,
    slots: u32,
    output_offset: u32,
    rows: u32,
    first_square: u32,
    maximum: f32,
}

pub(super) static PARTIAL: Shader = Shader {
    stem: "reduce",
    source: include_str!("../../shaders/reduce.wgsl"),
    entry_point: "partial",
    bindings: &[
        ("values_0", Access::Read),
        ("values_1", Access::Read),
        ("values_2", Access::Read),
        ("values_3", Access::Read),
        ("values_4", Access::Read),
        ("values_5", Access::Read),
        ("output", Access::Write),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};
pub(super) static TOTAL: Shader = Shader {
    entry_point: "total",
    bindings: &[
        ("partial_sums", Access::Read),
        ("sums_of_rows", Access::Write),
        ("scale", Access::Write),
    ],
    ..PARTIAL
};

/// Values per workgroup below which another workgroup costs more than it saves; the same in the
/// shader.
const VALUES_PER_GROUP: usize = 2048;
/// Tensors that a dispatch sums: with `output`, the seven storage buffers that every adapter can
/// bind.
const TENSORS_PER_DISPATCH: usize = 6;
/// Values that are summed in f32. The sums of these blocks are added in f64.
const BLOCK: usize = 4096;

/// Intermediate sums of a tensor: columns of `partial` of [`Sums`].
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

/// Launches the partial sums of up to [`TENSORS_PER_DISPATCH`] tensors, which get the rows from
/// `first_row` on, or of one shard of a table. They use `slots` elements of a row.
fn launch_partial(
    gpu: &mut Gpu,
    tensors: &[(Tensor, bool)],
    partial: Binding,
    first_row: usize,
    [first_slot, slots]: [usize; 2],
) {
    let mut counts = [0; TENSORS_PER_DISPATCH];
    let mut offsets = [0; TENSORS_PER_DISPATCH];
    // Bindings without a tensor are not read.
    let mut bindings = [Binding::with_offset(&tensors[0].0).0; TENSORS_PER_DISPATCH];
    let mut squares = 0;
    let mut groups = 1;
    for (index, (tensor, is_squared)) in tensors.iter().enumerate() {
        (bindings[index], offsets[index]) = Binding::with_offset(tensor);
        counts[index] = to_u32(tensor.len());
        squares |= u32::from(*is_squared) << index;
        groups = groups.max(tensor.len().div_ceil(VALUES_PER_GROUP).clamp(1, slots));
    }
    let [count_0, count_1, count_2, count_3, count_4, count_5] = counts;
    let [offset_0, offset_1, offset_2, offset_3, offset_4, offset_5] = offsets;
    let arguments = Arguments {
        count_0,
        count_1,
        count_2,
        count_3,
        count_4,
        count_5,
        offset_0,
        offset_1,
        offset_2,
        offset_3,
        offset_4,
        offset_5,
        squares,
        first_row: to_u32(first_row),
        first_slot: to_u32(first_slot),
        slots: to_u32(slots),
        ..bytemuck::Zeroable::zeroed()
    };
    let values: usize = tensors.iter().map(|(tensor, _)| tensor.len()).sum();
    gpu.launch_work(
        &PARTIAL,
        &[],
        &[&bindings[..], &[partial]].concat(),
        &arguments,
        [to_u32(groups), to_u32(tensors.len()), 1],
        values as u64 * OPERATIONS_PER_ACCESS,
    );
}

/// Launches the partial sums of the shards of a table. Each shard uses a part of the row.
fn launch_shards(gpu: &mut Gpu, shards: &[Shard], is_squared: bool, partial: Binding, row: usize) {
    assert!(
        shards.len() <= PARTIAL_SUMS,
        "a table of {} shards",
        shards.len()
    );
    let slots = PARTIAL_SUMS / shards.len();
    for (index, shard) in shards.iter().enumerate() {
        // The last part also covers what the division leaves.
        let end = if index + 1 == shards.len() {
            PARTIAL_SUMS
        } else {
            (index + 1) * slots
        };
        let first = index * slots;
        let tensors = [(shard.tensor, is_squared)];
        launch_partial(gpu, &tensors, partial, row, [first, end - first]);
    }
}

impl Sums<'_> {
    /// The number of summands without squares, which come first, if there is anything to clip.
    fn first_square(&self) -> usize {
        let is_squared = |summand: &Summand| summand.is_squared;
        let first = self.summands.iter().position(is_squared);
        let first = first.unwrap_or(self.summands.len());
        assert!(
            self.clip.is_none() || self.summands[first..].iter().all(is_squared),
            "the sums of squares that are clipped are the last summands"
        );
        first
    }
}

impl Kernel for Sums<'_> {
    fn name(&self) -> &'static str {
        PARTIAL.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        for (index, summand) in self.summands.iter().enumerate() {
            let output = self.output.element(index);
            if summand.is_squared {
                on_cpu(
                    cpu,
                    summand.values,
                    output,
                    #[inline(always)]
                    |sums, values| block_sums(sums, values, |value| value * value),
                );
            } else {
                on_cpu(
                    cpu,
                    summand.values,
                    output,
                    #[inline(always)]
                    |sums, values| block_sums(sums, values, |value| value),
                );
            }
        }
        let first_square = self.first_square();
        if let Some(clip) = self.clip {
            let squares = &cpu.read(&self.output)[first_square..];
            let ratio = clip.maximum / (squares.iter().sum::<f32>().sqrt() + 1e-6);
            // Not `min`, which would turn NaN into 1.
            cpu.write(&clip.scale)[0] = if ratio > 1.0 { 1.0 } else { ratio };
        }
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let partial = Binding::whole(&self.partial);
        let whole_row = [0, PARTIAL_SUMS];
        let mut next: Vec<(Tensor, bool)> = Vec::with_capacity(TENSORS_PER_DISPATCH);
        for (row, summand) in self.summands.iter().enumerate() {
            let shards = gpu.shards(&summand.values);
            let first_row = row - next.len();
            let is_table = shards.len() > 1;
            if (is_table || next.len() == TENSORS_PER_DISPATCH) && !next.is_empty() {
                launch_partial(gpu, &next, partial, first_row, whole_row);
                next.clear();
            }
            if is_table {
                launch_shards(gpu, &shards, summand.is_squared, partial, row);
            } else {
                next.push((shards[0].tensor, summand.is_squared));
            }
        }
        if !next.is_empty() {
            let first_row = self.summands.len() - next.len();
            launch_partial(gpu, &next, partial, first_row, whole_row);
        }
        let (output, output_offset) = Binding::with_offset(&self.output);
        let arguments = Arguments {
            output_offset,
            rows: to_u32(self.summands.len()),
            first_square: to_u32(self.first_square()),
            maximum: self.clip.map_or(0.0, |clip| clip.maximum),
            ..bytemuck::Zeroable::zeroed()
        };
        // Without clipping, the third binding is not written.
        let scale = self
            .clip
            .map_or_else(|| gpu.scratch(), |clip| Binding::whole(&clip.scale));
        gpu.launch(
            &TOTAL,
            &[("CLIP", f64::from(u8::from(self.clip.is_some())))],
            &[partial, output, scale],
            &arguments,
            [1, 1, 1],
        );
    }
}
