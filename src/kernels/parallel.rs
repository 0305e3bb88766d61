//! Splitting a kernel's work on the CPU into as many equal parts as the device has threads.
//!
//! The parts depend on the number of threads alone, never on which is free, so results repeat to
//! the bit.

use rayon::prelude::*;

/// Elements below which a second thread costs more than it saves.
pub(super) const SMALLEST_SPLIT: usize = 16 * 1024;

/// Rows in each of `parts` equal parts; at least one.
pub(super) fn rows_per_part(parts: usize, rows: usize) -> usize {
    rows.div_ceil(parts).max(1)
}

/// Calls `work(first_row, rows)` on `parts` runs of whole rows of `data`, at once where that pays.
pub(super) fn for_row_parts<T: Send>(
    parts: usize,
    data: &mut [T],
    columns: usize,
    work: impl Fn(usize, &mut [T]) + Sync,
) {
    if data.is_empty() {
        return;
    }
    let rows = data.len() / columns;
    if parts < 2 || rows < 2 || data.len() < SMALLEST_SPLIT {
        return work(0, data);
    }
    let part = rows_per_part(parts, rows);
    data.par_chunks_mut(part * columns)
        .enumerate()
        .for_each(|(number, chunk)| work(number * part, chunk));
}

/// Runs elementwise loops with the widest vectors that the processor has.
///
/// The loop must be in the closure, which is marked `#[inline(always)]` as must be what it calls,
/// to be compiled for them: a large closure is else a function of its own, for the narrowest
/// vectors. Multiplications and additions are not fused, so the numbers are the same for every
/// width.
#[inline(always)]
pub(super) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    struct Work<F>(F);
    impl<R, F: FnOnce() -> R> pulp::WithSimd for Work<F> {
        type Output = R;
        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, _: S) -> R {
            (self.0)()
        }
    }
    pulp::Arch::new().dispatch(Work(work))
}
