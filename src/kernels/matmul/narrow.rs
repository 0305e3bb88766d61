//! Products with fewer columns than a vector has elements, for which `gemm` spends most of its time
//! on
//! packing: for example gradients of the small projections of the adaptive softmax.

use pulp::Simd;
use rayon::prelude::*;

use super::cpu::Product;

/// From this number of columns on, `gemm` is as fast.
const MIN_GEMM_COLUMNS: usize = 16;
/// Rows of c that are summed together, so that additions do not wait for each other.
const ROWS: usize = 8;

impl Product<'_> {
    /// Whether [`Product::run_narrow`] computes the product fastest. It requires contiguous rows.
    /// For a single row or column `gemm` is as fast.
    pub(super) fn is_narrow(&self) -> bool {
        let [m, n, k] = self.sizes;
        m > 1
            && k > 0
            && (2..MIN_GEMM_COLUMNS).contains(&n)
            && self.a.strides[1] == 1
            && self.b.strides[1] == 1
    }

    /// Writes the product to `c` on `threads` threads, which split its rows.
    pub(super) fn run_narrow(&self, c: &mut [f32], threads: usize) {
        let [m, n, _] = self.sizes;
        let chunk = m.div_ceil(threads).next_multiple_of(ROWS);
        let run = |(index, c)| {
            pulp::Arch::new().dispatch(NarrowProduct {
                product: self,
                first: index * chunk,
                c,
            });
        };
        if chunk >= m {
            return run((0, &mut c[..m * n]));
        }
        c[..m * n]
            .par_chunks_mut(chunk * n)
            .enumerate()
            .for_each(run);
    }
}

/// Some rows of c, from row `first` on.
struct NarrowProduct<'a, 'b> {
    product: &'a Product<'b>,
    first: usize,
    c: &'a mut [f32],
}

impl NarrowProduct<'_, '_> {
    /// Computes up to [`ROWS`] rows, one vector of columns after another.
    #[inline(always)]
    fn run<S: Simd>(product: &Product<'_>, simd: S, first: usize, c: &mut [f32]) {
        let [m, n, k] = product.sizes;
        let strides = [product.a.strides[0], product.b.strides[0]];
        // If there are fewer rows, the last one is repeated.
        let rows: [&[f32]; ROWS] = std::array::from_fn(|row| {
            &product.a.data[(first + row).min(m - 1) * strides[0]..][..k]
        });
        for column in (0..n).step_by(S::F32_LANES) {
            let width = S::F32_LANES.min(n - column);
            let mut sums = [simd.splat_f32s(0.0); ROWS];
            for term in 0..k {
                let others =
                    simd.partial_load_f32s(&product.b.data[term * strides[1] + column..][..width]);
                for (sum, row) in sums.iter_mut().zip(rows) {
                    *sum = simd.mul_add_f32s(simd.splat_f32s(row[term]), others, *sum);
                }
            }
            for (row, sum) in c.chunks_exact_mut(n).zip(sums) {
                let output = &mut row[column..column + width];
                let sum = if product.accumulate {
                    simd.add_f32s(simd.partial_load_f32s(output), sum)
                } else {
                    sum
                };
                simd.partial_store_f32s(output, sum);
            }
        }
    }
}

impl pulp::WithSimd for NarrowProduct<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let first_rows = (self.first..).step_by(ROWS);
        for (first, c) in first_rows.zip(self.c.chunks_mut(ROWS * self.product.sizes[1])) {
            Self::run(self.product, simd, first, c);
        }
    }
}
