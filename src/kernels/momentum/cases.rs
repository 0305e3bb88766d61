//! Test cases of [`Momentum`].

use std::fmt;

use super::Momentum;
use crate::error::Result;
use crate::kernels::Updates;
use crate::kernels::cases::{
    Cases, Harness, KernelCase, Tolerance, UpdateCase, VELOCITIES, list, option,
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
    for update in UpdateCase::with_others() {
        all.extend([false, true].map(|nesterov| MomentumCase { update, nesterov }));
    }
    list(all)
}

impl KernelCase for MomentumCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let tensors = self.update.tensors(harness)?;
        let mut updates = Vec::new();
        for (index, update) in tensors.into_iter().enumerate() {
            let values = self.update.state_values(harness, index);
            updates.push(Momentum {
                parameter: update.parameter,
                velocity: self.update.state(harness, VELOCITIES, index, values)?,
                gradient: update.gradient,
                scale: update.scale,
                rate: update.rate,
                nesterov: self.nesterov,
            });
        }
        harness.run(&Updates(&updates));
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
