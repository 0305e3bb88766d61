//! Losses of targets against a sample of words shared by all rows, and their gradients.

pub(super) mod cases;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::math::Math;
use super::parallel::{rows_per_chunk, vectorized_math};
use super::softmax_cross_entropy::{LANES, exponentiate, largest};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, OPERATIONS_PER_ACCESS, Shader, arguments,
    to_u32, workgroups,
};
use crate::field::choices;
use crate::tensor::{NONE, Tensor};

/// Let a be the corrected logits, which are the logits minus the corrections of their words: a_0
/// for the target, and a_j for the K words of the sample. Then
///
/// ```text
/// loss = -ln (e^a_0 / (e^a_0 + Σ_j e^a_j))           Softmax
/// loss = -ln σ(a_0) - Σ_j ln (1 - σ(a_j))            Nce
/// ```
///
/// The sum of `Softmax` skips sampled words that equal the target.
///
/// All logits are replaced by the gradient of `scale` times the loss. For a row without a target,
/// loss and gradient are 0.
#[derive(Debug, Clone, Copy)]
pub struct SampledLoss {
    /// `[rows, K]`: the logits of the sample, overwritten with their gradient.
    pub sample: Tensor,
    /// `rows` elements: the logits of the targets, overwritten with their gradient.
    pub targets: Tensor,
    /// `rows + K` elements: the target of each row, or [`NONE`], followed by the words of the
    /// sample.
    pub words: Tensor<u32>,
    /// `rows + K` elements: the corrections to subtract from the logits of these words.
    pub corrections: Tensor,
    /// `rows` losses in nats, overwritten.
    pub losses: Tensor,
    /// The loss to compute.
    pub objective: SampledObjective,
    /// A factor for the gradient.
    pub scale: f32,
}

choices! {
    /// The training objective with sampled words.
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum SampledObjective {
        /// Sampled softmax: cross-entropy of the target among the target and the sample (Bengio and
        /// Senécal 2008, Jean 2015).
        #[default]
        Softmax = "softmax",
        /// Noise-contrastive estimation: classification of each word as data or noise (Gutmann and
        /// Hyvärinen 2010, Mnih and Teh 2012).
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
    source: concat!(
        include_str!("../../shaders/sampled_loss.wgsl"),
        include_str!("../../shaders/online_softmax.wgsl"),
        include_str!("../../shaders/workgroup_reduction.wgsl")
    ),
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

/// Number of factors between 1 and 2 whose product does not overflow f32.
const FACTORS: usize = 64;

/// The words of the sample with their corrections.
#[derive(Clone, Copy)]
struct Sample<'a> {
    words: &'a [u32],
    corrections: &'a [f32],
}

/// Processes one row of the sampled softmax. `target_logit` is corrected. Returns the loss and the
/// gradient of the target's logit.
#[inline(always)]
fn softmax_row(
    math: Math,
    row: &mut [f32],
    target_logit: f32,
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
    let top = if target_logit > top {
        target_logit
    } else {
        top
    };
    let target_exp = math.exp(target_logit - top);
    let sum = exponentiate(row, top, |x| math.exp(x)) + target_exp;
    let factor = scale / sum;
    row.iter_mut().for_each(|value| *value *= factor);
    (sum.ln() - (target_logit - top), target_exp * factor - scale)
}

/// ln(1 + e^x) and its derivative. The value is returned as `[summand, factor]` with a factor
/// between 1 and 2; it is `summand + ln(factor)`.
#[inline(always)]
fn softplus(math: Math, x: f32) -> ([f32; 2], f32) {
    let power = math.exp(-x.abs());
    let numerator = if x < 0.0 { power } else { 1.0 };
    (
        [if x < 0.0 { 0.0 } else { x }, 1.0 + power],
        numerator / (1.0 + power),
    )
}

/// Processes one row of noise-contrastive estimation, as [`softmax_row`].
#[inline(always)]
fn nce_row(
    math: Math,
    row: &mut [f32],
    target_logit: f32,
    sample: Sample<'_>,
    scale: f32,
) -> (f32, f32) {
    let ([summand, factor], derivative) = softplus(math, -target_logit);
    let mut loss = summand + factor.ln();
    // Multiplies many factors before taking one logarithm.
    for (block, corrections) in row
        .chunks_mut(FACTORS * LANES)
        .zip(sample.corrections.chunks(FACTORS * LANES))
    {
        let mut sums = [0.0_f32; LANES];
        let mut products = [1.0_f32; LANES];
        for (values, corrections) in block.chunks_mut(LANES).zip(corrections.chunks(LANES)) {
            let lanes = sums.iter_mut().zip(&mut products);
            for ((value, correction), (sum, product)) in
                values.iter_mut().zip(corrections).zip(lanes)
            {
                let ([summand, factor], derivative) = softplus(math, *value - correction);
                *sum += summand;
                *product *= factor;
                *value = scale * derivative;
            }
        }
        loss += sums.iter().sum::<f32>() + products.iter().map(|product| product.ln()).sum::<f32>();
    }
    (loss, -scale * derivative)
}

impl Kernel for SampledLoss {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let rows = self.sample.rows();
        let columns = self.sample.columns();
        let mut logits = cpu.write(&self.sample);
        let mut targets = cpu.write(&self.targets);
        let mut losses = cpu.write(&self.losses);
        let words = cpu.read(&self.words);
        let corrections = cpu.read(&self.corrections);
        let (target_words, words) = words.split_at(rows);
        let (target_corrections, corrections) = corrections.split_at(rows);
        let sample = Sample { words, corrections };
        let loss_of = |math, row: &mut [f32], target_logit, target| match self.objective {
            _ if target == NONE => {
                row.fill(0.0);
                (0.0, 0.0)
            }
            SampledObjective::Softmax => {
                softmax_row(math, row, target_logit, target, sample, self.scale)
            }
            SampledObjective::Nce => nce_row(math, row, target_logit, sample, self.scale),
        };
        let chunk_rows = rows_per_chunk(cpu.threads(), rows);
        let chunks = logits
            .par_chunks_mut(chunk_rows * columns)
            .zip(targets.par_chunks_mut(chunk_rows))
            .zip(losses.par_chunks_mut(chunk_rows));
        chunks
            .zip(target_words.par_chunks(chunk_rows))
            .zip(target_corrections.par_chunks(chunk_rows))
            .for_each(|((((logits, targets), losses), words), corrections)| {
                vectorized_math(
                    #[inline(always)]
                    |math| {
                        for (row, logits) in logits.chunks_exact_mut(columns).enumerate() {
                            let target_logit = targets[row] - corrections[row];
                            (losses[row], targets[row]) =
                                loss_of(math, logits, target_logit, words[row]);
                        }
                    },
                );
            });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (sample, sample_offset) = Binding::with_offset(&self.sample);
        let (targets, targets_offset) = Binding::with_offset(&self.targets);
        let (words, words_offset) = Binding::with_offset(&self.words);
        let (corrections, corrections_offset) = Binding::with_offset(&self.corrections);
        let (losses, losses_offset) = Binding::with_offset(&self.losses);
        let rows = self.sample.rows();
        gpu.launch_work(
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
            3 * self.sample.len() as u64 * OPERATIONS_PER_ACCESS,
        );
    }
}
