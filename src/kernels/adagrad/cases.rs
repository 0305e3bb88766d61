//! Test cases of [`Adagrad`].

use std::fmt;

use super::Adagrad;
use crate::error::Result;
use crate::kernels::Updates;
use crate::kernels::cases::{Cases, Harness, KernelCase, Tolerance, UpdateCase, list};

/// The parameter and the form of its gradient for [`Adagrad`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdagradCase(pub UpdateCase);

/// Dense gradients and gradients by rows.
pub(in crate::kernels) fn all() -> Cases {
    list(UpdateCase::with_others().into_iter().map(AdagradCase))
}

impl KernelCase for AdagradCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let tensors = self.0.tensors(harness)?;
        let squares = self.0.squares(harness)?;
        let updates = tensors
            .into_iter()
            .zip(squares)
            .map(|(update, squares)| Adagrad {
                parameter: update.parameter,
                squares,
                gradient: update.gradient,
                scale: update.scale,
                rate: update.rate,
            });
        harness.run(&Updates(&updates.collect::<Vec<_>>()));
        Ok(())
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance::bits(4.0)
    }
}

impl fmt::Display for AdagradCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
