//! Code shared by the recurrent kernels: resets of streams, the choice of a schedule on GPUs, and
//! the division of a window among CPU threads. The modules of the cells implement the steps.

mod carried;
pub(super) mod gated;
mod step_product;
#[cfg(test)]
mod tests;
mod unit_dispatches;
mod unit_split;

pub use carried::Carried;
pub(super) use carried::CarriedArguments;
pub(super) use step_product::StepProduct;
pub(super) use unit_dispatches::{unit_dispatches, unit_operations};
pub(super) use unit_split::{UnitSplit, UnitTask};

use crate::device::{Binding, Cpu, Gpu, to_u32};
use crate::tensor::Tensor;
use step_product::StepSizes;

/// How a GPU processes a window. The schedules add the terms of a sum in different orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecurrentSchedule {
    /// One dispatch for the whole window. A workgroup processes all steps of one stream, with the
    /// state in workgroup memory. There is no synchronization between workgroups, but every
    /// workgroup reads the whole recurrent weight in every step. For narrow layers.
    Fused,
    /// Separate dispatches for each step, over all streams and units. For wide layers, where
    /// reading the weight costs more than a dispatch.
    PerStep,
}

impl RecurrentSchedule {
    /// The largest recurrent weight for the fused schedule, in elements. On an NVIDIA H200 one
    /// dispatch takes 1.1 to 1.7 times as long as one for each step with 384² elements, 0.9 to 1.1
    /// times with 333², and a third of the time with 256². `elman bench --tune` measures both.
    pub const MAX_FUSED_WEIGHTS: usize = 352 * 352;

    /// The schedule for a layer of `hidden_size` units with `gates` gates each.
    pub fn for_layer(gates: usize, hidden_size: usize) -> Self {
        let weights = gates
            .saturating_mul(hidden_size)
            .saturating_mul(hidden_size);
        if weights <= Self::MAX_FUSED_WEIGHTS {
            Self::Fused
        } else {
            Self::PerStep
        }
    }

    /// Checks that the fused shaders have workgroup memory for `gates` values of every unit. Both
    /// implementations of a kernel call it: the shaders run without bounds checks, and a kernel
    /// that panics on a GPU panics on the CPU as well.
    ///
    /// # Panics
    /// If they do not.
    pub(super) fn check_size(self, gates: usize, hidden_size: usize) {
        assert!(
            self == Self::PerStep || gates * hidden_size <= WORKGROUP_VECTOR,
            "hidden size {hidden_size}: RecurrentSchedule::Fused supports at most {} units of this \
             layer; use RecurrentSchedule::PerStep or RecurrentSchedule::for_layer",
            WORKGROUP_VECTOR / gates
        );
    }
}

/// Elements of `vector` and of `products`, the workgroup memory of the fused shaders.
const WORKGROUP_VECTOR: usize = 2048;

/// Weights in a bank, the unit in which invocations of the fused shaders keep weights in registers.
const BANK: usize = 32;

/// The constants of shaders/fused_product.wgsl for a product of `rows` elements with a weight
/// `[rows, columns]`: the sums of an invocation, and how many weights of the first two it keeps.
pub(super) fn product_constants(
    gpu: &Gpu,
    rows: usize,
    columns: usize,
) -> [(&'static str, f64); 3] {
    let [sums, first, second] = kept_banks(gpu.kept_values() / BANK, rows, columns);
    [
        ("SUMS", sums as f64),
        ("FIRST_BANKS", first as f64),
        ("SECOND_BANKS", second as f64),
    ]
}

/// As [`product_constants`], with at most `limit` banks.
fn kept_banks(limit: usize, rows: usize, columns: usize) -> [usize; 3] {
    // As `slice_length` in the shader.
    let slices = (rows / 16).clamp(1, (256 / columns).max(1));
    let length = rows.div_ceil(4 * slices) * 4;
    let slices = rows.div_ceil(length);
    let sums = (slices * columns).div_ceil(256).min(3);
    // Another sum takes registers too.
    let limit = limit.saturating_sub(sums - 1);
    // Every slice has at least as many rows as the last one.
    let most = (rows - (slices - 1) * length) / BANK;
    let first = most.min(limit);
    let second = if sums > 1 { most.min(limit - first) } else { 0 };
    [sums, first, second]
}

/// Resets of the state: if `enabled`, a stream's previous state is replaced by `initial` at steps
/// whose input is the boundary token 0.
#[derive(Debug, Clone, Copy)]
pub struct Reset {
    /// Whether streams are reset.
    pub enabled: bool,
    /// The value of every unit after a reset.
    pub initial: f32,
    /// The window's input tokens, `T*B` elements.
    pub tokens: Tensor<u32>,
    /// `[T*B, H]`: if `enabled`, overwritten with the previous states after resets. Otherwise of
    /// any size and unused.
    pub previous: Tensor,
}

impl Reset {
    /// Whether the stream of `tokens[position]` is reset at that step.
    pub(super) fn is_reset(&self, tokens: &[u32], position: usize) -> bool {
        self.enabled && tokens[position] == 0
    }

    /// Copies states `[streams, size]` and resets those of streams with a boundary token. The first
    /// stream's token is at `position`.
    pub(super) fn copy_with_resets(
        &self,
        states: &[f32],
        output: &mut [f32],
        tokens: &[u32],
        position: usize,
        size: usize,
    ) {
        output.copy_from_slice(states);
        for (stream, row) in output.chunks_exact_mut(size).enumerate() {
            if self.is_reset(tokens, position + stream) {
                row.fill(self.initial);
            }
        }
    }

    /// Clears the gradients `[streams, size]` of the previous states of streams that are reset. The
    /// first stream's token is at `position`.
    pub(super) fn clear_gradients(
        &self,
        gradient: &mut [f32],
        tokens: &[u32],
        position: usize,
        size: usize,
    ) {
        for (stream, row) in gradient.chunks_exact_mut(size).enumerate() {
            if self.is_reset(tokens, position + stream) {
                row.fill(0.0);
            }
        }
    }

    /// The shaders' constant `RESET`.
    pub(super) fn constant(&self) -> (&'static str, f64) {
        ("RESET", f64::from(u8::from(self.enabled)))
    }

    /// The binding and offset of the tokens.
    pub(super) fn tokens(&self) -> (Binding, u32) {
        Binding::with_offset(&self.tokens)
    }
}

/// A dispatch of the fused schedule: the steps `first..end`, and the operations of their products.
pub(super) struct FusedDispatch {
    pub(super) steps: [u32; 2],
    pub(super) operations: u64,
}

/// The dispatches of a window in the order of time, such that none exceeds the limit on loop
/// iterations, nor `max_operations` unless one step does. Sizes are B, H and T.
pub(super) fn fused_dispatches(
    [batch, size, time_steps]: [usize; 3],
    gates: usize,
    iterations_per_step: usize,
    max_operations: u64,
) -> Vec<FusedDispatch> {
    let operations_per_step = step_operations(batch, gates, size);
    let most = max_operations / operations_per_step.max(1);
    let count = (super::MAX_LOOP_ITERATIONS / iterations_per_step)
        .min(usize::try_from(most).unwrap_or(usize::MAX))
        .max(1);
    (0..time_steps)
        .step_by(count)
        .map(|first| {
            let end = (first + count).min(time_steps);
            FusedDispatch {
                steps: [to_u32(first), to_u32(end)],
                operations: operations_per_step.saturating_mul((end - first) as u64),
            }
        })
        .collect()
}

/// The workgroups of a dispatch for one step, as shaders/step_product.wgsl divides the work:
/// `columns` of each of 16 streams in groups of `columns_per_group`.
pub(super) fn step_workgroups(batch: usize, columns: usize, columns_per_group: usize) -> [u32; 3] {
    const STREAMS: usize = 16;
    let groups = [columns.div_ceil(columns_per_group), batch.div_ceil(STREAMS)];
    [to_u32(groups[0]), to_u32(groups[1]), 1]
}

/// The operations of a step's product: `batch` streams, `size` units with `gates` gates each.
pub(super) fn step_operations(batch: usize, gates: usize, size: usize) -> u64 {
    [batch, gates, size, size]
        .iter()
        .fold(2, |product, &factor| product.saturating_mul(factor as u64))
}

/// Units of a workgroup in a dispatch for one step, but for a forward one with several gates.
pub(super) const STEP_UNITS: usize = 16;

/// From this number of units on, the weight exceeds a core's cache: the threads then share every
/// step, each computing some of the units, and synchronize between steps. Below, each thread
/// processes the whole window for some of the streams.
const MIN_UNITS_TO_SHARE_STEPS: usize = 512;

/// How CPU threads divide a window. Groups of streams are processed in parallel.
pub(super) struct WorkSplit {
    /// B.
    batch: usize,
    /// Number of streams in a group.
    pub(super) streams: usize,
    /// Number of threads that share every step of a group.
    pub(super) threads: usize,
}

impl WorkSplit {
    /// The division for `batch` streams and layers of `units` units.
    pub(super) fn new(cpu: &Cpu, batch: usize, units: usize) -> Self {
        let (streams, threads) = if units < MIN_UNITS_TO_SHARE_STEPS {
            (batch.div_ceil(cpu.threads()), 1)
        } else {
            (batch, cpu.threads())
        };
        Self {
            batch,
            streams,
            threads,
        }
    }

    /// The products of the steps with a weight `[gates, units]`.
    pub(super) fn step_sizes(&self, [gates, units]: [usize; 2], time_steps: usize) -> StepSizes {
        StepSizes {
            gates,
            units,
            streams: self.streams,
            time_steps,
            threads: self.threads,
        }
    }

    /// Splits a matrix `[steps*B, columns]`. Returns for every group its rows of every step.
    pub(super) fn split<'a>(&self, data: &'a mut [f32], columns: usize) -> Vec<Vec<&'a mut [f32]>> {
        let mut groups: Vec<Vec<&mut [f32]>> = (0..self.batch.div_ceil(self.streams))
            .map(|_| Vec::new())
            .collect();
        for step in data.chunks_exact_mut(self.batch * columns) {
            for (group, rows) in groups
                .iter_mut()
                .zip(step.chunks_mut(self.streams * columns))
            {
                group.push(rows);
            }
        }
        groups
    }

    /// Splits the previous states like [`Self::split`] if resets are enabled. Otherwise returns an
    /// empty list for every group.
    pub(super) fn split_previous<'a>(
        &self,
        reset: &Reset,
        previous: &'a mut [f32],
        size: usize,
    ) -> Vec<Vec<&'a mut [f32]>> {
        let mut groups = if reset.enabled {
            self.split(previous, size)
        } else {
            Vec::new()
        };
        groups.resize_with(self.batch.div_ceil(self.streams), Vec::new);
        groups
    }
}
