//! The equations of the simple recurrence, unit by unit.

use elman::kernels::Activation;
use elman::kernels::cases::{Direction, INITIAL, Outcome, RecurrenceCase};

use super::super::compare::Tolerance;
use super::{EPSILON, Expectation, Expected, floats, function, tokens};

impl Expectation for RecurrenceCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        match self.direction {
            Direction::Forward => forward(self, run),
            Direction::Backward => backward(self, run),
        }
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        // The weights shrink with the square root of H.
        let terms = EPSILON * (2.0 + 1.5 * (self.hidden_size as f64).sqrt());
        // rnnlm's exponential has 17 exact bits.
        let function = match self.activation {
            Activation::RnnlmSigmoid => 5e-6,
            _ => 0.0,
        };
        Tolerance {
            absolute: terms * f64::from(self.bound.max(1.0)) + function,
            relative: EPSILON,
        }
    }
}

/// `s(t) = f(z(t) + W s(t-1))`.
fn forward(case: &RecurrenceCase, run: &Outcome) -> Expected {
    let h = case.hidden_size;
    let weight = floats(run, "weight");
    let tokens = tokens(run, "tokens");
    let mut states = floats(run, "states");
    // The last slot has the carried states.
    let slot = case.batch * h;
    let last = states.len() - slot;
    states.copy_within(last.., 0);
    let mut previous = Vec::new();
    for row in 0..case.time_steps * case.batch {
        // Row (t, b) of the steps is row (t+1, b) of the states.
        let (before, after) = states.split_at_mut((case.batch + row) * h);
        let used = if case.reset && tokens[row] == Some(0) {
            vec![f64::from(INITIAL); h]
        } else {
            before[row * h..][..h].to_vec()
        };
        for (i, state) in after[..h].iter_mut().enumerate() {
            let product: f64 = (0..h).map(|j| weight[i * h + j] * used[j]).sum();
            *state = function(case.activation).value(*state + product);
        }
        previous.extend(used);
    }
    states.copy_within(case.advance() * slot..(case.advance() + 1) * slot, last);
    let mut expected = vec![("states", states)];
    if case.reset {
        expected.push(("previous", previous));
    }
    expected
}

/// `gradient(t) = (gradient(t) + Wᵀ gradient(t+1)) f'(s(t))`.
fn backward(case: &RecurrenceCase, run: &Outcome) -> Expected {
    let (batch, h) = (case.batch, case.hidden_size);
    let states = floats(run, "states");
    let weight = floats(run, "weight");
    let tokens = tokens(run, "tokens");
    let mut gradient = floats(run, "gradient");
    let mut initial = vec![0.0; batch * h];
    for row in (0..case.time_steps * batch).rev() {
        let derivative =
            |i: usize| function(case.activation).derivative(states[(batch + row) * h + i]);
        let z_gradient: Vec<f64> = (0..h)
            .map(|i| gradient[row * h + i] * derivative(i))
            .collect();
        gradient[row * h..][..h].copy_from_slice(&z_gradient);
        if case.reset && tokens[row] == Some(0) {
            continue;
        }
        let before = if row < batch {
            &mut initial[row * h..][..h]
        } else {
            &mut gradient[(row - batch) * h..][..h]
        };
        for (j, value) in before.iter_mut().enumerate() {
            *value += (0..h)
                .map(|i| weight[i * h + j] * z_gradient[i])
                .sum::<f64>();
        }
    }
    vec![("gradient", gradient), ("initial_gradient", initial)]
}
