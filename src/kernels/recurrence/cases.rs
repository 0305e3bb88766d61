//! Test cases of [`RecurrenceForward`] and [`RecurrenceBackward`], with both schedules.

use std::fmt;

use super::{RecurrenceBackward, RecurrenceForward};
use crate::error::Result;
use crate::kernels::activation::cases::outputs_of;
use crate::kernels::cases::gated::{advance, recurrent_weight, reset, with_carried};
use crate::kernels::cases::{
    Cases, Direction, EPSILON, Harness, KernelCase, MANY, Place, TRANSCENDENTAL, Tolerance, list,
    option,
};
use crate::kernels::{Activation, Carried, RecurrentSchedule};

use Place::Whole;

/// Sizes and options of [`RecurrenceForward`] and [`RecurrenceBackward`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecurrenceCase {
    /// Forward or backward.
    pub direction: Direction,
    /// f.
    pub activation: Activation,
    /// T.
    pub time_steps: usize,
    /// B.
    pub batch: usize,
    /// H.
    pub hidden_size: usize,
    /// Whether streams are reset at the boundary token.
    pub reset: bool,
    /// Bound of the inputs' part of pre-activations, and of the gradient from above.
    pub bound: f32,
    /// How a GPU runs the window.
    pub schedule: RecurrentSchedule,
}

/// The cases of the fused schedule.
pub(in crate::kernels) fn all() -> Cases {
    with_schedule(RecurrentSchedule::Fused)
}

/// Every activation with streams that are reset and streams that are not; then sizes around a
/// workgroup and around a tile, more streams than threads, and a window of several dispatches.
pub(in crate::kernels) fn with_schedule(schedule: RecurrentSchedule) -> Cases {
    let mut all = Vec::new();
    let mut push = |activation, reset, bound, (time_steps, batch, hidden_size)| {
        all.extend(
            [Direction::Forward, Direction::Backward].map(|direction| RecurrenceCase {
                direction,
                activation,
                time_steps,
                batch,
                hidden_size,
                reset,
                bound,
                schedule,
            }),
        );
    };
    for &(_, activation) in Activation::TABLE {
        for reset in [false, true] {
            push(activation, reset, 1.0, (5, 3, 7));
            push(activation, reset, 100.0, (3, 2, 5));
        }
    }
    let long = match schedule {
        RecurrentSchedule::Fused => (401, 2, 301),
        RecurrentSchedule::PerStep => (19, 2, 301),
    };
    for (activation, reset) in [(Activation::Sigmoid, false), (Activation::Tanh, true)] {
        for size in [
            (1, 1, 1),
            (1, 5, 63),
            (7, 1, 65),
            (3, 2, 257),
            (2, 67, 5),
            (17, 2, 64),
            (4, 33, 31),
            (2, 32, 33),
            long,
        ] {
            push(activation, reset, 1.0, size);
        }
    }
    if schedule == RecurrentSchedule::PerStep {
        // Enough workgroups for tiles of 32 units on a discrete GPU.
        for reset in [false, true] {
            push(Activation::Tanh, reset, 1.0, (2, 1033, 99));
        }
    }
    if schedule == RecurrentSchedule::Fused {
        // More streams than a dispatch has workgroups in one dimension.
        push(Activation::Tanh, true, 1.0, (1, MANY, 1));
    }
    list(all)
}

impl RecurrenceCase {
    /// The steps from the start of the window to that of the next one.
    pub fn advance(&self) -> usize {
        advance(self.time_steps)
    }

    fn forward(&self, harness: &mut Harness<'_>) -> Result<()> {
        let size = self.hidden_size;
        let rows = self.time_steps * self.batch;
        let all_rows = rows + 2 * self.batch;
        let z = harness.uniform(all_rows * size, self.bound);
        let states = harness.in_place("states", Whole, [all_rows, size], z)?;
        let [states, carried] = with_carried(states, self.batch);
        let weight = recurrent_weight(harness, 1, size)?;
        let weight_t = harness.scratch("weight_t", [size, size])?;
        let reset = reset(harness, self.reset, self.reset, [rows, size])?;
        harness.run(&RecurrenceForward {
            activation: self.activation,
            states,
            carried: Carried {
                states: [carried],
                advance: self.advance(),
            },
            weight,
            weight_t,
            reset,
            schedule: self.schedule,
        });
        Ok(())
    }

    fn backward(&self, harness: &mut Harness<'_>) -> Result<()> {
        let size = self.hidden_size;
        let rows = self.time_steps * self.batch;
        let outputs = outputs_of(harness, self.activation, (rows + self.batch) * size);
        let states = harness.input("states", Whole, [rows + self.batch, size], outputs)?;
        let weight = recurrent_weight(harness, 1, size)?;
        let from_above = harness.uniform(rows * size, self.bound);
        let gradient = harness.in_place("gradient", Whole, [rows, size], from_above)?;
        let initial_gradient = harness.output("initial_gradient", Whole, [self.batch, size])?;
        let reset = reset(harness, self.reset, false, [rows, size])?;
        harness.run(&RecurrenceBackward {
            activation: self.activation,
            states,
            weight,
            gradient,
            initial_gradient,
            reset,
            schedule: self.schedule,
        });
        Ok(())
    }
}

impl KernelCase for RecurrenceCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        match self.direction {
            Direction::Forward => self.forward(harness),
            Direction::Backward => self.backward(harness),
        }
    }

    fn is_slow(&self) -> bool {
        self.schedule == RecurrentSchedule::Fused && self.batch >= MANY
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        // The weights shrink with the square root of H, so that products of a row and a state stay
        // as large as their terms.
        let terms = EPSILON
            * (4.0 + 2.0 * (self.hidden_size as f64).sqrt())
            * f64::from(self.bound.max(1.0));
        let function = match self.activation {
            Activation::Tanh | Activation::RnnlmSigmoid => TRANSCENDENTAL,
            Activation::Sigmoid | Activation::Relu => 0.0,
        };
        Tolerance {
            absolute: terms + function,
            relative: EPSILON,
        }
    }
}

impl fmt::Display for RecurrenceCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} [T {}, B {}, H {}] below {}{}",
            self.direction,
            self.activation,
            self.time_steps,
            self.batch,
            self.hidden_size,
            self.bound,
            option(self.reset, "reset")
        )
    }
}
