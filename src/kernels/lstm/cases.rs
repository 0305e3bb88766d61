//! Test cases of [`LstmForward`] and [`LstmBackward`].

use std::fmt;

use super::{LstmBackward, LstmForward};
use crate::error::Result;
use crate::kernels::cases::gated::recurrent_weight;
use crate::kernels::cases::{
    Cases, Direction, GatedCase, Harness, KernelCase, Place, Tolerance, list, option,
};

use Place::Whole;

/// Sizes and options of [`LstmForward`] and [`LstmBackward`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LstmCase {
    /// The window.
    pub window: GatedCase,
    /// Whether at most 1 - f is written to the cells.
    pub capped: bool,
}

/// The cases of every gated cell, and those of steps without their products.
pub(in crate::kernels) fn all() -> Cases {
    let of = |capped| move |window| LstmCase { window, capped };
    let capped = GatedCase::all()
        .into_iter()
        .filter(GatedCase::is_small)
        .map(of(true));
    let mut all = list(GatedCase::all().into_iter().map(of(false)).chain(capped));
    all.extend(super::cell_cases::all());
    all
}

impl LstmCase {
    fn forward(&self, harness: &mut Harness<'_>) -> Result<()> {
        let size = self.window.hidden_size;
        let rows = self.window.rows();
        let weight = recurrent_weight(harness, 4, size)?;
        let inputs = harness.uniform(rows * 4 * size, self.window.bound);
        let gates = harness.in_place("gates", Whole, [rows, 4 * size], inputs)?;
        let [cells, carried_cells] = self.window.states(harness, "cells")?;
        let [states, carried_states] = self.window.states(harness, "states")?;
        let carried = self.window.carried([carried_states, carried_cells]);
        let weight_t = harness.scratch("weight_t", [size, 4 * size])?;
        let reset = self.window.reset(harness)?;
        harness.run(&LstmForward {
            gates,
            cells,
            states,
            carried,
            weight,
            weight_t,
            capped: self.capped,
            reset,
            schedule: self.window.schedule,
        });
        Ok(())
    }

    fn backward(&self, harness: &mut Harness<'_>) -> Result<()> {
        let size = self.window.hidden_size;
        let rows = self.window.rows();
        let weight = recurrent_weight(harness, 4, size)?;
        let values = self.window.lstm_gates(harness, self.capped);
        let gates = harness.in_place("gates", Whole, [rows, 4 * size], values)?;
        let batch = self.window.batch;
        let cells = harness.random_input("cells", Whole, [rows + batch, size])?;
        let values = harness.uniform(rows * size, self.window.bound);
        let gradient = harness.input("gradient", Whole, [rows, size], values)?;
        let initial_gradient = harness.output("initial_gradient", Whole, [2 * batch, size])?;
        let reset = self.window.reset(harness)?;
        harness.run(&LstmBackward {
            gates,
            cells,
            weight,
            gradient,
            initial_gradient,
            capped: self.capped,
            reset,
            schedule: self.window.schedule,
        });
        Ok(())
    }
}

impl KernelCase for LstmCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        match self.window.direction {
            Direction::Forward => self.forward(harness),
            Direction::Backward => self.backward(harness),
        }
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        self.window.tolerance()
    }

    fn is_slow(&self) -> bool {
        self.window.is_slow()
    }
}

impl fmt::Display for LstmCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.window, option(self.capped, "capped"))
    }
}
