//! How far two devices may be apart: both compute in f32, in different orders and with different
//! exponentials.

use super::{Ragged, Sampled, Setup};
use crate::kernels::{Activation, Exponential, GroupedProduct, SampledObjective};

/// How far a number may be from another: `absolute + relative * |the other|`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// The part that does not depend on the number.
    pub absolute: f64,
    /// The part in proportion to the number.
    pub relative: f64,
}

/// The distance of 1 to the next number of f32.
const EPSILON: f64 = f32::EPSILON as f64;
/// No difference at all: what is only moved, or computed by one rounded operation.
const EXACT: Tolerance = Tolerance {
    absolute: 0.0,
    relative: 0.0,
};
/// WebGPU's own tolerance of `tanh` is 1e-5; `exp` may be wrong in its last bits, more of them the
/// larger the argument.
const TRANSCENDENTAL: f64 = 1e-5;

/// A sum of `terms` products of numbers below 1, in any order. Partial sums grow like the root of
/// their number, and so does the error of each addition; errors add up like a random walk.
fn sum_of(terms: usize) -> Tolerance {
    Tolerance {
        absolute: EPSILON * (2.0 + 0.75 * terms as f64),
        relative: EPSILON,
    }
}

/// Errors of `parts` last bits, for a few operations in a row.
fn bits(parts: f64) -> Tolerance {
    Tolerance {
        absolute: parts * EPSILON,
        relative: parts * EPSILON,
    }
}

/// The tolerance of one output of one case.
pub(super) fn between_devices(setup: &Setup, output: &str) -> Tolerance {
    match *setup {
        Setup::ClipGradValue { .. }
        | Setup::Copy { .. }
        | Setup::Fill { .. }
        | Setup::Add(_)
        | Setup::Dropout(_)
        | Setup::Transpose { .. }
        | Setup::Gather { .. }
        | Setup::AddBias { .. }
        | Setup::Scale { .. } => EXACT,
        Setup::Matmul { k, .. } => sum_of(k),
        Setup::SumRows { rows, .. } => sum_of(rows),
        Setup::ScatterAdd { tokens, .. } => sum_of(tokens.count),
        Setup::ActivationForward { activation, .. } => match activation {
            Activation::Sigmoid => bits(4.0),
            Activation::Tanh => Tolerance {
                absolute: TRANSCENDENTAL,
                relative: 0.0,
            },
            Activation::Relu => EXACT,
            // A product of 30 bits is rounded to 24 before it becomes the exponential's bits.
            Activation::RnnlmSigmoid => bits(160.0),
        },
        Setup::ActivationBackward { .. } => bits(2.0),
        Setup::RecurrenceForward(recurrence) | Setup::RecurrenceBackward(recurrence) => {
            // The weights shrink with the root of H, so that products of a row and a state stay as
            // large as their terms were.
            let terms = EPSILON
                * (4.0 + 2.0 * (recurrence.hidden_size as f64).sqrt())
                * f64::from(recurrence.bound.max(1.0));
            let is_rough = matches!(
                recurrence.activation,
                Activation::Tanh | Activation::RnnlmSigmoid
            );
            let function = if is_rough { TRANSCENDENTAL } else { 0.0 };
            Tolerance {
                absolute: terms + function,
                relative: EPSILON,
            }
        }
        Setup::Lstm(gated) | Setup::Gru(gated) => {
            // As for the simple recurrence; an error of a gate reaches the state, and the next
            // gates, in full.
            let terms = EPSILON
                * (8.0 + 4.0 * (gated.hidden_size as f64).sqrt())
                * f64::from(gated.bound.max(1.0));
            Tolerance {
                absolute: terms + 2.0 * TRANSCENDENTAL * f64::from(gated.bound.max(1.0)),
                relative: 2.0 * TRANSCENDENTAL,
            }
        }
        Setup::SoftmaxCrossEntropy {
            bound,
            scale,
            exponential,
            ..
        }
        | Setup::Ragged(Ragged::Softmax {
            bound,
            scale,
            exponential,
            ..
        }) => {
            // The logits are rounded in proportion to their size before they are exponents.
            let rounding = if exponential == Exponential::Rnnlm {
                320.0
            } else {
                8.0
            };
            let exponent = EPSILON * (rounding + 2.0 * f64::from(bound));
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
        Setup::Ragged(Ragged::Product {
            product,
            columns,
            widest,
            ..
        }) => match product {
            GroupedProduct::Forward => sum_of(columns + 1),
            GroupedProduct::InputGradient => sum_of(widest),
            GroupedProduct::WeightGradient => sum_of(5),
        },
        Setup::Ragged(Ragged::AddRuns { order, .. }) => sum_of(order + 1),
        Setup::Ragged(Ragged::RunsGradient { most, .. }) => sum_of(most),
        Setup::Sampled(Sampled {
            objective,
            samples,
            bound,
            scale,
            ..
        }) => {
            let exponent = EPSILON * (8.0 + 4.0 * f64::from(bound));
            let factors = if objective == SampledObjective::Nce {
                samples as f64
            } else {
                1.0
            };
            match output {
                "losses" => Tolerance {
                    absolute: exponent + 2.0 * EPSILON * factors,
                    relative: 16.0 * EPSILON,
                },
                _ => Tolerance {
                    absolute: exponent * f64::from(scale),
                    relative: exponent,
                },
            }
        }
        Setup::Sum { count } => Tolerance {
            absolute: EPSILON * (1.0 + 3.0 * (count as f64).sqrt()),
            relative: EPSILON,
        },
        Setup::SumOfSquares { .. } => bits(8.0),
        Setup::ClipGradNorm { .. } => bits(4.0),
        Setup::Sgd(_) | Setup::AddSquares(_) | Setup::Average { .. } => bits(1.0),
        Setup::Momentum { .. } => bits(2.0),
        Setup::Adagrad(_) | Setup::Adam(..) => bits(4.0),
        // A first step is ten times the rate.
        Setup::Rmsprop(_) => bits(8.0),
    }
}
