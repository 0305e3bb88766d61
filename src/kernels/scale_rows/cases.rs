//! Test cases of [`ScaleRows`].

use std::fmt;

use super::ScaleRows;
use crate::error::Result;
use crate::kernels::cases::{Cases, Harness, KernelCase, MANY, Place, list, option};

/// Sizes and options of [`ScaleRows`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScaleRowsCase {
    /// Rows of the values.
    pub rows: usize,
    /// Columns of the values.
    pub columns: usize,
    /// Whether the output is the input.
    pub in_place: bool,
}

/// Sizes around a workgroup; a shape that is split between the CPU's threads; more rows than a
/// dispatch has workgroups in one dimension.
pub(in crate::kernels) fn all() -> Cases {
    let mut all = Vec::new();
    for (rows, columns) in [(1, 1), (7, 3), (257, 1), (3, 257), (131, 137), (MANY, 2)] {
        all.extend([false, true].map(|in_place| ScaleRowsCase {
            rows,
            columns,
            in_place,
        }));
    }
    list(all)
}

impl KernelCase for ScaleRowsCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let shape = [self.rows, self.columns];
        let (input, output) = if self.in_place {
            let values = harness.random_in_place("output", Place::Part, shape)?;
            (values, values)
        } else {
            let input = harness.random_input("input", Place::Part, shape)?;
            (input, harness.output("output", Place::Part, shape)?)
        };
        let factors = harness.random_input("factors", Place::Part, [self.rows, 1])?;
        harness.run(&ScaleRows {
            input,
            factors,
            output,
        });
        Ok(())
    }
}

impl fmt::Display for ScaleRowsCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_place = option(self.in_place, "in place");
        write!(f, "[{}, {}]{in_place}", self.rows, self.columns)
    }
}
