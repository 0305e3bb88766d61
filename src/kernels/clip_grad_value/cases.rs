//! Test cases of [`ClipGradValue`].

use std::fmt;

use super::ClipGradValue;
use crate::error::Result;
use crate::kernels::cases::{Cases, Harness, KernelCase, Place, list};

/// Size and options of [`ClipGradValue`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipGradValueCase {
    /// Number of values.
    pub count: usize,
    /// Bound of the values.
    pub bound: f32,
    /// The largest magnitude that is not clipped.
    pub maximum: f32,
}

/// Clipping almost all values, some, and none.
pub(in crate::kernels) fn all() -> Cases {
    let cases = [
        (1, 4.0, 0.001),
        (67, 1.0, 2.0),
        (257, 4.0, 1.0),
        (20_011, 100.0, 5.0),
    ];
    list(cases.map(|(count, bound, maximum)| ClipGradValueCase {
        count,
        bound,
        maximum,
    }))
}

impl KernelCase for ClipGradValueCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let values = harness.uniform(self.count, self.bound);
        let values = harness.in_place("values", Place::Whole, [1, self.count], values)?;
        harness.run(&ClipGradValue {
            values,
            maximum: self.maximum,
        });
        Ok(())
    }
}

impl fmt::Display for ClipGradValueCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            count,
            bound,
            maximum,
        } = self;
        write!(f, "[{count}] below {bound} to {maximum}")
    }
}
