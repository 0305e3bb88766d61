//! The tile of a product and the number of parts of its sums, from m, n and k and the number of
//! workgroups that occupy the GPU (`full`).

use crate::device::Gpu;

/// Rows and columns of the tiles.
pub(super) const SMALL_TILE: [usize; 2] = [64, 64];
pub(super) const FEW_ROWS_TILE: [usize; 2] = [32, 128];
pub(super) const LARGE_TILE: [usize; 2] = [128, 128];

/// Sums with fewer terms are not split between workgroups.
const MIN_CHUNK: usize = 256;

fn tiles([m, n, _]: [usize; 3], [rows, columns]: [usize; 2]) -> usize {
    m.div_ceil(rows) * n.div_ceil(columns)
}

/// The number of chunks of k that gives enough workgroups.
pub(super) fn chunks(sizes @ [m, n, k]: [usize; 3], tile: [usize; 2], full: usize) -> usize {
    let tiles = tiles(sizes, tile);
    let desired = if tiles < full {
        (2 * full).div_ceil(tiles)
    } else {
        1
    };
    desired
        .min(k / MIN_CHUNK)
        .min(Gpu::SCRATCH_ELEMENTS / (m * n))
        .max(1)
}

/// Whether large tiles do not leave most of the GPU idle.
pub(super) fn is_large(sizes: [usize; 3], full: usize) -> bool {
    tiles(sizes, LARGE_TILE) * chunks(sizes, LARGE_TILE, full) >= full / 2
}

/// The tile for factors in f32. The smaller ones have as many values: of these the one is chosen
/// that needs less time, in rounds of `full` workgroups times terms, or else reads less.
pub(super) fn tile(sizes: [usize; 3], full: usize) -> [usize; 2] {
    if is_large(sizes, full) {
        return LARGE_TILE;
    }
    let cost = |tile: [usize; 2]| {
        let chunks = chunks(sizes, tile, full);
        let rounds = (tiles(sizes, tile) * chunks).div_ceil(full);
        let reads = tiles(sizes, tile) * (tile[0] + tile[1]);
        (rounds * sizes[2].div_ceil(chunks), reads)
    };
    if cost(FEW_ROWS_TILE) < cost(SMALL_TILE) {
        FEW_ROWS_TILE
    } else {
        SMALL_TILE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Discrete and integrated GPUs.
    const DISCRETE: usize = 256;
    const INTEGRATED: usize = 64;

    #[test]
    fn tiles_fit_the_product_and_the_gpu() {
        for (sizes, full, expected) in [
            // The logits of a window and of 32 streams, and of one.
            ([4480, 10_000, 200], DISCRETE, LARGE_TILE),
            ([32, 10_000, 200], DISCRETE, FEW_ROWS_TILE),
            ([1, 10_000, 200], DISCRETE, FEW_ROWS_TILE),
            ([64, 10_000, 200], DISCRETE, SMALL_TILE),
            ([96, 10_000, 200], INTEGRATED, LARGE_TILE),
            // Two rows of tiles of 64 or three of 32.
            ([90, 3000, 200], INTEGRATED, FEW_ROWS_TILE),
            ([200, 200, 200], DISCRETE, SMALL_TILE),
            ([200, 1, 1120], DISCRETE, SMALL_TILE),
        ] {
            let chosen = tile(sizes, full);
            assert_eq!(chosen, expected, "{sizes:?} with {full} workgroups");
        }
    }

    #[test]
    fn sums_are_split_to_occupy_the_gpu() {
        let gradient = [4480, 200, 10_000];
        assert_eq!(chunks(gradient, LARGE_TILE, DISCRETE), 4);
        // 70 tiles occupy a smaller GPU.
        assert_eq!(chunks(gradient, LARGE_TILE, INTEGRATED), 1);
        // Parts of at least 256 terms, which fit the scratch buffer.
        assert_eq!(chunks([64, 64, 1000], SMALL_TILE, DISCRETE), 3);
        assert_eq!(chunks([2048, 2048, 255], LARGE_TILE, 1024), 1);
    }
}
