//! Test cases of [`LstmForward`] and [`LstmBackward`].

use std::fmt;

use super::{LstmBackward, LstmForward};
use crate::error::Result;
use crate::kernels::cases::gated::recurrent_weight;
use crate::kernels::cases::{
    Cases, Direction, GatedCase, Harness, KernelCase, Place, Tolerance, list,
};

use Place::Whole;

/// Sizes and options of [`LstmForward`] and [`LstmBackward`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LstmCase(pub GatedCase);

/// The cases of every gated cell, and those of steps without their products.
pub(in crate::kernels) fn all() -> Cases {
    let mut all = list(GatedCase::all().into_iter().map(LstmCase));
    all.extend(super::cell_cases::all());
    all
}

impl LstmCase {
    fn forward(&self, harness: &mut Harness<'_>) -> Result<()> {
        let size = self.0.hidden_size;
        let rows = self.0.rows();
        let weight = recurrent_weight(harness, 4, size)?;
        let inputs = harness.uniform(rows * 4 * size, self.0.bound);
        let gates = harness.in_place("gates", Whole, [rows, 4 * size], inputs)?;
        let [cells, carried_cells] = self.0.states(harness, "cells")?;
        let [states, carried_states] = self.0.states(harness, "states")?;
        let carried = self.0.carried([carried_states, carried_cells]);
        let weight_t = harness.scratch("weight_t", [size, 4 * size])?;
        let reset = self.0.reset(harness)?;
        harness.run(&LstmForward {
            gates,
            cells,
            states,
            carried,
            weight,
            weight_t,
            reset,
            schedule: self.0.schedule,
        });
        Ok(())
    }

    fn backward(&self, harness: &mut Harness<'_>) -> Result<()> {
        let size = self.0.hidden_size;
        let rows = self.0.rows();
        let weight = recurrent_weight(harness, 4, size)?;
        let values = self.0.gate_activations(harness, 4, 2);
        let gates = harness.in_place("gates", Whole, [rows, 4 * size], values)?;
        let batch = self.0.batch;
        let cells = harness.random_input("cells", Whole, [rows + batch, size])?;
        let values = harness.uniform(rows * size, self.0.bound);
        let gradient = harness.input("gradient", Whole, [rows, size], values)?;
        let initial_gradient = harness.output("initial_gradient", Whole, [2 * batch, size])?;
        let reset = self.0.reset(harness)?;
        harness.run(&LstmBackward {
            gates,
            cells,
            weight,
            gradient,
            initial_gradient,
            reset,
            schedule: self.0.schedule,
        });
        Ok(())
    }
}

impl KernelCase for LstmCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        match self.0.direction {
            Direction::Forward => self.forward(harness),
            Direction::Backward => self.backward(harness),
        }
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        self.0.tolerance()
    }

    fn is_slow(&self) -> bool {
        self.0.is_slow()
    }
}

impl fmt::Display for LstmCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
