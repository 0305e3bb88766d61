//! Test cases of [`Matmul`], of both its kernels: in f32 and with factors in f16.

use std::fmt;

use super::{Matmul, Precision};
use crate::error::Result;
use crate::kernels::cases::{Cases, Harness, KernelCase, Place, Tolerance, list, option};

/// Sizes and options of [`Matmul`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MatmulCase {
    /// Rows of the product.
    pub m: usize,
    /// Columns of the product.
    pub n: usize,
    /// Terms of each sum.
    pub k: usize,
    /// Whether a is stored transposed.
    pub transpose_a: bool,
    /// Whether b is stored transposed.
    pub transpose_b: bool,
    /// Whether the product is added.
    pub accumulate: bool,
    /// The precision of the factors.
    pub precision: Precision,
}

/// `transpose_a` and `transpose_b`.
const TRANSPOSES: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

/// Every combination of transposed factors, with and without accumulation: a tile and one more than
/// it, and a vector on either side.
pub(in crate::kernels) fn all() -> Cases {
    let mut all = Vec::new();
    // More terms than one dispatch adds up.
    for accumulate in [false, true] {
        all.push(MatmulCase {
            m: 3,
            n: 2,
            k: 70_001,
            transpose_a: false,
            transpose_b: false,
            accumulate,
            precision: Precision::Full,
        });
    }
    for (transpose_a, transpose_b) in TRANSPOSES {
        let mut push = |(m, n, k), accumulate| {
            all.push(MatmulCase {
                m,
                n,
                k,
                transpose_a,
                transpose_b,
                accumulate,
                precision: Precision::Full,
            });
        };
        for accumulate in [false, true] {
            push((65, 63, 17), accumulate);
            push((1, 67, 5), accumulate);
        }
        // No terms: zeros. Few columns.
        for size in [
            (7, 5, 0),
            (1, 1, 1),
            (64, 64, 16),
            (131, 1, 301),
            (3, 129, 67),
            (67, 66, 65),
            (21, 15, 33),
            (403, 13, 67),
        ] {
            push(size, false);
        }
        // Large tiles, read four elements at a time and one at a time; sums in parts, the last one
        // shorter.
        for size in [
            (1412, 1284, 20),
            (1409, 1283, 19),
            (129, 132, 4100),
            (130, 131, 4099),
            (5, 65, 1030),
        ] {
            push(size, size.2 == 4100);
        }
    }
    list(all)
}

/// Every combination of transposed factors in f16, scaled as activations and as gradients are.
pub(in crate::kernels) fn mixed() -> Cases {
    let mut all = Vec::new();
    for (transpose_a, transpose_b) in TRANSPOSES {
        let sizes = [
            (16, 16, 16, false, 1.0),
            (64, 32, 16, false, 1024.0),
            (65, 33, 17, true, 1.0),
            (1, 1, 1, false, 64.0),
            (1412, 1284, 20, false, 1024.0),
            (130, 131, 1099, true, 0.5),
            // Whole tiles, added to c.
            (256, 256, 48, true, 1.0),
        ];
        all.extend(sizes.map(|(m, n, k, accumulate, scale)| MatmulCase {
            m,
            n,
            k,
            transpose_a,
            transpose_b,
            accumulate,
            precision: Precision::Mixed { scale },
        }));
    }
    list(all)
}

impl KernelCase for MatmulCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let Self {
            m,
            n,
            k,
            transpose_a,
            transpose_b,
            accumulate,
            precision,
        } = *self;
        let shape_of_a = if transpose_a { [k, m] } else { [m, k] };
        let shape_of_b = if transpose_b { [n, k] } else { [k, n] };
        let a = harness.random_input("a", Place::Part, shape_of_a)?;
        let b = harness.random_input("b", Place::Part, shape_of_b)?;
        let c = harness.accumulated("c", Place::Part, [m, n], accumulate)?;
        harness.run(&Matmul {
            a,
            b,
            c,
            transpose_a,
            transpose_b,
            accumulate,
            precision,
        });
        Ok(())
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance::sum_of(self.k)
    }
}

impl fmt::Display for MatmulCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { m, n, k, .. } = self;
        let a = if self.transpose_a { "aᵀ" } else { "a" };
        let b = if self.transpose_b { "bᵀ" } else { "b" };
        let accumulate = option(self.accumulate, "accumulate");
        write!(f, "{a}·{b} [{m}, {k}]·[{k}, {n}]{accumulate}")?;
        match self.precision {
            Precision::Full => Ok(()),
            Precision::Mixed { scale } => write!(f, " mixed x {scale}"),
        }
    }
}
