//! Test cases of [`ScatterAdd`].

use std::fmt;

use super::ScatterAdd;
use crate::error::Result;
use crate::kernels::cases::{
    Cases, Harness, KernelCase, MANY, Place, TokenDraw, TokenPattern, Tolerance, list,
};

/// Sizes and tokens of [`ScatterAdd`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScatterAddCase {
    /// V.
    pub vocabulary: usize,
    /// Columns of the gradient.
    pub columns: usize,
    /// The tokens.
    pub tokens: TokenDraw,
}

/// Columns around the width of a workgroup's part, runs of one token longer than its height.
pub(in crate::kernels) fn all() -> Cases {
    let cases = [
        (2, 1, TokenPattern::Same, 1),
        (7, 3, TokenPattern::Mixed, 5),
        (300, 15, TokenPattern::Mixed, 67),
        (5, 64, TokenPattern::Nothing, 4),
        (11, 33, TokenPattern::Same, 63),
        (301, 17, TokenPattern::Few, 1031),
        (5, 65, TokenPattern::Same, 130),
        (7, 127, TokenPattern::Few, 259),
        (65_521, 1, TokenPattern::Mixed, MANY),
    ];
    list(
        cases.map(|(vocabulary, columns, pattern, count)| ScatterAddCase {
            vocabulary,
            columns,
            tokens: TokenDraw { pattern, count },
        }),
    )
}

impl KernelCase for ScatterAddCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let shape = [self.tokens.count, self.columns];
        let gradient = harness.random_input("gradient", Place::Whole, shape)?;
        let rows = self.tokens.rows(harness, self.vocabulary)?.rows;
        let sums = harness.output("sums", Place::Whole, shape)?;
        harness.run(&ScatterAdd {
            gradient,
            rows,
            sums,
        });
        Ok(())
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance::sum_of(self.tokens.count)
    }
}

impl fmt::Display for ScatterAddCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            vocabulary,
            columns,
            tokens,
        } = self;
        write!(f, "{tokens} of [{vocabulary}, {columns}]")
    }
}
