//! Test cases of [`SumRows`].

use std::fmt;

use super::SumRows;
use crate::error::Result;
use crate::kernels::cases::{Cases, Harness, KernelCase, MANY, Place, Tolerance, list, option};

/// Sizes and options of [`SumRows`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SumRowsCase {
    /// Rows of the values.
    pub rows: usize,
    /// Columns of the values.
    pub columns: usize,
    /// Whether the sums are added.
    pub accumulate: bool,
    /// Whether there is a copy of the output.
    pub copy: bool,
}

/// Sizes around a workgroup; a shape that is split between the CPU's threads; and more workgroups
/// than one dimension of a dispatch holds.
pub(in crate::kernels) fn all() -> Cases {
    let mut all = Vec::new();
    for (rows, columns) in [
        (1, 1),
        (1, 17),
        (67, 15),
        (65, 16),
        (63, 33),
        (257, 1),
        (131, 137),
        (2, 16 * MANY + 1),
    ] {
        all.extend([false, true].map(|accumulate| SumRowsCase {
            rows,
            columns,
            accumulate,
            copy: rows % 2 == 1,
        }));
    }
    list(all)
}

impl KernelCase for SumRowsCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let shape = [self.rows, self.columns];
        let values = harness.random_input("values", Place::Part, shape)?;
        let output =
            harness.accumulated("output", Place::Part, [1, self.columns], self.accumulate)?;
        let copy = match self.copy {
            false => None,
            true => Some(harness.output("copy", Place::Part, [1, self.columns])?),
        };
        harness.run(&SumRows {
            values,
            output,
            copy,
            accumulate: self.accumulate,
        });
        Ok(())
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance::sum_of(self.rows)
    }
}

impl fmt::Display for SumRowsCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accumulate = option(self.accumulate, "accumulate");
        let copy = option(self.copy, "copy");
        write!(f, "[{}, {}]{accumulate}{copy}", self.rows, self.columns)
    }
}
