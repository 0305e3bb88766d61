//! Test cases of the kernels that process one step without its products.

use std::fmt;

use super::{LstmCellBackward, LstmCellEnd, LstmCellForward, LstmCellStart};
use crate::error::Result;
use crate::kernels::cases::{
    Cases, Direction, GatedCase, Harness, KernelCase, Place, Tolerance, list, option,
};

use Place::Whole;

/// Sizes and options of a window of such steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LstmCellCase {
    /// The window.
    pub window: GatedCase,
    /// Whether at most 1 - f is written to the cells.
    pub capped: bool,
}

/// The cases of cells whose units do not read one another.
pub(in crate::kernels) fn all() -> Cases {
    let of = |capped| move |window| LstmCellCase { window, capped };
    let capped = GatedCase::of_units()
        .into_iter()
        .filter(GatedCase::is_small);
    let capped = capped.map(of(true));
    list(
        GatedCase::of_units()
            .into_iter()
            .map(of(false))
            .chain(capped),
    )
}

impl LstmCellCase {
    fn forward(&self, harness: &mut Harness<'_>) -> Result<()> {
        let rows = self.window.rows();
        let columns = 4 * self.window.hidden_size;
        let inputs = harness.uniform(rows * columns, self.window.bound);
        let gates = harness.in_place("gates", Whole, [rows, columns], inputs)?;
        let [cells, carried_cells] = self.window.states(harness, "cells")?;
        let [states, carried_states] = self.window.states(harness, "states")?;
        let window = LstmCellStart {
            gates,
            cells,
            states,
            carried: self.window.carried([carried_states, carried_cells]),
            capped: self.capped,
            reset: self.window.reset(harness)?,
        };
        harness.run(&window);
        for step in 0..self.window.time_steps {
            harness.run(&LstmCellForward { step, window });
        }
        Ok(())
    }

    fn backward(&self, harness: &mut Harness<'_>) -> Result<()> {
        let [rows, batch, size] = [
            self.window.rows(),
            self.window.batch,
            self.window.hidden_size,
        ];
        let values = self.window.lstm_gates(harness, self.capped);
        let gates = harness.in_place("gates", Whole, [rows, 4 * size], values)?;
        let cells = harness.random_input("cells", Whole, [rows + batch, size])?;
        let values = harness.uniform(rows * size, self.window.bound);
        let gradient = harness.input("gradient", Whole, [rows, size], values)?;
        let initial_gradient =
            harness.random_in_place("initial_gradient", Whole, [2 * batch, size])?;
        let reset = self.window.reset(harness)?;
        let first = LstmCellBackward {
            step: 0,
            gates,
            cells,
            gradient,
            initial_gradient,
            capped: self.capped,
            reset,
        };
        for step in (0..self.window.time_steps).rev() {
            harness.run(&LstmCellBackward { step, ..first });
        }
        harness.run(&LstmCellEnd { first });
        Ok(())
    }
}

impl KernelCase for LstmCellCase {
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

impl fmt::Display for LstmCellCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let capped = option(self.capped, "capped");
        write!(f, "without products, {}{capped}", self.window)
    }
}
