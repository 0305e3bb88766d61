//! Division of a product into blocks that a dispatch can compute.

use std::ops::Range;

/// The largest number of rows or columns of a dispatch with tiles of `tile` rows or columns: the
/// limit on workgroups in one dimension.
pub(super) fn max_side(tile: usize) -> usize {
    65_535 * tile
}

/// Splits `0..length` at the multiples of `max_length` and at the given boundaries. Returns a
/// single empty range if `length` is 0.
pub(super) fn split_range(
    length: usize,
    max_length: usize,
    boundaries: [Vec<usize>; 2],
) -> Vec<Range<usize>> {
    let mut ends: Vec<usize> = boundaries
        .into_iter()
        .flatten()
        .chain((1..=length / max_length).map(|index| index * max_length))
        .collect();
    ends.push(length);
    ends.sort_unstable();
    ends.dedup();
    let mut start = 0;
    ends.into_iter()
        .map(|end| std::mem::replace(&mut start, end)..end)
        .collect()
}

/// Divides a block of `length` rows or columns, of `operations` in all, into bands of whole tiles
/// with at most `limit` operations each, where a tile has no more.
pub(super) fn bands(length: usize, tile: usize, operations: u64, limit: u64) -> Vec<Range<usize>> {
    let parts = operations.div_ceil(limit.max(1));
    let tiles = length.div_ceil(tile);
    let tiles_of_band =
        usize::try_from(tiles as u64 / parts.max(1)).map_or(tiles, |count| count.max(1));
    split_range(
        length,
        tiles_of_band.saturating_mul(tile),
        [Vec::new(), Vec::new()],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths of consecutive ranges from 0.
    fn lengths(ranges: &[Range<usize>]) -> Vec<usize> {
        let mut end = 0;
        for range in ranges {
            assert_eq!(range.start, end, "{ranges:?}");
            end = range.end;
        }
        ranges.iter().map(ExactSizeIterator::len).collect()
    }

    #[test]
    fn dispatches_stay_within_the_limit_of_workgroups() {
        for (length, tile, count) in [
            (2_097_120, 32, 1),
            (2_097_121, 32, 2),
            (3_000_000, 32, 2),
            (5_000_000, 64, 2),
            (1, 64, 1),
        ] {
            let ranges = split_range(length, max_side(tile), [Vec::new(), Vec::new()]);
            let lengths = lengths(&ranges);
            assert_eq!(lengths.len(), count, "{length} by {tile}");
            assert_eq!(lengths.iter().sum::<usize>(), length);
            assert!(lengths.iter().all(|length| length.div_ceil(tile) <= 65_535));
        }
    }

    #[test]
    fn bands_are_whole_tiles_within_the_limit() {
        assert_eq!(lengths(&bands(1000, 128, 100, 100)), [1000]);
        assert_eq!(lengths(&bands(1000, 128, 100, 50)), [512, 488]);
        assert_eq!(lengths(&bands(1000, 128, 100, 30)), [256, 256, 256, 232]);
        // A tile is not divided.
        assert_eq!(lengths(&bands(300, 128, u64::MAX, 1)), [128, 128, 44]);
        assert_eq!(lengths(&bands(1, 64, 0, 0)), [1]);
    }
}
