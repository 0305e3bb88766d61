//! Test cases of [`CopyColumns`].

use std::fmt;

use super::CopyColumns;
use crate::error::Result;
use crate::kernels::cases::{Cases, Harness, KernelCase, MANY, Place, list};

/// Sizes of [`CopyColumns`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CopyColumnsCase {
    /// Rows of both matrices.
    pub rows: usize,
    /// Columns of the input, and the first one that is read.
    pub input: [usize; 2],
    /// Columns of the output, and the first one that is written.
    pub output: [usize; 2],
    /// Columns that are copied.
    pub columns: usize,
}

/// Whole rows, and columns at the beginning, in the middle and at the end.
pub(in crate::kernels) fn all() -> Cases {
    let cases = [
        (1, [1, 0], [1, 0], 1),
        (5, [3, 0], [7, 4], 3),
        (7, [11, 5], [6, 0], 6),
        (67, [131, 1], [129, 64], 65),
        (MANY, [2, 1], [3, 1], 1),
    ];
    list(cases.map(|(rows, input, output, columns)| CopyColumnsCase {
        rows,
        input,
        output,
        columns,
    }))
}

impl KernelCase for CopyColumnsCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let shape = |columns| [self.rows, columns];
        let input = harness.random_input("input", Place::Part, shape(self.input[0]))?;
        let output = harness.random_in_place("output", Place::Part, shape(self.output[0]))?;
        harness.run(&CopyColumns {
            input,
            input_column: self.input[1],
            output,
            output_column: self.output[1],
            columns: self.columns,
        });
        Ok(())
    }
}

impl fmt::Display for CopyColumnsCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [from, first] = self.input;
        let [to, start] = self.output;
        write!(
            f,
            "{} columns of [{}, {from}] from {first} to {start} of {to}",
            self.columns, self.rows
        )
    }
}
