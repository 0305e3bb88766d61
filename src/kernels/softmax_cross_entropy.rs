//! Softmax, cross-entropy and the gradient of both, one row of logits a token.

use rayon::prelude::*;

use super::math;
use super::parallel::{rows_per_part, vectorised};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::{NONE, Tensor};

/// `losses[row] = -ln softmax(logits[row])[k]` for the row's target k and, where `gradient`,
/// `logits[row] = scale * (softmax(logits[row]) - onehot(k))`. A target of [`NONE`] has loss 0 and
/// gradient 0.
#[derive(Debug, Clone, Copy)]
pub struct SoftmaxCrossEntropy {
    /// `[rows, V]`; overwritten with its gradient where `gradient`, else of no use afterwards.
    pub logits: Tensor,
    /// `rows` tokens, each below V or [`NONE`].
    pub targets: Tensor<u32>,
    /// `rows` losses in nats, overwritten.
    pub losses: Tensor,
    /// Whether the logits become their gradient.
    pub gradient: bool,
    /// Factor of the gradient: 1 for the sum over tokens, 1 / tokens for the mean.
    pub scale: f32,
    /// The function that makes probabilities of logits.
    pub exponential: Exponential,
}

/// What a softmax takes for e^x.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Exponential {
    /// The exponential function.
    #[default]
    Exact,
    /// rnnlm's approximation, for models of rnnlm; gradients take it for the exponential, as
    /// rnnlm's do.
    Rnnlm,
}

impl Exponential {
    /// Turns logits into ln of what a softmax makes of them, on the host.
    pub fn log_softmax(self, logits: &mut [f32]) {
        let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let log = |value: f32| match self {
            Self::Exact => f64::from(value - top),
            Self::Rnnlm => f64::from(math::rnnlm_exp(value - top)).ln(),
        };
        let log_sum = logits
            .iter()
            .map(|&value| log(value).exp())
            .sum::<f64>()
            .ln();
        logits
            .iter_mut()
            .for_each(|value| *value = (log(*value) - log_sum) as f32);
    }

    /// The number by which shaders know it.
    pub(super) fn constant(self) -> f64 {
        f64::from(u8::from(self == Self::Rnnlm))
    }
}

arguments! { rows: u32, columns: u32, targets_offset: u32, losses_offset: u32, scale: f32 }

pub(super) static SHADER: Shader = Shader {
    stem: "softmax_cross_entropy",
    source: include_str!("../../shaders/softmax_cross_entropy.wgsl"),
    entry_point: "main",
    bindings: &[
        ("logits", Access::Write),
        ("targets", Access::Read),
        ("losses", Access::Write),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: true,
};

/// Running results of a loop over a row, enough of them to fill the widest vectors twice.
pub(super) const LANES: usize = 32;

/// The largest value; NaN where there is one.
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

/// Replaces every value by `exp` of what it is above the top, and returns the sum of them.
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
    /// One row; returns the loss.
    #[inline(always)]
    fn row(&self, logits: &mut [f32], target: u32) -> f32 {
        if target == NONE {
            if self.gradient {
                logits.fill(0.0);
            }
            return 0.0;
        }
        softmax_row(
            logits,
            target as usize,
            self.gradient.then_some(self.scale),
            self.exponential,
        )
    }
}

/// The loss of one row's target; where there is a `scale`, the logits become the gradient of the
/// scaled loss.
#[inline(always)]
pub(super) fn softmax_row(
    logits: &mut [f32],
    target: usize,
    scale: Option<f32>,
    exponential: Exponential,
) -> f32 {
    let target_logit = logits[target];
    if logits.len() > LONG && exponential == Exponential::Exact {
        return long_row(logits, target, scale);
    }
    let top = largest(logits);
    let sum = match exponential {
        Exponential::Exact => exponentiate(logits, top, math::exp),
        Exponential::Rnnlm => exponentiate(logits, top, math::rnnlm_exp),
    };
    let loss = match exponential {
        Exponential::Exact => top + sum.ln() - target_logit,
        Exponential::Rnnlm => sum.ln() - logits[target].ln(),
    };
    if let Some(scale) = scale {
        let factor = scale / sum;
        logits.iter_mut().for_each(|value| *value *= factor);
        logits[target] -= scale;
    }
    loss
}

/// Logits of a row that stay in the cache between two readings.
const LONG: usize = 16 * 1024;

/// The same for a row so long that every reading of it costs: each run of logits is measured by its
/// own largest, and by the row's in the reading that makes the gradient.
#[inline(always)]
fn long_row(logits: &mut [f32], target: usize, scale: Option<f32>) -> f32 {
    let target_logit = logits[target];
    let mut runs = Vec::with_capacity(logits.len().div_ceil(LONG));
    for run in logits.chunks_mut(LONG) {
        let top = largest(run);
        runs.push((top, exponentiate(run, top, math::exp)));
    }
    // NaN must not be lost here, as it is in `max`.
    let top = runs.iter().fold(
        f32::NEG_INFINITY,
        |top, run| if top > run.0 { top } else { run.0 },
    );
    let sum: f32 = runs
        .iter()
        .map(|(own, sum)| sum * math::exp(own - top))
        .sum();
    if let Some(scale) = scale {
        for (run, (own, _)) in logits.chunks_mut(LONG).zip(&runs) {
            let factor = scale / sum * math::exp(own - top);
            run.iter_mut().for_each(|value| *value *= factor);
        }
        logits[target] -= scale;
    }
    top + sum.ln() - target_logit
}

impl Kernel for SoftmaxCrossEntropy {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let columns = self.logits.columns();
        let (mut logits, targets, mut losses) = (
            cpu.write(&self.logits),
            cpu.read(&self.targets),
            cpu.write(&self.losses),
        );
        let part = rows_per_part(cpu.threads(), targets.len());
        let parts = logits
            .par_chunks_mut(part * columns)
            .zip(losses.par_chunks_mut(part))
            .zip(targets.par_chunks(part));
        parts.for_each(|((logits, losses), targets)| {
            vectorised(
                #[inline(always)]
                || {
                    for ((row, loss), &target) in
                        logits.chunks_exact_mut(columns).zip(losses).zip(targets)
                    {
                        *loss = self.row(row, target);
                    }
                },
            );
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let ((targets, targets_offset), (losses, losses_offset)) = (
            Binding::with_offset(&self.targets),
            Binding::with_offset(&self.losses),
        );
        gpu.launch(
            &SHADER,
            &[
                ("GRADIENT", f64::from(u8::from(self.gradient))),
                ("RNNLM", self.exponential.constant()),
            ],
            &[Binding::whole(&self.logits), targets, losses],
            &Arguments {
                rows: to_u32(self.logits.rows()),
                columns: to_u32(self.logits.columns()),
                targets_offset,
                losses_offset,
                scale: self.scale,
            },
            workgroups(self.logits.rows(), 1),
        );
    }
}
