//! The accepted error of the CPU for every kernel.

use elman::kernels::cases::Setup;
use elman::kernels::{Activation, Exponential};

use super::compare::Tolerance;
use super::{expected_ragged, expected_sampled};

/// The distance from 1 to the next f32.
const EPSILON: f64 = f32::EPSILON as f64;

/// The accepted error of the CPU.
pub fn tolerance(setup: &Setup, output: &str) -> Tolerance {
    let bits = |parts: f64| Tolerance {
        absolute: 0.25 * parts * EPSILON,
        relative: parts * EPSILON,
    };
    // A sum of `terms` products of values below 1: partial sums grow like a random walk, and so do
    // the errors of the additions.
    let sum_of = |terms: usize| Tolerance {
        absolute: EPSILON * (1.0 + 0.75 * terms as f64),
        relative: EPSILON,
    };
    match *setup {
        Setup::ClipGradValue { .. }
        | Setup::Copy { .. }
        | Setup::Fill { .. }
        | Setup::Transpose { .. }
        | Setup::Gather { .. } => Tolerance {
            absolute: 0.0,
            relative: 0.0,
        },
        Setup::AddBias { .. } | Setup::Add(_) | Setup::Scale { .. } | Setup::Dropout(_) => {
            Tolerance {
                absolute: 0.0,
                relative: EPSILON,
            }
        }
        Setup::Matmul { k, .. } => sum_of(k),
        Setup::SumRows { rows, .. } => sum_of(rows),
        Setup::ScatterAdd { tokens, .. } => sum_of(tokens.count),
        Setup::ActivationForward {
            activation: Activation::RnnlmSigmoid,
            ..
        } => Tolerance {
            absolute: 1e-37,
            relative: 160.0 * EPSILON,
        },
        Setup::ActivationForward { .. } => Tolerance {
            absolute: 1e-37,
            relative: 4e-7,
        },
        Setup::ActivationBackward { .. } => bits(2.0),
        Setup::RecurrenceForward(recurrence) | Setup::RecurrenceBackward(recurrence) => {
            // The weights shrink with the square root of H.
            let terms = EPSILON * (2.0 + 1.5 * (recurrence.hidden_size as f64).sqrt());
            // rnnlm's exponential has 17 exact bits.
            let function = if recurrence.activation == Activation::RnnlmSigmoid {
                5e-6
            } else {
                0.0
            };
            Tolerance {
                absolute: terms * f64::from(recurrence.bound.max(1.0)) + function,
                relative: EPSILON,
            }
        }
        Setup::Lstm(gated) | Setup::Gru(gated) => {
            // The error of a gate reaches the state, and the next gates, undiminished.
            let terms = EPSILON * (4.0 + 3.0 * (gated.hidden_size as f64).sqrt());
            Tolerance {
                absolute: terms * f64::from(gated.bound.max(1.0)),
                relative: 4.0 * EPSILON,
            }
        }
        Setup::SoftmaxCrossEntropy {
            bound,
            scale,
            exponential,
            ..
        } => {
            // The rounding of exponents is proportional to the logits, and rnnlm's function rounds
            // a product of 30 bits to 24.
            let rounding = if exponential == Exponential::Rnnlm {
                160.0
            } else {
                2.0
            };
            let exponent = EPSILON * (rounding + f64::from(bound));
            match output {
                "losses" => Tolerance {
                    absolute: exponent,
                    relative: EPSILON,
                },
                _ => Tolerance {
                    absolute: exponent * f64::from(scale),
                    relative: exponent,
                },
            }
        }
        Setup::Ragged(ragged) => expected_ragged::tolerance(ragged, output),
        Setup::Sampled(sampled) => expected_sampled::tolerance(sampled, output),
        Setup::Sum { .. } | Setup::SumOfSquares { .. } => Tolerance {
            absolute: 16.0 * EPSILON,
            relative: 2.0 * EPSILON,
        },
        Setup::ClipGradNorm { .. } => bits(2.0),
        Setup::Sgd(_) | Setup::AddSquares(_) => bits(1.0),
        Setup::Average { .. } => bits(2.0),
        Setup::Adagrad(_) | Setup::Adam(..) | Setup::Momentum { .. } => bits(4.0),
        // The first step is ten times the rate.
        Setup::Rmsprop(_) => bits(12.0),
    }
}
