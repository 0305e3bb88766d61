//! Test cases of [`PreviousInputForward`] and [`PreviousInputBackward`].

use std::fmt;

use super::{PreviousInputBackward, PreviousInputForward};
use crate::error::Result;
use crate::kernels::cases::{
    Cases, Direction, Harness, KernelCase, MANY, Place, gated, list, option,
};

/// Sizes and options of [`PreviousInputForward`] and [`PreviousInputBackward`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PreviousInputCase {
    /// Forward or backward.
    pub direction: Direction,
    /// T and B.
    pub window: [usize; 2],
    /// D.
    pub columns: usize,
    /// Whether streams are reset at the boundary token.
    pub reset: bool,
    /// Steps to the next window.
    pub advance: usize,
}

/// Next windows that start before, within and after the steps of this one; more rows than a
/// dispatch has workgroups in one dimension.
pub(in crate::kernels) fn all() -> Cases {
    let sizes = [
        ([1, 1], 1, 1),
        ([1, 3], 4, 0),
        ([5, 3], 3, 5),
        ([7, 1], 67, 2),
        ([3, 5], 257, 1),
        ([67, 9], 33, 64),
        ([1, MANY], 3, 1),
        ([2, MANY], 1, 2),
    ];
    let mut all = Vec::new();
    for (window, columns, advance) in sizes {
        for direction in [Direction::Forward, Direction::Backward] {
            all.extend([false, true].map(|reset| PreviousInputCase {
                direction,
                window,
                columns,
                reset,
                advance,
            }));
        }
    }
    list(all)
}

impl KernelCase for PreviousInputCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let [time_steps, batch] = self.window;
        let (rows, columns) = (time_steps * batch, self.columns);
        let reset = gated::reset(harness, self.reset, false, [rows, columns])?;
        if self.direction == Direction::Forward {
            let input = harness.random_input("input", Place::Part, [rows, columns])?;
            let carried = harness.random_in_place("carried", Place::Part, [batch, columns])?;
            let output = harness.output("output", Place::Part, [rows, 2 * columns])?;
            harness.run(&PreviousInputForward {
                input,
                carried,
                output,
                reset,
                advance: self.advance,
            });
        } else {
            let gradient = harness.random_input("gradient", Place::Part, [rows, 2 * columns])?;
            let output = harness.output("output", Place::Part, [rows, columns])?;
            harness.run(&PreviousInputBackward {
                gradient,
                output,
                reset,
                batch,
            });
        }
        Ok(())
    }
}

impl fmt::Display for PreviousInputCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [time_steps, batch] = self.window;
        write!(
            f,
            "{} [T {time_steps}, B {batch}, D {}], advance {}{}",
            self.direction,
            self.columns,
            self.advance,
            option(self.reset, "reset")
        )
    }
}
