//! Test cases of [`MogrifyForward`] and [`MogrifyBackward`].

use std::fmt;

use super::{MogrifyBackward, MogrifyForward};
use crate::error::Result;
use crate::kernels::cases::{
    Cases, Direction, Harness, KernelCase, MANY, Place, TRANSCENDENTAL, Tolerance, list, option,
};

/// Sizes and options of [`MogrifyForward`] and [`MogrifyBackward`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MogrifyCase {
    /// Forward or backward.
    pub direction: Direction,
    /// Rows of the values.
    pub rows: usize,
    /// Columns of the values.
    pub columns: usize,
    /// Whether there is a bias, which is for the forward kernel.
    pub bias: bool,
    /// Bound of the gates before their sigmoid.
    pub bound: f32,
}

/// Sizes around a workgroup; a shape that is split between the CPU's threads; more rows than a
/// dispatch has workgroups in one dimension; gates that are open and closed.
pub(in crate::kernels) fn all() -> Cases {
    let mut all = Vec::new();
    for (rows, columns, bound) in [
        (1, 1, 1.0),
        (7, 3, 100.0),
        (257, 1, 4.0),
        (3, 257, 4.0),
        (131, 137, 8.0),
        (MANY, 2, 4.0),
    ] {
        let case = MogrifyCase {
            direction: Direction::Backward,
            rows,
            columns,
            bias: false,
            bound,
        };
        all.push(case);
        all.extend([false, true].map(|bias| MogrifyCase {
            direction: Direction::Forward,
            bias,
            ..case
        }));
    }
    list(all)
}

impl MogrifyCase {
    fn forward(&self, harness: &mut Harness<'_>) -> Result<()> {
        let shape = [self.rows, self.columns];
        let values = harness.uniform(self.rows * self.columns, self.bound);
        let gates = harness.in_place("gates", Place::Part, shape, values)?;
        let bias = match self.bias {
            false => None,
            true => Some(harness.random_input("bias", Place::Part, [1, self.columns])?),
        };
        let input = harness.random_input("input", Place::Part, shape)?;
        let output = harness.output("output", Place::Part, shape)?;
        harness.run(&MogrifyForward {
            gates,
            bias,
            input,
            output,
        });
        Ok(())
    }

    fn backward(&self, harness: &mut Harness<'_>) -> Result<()> {
        let shape = [self.rows, self.columns];
        let values = harness.uniform(self.rows * self.columns, 1.0);
        let values = values.into_iter().map(|value| value + 1.0).collect();
        let gates = harness.in_place("gates", Place::Part, shape, values)?;
        let input = harness.random_input("input", Place::Part, shape)?;
        let gradient = harness.random_in_place("gradient", Place::Part, shape)?;
        harness.run(&MogrifyBackward {
            gates,
            input,
            gradient,
        });
        Ok(())
    }
}

impl KernelCase for MogrifyCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        match self.direction {
            Direction::Forward => self.forward(harness),
            Direction::Backward => self.backward(harness),
        }
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance {
            absolute: TRANSCENDENTAL,
            relative: TRANSCENDENTAL,
        }
    }
}

impl fmt::Display for MogrifyCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bias = option(self.bias, "bias");
        let Self {
            direction,
            rows,
            columns,
            bound,
            ..
        } = self;
        write!(f, "{direction} [{rows}, {columns}] below {bound}{bias}")
    }
}
