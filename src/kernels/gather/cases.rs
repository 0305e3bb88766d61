//! Test cases of [`Gather`].

use std::fmt;

use super::Gather;
use crate::error::Result;
use crate::kernels::cases::{
    Cases, Harness, KernelCase, MANY, Place, TokenDraw, TokenPattern, list,
};

/// Sizes and tokens of [`Gather`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GatherCase {
    /// V.
    pub vocabulary: usize,
    /// Columns of the table.
    pub columns: usize,
    /// The tokens.
    pub tokens: TokenDraw,
}

/// Columns around the width of a workgroup; more rows than one dimension of a dispatch holds.
pub(in crate::kernels) fn all() -> Cases {
    let cases = [
        (2, 1, TokenPattern::Same, 1),
        (7, 3, TokenPattern::Mixed, 5),
        (300, 65, TokenPattern::Mixed, 67),
        (5, 64, TokenPattern::Nothing, 4),
        (11, 67, TokenPattern::Same, 63),
        (301, 131, TokenPattern::Few, 137),
        (4099, 1, TokenPattern::Mixed, MANY),
    ];
    list(
        cases.map(|(vocabulary, columns, pattern, count)| GatherCase {
            vocabulary,
            columns,
            tokens: TokenDraw { pattern, count },
        }),
    )
}

impl KernelCase for GatherCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let shape = [self.vocabulary, self.columns];
        let table = harness.random_input("table", Place::Whole, shape)?;
        let drawn = harness.draw(self.tokens, self.vocabulary);
        let tokens = harness.tokens("tokens", drawn)?;
        let shape = [self.tokens.count, self.columns];
        let output = harness.output("output", Place::Part, shape)?;
        harness.run(&Gather {
            table,
            tokens,
            output,
        });
        Ok(())
    }
}

impl fmt::Display for GatherCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            vocabulary,
            columns,
            tokens,
        } = self;
        write!(f, "{tokens} of [{vocabulary}, {columns}]")
    }
}
