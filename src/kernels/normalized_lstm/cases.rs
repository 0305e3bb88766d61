//! Test cases of [`NormalizedLstmForward`] and [`NormalizedLstmBackward`].

use std::fmt;

use super::{NormalizedLstmBackward, NormalizedLstmForward, NormalizedStep};
use crate::error::Result;
use crate::kernels::cases::{
    Cases, Direction, EPSILON, Harness, KernelCase, MANY, Place, TRANSCENDENTAL, Tolerance, list,
    option,
};
use crate::tensor::Tensor;

use Place::Whole;

/// Sizes and options of [`NormalizedLstmForward`] and [`NormalizedLstmBackward`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormalizedLstmCase {
    /// Forward or backward.
    pub direction: Direction,
    /// T, of which the steps before the last are other steps.
    pub time_steps: usize,
    /// t.
    pub step: usize,
    /// B.
    pub batch: usize,
    /// H.
    pub hidden_size: usize,
    /// Whether there is a bias.
    pub bias: bool,
    /// Whether at most 1 - f is written to the cells.
    pub capped: bool,
}

/// Sizes around a workgroup, a single unit, whose variance is 0, rows that the CPU's threads share,
/// many streams; the first step, the last one, and one between.
pub(in crate::kernels) fn all() -> Cases {
    let sizes = [
        (1, 0, 1, 1),
        (3, 1, 5, 7),
        (2, 1, 3, 257),
        (2, 0, 67, 300),
        (1, 0, MANY, 5),
    ];
    let mut all = Vec::new();
    for (index, (time_steps, step, batch, hidden_size)) in sizes.into_iter().enumerate() {
        for direction in [Direction::Forward, Direction::Backward] {
            for capped in [false, true] {
                all.push(NormalizedLstmCase {
                    direction,
                    time_steps,
                    step,
                    batch,
                    hidden_size,
                    bias: (index + usize::from(capped)).is_multiple_of(2),
                    capped,
                });
            }
        }
    }
    list(all)
}

impl NormalizedLstmCase {
    fn rows(&self) -> usize {
        self.time_steps * self.batch
    }

    /// Cells whose rows have no variance near 0.
    fn cells(&self, harness: &mut Harness<'_>, rows: usize) -> Vec<f32> {
        let values = harness.uniform(rows * self.hidden_size, 1.0);
        let apart = |(i, value): (usize, f32)| value / 4.0 + (i % 2) as f32;
        values.into_iter().enumerate().map(apart).collect()
    }

    /// Gate activations: g between -1 and 1, the others between 0 and 1. With a cap there are few
    /// values, so that i is often 1 - f.
    fn activations(&self, harness: &mut Harness<'_>) -> Vec<f32> {
        let values = harness.uniform(self.rows() * 4 * self.hidden_size, 1.0);
        let gate = |i: usize| i / self.hidden_size % 4;
        let of = |(i, value): (usize, f32)| match gate(i) {
            2 => value,
            _ if self.capped => (value * 4.0).round() / 8.0 + 0.5,
            _ => value / 2.0 + 0.5,
        };
        values.into_iter().enumerate().map(of).collect()
    }

    fn bias(&self, harness: &mut Harness<'_>) -> Result<Option<Tensor>> {
        if !self.bias {
            return Ok(None);
        }
        let bias = harness.random_input("bias", Whole, [1, self.hidden_size])?;
        Ok(Some(bias))
    }

    fn forward(&self, harness: &mut Harness<'_>) -> Result<()> {
        let (rows, size) = (self.rows(), self.hidden_size);
        let shape = [rows, size];
        let slots = [rows + self.batch, size];
        let gates = harness.random_in_place("gates", Whole, [rows, 4 * size])?;
        let cells = harness.random_in_place("cells", Whole, shape)?;
        let before = self.cells(harness, rows + self.batch);
        let previous_cells = harness.in_place("previous_cells", Whole, slots, before)?;
        let gain = harness.random_input("gain", Whole, [1, size])?;
        let bias = self.bias(harness)?;
        let states = harness.random_in_place("states", Whole, shape)?;
        let previous_states = harness.random_in_place("previous_states", Whole, slots)?;
        harness.run(&NormalizedLstmForward {
            step: NormalizedStep {
                step: self.step,
                gates,
                cells,
                previous_cells,
                gain,
                bias,
                capped: self.capped,
            },
            states,
            previous_states,
        });
        Ok(())
    }

    fn backward(&self, harness: &mut Harness<'_>) -> Result<()> {
        let (rows, size) = (self.rows(), self.hidden_size);
        let shape = [rows, size];
        let activations = self.activations(harness);
        let gates = harness.in_place("gates", Whole, [rows, 4 * size], activations)?;
        let values = self.cells(harness, rows);
        let cells = harness.in_place("cells", Whole, shape, values)?;
        let slots = [rows + self.batch, size];
        let previous_cells = harness.random_input("previous_cells", Whole, slots)?;
        let gain = harness.random_input("gain", Whole, [1, size])?;
        let bias = self.bias(harness)?;
        let gradient = harness.random_in_place("gradient", Whole, shape)?;
        let carried = [2 * self.batch, size];
        let carried_gradient = harness.random_in_place("carried_gradient", Whole, carried)?;
        harness.run(&NormalizedLstmBackward {
            step: NormalizedStep {
                step: self.step,
                gates,
                cells,
                previous_cells,
                gain,
                bias,
                capped: self.capped,
            },
            gradient,
            carried_gradient,
        });
        Ok(())
    }
}

impl KernelCase for NormalizedLstmCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        match self.direction {
            Direction::Forward => self.forward(harness),
            Direction::Backward => self.backward(harness),
        }
    }

    /// Errors of gates reach the cells, which a small deviation enlarges.
    fn tolerance(&self, _output: &str) -> Tolerance {
        let sums = EPSILON * (16.0 + 2.0 * (self.hidden_size as f64).sqrt());
        Tolerance {
            absolute: 4.0 * sums + 4.0 * TRANSCENDENTAL,
            relative: 2.0 * TRANSCENDENTAL,
        }
    }

    fn is_slow(&self) -> bool {
        self.batch >= MANY
    }
}

impl fmt::Display for NormalizedLstmCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} [T {}, B {}, H {}] step {}{}{}",
            self.direction,
            self.time_steps,
            self.batch,
            self.hidden_size,
            self.step,
            option(self.bias, "bias"),
            option(self.capped, "capped")
        )
    }
}
