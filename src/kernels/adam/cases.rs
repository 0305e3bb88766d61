//! Test cases of [`Adam`].

use std::fmt;

use super::Adam;
use crate::error::Result;
use crate::kernels::Updates;
use crate::kernels::cases::{
    Cases, FIRST_MOMENTS, Harness, KernelCase, SECOND_MOMENTS, Tolerance, UpdateCase, list,
};

/// The parameter, the form of its gradient, and the update's number for [`Adam`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamCase {
    /// The parameter and its gradient.
    pub update: UpdateCase,
    /// Number of the update, from 1.
    pub step: u32,
}

/// Dense gradients and gradients by rows: the first update and a later one; then one at which the
/// corrections of both means are 1.
pub(in crate::kernels) fn all() -> Cases {
    let updates = UpdateCase::with_others();
    let mut all = Vec::new();
    for &update in &updates {
        all.extend([1, 7].map(|step| AdamCase { update, step }));
    }
    all.push(AdamCase {
        update: updates[1],
        step: 100_000,
    });
    list(all)
}

impl KernelCase for AdamCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let tensors = self.update.tensors(harness)?;
        let mut updates = Vec::new();
        for (index, update) in tensors.into_iter().enumerate() {
            let means = self.update.state_values(harness, index);
            // The square of a mean is at most the mean of squares.
            let squares = means.iter().map(|mean| mean * mean * 1.5).collect();
            updates.push(Adam {
                parameter: update.parameter,
                first: self.update.state(harness, FIRST_MOMENTS, index, means)?,
                second: self.update.state(harness, SECOND_MOMENTS, index, squares)?,
                gradient: update.gradient,
                scale: update.scale,
                rate: update.rate,
                step: self.step,
            });
        }
        harness.run(&Updates(&updates));
        Ok(())
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance::bits(4.0)
    }
}

impl fmt::Display for AdamCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} step {}", self.update, self.step)
    }
}
