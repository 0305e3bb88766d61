//! Test cases of [`LayerNormForward`] and [`LayerNormBackward`].

use std::fmt;

use super::{LayerNormBackward, LayerNormForward};
use crate::error::Result;
use crate::kernels::cases::{
    Cases, Direction, EPSILON, Harness, KernelCase, MANY, Place, Tolerance, list, option,
};

/// Sizes and options of [`LayerNormForward`] and [`LayerNormBackward`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerNormCase {
    /// Forward or backward.
    pub direction: Direction,
    /// Rows of the values.
    pub rows: usize,
    /// Columns of the values.
    pub columns: usize,
    /// Added to all values: the mean is then large beside the deviation.
    pub shift: f32,
    /// Whether a forward pass adds to its output.
    pub accumulate: bool,
}

/// Sizes around a workgroup; a single column, whose variance is 0; a shape that is split between
/// the CPU's threads; more rows than a dispatch has workgroups in one dimension.
pub(in crate::kernels) fn all() -> Cases {
    let mut all = Vec::new();
    for (rows, columns, shift) in [
        (1, 1, 0.0),
        (7, 3, 0.0),
        (3, 257, 0.0),
        (5, 64, 2.0),
        (1, 1025, 0.0),
        (131, 137, 0.0),
        (MANY, 2, 0.0),
    ] {
        let of = |direction, accumulate| LayerNormCase {
            direction,
            rows,
            columns,
            shift,
            accumulate,
        };
        all.extend([
            of(Direction::Forward, false),
            of(Direction::Forward, true),
            of(Direction::Backward, false),
        ]);
    }
    list(all)
}

impl LayerNormCase {
    fn values(&self, harness: &mut Harness<'_>) -> Vec<f32> {
        let values = harness.uniform(self.rows * self.columns, 1.0);
        // Pairs of different values, so that no row of two has a variance near 0.
        let apart = |(i, value): (usize, f32)| value / 4.0 + (i % 2) as f32 + self.shift;
        values.into_iter().enumerate().map(apart).collect()
    }
}

impl KernelCase for LayerNormCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let shape = [self.rows, self.columns];
        let values = self.values(harness);
        let gain = harness.random_input("gain", Place::Part, [1, self.columns])?;
        match self.direction {
            Direction::Forward => {
                let input = harness.input("input", Place::Part, shape, values)?;
                let output = match self.accumulate {
                    true => harness.random_in_place("output", Place::Part, shape)?,
                    false => harness.output("output", Place::Part, shape)?,
                };
                harness.run(&LayerNormForward {
                    input,
                    gain,
                    output,
                    accumulate: self.accumulate,
                });
            }
            Direction::Backward => {
                let input = harness.in_place("input", Place::Part, shape, values)?;
                let output_gradient =
                    harness.random_input("output_gradient", Place::Part, shape)?;
                let input_gradient = harness.output("input_gradient", Place::Part, shape)?;
                harness.run(&LayerNormBackward {
                    input,
                    gain,
                    output_gradient,
                    input_gradient,
                });
            }
        }
        Ok(())
    }

    /// The mean and the deviation have the errors of sums; the difference from the mean that of the
    /// shift.
    fn tolerance(&self, _output: &str) -> Tolerance {
        let sums = 8.0 + (self.columns as f64).sqrt() + 8.0 * f64::from(self.shift);
        Tolerance {
            absolute: 4.0 * EPSILON * sums,
            relative: 8.0 * EPSILON,
        }
    }
}

impl fmt::Display for LayerNormCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            direction,
            rows,
            columns,
            shift,
            accumulate,
        } = self;
        let accumulate = option(*accumulate, "added");
        write!(
            f,
            "{direction} [{rows}, {columns}] around {shift}{accumulate}"
        )
    }
}
