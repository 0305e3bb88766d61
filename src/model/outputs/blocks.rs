//! Blocks of rows, so that the logits of a large vocabulary need not be in memory for all rows of a
//! window at once.

use std::ops::Range;

use crate::device::Device;

/// The number of rows in a block is a multiple of this, for aligned vector accesses.
const ROW_STEP: usize = 16;

/// The number of rows whose logits are computed at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocks {
    /// Rows of a block; the last block may have fewer.
    pub(super) rows: usize,
}

impl Blocks {
    /// Blocks of up to `rows` rows of `columns` logits, computed by a weight of `columns` rows of
    /// `size` elements.
    pub(super) fn new(device: &Device, rows: usize, columns: usize, size: usize) -> Self {
        let fitting =
            device.logits_block_bytes(4 * columns * size) / 4 / columns / ROW_STEP * ROW_STEP;
        // Blocks of equal size, as far as possible.
        let blocks = rows.div_ceil(fitting.max(ROW_STEP));
        Self {
            rows: rows.div_ceil(blocks).next_multiple_of(ROW_STEP).min(rows),
        }
    }

    /// The ranges of `0..rows`, a block each.
    pub(super) fn ranges(self, rows: usize) -> impl Iterator<Item = Range<usize>> {
        (0..rows.div_ceil(self.rows))
            .map(move |index| index * self.rows..((index + 1) * self.rows).min(rows))
    }
}
