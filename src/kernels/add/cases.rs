//! Test cases of [`Add`] and [`AddSquares`].

use std::fmt;

use super::{Add, AddSquares};
use crate::error::Result;
use crate::kernels::cases::{Cases, Harness, KernelCase, Place, Tolerance, UpdateCase, list};

/// The output, the form of the input, and the kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AddCase {
    /// The output as the parameter, and the input as its gradient.
    pub update: UpdateCase,
    /// Whether the kernel is [`AddSquares`].
    pub square: bool,
}

/// Both kernels, with dense inputs and inputs by rows.
pub(in crate::kernels) fn all() -> Cases {
    let mut all = Vec::new();
    for update in UpdateCase::all() {
        all.extend([false, true].map(|square| AddCase { update, square }));
    }
    list(all)
}

impl KernelCase for AddCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let output = harness.random_in_place("output", Place::Part, self.update.shape())?;
        let input = self.update.gradient(harness, Place::Part)?;
        if self.square {
            harness.run(&AddSquares { input, output });
        } else {
            harness.run(&Add { input, output });
        }
        Ok(())
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        if self.square {
            Tolerance::bits(1.0)
        } else {
            Tolerance::EXACT
        }
    }
}

impl fmt::Display for AddCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let square = if self.square { "squares " } else { "" };
        write!(f, "{square}{}", self.update)
    }
}
