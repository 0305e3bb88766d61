//! The tile of a product and the number of parts of its sums, from m, n and k and the number of
//! workgroups that occupy the GPU (`full`).

use crate::device::Gpu;

/// Rows and columns of the tiles.
pub(super) const SMALL_TILE: [usize; 2] = [64, 64];
pub(super) const FEW_ROWS_TILE: [usize; 2] = [32, 128];
pub(super) const LARGE_TILE: [usize; 2] = [128, 128];

/// Sums with fewer terms are not split between workgroups.
const MIN_CHUNK: usize = 256;

/// What else takes time, in terms of a sum: a workgroup's start, and a further dispatch. Measured
/// on an H200, as are the next two.
const START: usize = 50;
const DISPATCH: usize = 16;

/// Values of partial sums that are read or written in the time of one term of a tile, for each
/// element of the tile: with factors in f32, and with cooperative matrices.
const FULL_SPEED: usize = 3;
pub(super) const COOPERATIVE_SPEED: usize = 1;

/// A product in tiles, on a GPU of a size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiled {
    /// m, n and k.
    sizes: [usize; 3],
    /// Rows and columns.
    pub(super) tile: [usize; 2],
    /// One of the two speeds.
    speed: usize,
    full: usize,
    /// The number of chunks of k that takes least time.
    pub(super) chunks: usize,
}

impl Tiled {
    /// A product in tiles of this size.
    pub(super) fn new(sizes: [usize; 3], tile: [usize; 2], speed: usize, full: usize) -> Self {
        let [m, n, k] = sizes;
        let mut tiled = Self {
            sizes,
            tile,
            speed,
            full,
            chunks: 1,
        };
        let most = (k / MIN_CHUNK).min(Gpu::SCRATCH_ELEMENTS / (m * n)).max(1);
        tiled.chunks = (1..=most)
            .min_by_key(|&chunks| tiled.cost(chunks))
            .unwrap_or(1);
        tiled
    }

    fn tiles(&self) -> usize {
        let ([m, n, _], [rows, columns]) = (self.sizes, self.tile);
        m.div_ceil(rows) * n.div_ceil(columns)
    }

    /// How often `full` workgroups run one after another.
    fn rounds(&self, chunks: usize) -> usize {
        (self.tiles() * chunks).div_ceil(self.full)
    }

    /// The time that the product takes if k is divided into `chunks`, in terms of a sum: the
    /// rounds, and the addition of the chunks.
    fn cost(&self, chunks: usize) -> usize {
        let ([m, n, k], [rows, columns]) = (self.sizes, self.tile);
        let product = self.rounds(chunks) * (k.div_ceil(chunks) + START);
        if chunks == 1 {
            return product;
        }
        product + (chunks + 1) * m * n / (self.speed * rows * columns) + DISPATCH
    }

    /// Whether the tiles do not leave most of the GPU idle.
    fn occupies_gpu(&self) -> bool {
        self.tiles() * self.chunks >= self.full / 2
    }

    /// The terms of all rounds, and the values that are read.
    fn terms_and_reads(&self) -> (usize, usize) {
        let terms = self.rounds(self.chunks) * self.sizes[2].div_ceil(self.chunks);
        (terms, self.tiles() * (self.tile[0] + self.tile[1]))
    }
}

/// The tiles for factors in f32. The smaller ones have as many values: of these those are chosen
/// that need less time, in rounds of `full` workgroups times terms, or else read less.
pub(super) fn full_precision(sizes: [usize; 3], full: usize) -> Tiled {
    let tiled = |tile| Tiled::new(sizes, tile, FULL_SPEED, full);
    let large = tiled(LARGE_TILE);
    if large.occupies_gpu() {
        return large;
    }
    let [few_rows, small] = [FEW_ROWS_TILE, SMALL_TILE].map(tiled);
    if few_rows.terms_and_reads() < small.terms_and_reads() {
        few_rows
    } else {
        small
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
            let chosen = full_precision(sizes, full).tile;
            assert_eq!(chosen, expected, "{sizes:?} with {full} workgroups");
        }
    }

    #[test]
    fn sums_are_split_where_that_saves_time() {
        for (sizes, tile, speed, expected) in [
            // 70 tiles: seven chunks fill two rounds.
            ([4480, 200, 10_000], LARGE_TILE, FULL_SPEED, 7),
            // 280 tiles: a second round of 24 takes as long as the first.
            ([4480, 1024, 1024], LARGE_TILE, FULL_SPEED, 3),
            // The addition would take longer than it saves with faster products.
            ([4480, 1024, 1024], LARGE_TILE, COOPERATIVE_SPEED, 1),
            // Whole rounds, nearly.
            ([2048, 2048, 2048], LARGE_TILE, FULL_SPEED, 1),
            ([10_000, 650, 1120], LARGE_TILE, FULL_SPEED, 1),
            // Parts of at least 256 terms, which fit the scratch buffer.
            ([64, 64, 1000], SMALL_TILE, FULL_SPEED, 3),
            ([64, 64, 255], SMALL_TILE, FULL_SPEED, 1),
            ([4480, 1024, 10_000], LARGE_TILE, FULL_SPEED, 3),
            ([1 << 13, 1 << 12, 1 << 20], LARGE_TILE, FULL_SPEED, 1),
        ] {
            let chosen = Tiled::new(sizes, tile, speed, DISCRETE).chunks;
            assert_eq!(chosen, expected, "{sizes:?}");
        }
    }
}
