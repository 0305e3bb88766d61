//! Logits by blocks of rows, so that those of a large vocabulary need not lie in memory for all
//! rows of a window at once.

use std::ops::Range;

use crate::device::Device;

/// Rows of a block are a multiple of this, so that every block begins where vectors do.
const ROW_STEP: usize = 16;

/// How many rows of logits are computed at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocks {
    /// Rows of a block, the last one's perhaps fewer.
    pub(super) rows: usize,
}

impl Blocks {
    /// Blocks of up to `rows` rows of `columns` logits, made by a weight of `columns` rows of
    /// `size` numbers.
    pub(super) fn new(device: &Device, rows: usize, columns: usize, size: usize) -> Self {
        let fitting =
            device.logits_block_bytes(4 * columns * size) / 4 / columns / ROW_STEP * ROW_STEP;
        // The same number of rows in every block, as far as that goes.
        let blocks = rows.div_ceil(fitting.max(ROW_STEP));
        Self {
            rows: rows.div_ceil(blocks).next_multiple_of(ROW_STEP).min(rows),
        }
    }

    /// Runs of `0..rows`, each at most a block.
    pub(super) fn ranges(self, rows: usize) -> impl Iterator<Item = Range<usize>> {
        (0..rows.div_ceil(self.rows))
            .map(move |number| number * self.rows..((number + 1) * self.rows).min(rows))
    }
}
