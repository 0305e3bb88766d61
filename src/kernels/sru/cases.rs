//! Test cases of [`SruForward`] and [`SruBackward`].

use std::fmt;

use super::{SruBackward, SruForward};
use crate::error::Result;
use crate::kernels::cases::{
    Cases, Direction, GatedCase, Harness, KernelCase, Place, Tolerance, list, option,
};
use crate::tensor::Tensor;

use Place::{Part, Whole};

/// Sizes and options of [`SruForward`] and [`SruBackward`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SruCase {
    /// The sizes of the window.
    pub window: GatedCase,
    /// G: 3, or 4 where x is among the gates.
    pub gates: usize,
    /// Whether there are biases.
    pub has_bias: bool,
}

/// Every window, with x among the gates and apart.
pub(in crate::kernels) fn all() -> Cases {
    let windows = GatedCase::of_units().into_iter();
    list(windows.flat_map(|window| {
        [(3, true), (4, false)].map(|(gates, has_bias)| SruCase {
            window,
            gates,
            has_bias,
        })
    }))
}

impl SruCase {
    /// x, if it is not among the gates.
    fn input(&self, harness: &mut Harness<'_>) -> Result<Option<Tensor>> {
        let shape = [self.window.rows(), self.window.hidden_size];
        match self.gates {
            3 => harness.random_input("input", Part, shape).map(Some),
            _ => Ok(None),
        }
    }

    fn forward(&self, harness: &mut Harness<'_>) -> Result<()> {
        let size = self.window.hidden_size;
        let rows = self.window.rows();
        let weight = harness.random_input("weight", Part, [1, 2 * size])?;
        let bias = match self.has_bias {
            true => Some(harness.random_input("bias", Part, [1, 2 * size])?),
            false => None,
        };
        let values = harness.uniform(rows * self.gates * size, self.window.bound);
        let gates = harness.in_place("gates", Whole, [rows, self.gates * size], values)?;
        let [cells, carried] = self.window.states(harness, "cells")?;
        let output = harness.output("output", Whole, [rows, size])?;
        let input = self.input(harness)?;
        let reset = self.window.reset_without_previous(harness)?;
        harness.run(&SruForward {
            gates,
            cells,
            output,
            carried: self.window.carried([carried]),
            input,
            weight,
            bias,
            reset,
        });
        Ok(())
    }

    fn backward(&self, harness: &mut Harness<'_>) -> Result<()> {
        let size = self.window.hidden_size;
        let (rows, batch) = (self.window.rows(), self.window.batch);
        let weight = harness.random_input("weight", Part, [1, 2 * size])?;
        let values = self.window.gate_activations(harness, self.gates, 0);
        let gates = harness.in_place("gates", Whole, [rows, self.gates * size], values)?;
        let cells = harness.random_input("cells", Whole, [rows + batch, size])?;
        let values = harness.uniform(rows * size, self.window.bound);
        let gradient = harness.in_place("gradient", Whole, [rows, size], values)?;
        let unit_gradients = harness.output("unit_gradients", Whole, [5 * batch, size])?;
        let input = self.input(harness)?;
        let reset = self.window.reset_without_previous(harness)?;
        harness.run(&SruBackward {
            gates,
            cells,
            gradient,
            input,
            weight,
            unit_gradients,
            reset,
        });
        Ok(())
    }
}

impl KernelCase for SruCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        match self.window.direction {
            Direction::Forward => self.forward(harness),
            Direction::Backward => self.backward(harness),
        }
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        self.window.tolerance()
    }
}

impl fmt::Display for SruCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.window.fmt(f)?;
        f.write_str(&option(self.gates == 4, "four gates"))
    }
}
