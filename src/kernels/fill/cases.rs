//! Test cases of [`Fill`].

use std::fmt;

use super::Fill;
use crate::error::Result;
use crate::kernels::cases::{Cases, Harness, KernelCase, Place, list};

/// Size and value of [`Fill`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FillCase {
    /// Number of elements.
    pub count: usize,
    /// Their value.
    pub value: f32,
}

/// The last size is split between the CPU's threads.
pub(in crate::kernels) fn all() -> Cases {
    let cases = [(1, 0.0), (257, -0.5), (4099, 0.0), (20_011, 1e30)];
    list(cases.map(|(count, value)| FillCase { count, value }))
}

impl KernelCase for FillCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let values = harness.output("values", Place::Part, [1, self.count])?;
        harness.run(&Fill {
            values,
            value: self.value,
        });
        Ok(())
    }
}

impl fmt::Display for FillCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] with {}", self.count, self.value)
    }
}
