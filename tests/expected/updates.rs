//! The equations of optimizers, and of kernels that add gradients.

use elman::kernels::cases::{
    AdagradCase, AdamCase, AddCase, FIRST_MOMENTS, GRADIENTS, MomentumCase, Outcome, PARAMETERS,
    RmspropCase, SECOND_MOMENTS, SQUARES, SgdCase, UpdateCase, VELOCITIES,
};

use super::super::compare::Tolerance;
use super::super::reference::kernels as reference;
use super::super::reference::optimizers;
use super::tables::first_occurrences;
use super::{Expectation, Expected, ROUNDED, bits, floats};

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

/// The gradient of a parameter times its scale.
fn scaled_gradient(update: UpdateCase, index: usize, run: &Outcome) -> Vec<f64> {
    let scale = floats(run, "scale")[0];
    let mut gradient = match index {
        0 => dense_gradient(update, run),
        _ => floats(run, GRADIENTS[index]),
    };
    for g in &mut gradient {
        *g *= scale;
    }
    gradient
}

/// Every parameter with its `S` states, whose names `states` has, after `step`. It updates them
/// given the gradient and the rate.
fn updated<const S: usize>(
    update: UpdateCase,
    run: &Outcome,
    states: [[&'static str; 5]; S],
    step: impl Fn(&mut Vec<f64>, &mut [Vec<f64>; S], &[f64], f64),
) -> Expected {
    let mut expected = Vec::new();
    for index in update.indices() {
        let mut parameter = floats(run, PARAMETERS[index]);
        let mut values = states.map(|names| floats(run, names[index]));
        let gradient = scaled_gradient(update, index, run);
        let rate = f64::from(UpdateCase::rate(index));
        step(&mut parameter, &mut values, &gradient, rate);
        expected.push((PARAMETERS[index], parameter));
        expected.extend(states.map(|names| names[index]).into_iter().zip(values));
    }
    expected
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
        updated(self.0, run, [], |parameter, [], gradient, rate| {
            optimizers::sgd(parameter, gradient, rate);
        })
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        bits(1.0)
    }
}

impl Expectation for AdagradCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        updated(
            self.0,
            run,
            [SQUARES],
            |parameter, [squares], gradient, rate| {
                optimizers::adagrad(parameter, gradient, squares, rate);
            },
        )
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        bits(4.0)
    }
}

impl Expectation for AdamCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let states = [FIRST_MOMENTS, SECOND_MOMENTS];
        let number = i32::try_from(self.step).expect("a case's step is small");
        updated(
            self.update,
            run,
            states,
            |parameter, [first, second], gradient, rate| {
                optimizers::adam(parameter, gradient, first, second, number, rate);
            },
        )
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        bits(4.0)
    }
}

impl Expectation for MomentumCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let states = [VELOCITIES];
        updated(
            self.update,
            run,
            states,
            |parameter, [velocity], gradient, rate| {
                optimizers::momentum(parameter, gradient, velocity, self.nesterov, rate);
            },
        )
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        bits(4.0)
    }
}

impl Expectation for RmspropCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        updated(
            self.0,
            run,
            [SQUARES],
            |parameter, [squares], gradient, rate| {
                optimizers::rmsprop(parameter, gradient, squares, rate);
            },
        )
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        // The first step is ten times the rate.
        bits(12.0)
    }
}
