//! Losses of targets against a sample of words that all rows share, and their gradients.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::math;
use super::parallel::{rows_per_part, vectorised};
use super::softmax_cross_entropy::{LANES, exponentiate, largest};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::field::choices;
use crate::tensor::{NONE, Tensor};

/// With a the corrected logits, each minus its word's correction, a_0 the target's and a_j those of
/// the K words of the sample:
///
/// ```text
/// loss = -ln (e^a_0 / (e^a_0 + Σ_j e^a_j))           Softmax
/// loss = -ln σ(a_0) - Σ_j ln (1 - σ(a_j))            Nce
/// ```
///
/// The sum of `Softmax` skips the words j that are the target.
///
/// All logits become the gradient of `scale` times the loss. A row without a target has neither.
#[derive(Debug, Clone, Copy)]
pub struct SampledLoss {
    /// `[rows, K]`: the sample's logits, overwritten with their gradient.
    pub sample: Tensor,
    /// `rows` numbers: the targets' logits, overwritten with their gradient.
    pub targets: Tensor,
    /// `rows + K`: the target of each row, or [`NONE`], then the words of the sample.
    pub words: Tensor<u32>,
    /// `rows + K` numbers: what is subtracted from the logits of these words.
    pub corrections: Tensor,
    /// `rows` losses in nats, overwritten.
    pub losses: Tensor,
    /// Which loss.
    pub objective: SampledObjective,
    /// Factor of the gradient.
    pub scale: f32,
}

choices! {
    /// What is asked of a target among sampled words.
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum SampledObjective {
        /// Which of the target and the sample the target is (Bengio and Senécal 2008, Jean 2015):
        /// a softmax over them.
        #[default]
        Softmax = "softmax",
        /// Of each word, whether it is the text's or noise (Gutmann and Hyvärinen 2010, Mnih and
        /// Teh 2012): noise-contrastive estimation.
        Nce = "nce",
    }
}

arguments! {
    rows: u32,
    columns: u32,
    sample_offset: u32,
    targets_offset: u32,
    words_offset: u32,
    corrections_offset: u32,
    losses_offset: u32,
    scale: f32,
}

pub(super) static SHADER: Shader = Shader {
    stem: "sampled_loss",
    source: include_str!("../../shaders/sampled_loss.wgsl"),
    entry_point: "main",
    bindings: &[
        ("sample", Access::Write),
        ("targets", Access::Write),
        ("words", Access::Read),
        ("corrections", Access::Read),
        ("losses", Access::Write),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: true,
};

/// Runs of [`LANES`] factors of up to 2 that a product in f32 has room for.
const FACTORS: usize = 64;

/// The words of the sample with what is subtracted from their logits.
#[derive(Clone, Copy)]
struct Sample<'a> {
    words: &'a [u32],
    corrections: &'a [f32],
}

/// One row of the softmax: `own` is the target's corrected logit. Returns the loss and the gradient
/// of the target's logit.
#[inline(always)]
fn softmax_row(
    row: &mut [f32],
    own: f32,
    target: u32,
    sample: Sample<'_>,
    scale: f32,
) -> (f32, f32) {
    for ((value, correction), &word) in row.iter_mut().zip(sample.corrections).zip(sample.words) {
        *value = if word == target {
            f32::NEG_INFINITY
        } else {
            *value - correction
        };
    }
    let top = largest(row);
    let top = if own > top { own } else { top };
    let share = math::exp(own - top);
    let sum = exponentiate(row, top, math::exp) + share;
    let factor = scale / sum;
    row.iter_mut().for_each(|value| *value *= factor);
    (top + sum.ln() - own, share * factor - scale)
}

/// ln(1 + e^x) and its derivative; the first as a whole part and a factor from 1 to 2, of which the
/// logarithm is missing.
#[inline(always)]
fn softplus(x: f32) -> ([f32; 2], f32) {
    let power = math::exp(-x.abs());
    let numerator = if x < 0.0 { power } else { 1.0 };
    (
        [if x < 0.0 { 0.0 } else { x }, 1.0 + power],
        numerator / (1.0 + power),
    )
}

/// One row of noise-contrastive estimation, as [`softmax_row`].
#[inline(always)]
fn nce_row(row: &mut [f32], own: f32, sample: Sample<'_>, scale: f32) -> (f32, f32) {
    let ([whole, factor], derivative) = softplus(-own);
    let mut loss = whole + factor.ln();
    // Logarithms of products of many factors, not of each.
    for (run, corrections) in row
        .chunks_mut(FACTORS * LANES)
        .zip(sample.corrections.chunks(FACTORS * LANES))
    {
        let (mut wholes, mut factors) = ([0.0_f32; LANES], [1.0_f32; LANES]);
        for (values, corrections) in run.chunks_mut(LANES).zip(corrections.chunks(LANES)) {
            let lanes = wholes.iter_mut().zip(&mut factors);
            for ((value, correction), (sum, product)) in
                values.iter_mut().zip(corrections).zip(lanes)
            {
                let ([whole, factor], derivative) = softplus(*value - correction);
                *sum += whole;
                *product *= factor;
                *value = scale * derivative;
            }
        }
        loss += wholes.iter().sum::<f32>() + factors.iter().map(|factor| factor.ln()).sum::<f32>();
    }
    (loss, -scale * derivative)
}

impl Kernel for SampledLoss {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let (rows, columns) = (self.sample.rows(), self.sample.columns());
        let (mut logits, mut targets, mut losses) = (
            cpu.write(&self.sample),
            cpu.write(&self.targets),
            cpu.write(&self.losses),
        );
        let (words, corrections) = (cpu.read(&self.words), cpu.read(&self.corrections));
        let ((of_rows, words), (own_corrections, corrections)) =
            (words.split_at(rows), corrections.split_at(rows));
        let sample = Sample { words, corrections };
        let one = |row: &mut [f32], own: f32, target: u32| match self.objective {
            _ if target == NONE => {
                row.fill(0.0);
                (0.0, 0.0)
            }
            SampledObjective::Softmax => softmax_row(row, own, target, sample, self.scale),
            SampledObjective::Nce => nce_row(row, own, sample, self.scale),
        };
        let part = rows_per_part(cpu.threads(), rows);
        let parts = logits
            .par_chunks_mut(part * columns)
            .zip(targets.par_chunks_mut(part))
            .zip(losses.par_chunks_mut(part));
        parts
            .zip(of_rows.par_chunks(part))
            .zip(own_corrections.par_chunks(part))
            .for_each(|((((logits, targets), losses), words), corrections)| {
                vectorised(
                    #[inline(always)]
                    || {
                        let rows = logits
                            .chunks_exact_mut(columns)
                            .zip(targets.iter_mut().zip(losses))
                            .zip(words.iter().zip(corrections));
                        for ((row, (logit, loss)), (&word, correction)) in rows {
                            (*loss, *logit) = one(row, *logit - correction, word);
                        }
                    },
                );
            });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let ((sample, sample_offset), (targets, targets_offset)) = (
            Binding::with_offset(&self.sample),
            Binding::with_offset(&self.targets),
        );
        let ((words, words_offset), (corrections, corrections_offset)) = (
            Binding::with_offset(&self.words),
            Binding::with_offset(&self.corrections),
        );
        let (losses, losses_offset) = Binding::with_offset(&self.losses);
        let rows = self.sample.rows();
        gpu.launch(
            &SHADER,
            &[(
                "NCE",
                f64::from(u8::from(self.objective == SampledObjective::Nce)),
            )],
            &[sample, targets, words, corrections, losses],
            &Arguments {
                rows: to_u32(rows),
                columns: to_u32(self.sample.columns()),
                sample_offset,
                targets_offset,
                words_offset,
                corrections_offset,
                losses_offset,
                scale: self.scale,
            },
            workgroups(rows, 1),
        );
    }
}
