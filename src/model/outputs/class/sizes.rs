//! The sizes of a class softmax's buffers.

use std::ops::Range;

use super::direct::Direct;
use crate::kernels::{BLOCK, GROUP_FIELDS, ROW_FIELDS, SEGMENT_FIELDS};

/// The largest sizes of a plan.
pub(super) struct Sizes {
    pub(super) largest_class: usize,
    pub(super) touched_words: usize,
    pub(super) touched_blocks: usize,
    /// Values of all lists together.
    pub(super) list_values: usize,
}

impl Sizes {
    pub(super) fn new(
        ranges: &[Range<usize>],
        direct: Option<Direct>,
        rows: usize,
        training: bool,
    ) -> Self {
        let classes = ranges.len();
        let mut sizes: Vec<usize> = ranges.iter().map(Range::len).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let largest_class = sizes.first().copied().unwrap_or(0);
        let max_groups = rows.min(classes);
        let mut touched_words = 0;
        let mut touched_blocks = 0;
        let mut segments = 0;
        if training {
            touched_words = sizes[..max_groups].iter().sum();
            if let Some(direct) = direct {
                let of_classes = direct.max_blocks_and_segments(rows, classes);
                let of_words = direct.max_blocks_and_segments(rows, largest_class);
                touched_blocks = (of_classes[0] + of_words[0]).min(direct.size / BLOCK);
                segments = of_classes[1] + of_words[1];
            }
        }
        let runs = direct.map_or(0, |direct| rows * direct.record_len());
        Self {
            largest_class,
            touched_words,
            touched_blocks,
            list_values: 3 * rows
                + (max_groups + 1) * GROUP_FIELDS
                + ROW_FIELDS * rows
                + touched_words
                + 2 * runs
                + 2 * touched_blocks
                + 1
                + SEGMENT_FIELDS * segments,
        }
    }
}
