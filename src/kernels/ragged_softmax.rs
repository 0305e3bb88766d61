//! Softmax cross-entropy and its gradient for rows of different lengths.

pub(super) mod cases;

use rayon::prelude::*;

use super::parallel::{MIN_PARALLEL_ELEMENTS, rows_per_chunk, vectorized_math};
use super::softmax_cross_entropy::{Exponential, softmax_row};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, OPERATIONS_PER_ACCESS, Shader, arguments,
    to_u32, workgroups,
};
use crate::tensor::Tensor;

/// For each row of logits with target k, `losses[index] -= ln softmax(row)[k]`. If `gradient` is
/// set, `row = scale * (softmax(row) - onehot(k))`.
#[derive(Debug, Clone, Copy)]
pub struct RaggedSoftmax {
    /// The rows, one after another from the first element on. Overwritten with their gradient if
    /// `gradient` is set.
    pub logits: Tensor,
    /// `[count, 4]`, one record per row: the row's offset in `logits`, its length, its target, and
    /// its index in `losses`, which is unique.
    pub rows: Tensor<u32>,
    /// Losses in nats; the rows' losses are added.
    pub losses: Tensor,
    /// Whether to replace the logits by their gradient.
    pub gradient: bool,
    /// A factor for the gradient.
    pub scale: f32,
    /// The exponential of the softmax.
    pub exponential: Exponential,
}

/// Number of fields in a record of [`RaggedSoftmax::rows`].
pub const ROW_FIELDS: usize = 4;

arguments! { count: u32, logits_offset: u32, rows_offset: u32, losses_offset: u32, scale: f32 }

pub(super) static SHADER: Shader = Shader {
    stem: "ragged_softmax",
    source: concat!(
        include_str!("../../shaders/ragged_softmax.wgsl"),
        include_str!("../../shaders/softmax_row.wgsl"),
        include_str!("../../shaders/online_softmax.wgsl"),
        include_str!("../../shaders/workgroup_reduction.wgsl")
    ),
    entry_point: "main",
    bindings: &[
        ("logits", Access::Write),
        ("rows", Access::Read),
        ("losses", Access::Write),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: true,
};

impl Kernel for RaggedSoftmax {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let mut logits = cpu.write(&self.logits);
        let rows = cpu.read(&self.rows);
        let records: Vec<[usize; ROW_FIELDS]> = rows
            .chunks_exact(ROW_FIELDS)
            .map(|row| [0, 1, 2, 3].map(|field| row[field] as usize))
            .collect();
        let threads = if logits.len() < MIN_PARALLEL_ELEMENTS {
            1
        } else {
            cpu.threads()
        };
        let mut rest = &mut *logits;
        let mut chunks = Vec::new();
        for records in records.chunks(rows_per_chunk(threads, records.len())) {
            let (chunk, after) = rest.split_at_mut(records.iter().map(|record| record[1]).sum());
            chunks.push((records, chunk));
            rest = after;
        }
        let losses_of = |(records, mut chunk): (&[[usize; ROW_FIELDS]], &mut [f32])| {
            vectorized_math(
                #[inline(always)]
                |math| {
                    let mut losses = Vec::with_capacity(records.len());
                    for &[_, length, target, _] in records {
                        let (row, after) = chunk.split_at_mut(length);
                        let scale = self.gradient.then_some(self.scale);
                        losses.push(softmax_row(math, row, target, scale, self.exponential));
                        if let Some(scale) = scale {
                            row[target] -= scale;
                        }
                        chunk = after;
                    }
                    losses
                },
            )
        };
        let row_losses: Vec<Vec<f32>> = chunks.into_par_iter().map(losses_of).collect();
        let mut losses = cpu.write(&self.losses);
        for ([.., index], loss) in records.iter().zip(row_losses.iter().flatten()) {
            losses[*index] += loss;
        }
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (logits, logits_offset) = Binding::with_offset(&self.logits);
        let (rows, rows_offset) = Binding::with_offset(&self.rows);
        let (losses, losses_offset) = Binding::with_offset(&self.losses);
        let count = self.rows.len() / ROW_FIELDS;
        gpu.launch_work(
            &SHADER,
            &[
                ("GRADIENT", f64::from(u8::from(self.gradient))),
                ("RNNLM", self.exponential.constant()),
            ],
            &[logits, rows, losses],
            &Arguments {
                count: to_u32(count),
                logits_offset,
                rows_offset,
                losses_offset,
                scale: self.scale,
            },
            workgroups(count, 1),
            3 * self.logits.len() as u64 * OPERATIONS_PER_ACCESS,
        );
    }
}
