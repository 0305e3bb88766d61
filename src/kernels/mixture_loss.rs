//! Losses of targets under mixtures of softmaxes, and the gradient of the mixtures' weights.

pub(super) mod cases;

use super::math::Math;
use super::parallel::vectorized_math;
use super::softmax_cross_entropy::Exponential;
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::{NONE, Tensor};

/// For a row with a target, let π be the softmax of its `prior` and p_k the probability of the
/// target under softmax k, of which `components` has -ln p_k:
///
/// ```text
/// loss = -ln Σ_k π_k p_k
/// r_k  = π_k p_k / Σ_j π_j p_j            the responsibilities
/// ```
///
/// If `gradient` is set, `components` is replaced by r and `prior` by the gradient of `scale` times
/// the loss, `scale (π - r)`. The gradient of softmax k is that of its loss times r_k. For a
/// row without a target, loss, r and gradient are 0.
#[derive(Debug, Clone, Copy)]
pub struct MixtureLoss {
    /// `[rows, K]`: the logits of π, overwritten with their gradient if `gradient` is set.
    pub prior: Tensor,
    /// `[rows, K]`: -ln p_k, overwritten with r if `gradient` is set.
    pub components: Tensor,
    /// `rows` tokens; [`NONE`] is not predicted.
    pub targets: Tensor<u32>,
    /// `rows` losses in nats, overwritten.
    pub losses: Tensor,
    /// Whether to compute responsibilities and gradient.
    pub gradient: bool,
    /// A factor for the gradient.
    pub scale: f32,
}

arguments! {
    rows: u32,
    columns: u32,
    prior_offset: u32,
    components_offset: u32,
    targets_offset: u32,
    losses_offset: u32,
    scale: f32,
}

pub(super) static SHADER: Shader = Shader {
    stem: "mixture_loss",
    source: include_str!("../../shaders/mixture_loss.wgsl"),
    entry_point: "main",
    bindings: &[
        ("prior", Access::Write),
        ("components", Access::Write),
        ("targets", Access::Read),
        ("losses", Access::Write),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};

/// The largest of some values and the ln of the sum of the exponentials relative to it.
#[derive(Clone, Copy)]
struct LogSum {
    top: f32,
    log: f32,
}

impl LogSum {
    #[inline(always)]
    fn of(math: Math, values: impl Iterator<Item = f32> + Clone) -> Self {
        // NaN is skipped here: its exponential makes the sum NaN.
        let top = values
            .clone()
            .fold(f32::MIN, |top, value| if value > top { value } else { top });
        let sum: f32 = values.map(|value| math.exp(value - top)).sum();
        Self { top, log: sum.ln() }
    }

    /// ln of the softmax of a value. Large values cancel first.
    #[inline(always)]
    fn log_share(self, value: f32) -> f32 {
        (value - self.top) - self.log
    }
}

/// ln of the probabilities of words under a mixture, on the host. `prior` has the logits of the K
/// weights, `logits` those of the first softmax, then of the second, and so on.
pub fn mixture_log_probabilities(prior: &[f32], logits: &[f32]) -> Vec<f32> {
    let columns = logits.len() / prior.len();
    let mut log_prior = prior.to_vec();
    Exponential::Exact.log_softmax(&mut log_prior);
    let mut joint = logits.to_vec();
    for (row, log_prior) in joint.chunks_exact_mut(columns).zip(log_prior) {
        Exponential::Exact.log_softmax(row);
        row.iter_mut().for_each(|value| *value += log_prior);
    }
    let mut tops = vec![f32::MIN; columns];
    let mut sums = vec![0.0_f64; columns];
    vectorized_math(
        #[inline(always)]
        |math| {
            for row in joint.chunks_exact(columns) {
                // NaN is skipped here: its exponential makes the sum NaN.
                for (top, &value) in tops.iter_mut().zip(row) {
                    *top = if value > *top { value } else { *top };
                }
            }
            for row in joint.chunks_exact(columns) {
                for ((sum, &top), &value) in sums.iter_mut().zip(&tops).zip(row) {
                    *sum += math.exp_f64(f64::from(value) - f64::from(top));
                }
            }
        },
    );
    let of_words = tops.into_iter().zip(sums);
    of_words
        .map(|(top, sum)| (f64::from(top) + sum.ln()) as f32)
        .collect()
}

impl MixtureLoss {
    /// Processes one row that has a target and returns its loss.
    #[inline(always)]
    fn row(&self, math: Math, prior: &mut [f32], components: &mut [f32]) -> f32 {
        let of_prior = LogSum::of(math, prior.iter().copied());
        let joint = |(&logit, &component): (&f32, &f32)| of_prior.log_share(logit) - component;
        let total = LogSum::of(math, prior.iter().zip(&*components).map(joint));
        if self.gradient {
            for (logit, component) in prior.iter_mut().zip(&mut *components) {
                let log_prior = of_prior.log_share(*logit);
                let responsibility = math.exp(total.log_share(log_prior - *component));
                *logit = self.scale * (math.exp(log_prior) - responsibility);
                *component = responsibility;
            }
        }
        -(total.top + total.log)
    }
}

impl Kernel for MixtureLoss {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let columns = self.prior.columns();
        let targets = cpu.read(&self.targets);
        let [mut prior, mut components, mut losses] =
            [&self.prior, &self.components, &self.losses].map(|tensor| cpu.write(tensor));
        let rows = prior
            .chunks_exact_mut(columns)
            .zip(components.chunks_exact_mut(columns));
        vectorized_math(
            #[inline(always)]
            |math| {
                for ((loss, &target), (prior, components)) in
                    losses.iter_mut().zip(&*targets).zip(rows)
                {
                    *loss = match target {
                        NONE => 0.0,
                        _ => self.row(math, prior, components),
                    };
                    if target == NONE && self.gradient {
                        prior.fill(0.0);
                        components.fill(0.0);
                    }
                }
            },
        );
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (prior, prior_offset) = Binding::with_offset(&self.prior);
        let (components, components_offset) = Binding::with_offset(&self.components);
        let (targets, targets_offset) = Binding::with_offset(&self.targets);
        let (losses, losses_offset) = Binding::with_offset(&self.losses);
        let rows = self.prior.rows();
        gpu.launch(
            &SHADER,
            &[("GRADIENT", f64::from(u8::from(self.gradient)))],
            &[prior, components, targets, losses],
            &Arguments {
                rows: to_u32(rows),
                columns: to_u32(self.prior.columns()),
                prior_offset,
                components_offset,
                targets_offset,
                losses_offset,
                scale: self.scale,
            },
            workgroups(rows, 64),
        );
    }
}
