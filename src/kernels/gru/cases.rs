//! Test cases of [`GruForward`] and [`GruBackward`].

use std::fmt;

use super::{GruBackward, GruForward};
use crate::error::Result;
use crate::kernels::cases::gated::recurrent_weight;
use crate::kernels::cases::{
    Cases, Direction, GatedCase, Harness, KernelCase, Place, Tolerance, list,
};

use Place::Whole;

/// Sizes and options of [`GruForward`] and [`GruBackward`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GruCase(pub GatedCase);

/// The cases of every gated cell.
pub(in crate::kernels) fn all() -> Cases {
    list(GatedCase::all().into_iter().map(GruCase))
}

impl GruCase {
    fn forward(&self, harness: &mut Harness<'_>) -> Result<()> {
        let size = self.0.hidden_size;
        let rows = self.0.rows();
        let weight = recurrent_weight(harness, 3, size)?;
        let inputs = harness.uniform(rows * 3 * size, self.0.bound);
        let gates = harness.in_place("gates", Whole, [rows, 3 * size], inputs)?;
        let recurrent = harness.output("recurrent", Whole, [rows, 3 * size])?;
        let [states, carried] = self.0.states(harness, "states")?;
        let carried = self.0.carried([carried]);
        let weight_t = harness.scratch("weight_t", [size, 3 * size])?;
        // With a bias where the number of streams is odd.
        let bias = if self.0.batch % 2 == 1 {
            Some(harness.random_input("bias", Whole, [1, 3 * size])?)
        } else {
            None
        };
        let reset = self.0.reset(harness)?;
        harness.run(&GruForward {
            gates,
            recurrent,
            states,
            carried,
            weight,
            weight_t,
            bias,
            reset,
            schedule: self.0.schedule,
        });
        Ok(())
    }

    fn backward(&self, harness: &mut Harness<'_>) -> Result<()> {
        let size = self.0.hidden_size;
        let rows = self.0.rows();
        let weight = recurrent_weight(harness, 3, size)?;
        let values = self.0.gate_activations(harness, 3, 2);
        let gates = harness.in_place("gates", Whole, [rows, 3 * size], values)?;
        let batch = self.0.batch;
        let recurrent = harness.random_in_place("recurrent", Whole, [rows, 3 * size])?;
        let states = harness.random_input("states", Whole, [rows + batch, size])?;
        let values = harness.uniform(rows * size, self.0.bound);
        let gradient = harness.input("gradient", Whole, [rows, size], values)?;
        let initial_gradient = harness.output("initial_gradient", Whole, [batch, size])?;
        let reset = self.0.reset(harness)?;
        harness.run(&GruBackward {
            gates,
            recurrent,
            states,
            weight,
            gradient,
            initial_gradient,
            reset,
            schedule: self.0.schedule,
        });
        Ok(())
    }
}

impl KernelCase for GruCase {
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

impl fmt::Display for GruCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
