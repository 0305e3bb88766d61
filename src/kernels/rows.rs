//! Sparse gradients: a window touches few rows of a table. Also the update loops shared by all
//! optimizers, on the CPU here and on a GPU in `updates`.

mod updates;

use rayon::prelude::*;

use super::parallel::{MIN_PARALLEL_ELEMENTS, rows_per_chunk, vectorized};
use crate::device::{Cpu, Device};
use crate::error::Result;
use crate::tensor::{NONE, Tensor};

pub use updates::{Update, UpdateParts, Updates};
pub(super) use updates::{optimizer_shader, optimizer_source};

/// The tokens of a window and the order in which their gradients are summed.
#[derive(Debug, Clone, Copy)]
pub struct SparseRows {
    /// The window's tokens, each below V or [`NONE`].
    pub tokens: Tensor<u32>,
    /// The window's positions sorted by token, and by position for equal tokens. [`NONE`] is last.
    pub order: Tensor<u32>,
}

/// A parameter's gradient, as an optimizer receives it.
#[derive(Debug, Clone, Copy)]
pub enum Gradient {
    /// One value per element of the parameter.
    Dense(Tensor),
    /// The sums of [`ScatterAdd`](super::ScatterAdd), `[rows, columns]`. If p is the first position
    /// of a token in `order`, row p is the gradient of the parameter's row `tokens[order[p]]`.
    /// Other rows are zero.
    Sparse(Tensor, SparseRows),
}

impl Gradient {
    /// The values, without their assignment to rows.
    pub fn values(&self) -> Tensor {
        match self {
            Self::Dense(values) | Self::Sparse(values, _) => *values,
        }
    }

    /// The values on the host: all of a dense gradient, in the device's layout, and the rows that
    /// a sparse one has.
    ///
    /// # Errors
    /// If the device failed.
    pub fn download(&self, device: &mut Device) -> Result<Vec<f32>> {
        match self {
            Self::Dense(values) => device.download(values),
            Self::Sparse(..) => Ok(self.download_rows(device)?.1),
        }
    }

    /// The rows of a gradient of rows on the host: their indices in ascending order, and their
    /// values. Of a dense gradient, none.
    ///
    /// # Errors
    /// If the device failed.
    pub fn download_rows(&self, device: &mut Device) -> Result<(Vec<u32>, Vec<f32>)> {
        let Self::Sparse(tensor, rows) = self else {
            return Ok((Vec::new(), Vec::new()));
        };
        let values = device.download(tensor)?;
        let columns = tensor.columns();
        let rows = rows.download(device)?;
        let indices = rows.iter().map(|&(_, row)| row).collect();
        let of_rows = rows.iter().map(|(p, _)| &values[p * columns..][..columns]);
        Ok((indices, of_rows.flatten().copied().collect()))
    }
}

impl SparseRows {
    /// On the host: the position and the index of each row, by index.
    ///
    /// # Errors
    /// If the device failed.
    pub fn download(&self, device: &mut Device) -> Result<Vec<(usize, u32)>> {
        let tokens = device.download(&self.tokens)?;
        let order = device.download(&self.order)?;
        let starts = group_starts(&tokens, &order);
        Ok(starts.iter().map(|&(p, row)| (p, row as u32)).collect())
    }

    /// The first position p of each token in `order`, with the token. Without [`NONE`].
    pub(super) fn group_starts(&self, cpu: &Cpu) -> Vec<(usize, usize)> {
        group_starts(&cpu.read(&self.tokens), &cpu.read(&self.order))
    }
}

/// The first position p of each token in `order`, with the token. Without [`NONE`].
fn group_starts(tokens: &[u32], order: &[u32]) -> Vec<(usize, usize)> {
    let token = |p: usize| tokens[order[p] as usize];
    (0..order.len())
        .filter(|&p| token(p) != NONE && (p == 0 || token(p - 1) != token(p)))
        .map(|p| (p, token(p) as usize))
        .collect()
}

/// Zeros, for updates of rows without a gradient.
const NO_GRADIENT: &[f32] = &[0.0; 1024];

/// The work of one thread: positions and rows, the slices of the tensors that hold these rows, and
/// the offset of these slices.
type RowChunk<'a, const N: usize> = (&'a [(usize, usize)], [&'a mut [f32]; N], usize);

/// The update loop shared by all optimizers on the CPU: over all elements for a dense gradient,
/// over the touched rows for a sparse one.
///
/// An optimizer that changes nothing where the gradient is zero updates only the touched rows
/// (`on_cpu`). An optimizer whose state decays in every row makes two passes over a table
/// (`decaying_state_on_cpu`). The first adds the gradient to the touched rows, prescaled to
/// compensate for the decay. The second is a dense step over all rows without a gradient. The
/// result is that of a dense gradient.
pub(super) struct RowwiseUpdate<const N: usize> {
    pub(super) gradient: Gradient,
    /// The parameter, and the optimizer's state of the same shape.
    pub(super) tensors: [Tensor; N],
}

impl<const N: usize> RowwiseUpdate<N> {
    /// Calls `step` with corresponding slices of the tensors and of the gradient.
    #[inline(always)]
    pub(super) fn on_cpu(&self, cpu: &Cpu, step: impl Fn([&mut [f32]; N], &[f32]) + Sync) {
        let gradient = cpu.read(&self.gradient.values());
        let gradient = &*gradient;
        match self.gradient {
            Gradient::Dense(_) => self.all_rows_on_cpu(
                cpu,
                #[inline(always)]
                |tensors, first| {
                    let length = tensors[0].len();
                    step(tensors, &gradient[first..][..length]);
                },
            ),
            Gradient::Sparse(values, rows) => {
                let columns = values.columns();
                let mut tensors = self.tensors.each_ref().map(|tensor| cpu.write(tensor));
                let starts = rows.group_starts(cpu);
                let is_small = starts.len() * columns < MIN_PARALLEL_ELEMENTS;
                let threads = if is_small { 1 } else { cpu.threads() };
                let chunk_rows = rows_per_chunk(threads, starts.len());
                let mut rest = tensors.each_mut().map(|tensor| &mut **tensor);
                let mut first = 0;
                let mut chunks: Vec<RowChunk<'_, N>> = Vec::new();
                for (index, chunk_starts) in starts.chunks(chunk_rows).enumerate() {
                    // Rows are sorted, so the slices of different chunks do not overlap.
                    let end = starts
                        .get((index + 1) * chunk_rows)
                        .map(|next| next.1 * columns - first);
                    let slices = rest.each_mut().map(|tensor| {
                        let whole = std::mem::take(tensor);
                        let end = end.unwrap_or(whole.len());
                        let (slice, after) = whole.split_at_mut(end);
                        *tensor = after;
                        slice
                    });
                    chunks.push((chunk_starts, slices, first));
                    first += end.unwrap_or(0);
                }
                let update_chunk = |(starts, mut tensors, first): RowChunk<'_, N>| {
                    for &(p, row) in starts {
                        let slices = tensors
                            .each_mut()
                            .map(|tensor| &mut tensor[row * columns - first..][..columns]);
                        vectorized(
                            #[inline(always)]
                            || step(slices, &gradient[p * columns..][..columns]),
                        );
                    }
                };
                if chunks.len() < 2 {
                    chunks.into_iter().for_each(update_chunk);
                } else {
                    chunks.into_par_iter().for_each(update_chunk);
                }
            }
        }
    }

    /// As [`Self::on_cpu`], for a state that decays. `prescaled` adds slices of the gradient to the
    /// corresponding slices of the tensors, prescaled to compensate for the decay.
    #[inline(always)]
    pub(super) fn decaying_state_on_cpu(
        &self,
        cpu: &Cpu,
        step: impl Fn([&mut [f32]; N], &[f32]) + Sync,
        prescaled: impl Fn([&mut [f32]; N], &[f32]) + Sync,
    ) {
        match self.gradient {
            Gradient::Dense(_) => self.on_cpu(cpu, step),
            Gradient::Sparse(..) => {
                self.on_cpu(cpu, prescaled);
                self.all_rows_on_cpu(
                    cpu,
                    #[inline(always)]
                    |tensors, _| {
                        let length = tensors[0].len();
                        let mut iterators =
                            tensors.map(|tensor| tensor.chunks_mut(NO_GRADIENT.len()));
                        for _ in 0..length.div_ceil(NO_GRADIENT.len()) {
                            let slices = iterators
                                .each_mut()
                                .map(|chunks| chunks.next().unwrap_or_default());
                            let length = slices[0].len();
                            step(slices, &NO_GRADIENT[..length]);
                        }
                    },
                );
            }
        }
    }

    /// Calls `step` with corresponding slices of all tensors and the index of their first element,
    /// for all elements.
    #[inline(always)]
    fn all_rows_on_cpu(&self, cpu: &Cpu, step: impl Fn([&mut [f32]; N], usize) + Sync) {
        let mut tensors = self.tensors.each_ref().map(|tensor| cpu.write(tensor));
        let length = tensors[0].len();
        let chunk_len = rows_per_chunk(cpu.threads(), length);
        let mut iterators = tensors
            .each_mut()
            .map(|tensor| tensor.chunks_mut(chunk_len));
        let chunks: Vec<_> = (0..length.div_ceil(chunk_len))
            .map(|_| {
                iterators
                    .each_mut()
                    .map(|chunks| chunks.next().unwrap_or_default())
            })
            .collect();
        chunks
            .into_par_iter()
            .enumerate()
            .for_each(|(index, slices)| {
                vectorized(
                    #[inline(always)]
                    || step(slices, index * chunk_len),
                );
            });
    }
}
