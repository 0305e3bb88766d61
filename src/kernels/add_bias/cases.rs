//! Test cases of [`AddBias`].

use std::fmt;

use super::AddBias;
use crate::error::Result;
use crate::kernels::cases::{Cases, Harness, KernelCase, Place, list, option};

/// Sizes of [`AddBias`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AddBiasCase {
    /// Rows of the values.
    pub rows: usize,
    /// Columns of the values.
    pub columns: usize,
    /// Whether there is a second bias.
    pub second: bool,
}

/// The last shape is split between the CPU's threads.
pub(in crate::kernels) fn all() -> Cases {
    let sizes = [(1, 1), (5, 3), (1, 257), (67, 65), (131, 137)];
    list([false, true].into_iter().flat_map(move |second| {
        sizes.map(|(rows, columns)| AddBiasCase {
            rows,
            columns,
            second,
        })
    }))
}

impl KernelCase for AddBiasCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let bias = harness.random_input("bias", Place::Part, [1, self.columns])?;
        let second = match self.second {
            false => None,
            true => Some(harness.random_input("second", Place::Part, [1, self.columns])?),
        };
        let shape = [self.rows, self.columns];
        let values = harness.random_in_place("values", Place::Part, shape)?;
        harness.run(&AddBias {
            bias,
            second,
            values,
        });
        Ok(())
    }
}

impl fmt::Display for AddBiasCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = option(self.second, "two biases");
        write!(f, "[{}, {}]{second}", self.rows, self.columns)
    }
}
