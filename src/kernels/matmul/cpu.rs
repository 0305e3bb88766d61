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
        let strides = |columns: usize, transpose| {
            if transpose {
                [1, columns]
            } else {
                [columns, 1]
            }
        };
        let (mut a, mut b) = (Cow::Borrowed(&*a), Cow::Borrowed(&*b));
        if let Precision::Mixed { scale } = self.precision {
            // Divided again at once and not in the sums: by a power of two that changes no digit.
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
        let parts = if m * n * k < SMALLEST_SPLIT {
            1
        } else {
            cpu.threads()
        };
        product.run_in_parts(&mut c, parts);
    }
}

/// Columns of c up to which a product may go by way of its transpose.
const NARROW: usize = 256;
/// Terms from which on that pays.
const SHALLOWEST_TURNED: usize = 16;
/// Numbers of c that go that way at once: 400 KB, less than a core's cache. No multiple of a large
/// power of two, so that a column of the transpose does not fall on few of the cache's lines.
const CHUNK: usize = 100_000;
/// The most numbers of c that `gemm` computes in another order than more of them.
const SMALL_PRODUCT: usize = 256;
/// How many times deeper than wide a product is before threads share its depth.
const DEEP: usize = 4;

/// Rows of a block of products of `width` columns in which a row's numbers, to the bit, depend
/// neither on the others nor on their place, if every block has as many. In products of other
/// numbers of rows sums may be rounded in another order.
pub const fn batch_invariant_rows(width: usize) -> usize {
    (SMALL_PRODUCT / width + 1).next_multiple_of(16)
}

/// A matrix in memory: its numbers, and the distance between neighbouring rows and between
/// neighbouring columns.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct View<'a> {
    pub(in crate::kernels) data: &'a [f32],
    pub(in crate::kernels) strides: [usize; 2],
}

impl View<'_> {
    /// The first number of row `first` (`side` 0) or column `first` (1), and the strides.
    fn at(&self, side: usize, first: usize) -> (*const f32, [usize; 2]) {
        (
            self.data[(first * self.strides[side]).min(self.data.len())..].as_ptr(),
            self.strides,
        )
    }

    /// The matrix from row `first` on (`side` 0), or from column `first` on (1).
    fn from(self, side: usize, first: usize) -> Self {
        View {
            data: &self.data[first * self.strides[side]..],
            ..self
        }
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
        let last = |view: &View, rows: usize, columns: usize| {
            (rows - 1) * view.strides[0] + (columns - 1) * view.strides[1]
        };
        // Everything below trusts these.
        assert!(c.len() >= m * n);
        assert!(
            k == 0
                || (last(&self.a, m, k) < self.a.data.len()
                    && last(&self.b, k, n) < self.b.data.len())
        );
        if parts > 1 && k > DEEP * m.max(n) {
            return self.run_in_terms(c, parts);
        }
        if self.is_narrow() {
            return self.run_narrow(c, parts);
        }
        let destination = Destination(c.as_mut_ptr());
        let whole = [0..m, 0..n];
        if parts < 2 {
            return self.block(destination, whole);
        }
        let side = usize::from(n > m);
        // Whole vectors for every part.
        let part = self.sizes[side].div_ceil(parts).next_multiple_of(16);
        (0..self.sizes[side].div_ceil(part))
            .into_par_iter()
            .for_each(|number| {
                let mut block = whole.clone();
                block[side] = number * part..((number + 1) * part).min(self.sizes[side]);
                self.block(destination, block);
            });
    }

    /// The same in `parts` parts of the inner size, which are added up in their order: where c is
    /// small, each thread then packs its part of the factors and not all of one.
    fn run_in_terms(&self, c: &mut [f32], parts: usize) {
        let [m, n, k] = self.sizes;
        let part = k.div_ceil(parts).next_multiple_of(16);
        let of_terms = |number: usize| {
            let terms = number * part..((number + 1) * part).min(k);
            let [a, b] = [self.a.from(1, terms.start), self.b.from(0, terms.start)];
            Product {
                sizes: [m, n, terms.len()],
                a,
                b,
                accumulate: number == 0 && self.accumulate,
            }
        };
        let mut others = vec![0.0; (k.div_ceil(part) - 1) * m * n];
        let sums = std::iter::once(&mut c[..m * n]).chain(others.chunks_exact_mut(m * n));
        sums.collect::<Vec<_>>()
            .into_par_iter()
            .enumerate()
            .for_each(|(number, sum)| of_terms(number).run(sum));
        for other in others.chunks_exact(m * n) {
            vectorised(
                #[inline(always)]
                || {
                    c.iter_mut()
                        .zip(other)
                        .for_each(|(sum, value)| *sum += value);
                },
            );
        }
    }

    /// One block of rows and columns of c, in this thread.
    fn block(&self, c: Destination, [rows, columns]: [Range<usize>; 2]) {
        let [_, n, k] = self.sizes;
        let is_turned = self.a.strides[0] == 1 && k >= SHALLOWEST_TURNED;
        if is_turned && columns.len() <= NARROW && rows.len() >= 4 * columns.len() {
            let chunk = (CHUNK / columns.len()).min(rows.len());
            let mut transposed = vec![0.0; columns.len() * chunk];
            for first in rows.clone().step_by(chunk) {
                self.transposed_block(
                    c,
                    [first..(first + chunk).min(rows.end), columns.clone()],
                    &mut transposed,
                );
            }
            return;
        }
        #[expect(unsafe_code, reason = "gemm's interface is raw pointers and strides")]
        // SAFETY: `run_in_parts` checked that every index below m, n and k lies inside the three
        // slices, and no two blocks of c overlap.
        unsafe {
            let c = c.0.add(rows.start * n + columns.start);
            let [a, b] = [self.a.at(0, rows.start), self.b.at(1, columns.start)];
            product(
                [rows.len(), columns.len(), k],
                c,
                [n, 1],
                a,
                b,
                self.accumulate,
            );
        }
    }

    /// A block of c by way of its transpose, which stays in the cache: c is too narrow to multiply
    /// well as it is, and a lies transposed, so that its columns are vectors. `transposed` has room
    /// for the block.
    fn transposed_block(
        &self,
        c: Destination,
        [rows, columns]: [Range<usize>; 2],
        transposed: &mut [f32],
    ) {
        let (n, [height, width]) = (self.sizes[1], [rows.len(), columns.len()]);
        let transposed = &mut transposed[..width * height];
        let turn = |(data, [row, column]): (*const f32, [usize; 2])| (data, [column, row]);
        let [a, b] = [
            turn(self.a.at(0, rows.start)),
            turn(self.b.at(1, columns.start)),
        ];
        #[expect(unsafe_code, reason = "as in `block`")]
        // SAFETY: as in `block`; `transposed` has a number for every one of the block.
        unsafe {
            product(
                [width, height, self.sizes[2]],
                transposed.as_mut_ptr(),
                [height, 1],
                b,
                a,
                false,
            );
        }
        for (row, number) in rows.enumerate() {
            #[expect(unsafe_code, reason = "as in `block`")]
            // SAFETY: as in `block`: this is a part of a row of c.
            let line = unsafe {
                std::slice::from_raw_parts_mut(c.0.add(number * n + columns.start), width)
            };
            let values = transposed[row..].iter().step_by(height);
            if self.accumulate {
                line.iter_mut()
                    .zip(values)
                    .for_each(|(sum, value)| *sum += value);
            } else {
                line.iter_mut()
                    .zip(values)
                    .for_each(|(sum, value)| *sum = *value);
            }
        }
    }
}

/// `c = a b`, or `c += a b`, of sizes m, n, k; each matrix as its first number and the distances
/// between its rows and between its columns.
///
/// # Safety
/// Every number of the three must lie in memory that is valid, and no one else may use c's.
#[expect(unsafe_code, reason = "gemm's interface is raw pointers and strides")]
unsafe fn product(
    [m, n, k]: [usize; 3],
    c: *mut f32,
    [c_row, c_column]: [usize; 2],
    (a, [a_row, a_column]): (*const f32, [usize; 2]),
    (b, [b_row, b_column]): (*const f32, [usize; 2]),
    accumulate: bool,
) {
    let alpha = if accumulate { 1.0 } else { 0.0 };
    let [c_row, c_column, a_row, a_column, b_row, b_column] =
        [c_row, c_column, a_row, a_column, b_row, b_column].map(|one| one as isize);
    // SAFETY: the caller's.
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
    fn rows_of_products_of_one_size_do_not_depend_on_each_other() {
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
