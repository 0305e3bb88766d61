//! Cases of the losses against a sample of words.

use std::fmt;

use super::bench::{Bench, Place::Part};
use super::{Setup, TokenDraw, TokenPattern};
use crate::error::Result;
use crate::kernels::{SampledLoss, SampledObjective};

/// Sizes and options of [`SampledLoss`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampled {
    /// Which loss.
    pub objective: SampledObjective,
    /// Rows, of which some have no target.
    pub rows: usize,
    /// K.
    pub samples: usize,
    /// Words that targets and sample are drawn from.
    pub vocabulary: usize,
    /// Factor of the gradient.
    pub scale: f32,
    /// Largest logit and largest correction.
    pub bound: f32,
}

impl Sampled {
    /// Makes the tensors and runs the kernel.
    pub(super) fn run(self, bench: &mut Bench<'_>) -> Result<()> {
        let Self {
            objective,
            rows,
            samples,
            vocabulary,
            scale,
            bound,
        } = self;
        let of_targets = bench.draw(
            TokenDraw {
                pattern: TokenPattern::Mixed,
                count: rows,
            },
            vocabulary,
        );
        let of_sample = bench
            .uniform(samples, 1.0)
            .into_iter()
            .map(|value| (value.abs() * vocabulary as f32) as u32);
        let words = of_targets.into_iter().chain(of_sample).collect();
        let words = bench.tokens("words", words)?;
        let [sample, targets, corrections] =
            [rows * samples, rows, rows + samples].map(|count| bench.uniform(count, bound));
        let sample = bench.changed("sample", Part, [rows, samples], sample)?;
        let targets = bench.changed("targets", Part, [rows, 1], targets)?;
        let corrections = bench.input("corrections", Part, [rows + samples, 1], corrections)?;
        let losses = bench.output("losses", Part, [rows, 1])?;
        bench.run(&SampledLoss {
            sample,
            targets,
            words,
            corrections,
            losses,
            objective,
            scale,
        });
        Ok(())
    }
}

/// Samples around a workgroup's width and beyond the factors of a product, of which all are the
/// target, many, or few; logits far beyond what e^z holds; more rows than a dispatch has workgroups
/// in one dimension.
pub(super) fn setups(setups: &mut Vec<Setup>) {
    for objective in [SampledObjective::Softmax, SampledObjective::Nce] {
        for (rows, samples, vocabulary, scale, bound) in [
            (1, 1, 3, 1.0, 1.0),
            (7, 5, 1, 0.5, 4.0),
            (67, 31, 9, 0.25, 4.0),
            (5, 257, 100, 1.0, 4.0),
            (3, 2099, 50, 1.0, 4.0),
            (13, 301, 7, 0.125, 100.0),
            (11, 67, 20, 1.0, 1e4),
            (65_537, 2, 3, 1.0, 4.0),
        ] {
            setups.push(Setup::Sampled(Sampled {
                objective,
                rows,
                samples,
                vocabulary,
                scale,
                bound,
            }));
        }
    }
}

impl fmt::Display for Sampled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            objective,
            rows,
            samples,
            vocabulary,
            scale,
            bound,
        } = self;
        let objective = format!("{objective:?}").to_lowercase();
        write!(
            f,
            "{objective} {rows} against {samples} of {vocabulary} below {bound} gradient x {scale}"
        )
    }
}
