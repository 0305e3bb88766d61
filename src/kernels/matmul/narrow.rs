//! Products with fewer columns than a vector has numbers, for which `gemm` spends most of its time
//! on packing: gradients of the few numbers that rare words see of the state, say.

use pulp::Simd;
use rayon::prelude::*;

use super::cpu::Product;

/// Columns of c from which on `gemm` is as fast.
const NARROWEST_PACKED: usize = 16;
/// NarrowProduct of c that are summed at a time, so that sums do not wait for each other.
const TOGETHER: usize = 8;

impl Product<'_> {
    /// Whether the product is best computed by [`Product::run_narrow`], to which rows lie side by
    /// side. Of one row or column `gemm` is as fast.
    pub(super) fn is_narrow(&self) -> bool {
        let [m, n, k] = self.sizes;
        m > 1
            && k > 0
            && (2..NARROWEST_PACKED).contains(&n)
            && self.a.strides[1] == 1
            && self.b.strides[1] == 1
    }

    /// Writes the product into `c` in `parts` parts of its rows, at once.
    pub(super) fn run_narrow(&self, c: &mut [f32], parts: usize) {
        let [m, n, _] = self.sizes;
        let part = m.div_ceil(parts).next_multiple_of(TOGETHER);
        let run = |(number, c)| {
            pulp::Arch::new().dispatch(NarrowProduct {
                product: self,
                first: number * part,
                c,
            });
        };
        if part >= m {
            return run((0, &mut c[..m * n]));
        }
        c[..m * n]
            .par_chunks_mut(part * n)
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
    /// Computes up to [`TOGETHER`] rows, a vector of columns after the other.
    #[inline(always)]
    fn run<S: Simd>(product: &Product<'_>, simd: S, first: usize, c: &mut [f32]) {
        let ([m, n, k], strides) = (product.sizes, [product.a.strides[0], product.b.strides[0]]);
        // Where there are fewer rows than are summed, the last one is summed again.
        let rows: [&[f32]; TOGETHER] = std::array::from_fn(|row| {
            &product.a.data[(first + row).min(m - 1) * strides[0]..][..k]
        });
        for column in (0..n).step_by(S::F32_LANES) {
            let width = S::F32_LANES.min(n - column);
            let mut sums = [simd.splat_f32s(0.0); TOGETHER];
            for term in 0..k {
                let others =
                    simd.partial_load_f32s(&product.b.data[term * strides[1] + column..][..width]);
                for (sum, row) in sums.iter_mut().zip(rows) {
                    *sum = simd.mul_add_f32s(simd.splat_f32s(row[term]), others, *sum);
                }
            }
            for (row, sum) in c.chunks_exact_mut(n).zip(sums) {
                let place = &mut row[column..column + width];
                let sum = if product.accumulate {
                    simd.add_f32s(simd.partial_load_f32s(place), sum)
                } else {
                    sum
                };
                simd.partial_store_f32s(place, sum);
            }
        }
    }
}

impl pulp::WithSimd for NarrowProduct<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (number, c) in self
            .c
            .chunks_mut(TOGETHER * self.product.sizes[1])
            .enumerate()
        {
            Self::run(self.product, simd, self.first + number * TOGETHER, c);
        }
    }
}
