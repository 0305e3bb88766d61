//! Test cases of [`ResetRows`].

use std::fmt;

use super::ResetRows;
use crate::error::Result;
use crate::kernels::cases::{
    Cases, Harness, INITIAL, KernelCase, MANY, Place, TokenDraw, TokenPattern, list,
};

/// Sizes of [`ResetRows`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResetRowsCase {
    /// Rows of the values.
    pub rows: usize,
    /// Columns of the values.
    pub columns: usize,
}

/// Sizes around a workgroup; more rows than a dispatch has workgroups in one dimension.
pub(in crate::kernels) fn all() -> Cases {
    let sizes = [(1, 1), (7, 3), (257, 1), (3, 257), (67, 131), (MANY, 2)];
    list(sizes.map(|(rows, columns)| ResetRowsCase { rows, columns }))
}

impl KernelCase for ResetRowsCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let shape = [self.rows, self.columns];
        let values = harness.random_in_place("values", Place::Part, shape)?;
        let draw = TokenDraw {
            pattern: TokenPattern::Mixed,
            count: self.rows,
        };
        let tokens = harness.draw(draw, 5);
        let tokens = harness.tokens("tokens", tokens)?;
        harness.run(&ResetRows {
            values,
            tokens,
            value: INITIAL,
        });
        Ok(())
    }
}

impl fmt::Display for ResetRowsCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}]", self.rows, self.columns)
    }
}
