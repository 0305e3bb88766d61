//! Products with a second operand that is packed once for many products, such as a recurrent weight
//! for the steps of a window.
//!
//! The columns are divided into panels that are contiguous in memory, as wide as a block of `gemm`.
//! Without them `gemm` reads a few elements from each row, and rows of a wide operand are in
//! different pages of memory.

use std::ops::Range;

use rayon::prelude::*;

use super::cpu::{Destination, multiply};

/// Columns of a panel for products of several rows: a block of `gemm` with the widest vectors.
const WIDTH: usize = 64;
/// The last panel has at least this number of columns, unless there is only one panel. `gemm` sums
/// narrower products in another order.
const MIN_LAST_WIDTH: usize = 32;

/// Rows that are packed together from an operand whose columns are contiguous.
const BLOCK_ROWS: usize = 16;

/// How the columns of a matrix are divided.
#[derive(Debug, Clone, Copy)]
struct Division {
    n: usize,
    width: usize,
}

impl Division {
    /// For products of `m` rows on `threads` threads. One row is not multiplied in blocks.
    fn new(n: usize, m: usize, threads: usize) -> Self {
        let width = if m == 1 {
            n.div_ceil(threads).next_multiple_of(WIDTH)
        } else {
            WIDTH
        };
        Self { n, width }
    }

    fn count(self) -> usize {
        ((self.n + self.width).saturating_sub(MIN_LAST_WIDTH) / self.width).max(1)
    }

    /// The columns of a panel.
    fn columns(self, panel: usize) -> Range<usize> {
        let end = if panel + 1 == self.count() {
            self.n
        } else {
            (panel + 1) * self.width
        };
        panel * self.width..end
    }
}

/// A matrix `[k, n]` in panels, each row-major.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Panels<'a> {
    values: &'a [f32],
    k: usize,
    division: Division,
    threads: usize,
}

impl<'a> Panels<'a> {
    /// Packs the matrix `[k, n]` with these elements and distances between rows and columns into
    /// `packed`, of `k * n` elements, for products of `m` rows on `threads` threads.
    pub(in crate::kernels) fn pack(
        elements: &[f32],
        [row_stride, column_stride]: [usize; 2],
        [m, n, k]: [usize; 3],
        packed: &'a mut [f32],
        threads: usize,
    ) -> Self {
        let division = Division::new(n, m, threads);
        let packed = &mut packed[..k * n];
        let mut rest = &mut *packed;
        let mut panels = Vec::with_capacity(division.count());
        for panel in 0..division.count() {
            let columns = division.columns(panel);
            let (values, after) = rest.split_at_mut(k * columns.len());
            panels.push((columns, values));
            rest = after;
        }
        panels.into_par_iter().for_each(|(columns, values)| {
            let width = columns.len();
            if column_stride == 1 {
                for (row, values) in values.chunks_exact_mut(width).enumerate() {
                    values.copy_from_slice(&elements[row * row_stride..][columns.clone()]);
                }
                return;
            }
            // Blocks of rows that fit the cache, of which each column writes one element per row.
            for (block, values) in values.chunks_mut(BLOCK_ROWS * width).enumerate() {
                let first = block * BLOCK_ROWS * row_stride;
                for (place, column) in columns.clone().enumerate() {
                    let column = elements[first + column * column_stride..]
                        .iter()
                        .step_by(row_stride);
                    let places = values[place..].iter_mut().step_by(width);
                    places
                        .zip(column)
                        .for_each(|(value, element)| *value = *element);
                }
            }
        });
        Self {
            values: packed,
            k,
            division,
            threads,
        }
    }

    /// Writes `a` times this matrix to `c`, or adds it if `accumulate` is set. `a` is `[m, k]` and
    /// `c` is `[m, n]`, both row-major.
    pub(in crate::kernels) fn multiply(&self, a: &[f32], c: &mut [f32], accumulate: bool) {
        let n = self.division.n;
        let m = c.len() / n;
        // The unsafe code below relies on these assertions.
        assert!(c.len() == m * n && a.len() >= m * self.k && self.values.len() == self.k * n);
        let destination = Destination(c.as_mut_ptr());
        let panels = 0..self.division.count();
        let run = |panel| self.multiply_panel(panel, &a[..m * self.k], destination, accumulate);
        if self.threads < 2 {
            panels.for_each(run);
        } else {
            panels.into_par_iter().for_each(run);
        }
    }

    /// Writes the columns of one panel.
    fn multiply_panel(&self, panel: usize, a: &[f32], c: Destination, accumulate: bool) {
        let &Self { k, .. } = self;
        let n = self.division.n;
        let m = a.len() / k;
        let columns = self.division.columns(panel);
        let width = columns.len();
        let values = &self.values[columns.start * k..columns.end * k];
        #[expect(unsafe_code, reason = "gemm's interface is raw pointers and strides")]
        // SAFETY: by the assertion in `multiply`, a has m rows of k elements, the panel k rows of
        // `width`, and c m rows of n, of which this product writes `columns`; no two panels have a
        // column in common.
        unsafe {
            multiply(
                [m, width, k],
                c.0.add(columns.start),
                [n, 1],
                (a.as_ptr(), [k, 1]),
                (values.as_ptr(), [width, 1]),
                accumulate,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_cover_all_columns() {
        for (n, m, threads) in (1..400).flat_map(|n| [(n, 1, 1), (n, 1, 3), (n, 5, 2)]) {
            let division = Division::new(n, m, threads);
            let mut next = 0;
            for panel in 0..division.count() {
                let columns = division.columns(panel);
                assert_eq!(columns.start, next);
                assert!(columns.len() >= MIN_LAST_WIDTH.min(n), "{n}: {columns:?}");
                next = columns.end;
            }
            assert_eq!(next, n);
        }
    }

    #[test]
    fn products_are_those_of_the_matrix() {
        let value = |i: usize| ((i * 7919) % 1013) as f32 / 1013.0 - 0.5;
        for sizes in [
            [1, 1, 1],
            [1, 200, 9],
            [2, 31, 3],
            [5, 96, 130],
            [16, 200, 70],
            [3, 129, 520],
        ] {
            let [m, n, k] = sizes;
            let a: Vec<f32> = (0..m * k).map(value).collect();
            let b: Vec<f32> = (0..k * n).map(|i| value(i + 5)).collect();
            let transposed: Vec<f32> = (0..k * n).map(|i| b[i % k * n + i / k]).collect();
            let want = |row: usize, column: usize| {
                let terms =
                    (0..k).map(|j| f64::from(a[row * k + j]) * f64::from(b[j * n + column]));
                1.0 + terms.sum::<f64>()
            };
            for (elements, strides) in [(&b, [n, 1]), (&transposed, [1, k])] {
                for threads in [1, 2] {
                    let mut packed = vec![f32::NAN; k * n];
                    let panels = Panels::pack(elements, strides, sizes, &mut packed, threads);
                    let mut c = vec![1.0; m * n];
                    panels.multiply(&a, &mut c, true);
                    for (i, &got) in c.iter().enumerate() {
                        let want = want(i / n, i % n);
                        assert!(
                            (f64::from(got) - want).abs() < 1e-4,
                            "{sizes:?}: {got} {want}"
                        );
                    }
                }
            }
        }
    }
}
