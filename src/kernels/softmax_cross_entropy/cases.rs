//! Test cases of [`SoftmaxCrossEntropy`].

use std::fmt;

use super::{Exponential, SoftmaxCrossEntropy, SoftmaxResult};
use crate::error::Result;
use crate::kernels::cases::{
    Cases, Harness, KernelCase, MANY, Place, TokenDraw, TokenPattern, Tolerance, list, option,
};

/// Sizes and options of [`SoftmaxCrossEntropy`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoftmaxCrossEntropyCase {
    /// V.
    pub columns: usize,
    /// A target for each group of rows.
    pub targets: TokenDraw,
    /// Rows of a group.
    pub rows_per_target: usize,
    /// What replaces the logits.
    pub result: SoftmaxResult,
    /// Bound of the logits, before `shift` is added.
    pub bound: f32,
    /// Added to all logits. The softmax does not depend on it, except that it rounds the logits.
    pub shift: f32,
    /// Whether a bias is added to the logits.
    pub bias: bool,
    /// The function that turns logits into probabilities.
    pub exponential: Exponential,
}

/// Bound of the values of a bias.
const BIAS_BOUND: f32 = 2.0;

impl SoftmaxCrossEntropyCase {
    /// The factor of the softmax.
    pub fn scale(&self) -> f32 {
        self.result.factor().unwrap_or(1.0)
    }

    /// Bound of the logits with the bias, before `shift` is added.
    pub fn largest_logit(&self) -> f32 {
        self.bound + if self.bias { BIAS_BOUND } else { 0.0 }
    }
}

/// Vocabularies around a workgroup's width, logits from small to far beyond the range of e^z.
pub(in crate::kernels) fn all() -> Cases {
    let mut all = Vec::new();
    for (columns, pattern, count, bound) in [
        (2, TokenPattern::Same, 1, 1.0),
        (3, TokenPattern::Mixed, 67, 4.0),
        (255, TokenPattern::Mixed, 5, 4.0),
        (256, TokenPattern::Few, 3, 4.0),
        (257, TokenPattern::Same, 7, 4.0),
        (1031, TokenPattern::Mixed, 17, 4.0),
        (2048, TokenPattern::Mixed, 3, 4.0),
        (8193, TokenPattern::Mixed, 3, 4.0),
        (10_240, TokenPattern::Few, 2, 40.0),
        (40_013, TokenPattern::Mixed, 3, 40.0),
        (301, TokenPattern::Mixed, 13, 100.0),
        (67, TokenPattern::Mixed, 11, 1e4),
        (65, TokenPattern::Nothing, 3, 4.0),
        (2, TokenPattern::Mixed, MANY, 4.0),
    ] {
        let scale = if count % 2 == 1 {
            1.0 / count as f32
        } else {
            1.0
        };
        for result in [
            SoftmaxResult::Losses,
            SoftmaxResult::Gradient { scale },
            SoftmaxResult::Probabilities,
        ] {
            let mut push = |rows_per_target, bound, shift, bias, exponential| {
                all.push(SoftmaxCrossEntropyCase {
                    columns,
                    targets: TokenDraw { pattern, count },
                    rows_per_target,
                    result,
                    bound,
                    shift,
                    bias,
                    exponential,
                });
            };
            push(1, bound, 0.0, false, Exponential::Exact);
            if result == SoftmaxResult::Probabilities {
                push(1, bound, 0.0, true, Exponential::Exact);
                continue;
            }
            if [3, 257, 8193, 40_013].contains(&columns) {
                push(1, bound, 0.0, true, Exponential::Exact);
            }
            if (257..1000).contains(&columns) || columns == 8193 {
                push(1, 20.0, 0.0, columns == 8193, Exponential::Rnnlm);
            }
            if bound == 4.0 {
                push(1, bound, 1e6, false, Exponential::Exact);
            }
            if pattern == TokenPattern::Mixed && count < MANY {
                push(2 + count % 3, bound, 0.0, columns > 256, Exponential::Exact);
            }
        }
    }
    list(all)
}

impl KernelCase for SoftmaxCrossEntropyCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let shape = [self.targets.count * self.rows_per_target, self.columns];
        let mut values = harness.uniform(shape[0] * shape[1], self.bound);
        values.iter_mut().for_each(|value| *value += self.shift);
        let logits = match self.result {
            SoftmaxResult::Losses => harness.consumed("logits", Place::Whole, shape, values)?,
            _ => harness.in_place("logits", Place::Whole, shape, values)?,
        };
        let bias = if self.bias {
            let values = harness.uniform(self.columns, BIAS_BOUND);
            Some(harness.input("bias", Place::Part, [1, self.columns], values)?)
        } else {
            None
        };
        let drawn = harness.draw(self.targets, self.columns);
        let targets = harness.tokens("targets", drawn)?;
        let losses = harness.output("losses", Place::Part, [shape[0], 1])?;
        harness.run(&SoftmaxCrossEntropy {
            logits,
            bias,
            targets,
            rows_per_target: self.rows_per_target,
            losses,
            result: self.result,
            exponential: self.exponential,
        });
        Ok(())
    }

    fn tolerance(&self, output: &str) -> Tolerance {
        Tolerance::softmax(output, self.exponential, self.largest_logit(), self.scale())
    }
}

impl fmt::Display for SoftmaxCrossEntropyCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            columns,
            targets,
            bound,
            ..
        } = self;
        let result = match self.result {
            SoftmaxResult::Losses => String::new(),
            SoftmaxResult::Gradient { scale } => option(true, &format!("gradient x {scale}")),
            SoftmaxResult::Probabilities => option(true, "probabilities"),
        };
        let exponential = option(self.exponential == Exponential::Rnnlm, "rnnlm");
        let rows = option(
            self.rows_per_target > 1,
            &format!("in groups of {}", self.rows_per_target),
        );
        let shift = option(self.shift != 0.0, &format!("+ {}", self.shift));
        let bias = option(self.bias, "bias");
        write!(
            f,
            "{targets} of {columns}{rows} below {bound}{shift}{bias}{result}{exponential}"
        )
    }
}
