//! Test cases of [`Scale`].

use std::fmt;

use super::Scale;
use crate::error::Result;
use crate::kernels::cases::{Cases, Harness, KernelCase, Place, list};

/// Size and factor of [`Scale`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScaleCase {
    /// Number of values.
    pub count: usize,
    /// The factor.
    pub factor: f32,
}

/// The last size is split between the CPU's threads.
pub(in crate::kernels) fn all() -> Cases {
    list([1, 257, 20_011].map(|count| ScaleCase {
        count,
        factor: 0.999,
    }))
}

impl KernelCase for ScaleCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let values = harness.random_in_place("values", Place::Whole, [1, self.count])?;
        harness.run(&Scale {
            values,
            factor: self.factor,
        });
        Ok(())
    }
}

impl fmt::Display for ScaleCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] x {}", self.count, self.factor)
    }
}
