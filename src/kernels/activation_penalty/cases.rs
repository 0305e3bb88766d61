//! Test cases of [`ActivationPenalty`].

use std::fmt;

use super::ActivationPenalty;
use crate::error::Result;
use crate::kernels::cases::{
    Cases, Harness, KernelCase, Place, TokenDraw, TokenPattern, Tolerance, list, option,
};

/// Sizes and options of [`ActivationPenalty`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActivationPenaltyCase {
    /// T.
    pub time_steps: usize,
    /// B.
    pub batch: usize,
    /// H.
    pub columns: usize,
    /// Steps at the start that predict nothing.
    pub history: usize,
    /// Whether the boundary resets the state.
    pub resets: bool,
    /// The factors of the output and of the changes.
    pub factors: [f32; 2],
}

/// One element, one step, one stream, more than a workgroup, and enough rows for every thread; each
/// penalty alone and both.
pub(in crate::kernels) fn all() -> Cases {
    let mut all = Vec::new();
    for (sizes, history, factors) in [
        ([1, 1, 1], 0, [0.5, 0.25]),
        ([1, 5, 3], 0, [0.5, 0.25]),
        ([7, 1, 5], 0, [0.0, 0.75]),
        ([5, 3, 67], 0, [0.5, 0.0]),
        ([6, 3, 131], 2, [0.5, 0.25]),
        ([2, 131, 67], 0, [0.125, 0.5]),
        ([71, 5, 33], 69, [0.125, 0.5]),
        ([4099, 5, 1], 1, [0.125, 0.5]),
    ] {
        all.extend([false, true].map(|resets| ActivationPenaltyCase {
            time_steps: sizes[0],
            batch: sizes[1],
            columns: sizes[2],
            history,
            resets,
            factors,
        }));
    }
    list(all)
}

impl KernelCase for ActivationPenaltyCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let rows = self.time_steps * self.batch;
        let shape = [rows, self.columns];
        let draw = TokenDraw {
            pattern: TokenPattern::Mixed,
            count: rows,
        };
        let [targets, inputs] = [(); 2].map(|()| harness.draw(draw, 7));
        let kernel = ActivationPenalty {
            gradient: harness.random_in_place("gradient", Place::Part, shape)?,
            states: harness.random_input("states", Place::Part, shape)?,
            output: harness.random_input("output", Place::Part, shape)?,
            targets: harness.tokens("targets", targets)?,
            inputs: harness.tokens("inputs", inputs)?,
            batch: self.batch,
            first: self.history * self.batch,
            resets: self.resets,
            activation: self.factors[0],
            temporal: self.factors[1],
        };
        harness.run(&kernel);
        Ok(())
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance::bits(4.0)
    }
}

impl fmt::Display for ActivationPenaltyCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            time_steps,
            batch,
            columns,
            history,
            factors: [activation, temporal],
            ..
        } = self;
        let resets = option(self.resets, "resets");
        write!(
            f,
            "[{time_steps}*{batch}, {columns}] history {history}, factors {activation} and \
             {temporal}{resets}"
        )
    }
}
