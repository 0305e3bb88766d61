//! The CPU's face of a product: the `gemm` crate, in as many parts as there are threads.

use std::borrow::Cow;
use std::ops::Range;

use gemm::Parallelism;
use half::f16;
use rayon::prelude::*;

use super::super::parallel::vectorised;
use super::{Matmul, Precision};
use crate::device::Cpu;

/// Multiplications below which a second thread costs more than it saves.
const SMALLEST_SPLIT: usize = 64 * 64 * 64;

impl Matmul {
    pub(super) fn multiply_on_cpu(&self, cpu: &Cpu) {
        let [m, n, k] = self.sizes();
        let (a, b, mut c) = (cpu.read(&self.a), cpu.read(&self.b), cpu.write(&self.c));
        let strides = |columns: usize, transpose| if transpose { [1, columns] } else { [columns, 1] };
        let (mut a, mut b) = (Cow::Borrowed(&*a), Cow::Borrowed(&*b));
        if let Precision::Mixed { scale } = self.precision {
            // Divided again at once and not in the sums: by a power of two that changes no digit.
            let rounded = |values: &[f32], scale: f32| values.iter().map(|value| f16::from_f32(value * scale).to_f32() / scale).collect();
            (a, b) = (Cow::Owned(rounded(&a, scale)), Cow::Owned(rounded(&b, 1.0)));
        }
        let product = Product {
            sizes: [m, n, k],
            a: View { data: &a, strides: strides(self.a.columns(), self.transpose_a) },
            b: View { data: &b, strides: strides(self.b.columns(), self.transpose_b) },
            accumulate: self.accumulate,
        };
        let parts = if m * n * k < SMALLEST_SPLIT { 1 } else { cpu.threads() };
        product.run_in_parts(&mut c, parts);
    }
}

/// How many times deeper than wide a product is before threads share its depth.
const DEEP: usize = 4;

/// A matrix in memory: its numbers, and the distance between neighbouring rows and between neighbouring columns.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct View<'a> {
    pub(in crate::kernels) data: &'a [f32],
    pub(in crate::kernels) strides: [usize; 2],
}

impl View<'_> {
    /// The matrix from row `first` on (`side` 0), or from column `first` on (1).
    fn from(self, side: usize, first: usize) -> Self {
        View { data: &self.data[first * self.strides[side]..], ..self }
    }
}

/// A product of two views into a row-major matrix; `sizes` are m, n, k.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Product<'a> {
    pub(in crate::kernels) sizes: [usize; 3],
    pub(in crate::kernels) a: View<'a>,
    pub(in crate::kernels) b: View<'a>,
    pub(in crate::kernels) accumulate: bool,
}

/// The first element of c, for threads that write different parts of it.
#[derive(Clone, Copy)]
struct Destination(*mut f32);
#[expect(unsafe_code, reason = "a raw pointer is not Send by itself")]
// SAFETY: `run_in_parts` gives every thread rows or columns of its own, and c outlives the threads.
unsafe impl Send for Destination {}
#[expect(unsafe_code, reason = "a raw pointer is not Sync by itself")]
// SAFETY: as above.
unsafe impl Sync for Destination {}

impl Product<'_> {
    /// Writes the product into `c`, `[m, n]` row-major, in this thread.
    pub(in crate::kernels) fn run(&self, c: &mut [f32]) {
        self.run_in_parts(c, 1);
    }

    /// The same in `parts` parts of the longer side of c, at once.
    pub(in crate::kernels) fn run_in_parts(&self, c: &mut [f32], parts: usize) {
        let [m, n, k] = self.sizes;
        if m == 0 || n == 0 {
            return;
        }
        let last = |view: &View, rows: usize, columns: usize| (rows - 1) * view.strides[0] + (columns - 1) * view.strides[1];
        // Everything below trusts these.
        assert!(c.len() >= m * n);
        assert!(k == 0 || (last(&self.a, m, k) < self.a.data.len() && last(&self.b, k, n) < self.b.data.len()));
        if parts > 1 && k > DEEP * m.max(n) {
            return self.run_in_terms(c, parts);
        }
        let destination = Destination(c.as_mut_ptr());
        let whole = [0..m, 0..n];
        if parts < 2 {
            return self.block(destination, whole);
        }
        let side = usize::from(n > m);
        // Whole vectors for every part.
        let part = self.sizes[side].div_ceil(parts).next_multiple_of(16);
        (0..self.sizes[side].div_ceil(part)).into_par_iter().for_each(|number| {
            let mut block = whole.clone();
            block[side] = number * part..((number + 1) * part).min(self.sizes[side]);
            self.block(destination, block);
        });
    }

    /// The same in `parts` parts of the inner size, which are added up in their order: where c is small, each thread then packs its part of
    /// the factors and not all of one.
    fn run_in_terms(&self, c: &mut [f32], parts: usize) {
        let [m, n, k] = self.sizes;
        let part = k.div_ceil(parts).next_multiple_of(16);
        let of_terms = |number: usize| {
            let terms = number * part..((number + 1) * part).min(k);
            let [a, b] = [self.a.from(1, terms.start), self.b.from(0, terms.start)];
            Product { sizes: [m, n, terms.len()], a, b, accumulate: number == 0 && self.accumulate }
        };
        let mut others = vec![0.0; (k.div_ceil(part) - 1) * m * n];
        let sums = std::iter::once(&mut c[..m * n]).chain(others.chunks_exact_mut(m * n));
        sums.collect::<Vec<_>>().into_par_iter().enumerate().for_each(|(number, sum)| of_terms(number).run(sum));
        for other in others.chunks_exact(m * n) {
            vectorised(
                #[inline(always)]
                || c.iter_mut().zip(other).for_each(|(sum, value)| *sum += value),
            );
        }
    }

    /// One block of rows and columns of c, in this thread.
    #[expect(unsafe_code, reason = "gemm's interface is raw pointers and strides")]
    fn block(&self, c: Destination, [rows, columns]: [Range<usize>; 2]) {
        let [_, n, k] = self.sizes;
        let ([a_row, a_column], [b_row, b_column]) = (self.a.strides, self.b.strides);
        // SAFETY: `run_in_parts` checked that every index below m, n and k lies inside the three slices, and no two blocks of c overlap.
        unsafe {
            gemm::gemm(
                rows.len(),
                columns.len(),
                k,
                c.0.add(rows.start * n + columns.start),
                1,
                n as isize,
                self.accumulate,
                self.a.data.as_ptr().add(rows.start * a_row),
                a_column as isize,
                a_row as isize,
                self.b.data.as_ptr().add(columns.start * b_column),
                b_column as isize,
                b_row as isize,
                if self.accumulate { 1.0 } else { 0.0 },
                1.0,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    }
}
