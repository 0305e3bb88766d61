//! Test cases of [`Sgd`].

use std::fmt;

use super::Sgd;
use crate::error::Result;
use crate::kernels::Updates;
use crate::kernels::cases::{Cases, Harness, KernelCase, Tolerance, UpdateCase, list};

/// The parameter and the form of its gradient for [`Sgd`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdCase(pub UpdateCase);

/// Dense gradients and gradients by rows.
pub(in crate::kernels) fn all() -> Cases {
    list(UpdateCase::with_others().into_iter().map(SgdCase))
}

impl KernelCase for SgdCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let tensors = self.0.tensors(harness)?;
        let updates = tensors.into_iter().map(|update| Sgd {
            parameter: update.parameter,
            gradient: update.gradient,
            scale: update.scale,
            rate: update.rate,
        });
        harness.run(&Updates(&updates.collect::<Vec<_>>()));
        Ok(())
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance::bits(1.0)
    }
}

impl fmt::Display for SgdCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
