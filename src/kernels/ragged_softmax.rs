//! Softmax, cross-entropy and the gradient of both for rows of different lengths.

use rayon::prelude::*;

use super::parallel::{SMALLEST_SPLIT, rows_per_part, vectorised};
use super::softmax_cross_entropy::{Exponential, softmax_row};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// For each row of logits and its target k, `losses[place] -= ln softmax(row)[k]` and, where
/// `gradient`, `row = scale * (softmax(row) - onehot(k))`.
#[derive(Debug, Clone, Copy)]
pub struct RaggedSoftmax {
    /// The rows, one behind the other, from the first number on; overwritten with their gradient
    /// where `gradient`.
    pub logits: Tensor,
    /// `[count, 4]`: where in `logits` a row begins, its length, its target, and its place in
    /// `losses`, which no other row has.
    pub rows: Tensor<u32>,
    /// Losses in nats, which grow by the rows'.
    pub losses: Tensor,
    /// Whether the logits become their gradient.
    pub gradient: bool,
    /// Factor of the gradient.
    pub scale: f32,
    /// The function that makes probabilities of logits.
    pub exponential: Exponential,
}

/// Numbers of a record of [`RaggedSoftmax::rows`].
pub const ROW_FIELDS: usize = 4;

arguments! { count: u32, logits_offset: u32, rows_offset: u32, losses_offset: u32, scale: f32 }

pub(super) static SHADER: Shader = Shader {
    stem: "ragged_softmax",
    source: include_str!("../../shaders/ragged_softmax.wgsl"),
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
        let (mut logits, rows) = (cpu.write(&self.logits), cpu.read(&self.rows));
        let records: Vec<[usize; ROW_FIELDS]> = rows
            .chunks_exact(ROW_FIELDS)
            .map(|row| [0, 1, 2, 3].map(|field| row[field] as usize))
            .collect();
        let parts = if logits.len() < SMALLEST_SPLIT {
            1
        } else {
            cpu.threads()
        };
        let share = rows_per_part(parts, records.len());
        let mut rest = &mut *logits;
        let mut parts = Vec::new();
        for records in records.chunks(share) {
            let (part, behind) = rest.split_at_mut(records.iter().map(|record| record[1]).sum());
            parts.push((records, part));
            rest = behind;
        }
        let one = |(records, mut part): (&[[usize; ROW_FIELDS]], &mut [f32])| {
            vectorised(
                #[inline(always)]
                || {
                    let mut losses = Vec::with_capacity(records.len());
                    for &[_, length, target, _] in records {
                        let (row, behind) = part.split_at_mut(length);
                        losses.push(softmax_row(
                            row,
                            target,
                            self.gradient.then_some(self.scale),
                            self.exponential,
                        ));
                        part = behind;
                    }
                    losses
                },
            )
        };
        let found: Vec<Vec<f32>> = parts.into_par_iter().map(one).collect();
        let mut losses = cpu.write(&self.losses);
        for ([.., place], loss) in records.iter().zip(found.iter().flatten()) {
            losses[*place] += loss;
        }
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (logits, logits_offset) = Binding::with_offset(&self.logits);
        let ((rows, rows_offset), (losses, losses_offset)) = (
            Binding::with_offset(&self.rows),
            Binding::with_offset(&self.losses),
        );
        let count = self.rows.len() / ROW_FIELDS;
        gpu.launch(
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
        );
    }
}
