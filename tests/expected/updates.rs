//! The equations of optimisers, and of kernels that add gradients.

use elman::kernels::cases::{
    AdagradCase, AdamCase, AddCase, MomentumCase, Outcome, RATE, RmspropCase, SgdCase, UpdateCase,
};

use super::super::compare::Tolerance;
use super::super::reference::kernels as reference;
use super::super::reference::optimizers;
use super::tables::first_occurrences;
use super::{Expectation, Expected, ROUNDED, bits, floats};

/// The learning rate in f64.
fn rate() -> f64 {
    f64::from(RATE)
}

/// The input `gradient` as a dense one.
fn dense_gradient(update: UpdateCase, run: &Outcome) -> Vec<f64> {
    let values = floats(run, "gradient");
    if update.tokens.is_none() {
        return values;
    }
    let columns = update.columns;
    let mut gradient = vec![0.0; update.rows * columns];
    for (p, token) in first_occurrences(run) {
        gradient[token * columns..][..columns].copy_from_slice(&values[p * columns..][..columns]);
    }
    gradient
}

/// The gradient times its scale.
fn scaled_gradient(update: UpdateCase, run: &Outcome) -> Vec<f64> {
    let scale = floats(run, "scale")[0];
    let mut gradient = dense_gradient(update, run);
    for g in &mut gradient {
        *g *= scale;
    }
    gradient
}

impl Expectation for AddCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let mut output = floats(run, "output");
        let mut input = dense_gradient(self.update, run);
        if self.square {
            for value in &mut input {
                *value *= *value;
            }
        }
        reference::add_bias(&mut output, &input);
        vec![("output", output)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        if self.square { bits(1.0) } else { ROUNDED }
    }
}

impl Expectation for SgdCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let mut parameter = floats(run, "parameter");
        let gradient = scaled_gradient(self.0, run);
        optimizers::sgd(&mut parameter, &gradient, rate());
        vec![("parameter", parameter)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        bits(1.0)
    }
}

impl Expectation for AdagradCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let mut parameter = floats(run, "parameter");
        let mut squares = floats(run, "squares");
        let gradient = scaled_gradient(self.0, run);
        optimizers::adagrad(&mut parameter, &gradient, &mut squares, rate());
        vec![("parameter", parameter), ("squares", squares)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        bits(4.0)
    }
}

impl Expectation for AdamCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let mut parameter = floats(run, "parameter");
        let mut first = floats(run, "first");
        let mut second = floats(run, "second");
        let gradient = scaled_gradient(self.update, run);
        optimizers::adam(
            &mut parameter,
            &gradient,
            &mut first,
            &mut second,
            i32::try_from(self.step).expect("a case's step is small"),
            rate(),
        );
        vec![
            ("parameter", parameter),
            ("first", first),
            ("second", second),
        ]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        bits(4.0)
    }
}

impl Expectation for MomentumCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let mut parameter = floats(run, "parameter");
        let mut velocity = floats(run, "velocity");
        let gradient = scaled_gradient(self.update, run);
        optimizers::momentum(
            &mut parameter,
            &gradient,
            &mut velocity,
            self.nesterov,
            rate(),
        );
        vec![("parameter", parameter), ("velocity", velocity)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        bits(4.0)
    }
}

impl Expectation for RmspropCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let mut parameter = floats(run, "parameter");
        let mut squares = floats(run, "squares");
        let gradient = scaled_gradient(self.0, run);
        optimizers::rmsprop(&mut parameter, &gradient, &mut squares, rate());
        vec![("parameter", parameter), ("squares", squares)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        // The first step is ten times the rate.
        bits(12.0)
    }
}
