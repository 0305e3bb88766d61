//! The equations of products, transposes and sums of rows.

use elman::kernels::Precision;
use elman::kernels::cases::{MatmulCase, Outcome, SumRowsCase, TransposeCase};

use super::super::compare::Tolerance;
use super::super::reference::kernels as reference;
use super::{EXACT, Expectation, Expected, floats, sum_of};

impl Expectation for MatmulCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let mut c = if self.accumulate {
            floats(run, "c")
        } else {
            vec![0.0; self.m * self.n]
        };
        let matmul = reference::Matmul {
            m: self.m,
            n: self.n,
            k: self.k,
            transpose_left: self.transpose_a,
            transpose_right: self.transpose_b,
        };
        let mut left = floats(run, "a");
        let mut right = floats(run, "b");
        if let Precision::Mixed { scale } = self.precision {
            let scale = f64::from(scale);
            for value in &mut left {
                *value = reference::round_to_half(*value * scale) / scale;
            }
            for value in &mut right {
                *value = reference::round_to_half(*value);
            }
        }
        matmul.accumulate(&left, &right, &mut c);
        vec![("c", c)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        sum_of(self.k)
    }
}

impl Expectation for TransposeCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let input = floats(run, "input");
        let output = (0..input.len())
            .map(|i| input[i % self.rows * self.columns + i / self.rows])
            .collect();
        vec![("output", output)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        EXACT
    }
}

impl Expectation for SumRowsCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let mut output = if self.accumulate {
            floats(run, "output")
        } else {
            vec![0.0; self.columns]
        };
        let sums = reference::column_sums(&floats(run, "values"), self.columns);
        reference::add_bias(&mut output, &sums);
        let mut expected = vec![("output", output.clone())];
        if self.copy {
            expected.push(("copy", output));
        }
        expected
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        sum_of(self.rows)
    }
}
