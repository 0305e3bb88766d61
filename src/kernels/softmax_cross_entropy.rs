//! Softmax cross-entropy and its gradient, with one row of logits per token.

pub(super) mod cases;

use rayon::prelude::*;

use super::math::{Math, rnnlm_exp};
use super::parallel::{rows_per_chunk, vectorized_math};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, OPERATIONS_PER_ACCESS, Shader, arguments,
    to_u32, workgroups,
};
use crate::tensor::{NONE, Tensor};

/// `losses[row] = -ln softmax(logits[row])[k]` for the row's target k. The logits are replaced by
/// what `result` says. A target of [`NONE`] has loss 0, and its row of the result is 0.
#[derive(Debug, Clone, Copy)]
pub struct SoftmaxCrossEntropy {
    /// `[rows, V]`, overwritten.
    pub logits: Tensor,
    /// `[1, V]`, added to every row of logits first, or none.
    pub bias: Option<Tensor>,
    /// A token for each group of rows, below V or [`NONE`].
    pub targets: Tensor<u32>,
    /// The number of successive rows that have the same target: 1, or more in mixtures.
    pub rows_per_target: usize,
    /// `rows` losses in nats, overwritten.
    pub losses: Tensor,
    /// What replaces the logits.
    pub result: SoftmaxResult,
    /// The exponential of the softmax.
    pub exponential: Exponential,
}

/// What replaces the logits of a [`SoftmaxCrossEntropy`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SoftmaxResult {
    /// Unspecified values: only losses are computed.
    Losses,
    /// `scale * (softmax(logits[row]) - onehot(k))`.
    Gradient {
        /// 1 for the gradient of the sum over tokens, 1 / tokens for that of the mean.
        scale: f32,
    },
    /// `softmax(logits[row])`.
    Probabilities,
}

impl SoftmaxResult {
    /// The gradient with this scale, if there is one.
    pub fn gradient(scale: Option<f32>) -> Self {
        scale.map_or(Self::Losses, |scale| Self::Gradient { scale })
    }

    /// The factor of the softmax, if it is written.
    fn factor(self) -> Option<f32> {
        match self {
            Self::Losses => None,
            Self::Gradient { scale } => Some(scale),
            Self::Probabilities => Some(1.0),
        }
    }
}

/// The exponential that a softmax uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Exponential {
    /// The exponential function.
    #[default]
    Exact,
    /// rnnlm's approximation, for rnnlm models. Its derivative is that of the exact exponential, as
    /// in rnnlm.
    Rnnlm,
}

impl Exponential {
    /// Replaces logits by the ln of their softmax probabilities, on the host.
    pub fn log_softmax(self, logits: &mut [f32]) {
        let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let log = |value: f32| match self {
            Self::Exact => f64::from(value) - f64::from(top),
            Self::Rnnlm => f64::from(rnnlm_exp(value - top)).ln(),
        };
        let sum = match self {
            Self::Exact => exponential_sum(logits, f64::from(top), 1.0),
            Self::Rnnlm => logits.iter().map(|&value| log(value).exp()).sum(),
        };
        let log_sum = sum.ln();
        logits
            .iter_mut()
            .for_each(|value| *value = (log(*value) - log_sum) as f32);
    }

    /// The value of the shaders' constant `RNNLM`.
    pub(super) fn constant(self) -> f64 {
        f64::from(u8::from(self == Self::Rnnlm))
    }
}

arguments! {
    rows: u32,
    columns: u32,
    targets_offset: u32,
    losses_offset: u32,
    rows_per_target: u32,
    bias_offset: u32,
    scale: f32,
}

pub(super) static SHADER: Shader = Shader {
    stem: "softmax_cross_entropy",
    source: concat!(
        include_str!("../../shaders/softmax_cross_entropy.wgsl"),
        include_str!("../../shaders/softmax_row.wgsl"),
        include_str!("../../shaders/online_softmax.wgsl"),
        include_str!("../../shaders/workgroup_reduction.wgsl")
    ),
    entry_point: "main",
    bindings: &[
        ("logits", Access::Write),
        ("targets", Access::Read),
        ("losses", Access::Write),
        ("bias", Access::Read),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: true,
};

/// `Σ exp((value - top) / temperature)` over all values, in f64. `top` is the largest value.
pub fn exponential_sum(values: &[f32], top: f64, temperature: f64) -> f64 {
    const LANES: usize = 16;
    vectorized_math(
        #[inline(always)]
        |math| {
            let weight = |value: f32| math.exp_f64((f64::from(value) - top) / temperature);
            let mut lanes = [0.0; LANES];
            let chunks = values.chunks_exact(LANES);
            let rest: f64 = chunks.remainder().iter().map(|&value| weight(value)).sum();
            for chunk in chunks {
                for (lane, &value) in lanes.iter_mut().zip(chunk) {
                    *lane += weight(value);
                }
            }
            lanes.iter().sum::<f64>() + rest
        },
    )
}

/// The groups of eight logits that each of 256 invocations keeps in registers for rows of this
/// length, or 0 if that is of no use: with more than five groups too few workgroups run at once.
fn kept_groups(columns: usize, kept_values: usize) -> usize {
    let groups = columns.div_ceil(8 * 256);
    if columns <= 4 * 256 || groups > 5.min(kept_values / 8) {
        0
    } else {
        groups
    }
}

/// Number of accumulators in a loop over a row: enough to fill the widest vectors twice.
pub(super) const LANES: usize = 32;

/// The largest value. NaN may be skipped: its exponential makes the sum NaN.
#[inline(always)]
pub(super) fn largest(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if *lane > value { *lane } else { value };
        }
    }
    rest.iter().chain(&lanes).fold(
        f32::NEG_INFINITY,
        |top, &value| if top > value { top } else { value },
    )
}

/// Replaces every value by `exp(value - top)` and returns the sum of the results.
#[inline(always)]
pub(super) fn exponentiate(row: &mut [f32], top: f32, exp: impl Fn(f32) -> f32 + Copy) -> f32 {
    let mut lanes = [0.0; LANES];
    let mut chunks = row.chunks_exact_mut(LANES);
    for chunk in &mut chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *value = exp(*value - top);
            *lane += *value;
        }
    }
    let rest: f32 = chunks
        .into_remainder()
        .iter_mut()
        .map(|value| {
            *value = exp(*value - top);
            *value
        })
        .sum();
    lanes.iter().sum::<f32>() + rest
}

impl SoftmaxCrossEntropy {
    /// Processes one row and returns its loss.
    #[inline(always)]
    fn row(&self, math: Math, logits: &mut [f32], bias: Option<&[f32]>, target: u32) -> f32 {
        let factor = self.result.factor();
        if target == NONE {
            if factor.is_some() {
                logits.fill(0.0);
            }
            return 0.0;
        }
        if let Some(bias) = bias {
            logits
                .iter_mut()
                .zip(bias)
                .for_each(|(logit, bias)| *logit += bias);
        }
        let target = target as usize;
        let loss = softmax_row(math, logits, target, factor, self.exponential);
        if let SoftmaxResult::Gradient { scale } = self.result {
            logits[target] -= scale;
        }
        loss
    }
}

/// The loss of one row's target. If `scale` is given, the logits are replaced by it times their
/// softmax.
#[inline(always)]
pub(super) fn softmax_row(
    math: Math,
    logits: &mut [f32],
    target: usize,
    scale: Option<f32>,
    exponential: Exponential,
) -> f32 {
    let target_logit = logits[target];
    if logits.len() > BLOCK && exponential == Exponential::Exact {
        return long_row(math, logits, target, scale);
    }
    let top = largest(logits);
    let sum = match exponential {
        Exponential::Exact => exponentiate(logits, top, |x| math.exp(x)),
        Exponential::Rnnlm => exponentiate(logits, top, rnnlm_exp),
    };
    let loss = match exponential {
        // Large logits cancel in the difference, which is exact where they are close.
        Exponential::Exact => sum.ln() - (target_logit - top),
        Exponential::Rnnlm => sum.ln() - logits[target].ln(),
    };
    if let Some(scale) = scale {
        let factor = scale / sum;
        logits.iter_mut().for_each(|value| *value *= factor);
    }
    loss
}

/// Logits that stay in the cache between two passes.
const BLOCK: usize = 16 * 1024;

/// [`softmax_row`] for rows that exceed the cache. Exponentials are computed relative to the
/// largest logit of each block; the pass that computes the softmax rescales them to that of the
/// row.
#[inline(always)]
fn long_row(math: Math, logits: &mut [f32], target: usize, scale: Option<f32>) -> f32 {
    let target_logit = logits[target];
    let mut blocks = Vec::with_capacity(logits.len().div_ceil(BLOCK));
    for block in logits.chunks_mut(BLOCK) {
        let top = largest(block);
        blocks.push((top, exponentiate(block, top, |x| math.exp(x))));
    }
    // Not `max`, which would drop NaN.
    let top = blocks.iter().fold(
        f32::NEG_INFINITY,
        |top, block| if top > block.0 { top } else { block.0 },
    );
    let sum: f32 = blocks
        .iter()
        .map(|(block_top, sum)| sum * math.exp(block_top - top))
        .sum();
    if let Some(scale) = scale {
        for (block, (block_top, _)) in logits.chunks_mut(BLOCK).zip(&blocks) {
            let factor = scale / sum * math.exp(block_top - top);
            block.iter_mut().for_each(|value| *value *= factor);
        }
    }
    sum.ln() - (target_logit - top)
}

impl Kernel for SoftmaxCrossEntropy {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let columns = self.logits.columns();
        let mut logits = cpu.write(&self.logits);
        let targets = cpu.read(&self.targets);
        let targets = &*targets;
        let bias = self.bias.map(|bias| cpu.read(&bias));
        let bias = bias.as_deref();
        let mut losses = cpu.write(&self.losses);
        let rows = rows_per_chunk(cpu.threads(), losses.len());
        let chunks = logits
            .par_chunks_mut(rows * columns)
            .zip(losses.par_chunks_mut(rows));
        chunks.enumerate().for_each(|(index, (logits, losses))| {
            vectorized_math(
                #[inline(always)]
                |math| {
                    let logits = logits.chunks_exact_mut(columns);
                    for (row, (loss, logits)) in (index * rows..).zip(losses.iter_mut().zip(logits))
                    {
                        *loss = self.row(math, logits, bias, targets[row / self.rows_per_target]);
                    }
                },
            );
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let kept = kept_groups(self.logits.columns(), gpu.kept_values());
        let factor = self.result.factor();
        let is_softmax = self.result == SoftmaxResult::Probabilities;
        let (targets, targets_offset) = Binding::with_offset(&self.targets);
        let (losses, losses_offset) = Binding::with_offset(&self.losses);
        // Without a bias, the shader does not read the binding.
        let (bias, bias_offset) = match &self.bias {
            Some(bias) => Binding::with_offset(bias),
            None => (targets, 0),
        };
        gpu.launch_work(
            &SHADER,
            &[
                ("GRADIENT", f64::from(u8::from(factor.is_some()))),
                ("PROBABILITIES", f64::from(u8::from(is_softmax))),
                ("RNNLM", self.exponential.constant()),
                ("BIAS", f64::from(u8::from(self.bias.is_some()))),
                ("KEPT", kept as f64),
                ("FULL", kept.saturating_sub(1) as f64),
            ],
            &[Binding::whole(&self.logits), targets, losses, bias],
            &Arguments {
                rows: to_u32(self.logits.rows()),
                columns: to_u32(self.logits.columns()),
                targets_offset,
                losses_offset,
                rows_per_target: to_u32(self.rows_per_target),
                bias_offset,
                scale: factor.unwrap_or(0.0),
            },
            workgroups(self.logits.rows(), 1),
            3 * self.logits.len() as u64 * OPERATIONS_PER_ACCESS,
        );
    }
}
