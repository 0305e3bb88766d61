//! How much the results of two devices may differ: both compute in f32, in different orders and
//! with different exponentials.

use crate::kernels::Exponential;

/// How much a value may differ from a reference: `absolute + relative * |reference|`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// The part that does not depend on the reference.
    pub absolute: f64,
    /// The part in proportion to the reference.
    pub relative: f64,
}

/// The distance from 1 to the next f32.
pub(in crate::kernels) const EPSILON: f64 = f32::EPSILON as f64;

/// More than the errors of tanh and the sigmoid. `exp` may be wrong in its last bits, in more of
/// them the larger the argument.
pub(in crate::kernels) const TRANSCENDENTAL: f64 = 1e-5;

impl Tolerance {
    /// No difference.
    pub(in crate::kernels) const EXACT: Self = Self {
        absolute: 0.0,
        relative: 0.0,
    };

    /// A sum of `terms` products of values below 1, in any order. Partial sums grow like the square
    /// root of their number, and so does the error of each addition; errors add up like a random
    /// walk.
    pub(in crate::kernels) fn sum_of(terms: usize) -> Self {
        Self {
            absolute: EPSILON * (2.0 + 0.75 * terms as f64),
            relative: EPSILON,
        }
    }

    /// `count` times the last bit of 1 and of the value, for a few operations in a row.
    pub(in crate::kernels) fn bits(count: f64) -> Self {
        Self {
            absolute: count * EPSILON,
            relative: count * EPSILON,
        }
    }

    /// An output of a softmax of logits up to `bound`: `losses`, or gradients multiplied by
    /// `scale`.
    pub(in crate::kernels) fn softmax(
        output: &str,
        exponential: Exponential,
        bound: f32,
        scale: f32,
    ) -> Self {
        // The logits are rounded in proportion to their size before they are exponents.
        let rounding = match exponential {
            Exponential::Exact => 8.0,
            Exponential::Rnnlm => 320.0,
        };
        let exponent = EPSILON * (rounding + 2.0 * f64::from(bound));
        if output == "losses" {
            Self {
                absolute: exponent,
                relative: EPSILON,
            }
        } else {
            Self {
                absolute: exponent * f64::from(scale),
                relative: exponent,
            }
        }
    }
}
