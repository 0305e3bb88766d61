//! Splitting of a kernel's work on the CPU into equal chunks, one per thread.
//!
//! The chunks depend only on the number of threads, not on scheduling, so results are
//! reproducible to the bit.

use rayon::prelude::*;

use super::math::Math;

/// Below this number of elements, a second thread costs more than it saves.
pub(super) const MIN_PARALLEL_ELEMENTS: usize = 16 * 1024;

/// Number of rows in each of `chunks` equal chunks; at least one.
pub(super) fn rows_per_chunk(chunks: usize, rows: usize) -> usize {
    rows.div_ceil(chunks).max(1)
}

/// Calls `work(first_row, rows)` on `chunks` chunks of whole rows of `data`. Runs them in parallel
/// unless the data is small.
pub(super) fn for_row_chunks<T: Send>(
    chunks: usize,
    data: &mut [T],
    columns: usize,
    work: impl Fn(usize, &mut [T]) + Sync,
) {
    if data.is_empty() {
        return;
    }
    let rows = data.len() / columns;
    if chunks < 2 || rows < 2 || data.len() < MIN_PARALLEL_ELEMENTS {
        return work(0, data);
    }
    let chunk_rows = rows_per_chunk(chunks, rows);
    data.par_chunks_mut(chunk_rows * columns)
        .enumerate()
        .for_each(|(index, chunk)| work(index * chunk_rows, chunk));
}

/// Runs elementwise loops with the widest vector instructions that the processor supports.
///
/// The closure must contain the loop and be marked `#[inline(always)]`, and so must the functions
/// it calls. Otherwise a large closure is compiled as a separate function for the narrowest
/// vectors. Results are the same for every vector width.
#[inline(always)]
pub(super) fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    vectorized_math(
        #[inline(always)]
        |_| work(),
    )
}

/// As [`vectorized`], for loops with functions of [`Math`]: their last bit depends on whether the
/// processor fuses multiplication and addition.
#[inline(always)]
pub(super) fn vectorized_math<R>(work: impl FnOnce(Math) -> R) -> R {
    struct Work<F>(F);
    impl<R, F: FnOnce(Math) -> R> pulp::WithSimd for Work<F> {
        type Output = R;
        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, _: S) -> R {
            // All vector instruction sets of `pulp` include fused multiplication and addition.
            (self.0)(Math::new(!S::IS_SCALAR))
        }
    }
    pulp::Arch::new().dispatch(Work(work))
}
