//! Test cases of [`ClipGradNorm`].

use std::fmt;

use super::ClipGradNorm;
use crate::error::Result;
use crate::kernels::cases::{Cases, Harness, KernelCase, Place, Tolerance, list};

/// Size and options of [`ClipGradNorm`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipGradNormCase {
    /// Number of sums of squares.
    pub count: usize,
    /// Bound of the sums of squares.
    pub bound: f32,
    /// The largest norm that is not clipped.
    pub maximum: f32,
}

/// Norms above the maximum, below it, and 0.
pub(in crate::kernels) fn all() -> Cases {
    let cases = [
        (1, 4.0, 1.0),
        (1, 0.0, 1.0),
        (7, 4.0, 100.0),
        (13, 1e-6, 0.25),
        (257, 4.0, 0.5),
    ];
    list(cases.map(|(count, bound, maximum)| ClipGradNormCase {
        count,
        bound,
        maximum,
    }))
}

impl KernelCase for ClipGradNormCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let mut values = if self.bound > 0.0 {
            harness.uniform(self.count, self.bound)
        } else {
            vec![0.0; self.count]
        };
        for value in &mut values {
            *value = value.abs();
        }
        let squares = harness.input("squares", Place::Part, [1, self.count], values)?;
        let scale = harness.output("scale", Place::Whole, [1, 1])?;
        harness.run(&ClipGradNorm {
            squares,
            maximum: self.maximum,
            scale,
        });
        Ok(())
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance::bits(4.0)
    }
}

impl fmt::Display for ClipGradNormCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            count,
            bound,
            maximum,
        } = self;
        write!(f, "[{count}] below {bound} to {maximum}")
    }
}
