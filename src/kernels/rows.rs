//! Gradients of tables, of which a window touches few rows.

use rayon::prelude::*;

use super::parallel::{SMALLEST_SPLIT, rows_per_part, vectorised};
use crate::device::{Arguments, Binding, Cpu, Gpu, Shader, Shard, to_u32, workgroups};
use crate::tensor::{NONE, Tensor};

/// The tokens of a window and the order in which their gradients are summed.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    /// The window's tokens, each below V or [`NONE`].
    pub tokens: Tensor<u32>,
    /// The window's positions sorted by token, [`NONE`] last; equal tokens by position.
    pub order: Tensor<u32>,
}

/// A parameter's gradient as an optimiser takes it.
#[derive(Debug, Clone, Copy)]
pub enum Gradient {
    /// One number for every number of the parameter.
    Dense(Tensor),
    /// Sums as [`ScatterAdd`](super::ScatterAdd) leaves them, `[rows, columns]`: row p belongs to
    /// the row `tokens[order[p]]` of the parameter where that token begins in `order`, and is zero
    /// elsewhere.
    Rows(Tensor, Rows),
}

impl Gradient {
    /// The numbers, without saying which rows they belong to.
    pub fn values(&self) -> Tensor {
        match self {
            Self::Dense(values) | Self::Rows(values, _) => *values,
        }
    }
}

impl Rows {
    /// Where each token begins in `order`: pairs of the position p and the token, for tokens other
    /// than [`NONE`].
    pub(super) fn beginnings(&self, cpu: &Cpu) -> Vec<(usize, usize)> {
        let (tokens, order) = (cpu.read(&self.tokens), cpu.read(&self.order));
        let token = |p: usize| tokens[order[p] as usize];
        (0..order.len())
            .filter(|&p| token(p) != NONE && (p == 0 || token(p - 1) != token(p)))
            .map(|p| (p, token(p) as usize))
            .collect()
    }
}

/// Zeros, for a step over rows without a gradient.
const NO_GRADIENT: &[f32] = &[0.0; 1024];

/// What one thread updates: positions and rows, the tensors' parts that hold these rows, and how
/// many numbers stand before these parts.
type RowShare<'a, const N: usize> = (&'a [(usize, usize)], [&'a mut [f32]; N], usize);

/// What every optimiser does with its tensors: walk them with the gradient, whole or by the rows
/// that occurred. They may be tables of several pieces, and a dense gradient too.
///
/// An optimiser that changes nothing where the gradient is zero needs only the rows that occurred
/// (`on_cpu`, `on_gpu`). One whose state fades in every row goes over a table twice
/// (`decaying_state_on_cpu`, `decaying_state_on_gpu`): first the rows that occurred take the
/// gradient, so enlarged by what the fading takes away that the dense step, which follows over all
/// rows and without a gradient, makes it that of a dense gradient.
pub(super) struct RowwiseUpdate<const N: usize> {
    pub(super) gradient: Gradient,
    /// The parameter and the optimiser's state of the same shape.
    pub(super) tensors: [Tensor; N],
}

/// Sizes of an update as its shader takes them.
pub(super) struct UpdateSizes {
    pub(super) count: u32,
    pub(super) columns: u32,
    pub(super) tokens_offset: u32,
    pub(super) order_offset: u32,
    /// The first row of the piece that is bound.
    pub(super) first: u32,
    /// The row after its last.
    pub(super) end: u32,
}

impl<const N: usize> RowwiseUpdate<N> {
    /// Calls `step` with runs of the tensors and of the gradient that belong together.
    #[inline(always)]
    pub(super) fn on_cpu(&self, cpu: &Cpu, step: impl Fn([&mut [f32]; N], &[f32]) + Sync) {
        let gradient = cpu.read(&self.gradient.values());
        let gradient = &*gradient;
        match self.gradient {
            Gradient::Dense(_) => self.every_row_on_cpu(
                cpu,
                #[inline(always)]
                |tensors, first| {
                    let length = tensors[0].len();
                    step(tensors, &gradient[first..][..length]);
                },
            ),
            Gradient::Rows(values, rows) => {
                let columns = values.columns();
                let mut tensors = self.tensors.each_ref().map(|tensor| cpu.write(tensor));
                let beginnings = rows.beginnings(cpu);
                let is_small = beginnings.len() * columns < SMALLEST_SPLIT;
                let share = beginnings
                    .len()
                    .div_ceil(if is_small { 1 } else { cpu.threads() })
                    .max(1);
                let mut rest = tensors.each_mut().map(|tensor| &mut **tensor);
                let (mut first, mut parts) = (0, Vec::new());
                for (number, own) in beginnings.chunks(share).enumerate() {
                    // Rows ascend, so that each part of them has a part of the tensors to itself.
                    let end = beginnings
                        .get((number + 1) * share)
                        .map(|next| next.1 * columns - first);
                    let here = rest.each_mut().map(|tensor| {
                        let whole = std::mem::take(tensor);
                        let end = end.unwrap_or(whole.len());
                        let (front, behind) = whole.split_at_mut(end);
                        *tensor = behind;
                        front
                    });
                    parts.push((own, here, first));
                    first += end.unwrap_or(0);
                }
                let work = |(own, mut tensors, first): RowShare<'_, N>| {
                    for &(p, row) in own {
                        let slices = tensors
                            .each_mut()
                            .map(|tensor| &mut tensor[row * columns - first..][..columns]);
                        vectorised(
                            #[inline(always)]
                            || step(slices, &gradient[p * columns..][..columns]),
                        );
                    }
                };
                if parts.len() < 2 {
                    parts.into_iter().for_each(work);
                } else {
                    parts.into_par_iter().for_each(work);
                }
            }
        }
    }

    /// As [`Self::on_cpu`] for a state that fades; `enlarged` adds a gradient's runs to what they
    /// belong to, enlarged.
    #[inline(always)]
    pub(super) fn decaying_state_on_cpu(
        &self,
        cpu: &Cpu,
        step: impl Fn([&mut [f32]; N], &[f32]) + Sync,
        enlarged: impl Fn([&mut [f32]; N], &[f32]) + Sync,
    ) {
        match self.gradient {
            Gradient::Dense(_) => self.on_cpu(cpu, step),
            Gradient::Rows(..) => {
                self.on_cpu(cpu, enlarged);
                self.every_row_on_cpu(
                    cpu,
                    #[inline(always)]
                    |tensors, _| {
                        let length = tensors[0].len();
                        let mut runs = tensors.map(|tensor| tensor.chunks_mut(NO_GRADIENT.len()));
                        for _ in 0..length.div_ceil(NO_GRADIENT.len()) {
                            let slices = runs.each_mut().map(|run| run.next().unwrap_or_default());
                            let length = slices[0].len();
                            step(slices, &NO_GRADIENT[..length]);
                        }
                    },
                );
            }
        }
    }

    /// Calls `step` with runs of the tensors that belong together, each with its first element's
    /// number, until all is walked.
    #[inline(always)]
    fn every_row_on_cpu(&self, cpu: &Cpu, step: impl Fn([&mut [f32]; N], usize) + Sync) {
        let mut tensors = self.tensors.each_ref().map(|tensor| cpu.write(tensor));
        let length = tensors[0].len();
        let part = rows_per_part(cpu.threads(), length);
        let mut runs = tensors.each_mut().map(|tensor| tensor.chunks_mut(part));
        let parts: Vec<_> = (0..length.div_ceil(part))
            .map(|_| runs.each_mut().map(|run| run.next().unwrap_or_default()))
            .collect();
        parts
            .into_par_iter()
            .enumerate()
            .for_each(|(number, slices)| {
                vectorised(
                    #[inline(always)]
                    || step(slices, number * part),
                );
            });
    }

    /// Launches the dense or the rows entry point of `shaders` with the tensors, the gradient and
    /// the scale bound in that order.
    pub(super) fn on_gpu<A: Arguments>(
        &self,
        gpu: &mut Gpu,
        [dense, rows]: [&'static Shader; 2],
        constants: &[(&'static str, f64)],
        scale: Tensor,
        arguments: impl Fn(UpdateSizes) -> A,
    ) {
        match self.gradient {
            Gradient::Dense(values) => {
                let gradient =
                    |gpu: &Gpu, number: usize| Binding::whole(&gpu.shards(&values)[number].tensor);
                self.every_row_on_gpu(gpu, dense, constants, gradient, scale, arguments);
            }
            Gradient::Rows(values, Rows { tokens, order }) => {
                let ((tokens, tokens_offset), (order, order_offset)) =
                    (Binding::with_offset(&tokens), Binding::with_offset(&order));
                for (number, Shard { rows: part, .. }) in
                    gpu.shards(&self.tensors[0]).into_iter().enumerate()
                {
                    let mut bindings = self.piece(gpu, number);
                    bindings.extend([
                        Binding::whole(&values),
                        Binding::whole(&scale),
                        tokens,
                        order,
                    ]);
                    let (count, columns) = (to_u32(values.rows()), to_u32(values.columns()));
                    let (first, end) = (to_u32(part.start), to_u32(part.end));
                    let sizes = UpdateSizes {
                        count,
                        columns,
                        tokens_offset,
                        order_offset,
                        first,
                        end,
                    };
                    gpu.launch(
                        rows,
                        constants,
                        &bindings,
                        &arguments(sizes),
                        workgroups(values.rows(), 1),
                    );
                }
            }
        }
    }

    /// As [`Self::on_gpu`] for a state that fades: the rows entry point enlarges, the dense one has
    /// no gradient where the override `GRADIENT` is false.
    pub(super) fn decaying_state_on_gpu<A: Arguments>(
        &self,
        gpu: &mut Gpu,
        shaders: [&'static Shader; 2],
        constants: &[(&'static str, f64)],
        scale: Tensor,
        arguments: impl Fn(UpdateSizes) -> A,
    ) {
        self.on_gpu(gpu, shaders, constants, scale, &arguments);
        if let Gradient::Rows(values, _) = self.gradient {
            let constants = [constants, &[("GRADIENT", 0.0)]].concat();
            self.every_row_on_gpu(
                gpu,
                shaders[0],
                &constants,
                |_, _| Binding::whole(&values),
                scale,
                arguments,
            );
        }
    }

    /// Launches the dense entry point on every piece, `gradient` saying what is bound as the
    /// gradient of a piece.
    fn every_row_on_gpu<A: Arguments>(
        &self,
        gpu: &mut Gpu,
        dense: &'static Shader,
        constants: &[(&'static str, f64)],
        gradient: impl Fn(&Gpu, usize) -> Binding,
        scale: Tensor,
        arguments: impl Fn(UpdateSizes) -> A,
    ) {
        for (number, Shard { rows, tensor }) in gpu.shards(&self.tensors[0]).into_iter().enumerate()
        {
            let mut bindings = self.piece(gpu, number);
            bindings.extend([gradient(gpu, number), Binding::whole(&scale)]);
            let (count, columns) = (to_u32(tensor.len()), to_u32(tensor.columns()));
            let (first, end) = (to_u32(rows.start), to_u32(rows.end));
            let sizes = UpdateSizes {
                count,
                columns,
                tokens_offset: 0,
                order_offset: 0,
                first,
                end,
            };
            gpu.launch(
                dense,
                constants,
                &bindings,
                &arguments(sizes),
                workgroups(tensor.len(), 256),
            );
        }
    }

    /// The tensors' pieces of this number.
    fn piece(&self, gpu: &Gpu, number: usize) -> Vec<Binding> {
        self.tensors
            .iter()
            .map(|tensor| Binding::whole(&gpu.shards(tensor)[number].tensor))
            .collect()
    }
}
