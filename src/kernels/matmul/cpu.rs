//! Matrix products on the CPU, with the `gemm` crate and one chunk per thread.

use std::borrow::Cow;
use std::ops::Range;

use gemm::Parallelism;
use half::f16;
use rayon::prelude::*;

use super::super::parallel::vectorized;
use super::{Matmul, Precision};
use crate::device::Cpu;

/// Below this number of multiplications, a second thread costs more than it saves.
const MIN_PARALLEL_MULTIPLICATIONS: usize = 64 * 64 * 64;

impl Matmul {
    pub(super) fn multiply_on_cpu(&self, cpu: &Cpu) {
        let [m, n, k] = self.sizes();
        let a = cpu.read(&self.a);
        let b = cpu.read(&self.b);
        let mut c = cpu.write(&self.c);
        let strides = |columns: usize, transpose| {
            if transpose {
                [1, columns]
            } else {
                [columns, 1]
            }
        };
        let mut a = Cow::Borrowed(&*a);
        let mut b = Cow::Borrowed(&*b);
        if let Precision::Mixed { scale } = self.precision {
            // Dividing the operands instead of the sums gives the same result: a power of two does
            // not change the digits.
            let rounded = |values: &[f32], scale: f32| {
                values
                    .iter()
                    .map(|value| f16::from_f32(value * scale).to_f32() / scale)
                    .collect()
            };
            (a, b) = (Cow::Owned(rounded(&a, scale)), Cow::Owned(rounded(&b, 1.0)));
        }
        let product = Product {
            sizes: [m, n, k],
            a: View {
                data: &a,
                strides: strides(self.a.columns(), self.transpose_a),
            },
            b: View {
                data: &b,
                strides: strides(self.b.columns(), self.transpose_b),
            },
            accumulate: self.accumulate,
        };
        let threads = if m * n * k < MIN_PARALLEL_MULTIPLICATIONS {
            1
        } else {
            cpu.threads()
        };
        product.run_parallel(&mut c, threads);
    }
}

/// The maximum number of columns of c for computing a block's transpose instead of the block.
const MAX_TRANSPOSED_COLUMNS: usize = 256;
/// The minimum inner size k for computing a block's transpose.
const MIN_TRANSPOSED_DEPTH: usize = 16;
/// Elements of c whose transpose is computed at a time: 400 KB, less than a core's cache. Not a
/// multiple of a large power of two, so that a column of the transpose does not map to few cache
/// lines.
const TRANSPOSED_BLOCK: usize = 100_000;
/// Up to this number of elements of c, `gemm` uses another order of summation.
const SMALL_PRODUCT: usize = 256;
/// Threads split the inner size k if it exceeds the larger side of c by this factor.
const MIN_SPLIT_K_RATIO: usize = 4;

/// Number of rows of a product of `width` columns such that, if every product has this number of
/// rows, a row's values are bit-identical whatever the other rows are and wherever the row is.
/// Products with other numbers of rows may use another order of summation.
pub const fn batch_invariant_rows(width: usize) -> usize {
    (SMALL_PRODUCT / width + 1).next_multiple_of(16)
}

/// A matrix in memory: its elements, and the distances between adjacent rows and between adjacent
/// columns.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct View<'a> {
    pub(in crate::kernels) data: &'a [f32],
    pub(in crate::kernels) strides: [usize; 2],
}

impl View<'_> {
    /// A pointer to the first element of row `first` (`side` 0) or of column `first` (`side` 1),
    /// and the strides.
    fn pointer_at(&self, side: usize, first: usize) -> (*const f32, [usize; 2]) {
        (
            self.data[(first * self.strides[side]).min(self.data.len())..].as_ptr(),
            self.strides,
        )
    }

    /// The matrix without the rows (`side` 0) or columns (`side` 1) before `first`.
    fn starting_at(self, side: usize, first: usize) -> Self {
        View {
            data: &self.data[first * self.strides[side]..],
            ..self
        }
    }
}

/// The product of two views; its result is a row-major matrix. `sizes` are m, n and k.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Product<'a> {
    pub(in crate::kernels) sizes: [usize; 3],
    pub(in crate::kernels) a: View<'a>,
    pub(in crate::kernels) b: View<'a>,
    pub(in crate::kernels) accumulate: bool,
}

/// A pointer to the first element of c, for threads that write disjoint blocks of it.
#[derive(Clone, Copy)]
pub(super) struct Destination(pub(super) *mut f32);
#[expect(unsafe_code, reason = "a raw pointer is not Send by itself")]
// SAFETY: whoever creates it assigns disjoint rows or columns to the threads, and c outlives them.
unsafe impl Send for Destination {}
#[expect(unsafe_code, reason = "a raw pointer is not Sync by itself")]
// SAFETY: as above.
unsafe impl Sync for Destination {}

impl Product<'_> {
    /// Writes the product to `c`, `[m, n]` row-major, on this thread.
    pub(in crate::kernels) fn run(&self, c: &mut [f32]) {
        self.run_parallel(c, 1);
    }

    /// Writes the product to `c` on `threads` threads, which split the longer side of c.
    pub(in crate::kernels) fn run_parallel(&self, c: &mut [f32], threads: usize) {
        let [m, n, k] = self.sizes;
        if m == 0 || n == 0 {
            return;
        }
        let last = |view: &View, rows: usize, columns: usize| {
            (rows - 1) * view.strides[0] + (columns - 1) * view.strides[1]
        };
        // The unsafe code below relies on these assertions.
        assert!(c.len() >= m * n);
        assert!(
            k == 0
                || (last(&self.a, m, k) < self.a.data.len()
                    && last(&self.b, k, n) < self.b.data.len())
        );
        if threads > 1 && k > MIN_SPLIT_K_RATIO * m.max(n) {
            return self.run_split_k(c, threads);
        }
        if self.is_narrow() {
            return self.run_narrow(c, threads);
        }
        let destination = Destination(c.as_mut_ptr());
        let whole = [0..m, 0..n];
        if threads < 2 {
            return self.run_block(destination, whole);
        }
        let side = usize::from(n > m);
        let length = self.sizes[side];
        // Every chunk consists of whole vectors.
        let chunk = length.div_ceil(threads).next_multiple_of(16);
        (0..length.div_ceil(chunk))
            .into_par_iter()
            .for_each(|index| {
                let mut block = whole.clone();
                block[side] = index * chunk..((index + 1) * chunk).min(length);
                self.run_block(destination, block);
            });
    }

    /// Writes the product to `c` on `threads` threads, which split the inner size k; their results
    /// are added in order. For small c: each thread then packs only its chunk of the operands
    /// instead of one whole operand.
    fn run_split_k(&self, c: &mut [f32], threads: usize) {
        let [m, n, k] = self.sizes;
        let chunk = k.div_ceil(threads).next_multiple_of(16);
        let partial_product = |index: usize| {
            let terms = index * chunk..((index + 1) * chunk).min(k);
            Product {
                sizes: [m, n, terms.len()],
                a: self.a.starting_at(1, terms.start),
                b: self.b.starting_at(0, terms.start),
                accumulate: index == 0 && self.accumulate,
            }
        };
        let mut others = vec![0.0; (k.div_ceil(chunk) - 1) * m * n];
        let sums = std::iter::once(&mut c[..m * n]).chain(others.chunks_exact_mut(m * n));
        sums.collect::<Vec<_>>()
            .into_par_iter()
            .enumerate()
            .for_each(|(index, sum)| partial_product(index).run(sum));
        for other in others.chunks_exact(m * n) {
            vectorized(
                #[inline(always)]
                || {
                    c.iter_mut()
                        .zip(other)
                        .for_each(|(sum, value)| *sum += value);
                },
            );
        }
    }

    /// Computes one block of rows and columns of c on this thread.
    fn run_block(&self, c: Destination, [rows, columns]: [Range<usize>; 2]) {
        let [_, n, k] = self.sizes;
        let is_a_transposed = self.a.strides[0] == 1 && k >= MIN_TRANSPOSED_DEPTH;
        let is_narrow = columns.len() <= MAX_TRANSPOSED_COLUMNS;
        if is_a_transposed && is_narrow && rows.len() >= 4 * columns.len() {
            let height = (TRANSPOSED_BLOCK / columns.len()).min(rows.len());
            let mut transposed = vec![0.0; columns.len() * height];
            for first in rows.clone().step_by(height) {
                self.run_transposed_block(
                    c,
                    [first..(first + height).min(rows.end), columns.clone()],
                    &mut transposed,
                );
            }
            return;
        }
        #[expect(unsafe_code, reason = "gemm's interface is raw pointers and strides")]
        // SAFETY: `run_parallel` checked that all indices below m, n and k are within the three
        // slices, and no two blocks of c overlap.
        unsafe {
            let c = c.0.add(rows.start * n + columns.start);
            let a = self.a.pointer_at(0, rows.start);
            let b = self.b.pointer_at(1, columns.start);
            multiply(
                [rows.len(), columns.len(), k],
                c,
                [n, 1],
                a,
                b,
                self.accumulate,
            );
        }
    }

    /// Computes the transpose of a block of c in `transposed`, which fits the cache, and copies it
    /// to c. Faster if c is narrow and a is stored transposed, so that its columns are contiguous.
    fn run_transposed_block(
        &self,
        c: Destination,
        [rows, columns]: [Range<usize>; 2],
        transposed: &mut [f32],
    ) {
        let n = self.sizes[1];
        let height = rows.len();
        let width = columns.len();
        let transposed = &mut transposed[..width * height];
        let transpose = |(data, [row, column]): (*const f32, [usize; 2])| (data, [column, row]);
        let a = transpose(self.a.pointer_at(0, rows.start));
        let b = transpose(self.b.pointer_at(1, columns.start));
        #[expect(unsafe_code, reason = "as in `run_block`")]
        // SAFETY: as in `run_block`; `transposed` has an element for each element of the block.
        unsafe {
            multiply(
                [width, height, self.sizes[2]],
                transposed.as_mut_ptr(),
                [height, 1],
                b,
                a,
                false,
            );
        }
        for (column, row) in rows.enumerate() {
            #[expect(unsafe_code, reason = "as in `run_block`")]
            // SAFETY: as in `run_block`; the slice is within one row of c.
            let output =
                unsafe { std::slice::from_raw_parts_mut(c.0.add(row * n + columns.start), width) };
            let values = transposed[column..].iter().step_by(height);
            if self.accumulate {
                output
                    .iter_mut()
                    .zip(values)
                    .for_each(|(sum, value)| *sum += value);
            } else {
                output
                    .iter_mut()
                    .zip(values)
                    .for_each(|(sum, value)| *sum = *value);
            }
        }
    }
}

/// `c = a b`, or `c += a b` if `accumulate` is set, with sizes m, n and k. Each matrix is a pointer
/// to its first element, with the distances between rows and between columns.
///
/// # Safety
/// All elements of the three matrices must be in valid memory, and no other code may access those
/// of c during the call.
#[expect(unsafe_code, reason = "gemm's interface is raw pointers and strides")]
pub(super) unsafe fn multiply(
    [m, n, k]: [usize; 3],
    c: *mut f32,
    [c_row, c_column]: [usize; 2],
    (a, [a_row, a_column]): (*const f32, [usize; 2]),
    (b, [b_row, b_column]): (*const f32, [usize; 2]),
    accumulate: bool,
) {
    let alpha = if accumulate { 1.0 } else { 0.0 };
    let [c_row, c_column, a_row, a_column, b_row, b_column] =
        [c_row, c_column, a_row, a_column, b_row, b_column].map(|stride| stride as isize);
    // SAFETY: guaranteed by the caller.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c,
            c_column,
            c_row,
            accumulate,
            a,
            a_column,
            a_row,
            b,
            b_column,
            b_row,
            alpha,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(m: usize, n: usize, k: usize, a: &[f32], b: &[f32]) -> Vec<f32> {
        let mut c = vec![0.0; m * n];
        let product = Product {
            sizes: [m, n, k],
            a: View {
                data: a,
                strides: [k, 1],
            },
            b: View {
                data: b,
                strides: [1, k],
            },
            accumulate: false,
        };
        product.run(&mut c);
        c
    }

    #[test]
    fn rows_are_batch_invariant() {
        for k in [1_usize, 3, 100, 256, 700, 2000] {
            for n in [1_usize, 3, 7, 16, 40, 301] {
                let m = batch_invariant_rows(n);
                let a: Vec<f32> = (0..m * k)
                    .map(|i| ((i * 7919) % 1013) as f32 / 1013.0 - 0.5)
                    .collect();
                let b: Vec<f32> = (0..n * k)
                    .map(|i| ((i * 104_729) % 1019) as f32 / 1019.0 - 0.5)
                    .collect();
                let whole = run(m, n, k, &a, &b);
                for moved in [1, 7, m - 1] {
                    let mut others = vec![0.25; m * k];
                    others[moved * k..].copy_from_slice(&a[..(m - moved) * k]);
                    let found = run(m, n, k, &others, &b);
                    assert!(
                        found[moved * n..] == whole[..(m - moved) * n],
                        "k {k}, n {n}, moved by {moved}"
                    );
                }
            }
        }
    }
}
