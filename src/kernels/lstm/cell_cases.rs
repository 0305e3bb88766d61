//! Test cases of the kernels that process one step without its products.

use std::fmt;

use super::{LstmCellBackward, LstmCellEnd, LstmCellForward, LstmCellStart};
use crate::error::Result;
use crate::kernels::cases::{
    Cases, Direction, GatedCase, Harness, KernelCase, Place, Tolerance, list,
};

use Place::Whole;

/// Sizes and options of a window of such steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LstmCellCase(pub GatedCase);

/// The cases of cells whose units do not read one another.
pub(in crate::kernels) fn all() -> Cases {
    list(GatedCase::of_units().into_iter().map(LstmCellCase))
}

impl LstmCellCase {
    fn forward(&self, harness: &mut Harness<'_>) -> Result<()> {
        let rows = self.0.rows();
        let columns = 4 * self.0.hidden_size;
        let inputs = harness.uniform(rows * columns, self.0.bound);
        let gates = harness.in_place("gates", Whole, [rows, columns], inputs)?;
        let [cells, carried_cells] = self.0.states(harness, "cells")?;
        let [states, carried_states] = self.0.states(harness, "states")?;
        let window = LstmCellStart {
            gates,
            cells,
            states,
            carried: self.0.carried([carried_states, carried_cells]),
            reset: self.0.reset(harness)?,
        };
        harness.run(&window);
        for step in 0..self.0.time_steps {
            harness.run(&LstmCellForward { step, window });
        }
        Ok(())
    }

    fn backward(&self, harness: &mut Harness<'_>) -> Result<()> {
        let [rows, batch, size] = [self.0.rows(), self.0.batch, self.0.hidden_size];
        let values = self.0.gate_activations(harness, 4, 2);
        let gates = harness.in_place("gates", Whole, [rows, 4 * size], values)?;
        let cells = harness.random_input("cells", Whole, [rows + batch, size])?;
        let values = harness.uniform(rows * size, self.0.bound);
        let gradient = harness.input("gradient", Whole, [rows, size], values)?;
        let initial_gradient =
            harness.random_in_place("initial_gradient", Whole, [2 * batch, size])?;
        let reset = self.0.reset(harness)?;
        let first = LstmCellBackward {
            step: 0,
            gates,
            cells,
            gradient,
            initial_gradient,
            reset,
        };
        for step in (0..self.0.time_steps).rev() {
            harness.run(&LstmCellBackward { step, ..first });
        }
        harness.run(&LstmCellEnd { first });
        Ok(())
    }
}

impl KernelCase for LstmCellCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        match self.0.direction {
            Direction::Forward => self.forward(harness),
            Direction::Backward => self.backward(harness),
        }
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        self.0.tolerance()
    }
}

impl fmt::Display for LstmCellCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "without products, {}", self.0)
    }
}
