//! Test cases of [`SampledLoss`].

use std::fmt;

use super::{SampledLoss, SampledObjective};
use crate::error::Result;
use crate::kernels::cases::{
    Cases, EPSILON, Harness, KernelCase, MANY, Place, TokenDraw, TokenPattern, Tolerance, list,
};

/// Sizes and options of [`SampledLoss`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampledLossCase {
    /// Which loss.
    pub objective: SampledObjective,
    /// Rows, some of them without a target.
    pub rows: usize,
    /// K.
    pub samples: usize,
    /// Words that targets and sample are drawn from.
    pub vocabulary: usize,
    /// Factor of the gradient.
    pub scale: f32,
    /// Bound of logits and corrections.
    pub bound: f32,
}

/// Samples around a workgroup's width and beyond the factors of a product, of which all are the
/// target, many, or few; logits far beyond the range of e^z; more rows than a dispatch has
/// workgroups in one dimension.
pub(in crate::kernels) fn all() -> Cases {
    let mut all = Vec::new();
    for objective in [SampledObjective::Softmax, SampledObjective::Nce] {
        for (rows, samples, vocabulary, scale, bound) in [
            (1, 1, 3, 1.0, 1.0),
            (7, 5, 1, 0.5, 4.0),
            (67, 31, 9, 0.25, 4.0),
            (5, 257, 100, 1.0, 4.0),
            (3, 2099, 50, 1.0, 4.0),
            (13, 301, 7, 0.125, 100.0),
            (11, 67, 20, 1.0, 1e4),
            (MANY, 2, 3, 1.0, 4.0),
        ] {
            all.push(SampledLossCase {
                objective,
                rows,
                samples,
                vocabulary,
                scale,
                bound,
            });
        }
    }
    list(all)
}

impl KernelCase for SampledLossCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let Self {
            objective,
            rows,
            samples,
            vocabulary,
            scale,
            bound,
        } = *self;
        let draw = TokenDraw {
            pattern: TokenPattern::Mixed,
            count: rows,
        };
        let mut words = harness.draw(draw, vocabulary);
        for value in harness.uniform(samples, 1.0) {
            words.push((value.abs() * vocabulary as f32) as u32);
        }
        let words = harness.tokens("words", words)?;
        let [sample, targets, corrections] =
            [rows * samples, rows, rows + samples].map(|count| harness.uniform(count, bound));
        let sample = harness.in_place("sample", Place::Part, [rows, samples], sample)?;
        let targets = harness.in_place("targets", Place::Part, [rows, 1], targets)?;
        let shape = [rows + samples, 1];
        let corrections = harness.input("corrections", Place::Part, shape, corrections)?;
        let losses = harness.output("losses", Place::Part, [rows, 1])?;
        harness.run(&SampledLoss {
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

    fn tolerance(&self, output: &str) -> Tolerance {
        let exponent = EPSILON * (8.0 + 4.0 * f64::from(self.bound));
        let factors = match self.objective {
            SampledObjective::Softmax => 1.0,
            SampledObjective::Nce => self.samples as f64,
        };
        if output == "losses" {
            Tolerance {
                absolute: exponent + 2.0 * EPSILON * factors,
                relative: 16.0 * EPSILON,
            }
        } else {
            Tolerance {
                absolute: exponent * f64::from(self.scale),
                relative: exponent,
            }
        }
    }
}

impl fmt::Display for SampledLossCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rows,
            samples,
            vocabulary,
            scale,
            bound,
            ..
        } = self;
        let objective = match self.objective {
            SampledObjective::Softmax => "softmax",
            SampledObjective::Nce => "nce",
        };
        write!(
            f,
            "{objective} {rows} against {samples} of {vocabulary} below {bound} gradient x {scale}"
        )
    }
}
