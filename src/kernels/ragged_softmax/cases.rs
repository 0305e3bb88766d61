//! Test cases of [`RaggedSoftmax`].

use std::fmt;

use super::{ROW_FIELDS, RaggedSoftmax};
use crate::error::Result;
use crate::kernels::Exponential;
use crate::kernels::cases::{
    Cases, Harness, KernelCase, Place, Tolerance, irregular, list, option,
};

/// Sizes and options of [`RaggedSoftmax`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RaggedSoftmaxCase {
    /// Rows.
    pub rows: usize,
    /// Length of the longest row.
    pub widest: usize,
    /// Whether the logits are replaced by their gradient.
    pub gradient: bool,
    /// Factor of the gradient.
    pub scale: f32,
    /// Bound of the logits.
    pub bound: f32,
    /// The function that turns logits into probabilities.
    pub exponential: Exponential,
}

/// Rows of one logit and of more than a workgroup's width; more rows than one dimension of a
/// dispatch holds.
pub(in crate::kernels) fn all() -> Cases {
    let mut all = Vec::new();
    for exponential in [Exponential::Exact, Exponential::Rnnlm] {
        for (rows, widest, scale, bound) in [
            (1, 1, 1.0, 4.0),
            (7, 3, 0.25, 1.0),
            (67, 131, 1.0, 20.0),
            (13, 1031, 0.5, 4.0),
            (70_001, 2, 1.0, 4.0),
        ] {
            all.extend([false, true].map(|gradient| RaggedSoftmaxCase {
                rows,
                widest,
                gradient,
                scale,
                bound,
                exponential,
            }));
        }
    }
    list(all)
}

impl KernelCase for RaggedSoftmaxCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let mut records = Vec::with_capacity(self.rows * ROW_FIELDS);
        let mut begin = 0;
        for row in 0..self.rows {
            let length = irregular(row, 5, self.widest);
            let target = irregular(row, 3, length) - 1;
            let place = self.rows - 1 - row;
            records.extend([begin, length, target, place].map(|field| field as u32));
            begin += length;
        }
        let values = harness.uniform(begin, self.bound);
        let logits = if self.gradient {
            harness.in_place("logits", Place::Part, [1, begin], values)?
        } else {
            harness.consumed("logits", Place::Part, [1, begin], values)?
        };
        let rows = harness.tokens("rows", records)?;
        let losses = harness.random_in_place("losses", Place::Part, [self.rows, 1])?;
        harness.run(&RaggedSoftmax {
            logits,
            rows,
            losses,
            gradient: self.gradient,
            scale: self.scale,
            exponential: self.exponential,
        });
        Ok(())
    }

    fn tolerance(&self, output: &str) -> Tolerance {
        Tolerance::softmax(output, self.exponential, self.bound, self.scale)
    }
}

impl fmt::Display for RaggedSoftmaxCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rows,
            widest,
            bound,
            ..
        } = self;
        let gradient = option(self.gradient, &format!("gradient x {}", self.scale));
        let exponential = option(self.exponential == Exponential::Rnnlm, "rnnlm");
        write!(
            f,
            "{rows} rows of up to {widest} below {bound}{gradient}{exponential}"
        )
    }
}
