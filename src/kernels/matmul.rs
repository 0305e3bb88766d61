//! Matrix products.

mod cpu;
mod gpu;
mod narrow;

pub use cpu::batch_invariant_rows;
pub(super) use cpu::{Product, View};
pub(super) use gpu::{LARGE, LARGE_VECTOR, SMALL, SUM_PARTS};

use crate::device::{Cpu, Gpu, Kernel};
use crate::tensor::Tensor;

/// `c = op(a) op(b)`, or `c += op(a) op(b)` where `accumulate`.
///
/// op(a) is `[m, k]` and op(b) is `[k, n]`; op turns a matrix over where its `transpose_*` says so.
/// c is `[m, n]`. All three may be tables of several pieces.
#[derive(Debug, Clone, Copy)]
pub struct Matmul {
    /// `[m, k]`, or `[k, m]` where `transpose_a`.
    pub a: Tensor,
    /// `[k, n]`, or `[n, k]` where `transpose_b`.
    pub b: Tensor,
    /// `[m, n]`.
    pub c: Tensor,
    /// Whether a is stored transposed.
    pub transpose_a: bool,
    /// Whether b is stored transposed.
    pub transpose_b: bool,
    /// Whether the product is added to c instead of replacing it.
    pub accumulate: bool,
    /// How exact the factors are.
    pub precision: Precision,
}

/// How exact a product's factors are. Sums are f32 always.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Precision {
    /// As they are, f32.
    Full,
    /// Rounded to f16, those of a after multiplication by `scale`, by which the sums are divided:
    /// gradients may be too small for f16 as they are.
    Mixed {
        /// A power of two.
        scale: f32,
    },
}

impl Matmul {
    /// m, n and k.
    ///
    /// # Panics
    /// If the shapes do not fit together.
    fn sizes(&self) -> [usize; 3] {
        let transposed = |tensor: &Tensor, transpose| {
            if transpose {
                (tensor.columns(), tensor.rows())
            } else {
                (tensor.rows(), tensor.columns())
            }
        };
        let ((m, k), (k_of_b, n)) = (
            transposed(&self.a, self.transpose_a),
            transposed(&self.b, self.transpose_b),
        );
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
