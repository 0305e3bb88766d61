//! Test cases of [`Average`].

use std::fmt;

use super::Average;
use crate::error::Result;
use crate::kernels::cases::{Cases, Harness, KernelCase, Place, Tolerance, list};

/// Size and weight of [`Average`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AverageCase {
    /// Number of values.
    pub count: usize,
    /// The weight of the new values.
    pub weight: f32,
}

/// Sizes up to one that is split between the CPU's threads; and the weight 1 of a first value.
pub(in crate::kernels) fn all() -> Cases {
    const THIRD: f32 = 1.0 / 3.0;
    let cases = [(1, THIRD), (257, THIRD), (20_011, THIRD), (67, 1.0)];
    list(cases.map(|(count, weight)| AverageCase { count, weight }))
}

impl KernelCase for AverageCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let values = harness.random_input("values", Place::Whole, [1, self.count])?;
        let average = harness.random_in_place("average", Place::Whole, [1, self.count])?;
        harness.run(&Average {
            average,
            values,
            weight: self.weight,
        });
        Ok(())
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance::bits(1.0)
    }
}

impl fmt::Display for AverageCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] x {}", self.count, self.weight)
    }
}
