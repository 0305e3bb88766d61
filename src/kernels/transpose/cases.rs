//! Test cases of [`Transpose`].

use std::fmt;

use super::Transpose;
use crate::error::Result;
use crate::kernels::cases::{Cases, Harness, KernelCase, MANY, Place, list};

/// Sizes of [`Transpose`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TransposeCase {
    /// Rows of the input.
    pub rows: usize,
    /// Columns of the input.
    pub columns: usize,
}

/// Vectors, a tile, sizes around it, and more tiles than a dimension of a dispatch has workgroups.
pub(in crate::kernels) fn all() -> Cases {
    let sizes = [
        (1, 1),
        (1, 17),
        (17, 1),
        (16, 16),
        (15, 33),
        (67, 65),
        (16 * MANY, 1),
    ];
    list(sizes.map(|(rows, columns)| TransposeCase { rows, columns }))
}

impl KernelCase for TransposeCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let input = harness.random_input("input", Place::Whole, [self.rows, self.columns])?;
        let output = harness.output("output", Place::Whole, [self.columns, self.rows])?;
        harness.run(&Transpose { input, output });
        Ok(())
    }
}

impl fmt::Display for TransposeCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}]", self.rows, self.columns)
    }
}
