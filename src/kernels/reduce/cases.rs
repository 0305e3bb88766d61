//! Test cases of [`Sum`] and [`SumOfSquares`].

use std::fmt;

use super::{PARTIAL_SUMS, Sum, SumOfSquares};
use crate::error::Result;
use crate::kernels::cases::{Cases, EPSILON, Harness, KernelCase, Place, Tolerance, list};
use crate::tensor::Tensor;

/// Size of [`Sum`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SumCase {
    /// Number of values.
    pub count: usize,
}

/// Size of [`SumOfSquares`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SumOfSquaresCase {
    /// Number of values.
    pub count: usize,
}

/// Up to more values than one round of all workgroups sums.
pub(in crate::kernels) fn all() -> Cases {
    let counts = [1, 255, 257, 2048, 2049, 4099, 600_011];
    let mut all = list(counts.map(|count| SumCase { count }));
    all.extend(list(counts.map(|count| SumOfSquaresCase { count })));
    all
}

/// `values`, `partial` and `output`.
fn tensors(harness: &mut Harness<'_>, count: usize) -> Result<[Tensor; 3]> {
    Ok([
        harness.random_input("values", Place::Part, [1, count])?,
        harness.scratch("partial", [1, PARTIAL_SUMS])?,
        harness.output("output", Place::Part, [1, 1])?,
    ])
}

impl KernelCase for SumCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let [values, partial, output] = tensors(harness, self.count)?;
        harness.run(&Sum {
            values,
            partial,
            output,
        });
        Ok(())
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance {
            absolute: EPSILON * (1.0 + 3.0 * (self.count as f64).sqrt()),
            relative: EPSILON,
        }
    }
}

impl KernelCase for SumOfSquaresCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let [values, partial, output] = tensors(harness, self.count)?;
        harness.run(&SumOfSquares {
            values,
            partial,
            output,
        });
        Ok(())
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance::bits(8.0)
    }
}

impl fmt::Display for SumCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sum [{}]", self.count)
    }
}

impl fmt::Display for SumOfSquaresCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SumOfSquares [{}]", self.count)
    }
}
