//! Test cases of [`CopyValues`].

use std::fmt;

use super::CopyValues;
use crate::error::Result;
use crate::kernels::cases::{Cases, Harness, KernelCase, Place, list};

/// Size of [`CopyValues`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CopyCase {
    /// Number of elements.
    pub count: usize,
}

/// One element, and more than one workgroup copies.
pub(in crate::kernels) fn all() -> Cases {
    list([1, 257, 20_011].map(|count| CopyCase { count }))
}

impl KernelCase for CopyCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let input = harness.random_input("input", Place::Part, [1, self.count])?;
        let output = harness.output("output", Place::Part, [1, self.count])?;
        harness.run(&CopyValues { input, output });
        Ok(())
    }
}

impl fmt::Display for CopyCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.count)
    }
}
