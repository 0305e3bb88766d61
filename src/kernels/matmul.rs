//! Matrix products.

pub(super) mod cases;
mod cpu;
mod gpu;
mod narrow;
mod panels;

pub use cpu::batch_invariant_rows;
pub(super) use cpu::{Product, View};
pub(super) use gpu::{FEW_ROWS, LARGE, LARGE_VECTOR, SMALL, SUM_CHUNKS, matmul_cooperative};
pub(super) use panels::Panels;

use crate::device::{Cpu, Gpu, Kernel};
use crate::tensor::Tensor;

/// `c = op(a) op(b)`, or `c += op(a) op(b)` if `accumulate` is set.
///
/// op(a) is `[m, k]` and op(b) is `[k, n]`; op transposes a matrix if its `transpose_*` is set. c
/// is `[m, n]`. All three may be sharded tables.
#[derive(Debug, Clone, Copy)]
pub struct Matmul {
    /// `[m, k]`, or `[k, m]` if `transpose_a` is set.
    pub a: Tensor,
    /// `[k, n]`, or `[n, k]` if `transpose_b` is set.
    pub b: Tensor,
    /// `[m, n]`.
    pub c: Tensor,
    /// Whether a is stored transposed.
    pub transpose_a: bool,
    /// Whether b is stored transposed.
    pub transpose_b: bool,
    /// Whether to add the product to c instead of replacing c.
    pub accumulate: bool,
    /// The precision of the operands.
    pub precision: Precision,
}

/// The precision of a product's operands. Sums are always f32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Precision {
    /// f32.
    Full,
    /// Rounded to f16. The elements of a are multiplied by `scale` before rounding and the sums are
    /// divided by it, because gradients may be too small for f16.
    Mixed {
        /// A power of two.
        scale: f32,
    },
}

impl Matmul {
    /// m, n and k.
    ///
    /// # Panics
    /// If the shapes do not match.
    fn sizes(&self) -> [usize; 3] {
        let transposed = |tensor: &Tensor, transpose| {
            if transpose {
                (tensor.columns(), tensor.rows())
            } else {
                (tensor.rows(), tensor.columns())
            }
        };
        let (m, k) = transposed(&self.a, self.transpose_a);
        let (k_of_b, n) = transposed(&self.b, self.transpose_b);
        assert_eq!(k, k_of_b, "inner sizes of {self:?}");
        assert_eq!(
            (self.c.rows(), self.c.columns()),
            (m, n),
            "result of {self:?}"
        );
        [m, n, k]
    }
}

impl Kernel for Matmul {
    fn name(&self) -> &'static str {
        SMALL.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        self.multiply_on_cpu(cpu);
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        self.multiply_on_gpu(gpu);
    }
}
