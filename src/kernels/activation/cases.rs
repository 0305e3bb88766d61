//! Test cases of [`ActivationForward`] and [`ActivationBackward`].

use std::fmt;

use super::{Activation, ActivationBackward, ActivationForward};
use crate::error::Result;
use crate::kernels::cases::{Cases, Harness, KernelCase, Place, Tolerance, list};

/// Sizes and options of [`ActivationForward`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActivationForwardCase {
    /// f.
    pub activation: Activation,
    /// Number of values.
    pub count: usize,
    /// Bound of the values, except for a few at the ends of f32's exponentials.
    pub bound: f32,
}

/// Sizes and options of [`ActivationBackward`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActivationBackwardCase {
    /// f.
    pub activation: Activation,
    /// Number of values.
    pub count: usize,
}

/// Arguments at which exponentials in f32 overflow or vanish, or at which an implementation changes
/// its formula.
const ENDS: [f32; 16] = [
    0.0,
    -0.0,
    100.0,
    -100.0,
    44.5,
    -44.5,
    88.9,
    -88.9,
    3e4,
    -3e4,
    0.625,
    -0.624_999_9,
    1e-3,
    -1e-6,
    80.5,
    -80.5,
];

/// Within the slope and far beyond it.
pub(in crate::kernels) fn all() -> Cases {
    let mut all = Cases::new();
    for &(_, activation) in Activation::TABLE {
        let forward = [(1, 1.0), (67, 4.0), (257, 100.0), (20_011, 16.0)];
        all.extend(list(forward.map(|(count, bound)| ActivationForwardCase {
            activation,
            count,
            bound,
        })));
        all.extend(list(
            [1, 257, 20_011].map(|count| ActivationBackwardCase { activation, count }),
        ));
    }
    all
}

/// Values that the activation can have, its ends among them.
pub(in crate::kernels) fn outputs_of(
    harness: &mut Harness<'_>,
    activation: Activation,
    count: usize,
) -> Vec<f32> {
    let mut values = harness.uniform(count, 1.0);
    for value in &mut values {
        *value = match activation {
            Activation::Sigmoid | Activation::RnnlmSigmoid => {
                (*value * 0.625 + 0.5).clamp(0.0, 1.0)
            }
            Activation::Tanh => (*value * 1.25).clamp(-1.0, 1.0),
            Activation::Relu => value.max(0.0),
        };
    }
    values
}

impl KernelCase for ActivationForwardCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let mut values = harness.uniform(self.count, self.bound);
        for (value, end) in values.iter_mut().skip(1).step_by(3).zip(ENDS) {
            *value = end;
        }
        let values = harness.in_place("values", Place::Part, [1, self.count], values)?;
        harness.run(&ActivationForward {
            activation: self.activation,
            values,
        });
        Ok(())
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        match self.activation {
            Activation::Sigmoid => Tolerance::bits(4.0),
            // The sum of the errors that shaders/shared.wgsl and math.rs state.
            Activation::Tanh => Tolerance {
                absolute: f64::from(f32::MIN_POSITIVE),
                relative: 1.4e-6,
            },
            Activation::Relu => Tolerance::EXACT,
            // A product of 30 bits is rounded to 24 before it becomes the exponential's bits.
            Activation::RnnlmSigmoid => Tolerance::bits(160.0),
        }
    }
}

impl KernelCase for ActivationBackwardCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let shape = [1, self.count];
        let outputs = outputs_of(harness, self.activation, self.count);
        let values = harness.input("values", Place::Part, shape, outputs)?;
        let gradient = harness.random_in_place("gradient", Place::Part, shape)?;
        harness.run(&ActivationBackward {
            activation: self.activation,
            values,
            gradient,
        });
        Ok(())
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance::bits(2.0)
    }
}

impl fmt::Display for ActivationForwardCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            activation,
            count,
            bound,
        } = self;
        write!(f, "forward {activation} [{count}] below {bound}")
    }
}

impl fmt::Display for ActivationBackwardCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "backward {} [{}]", self.activation, self.count)
    }
}
