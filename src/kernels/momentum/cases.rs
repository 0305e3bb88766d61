//! Test cases of [`Momentum`].

use std::fmt;

use super::Momentum;
use crate::error::Result;
use crate::kernels::cases::{
    Cases, Harness, KernelCase, Place, RATE, Tolerance, UpdateCase, list, option,
};

/// The parameter, the form of its gradient, and the kind of momentum for [`Momentum`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MomentumCase {
    /// The parameter and its gradient.
    pub update: UpdateCase,
    /// Whether the momentum is Nesterov's.
    pub nesterov: bool,
}

/// Dense gradients and gradients by rows, with both kinds of momentum.
pub(in crate::kernels) fn all() -> Cases {
    let mut all = Vec::new();
    for update in UpdateCase::all() {
        all.extend([false, true].map(|nesterov| MomentumCase { update, nesterov }));
    }
    list(all)
}

impl KernelCase for MomentumCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let update = self.update.tensors(harness)?;
        let values = self.update.state_values(harness);
        let velocity = harness.in_place("velocity", Place::Whole, self.update.shape(), values)?;
        harness.run(&Momentum {
            parameter: update.parameter,
            velocity,
            gradient: update.gradient,
            scale: update.scale,
            rate: RATE,
            nesterov: self.nesterov,
        });
        Ok(())
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance::bits(2.0)
    }
}

impl fmt::Display for MomentumCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.update, option(self.nesterov, "nesterov"))
    }
}
