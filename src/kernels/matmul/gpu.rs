//! Matrix products on a GPU: the tile and the number of chunks are chosen by the sizes, and sharded
//! operands are multiplied block by block.

mod division;
pub(in crate::kernels) mod matmul_cooperative;
mod tiles;

use std::ops::Range;

use super::{Matmul, Precision};
use crate::device::{
    Access, Arguments as _, Binding, Gpu, OPERATIONS_PER_ACCESS, Shader, Shard, arguments, to_u32,
    workgroups,
};
use division::{bands, max_side, split_range};
use tiles::{COOPERATIVE_SPEED, FEW_ROWS_TILE, LARGE_TILE, SMALL_TILE, Tiled};

arguments! {
    m: u32,
    n: u32,
    k: u32,
    chunk: u32,
    a_offset: u32,
    a_stride: u32,
    b_offset: u32,
    b_stride: u32,
    c_offset: u32,
    c_stride: u32,
    a_scale: f32,
}

pub(in crate::kernels) static SMALL: Shader = Shader {
    stem: "matmul",
    source: concat!(
        include_str!("../../../shaders/matmul.wgsl"),
        include_str!("../../../shaders/large_tile.wgsl")
    ),
    entry_point: "small",
    bindings: &[
        ("a", Access::Read),
        ("b", Access::Read),
        ("c", Access::Write),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: true,
};
pub(in crate::kernels) static FEW_ROWS: Shader = Shader {
    entry_point: "few_rows",
    ..SMALL
};
pub(in crate::kernels) static LARGE: Shader = Shader {
    entry_point: "large",
    ..SMALL
};
pub(in crate::kernels) static LARGE_VECTOR: Shader = Shader {
    entry_point: "large_vector",
    bindings: &[
        ("a4", Access::Read),
        ("b4", Access::Read),
        ("c4", Access::Write),
    ],
    ..SMALL
};
pub(in crate::kernels) static SUM_CHUNKS: Shader = Shader {
    entry_point: "sum_chunks",
    ..SMALL
};

/// Chunks of k are multiples of this for factors in f32, so that tiles are loaded completely.
const DEPTH: usize = 16;
/// Terms that one dispatch sums: one loop iteration per term, and one per load of 16 terms.
const MAX_TERMS: usize = super::super::MAX_LOOP_ITERATIONS / 17 * 16;

impl Matmul {
    /// The smallest tile that a block of this product may be divided into.
    fn smallest_tile(&self, gpu: &Gpu) -> [usize; 2] {
        match gpu.matrix() {
            Some(matrix) if self.precision != Precision::Full => matmul_cooperative::tile(matrix),
            _ => SMALL_TILE,
        }
    }

    pub(super) fn multiply_on_gpu(&self, gpu: &mut Gpu) {
        let [m, n, k] = self.sizes();
        let [a, b, c] = [&self.a, &self.b, &self.c].map(|tensor| gpu.shards(tensor));
        // The ends of the shards, if their rows run along the dimension in question.
        let ends = |shards: &[Shard], runs_along: bool| {
            if runs_along {
                shards.iter().map(|shard| shard.rows.end).collect()
            } else {
                Vec::new()
            }
        };
        let [max_rows, max_columns] = self.smallest_tile(gpu).map(max_side);
        let rows = split_range(m, max_rows, [ends(&c, true), ends(&a, !self.transpose_a)]);
        let columns = split_range(n, max_columns, [ends(&b, self.transpose_b), Vec::new()]);
        let terms = split_range(
            k,
            MAX_TERMS,
            [ends(&a, self.transpose_a), ends(&b, !self.transpose_b)],
        );
        for rows in &rows {
            for columns in &columns {
                for (index, terms) in terms.iter().enumerate() {
                    let block = Block {
                        sizes: [rows.len(), columns.len(), terms.len()],
                        a: if self.transpose_a {
                            block_view(&a, terms, rows)
                        } else {
                            block_view(&a, rows, terms)
                        },
                        b: if self.transpose_b {
                            block_view(&b, columns, terms)
                        } else {
                            block_view(&b, terms, columns)
                        },
                        c: block_view(&c, rows, columns),
                        transposed: [self.transpose_a, self.transpose_b],
                        // The first dispatch overwrites c, later ones add to it.
                        accumulate: self.accumulate || index > 0,
                        precision: self.precision,
                    };
                    block.launch(gpu);
                }
            }
        }
    }
}

/// A block of a matrix in GPU memory: the offset of its first element, and the distance between
/// rows.
#[derive(Clone, Copy)]
struct BlockView {
    binding: Binding,
    offset: usize,
    stride: usize,
    /// Whether the elements are f16; otherwise f32.
    is_half: bool,
}

/// The block of `rows` and `columns`, which is within one shard.
fn block_view(shards: &[Shard], rows: &Range<usize>, columns: &Range<usize>) -> BlockView {
    let shard = shards
        .iter()
        .find(|shard| shard.rows.contains(&rows.start))
        .unwrap_or(&shards[0]);
    let stride = shard.tensor.columns();
    let (binding, offset) = Binding::with_offset(&shard.tensor);
    BlockView {
        binding,
        offset: offset as usize + (rows.start - shard.rows.start) * stride + columns.start,
        stride,
        is_half: false,
    }
}

/// A block of a product, computed in one dispatch, or in one for the chunks of k and one for their
/// sum.
#[derive(Clone, Copy)]
struct Block {
    /// m, n and k.
    sizes: [usize; 3],
    a: BlockView,
    b: BlockView,
    c: BlockView,
    transposed: [bool; 2],
    accumulate: bool,
    precision: Precision,
}

/// How a block is divided among workgroups.
struct Tiling {
    shader: &'static Shader,
    /// Rows and columns of a tile.
    tile: [usize; 2],
    /// The number of chunks of k.
    chunks: usize,
    /// A chunk's terms are a multiple of this.
    depth: usize,
}

impl Tiling {
    fn is_cooperative(&self) -> bool {
        self.shader.stem == matmul_cooperative::SHADER.stem
    }
}

impl Block {
    /// Chosen to give enough workgroups, with large tiles if possible. The choice depends only on
    /// the sizes and on the adapter, so that results are reproducible.
    fn tiling(&self, gpu: &Gpu) -> Tiling {
        let full = gpu.full_workgroups();
        if let (Precision::Mixed { .. }, Some(matrix)) = (self.precision, gpu.matrix()) {
            let tile = matmul_cooperative::tile(matrix);
            let tiled = Tiled::new(self.sizes, tile, COOPERATIVE_SPEED, full);
            return Tiling {
                shader: &matmul_cooperative::SHADER,
                tile,
                chunks: tiled.chunks,
                depth: matmul_cooperative::DEPTH,
            };
        }
        let tiled = tiles::full_precision(self.sizes, full);
        let shader = match tiled.tile {
            LARGE_TILE if self.is_vectorizable() => &LARGE_VECTOR,
            LARGE_TILE => &LARGE,
            FEW_ROWS_TILE => &FEW_ROWS,
            _ => &SMALL,
        };
        Tiling {
            shader,
            tile: tiled.tile,
            chunks: tiled.chunks,
            depth: DEPTH,
        }
    }

    /// Whether all rows of the operands and of the result start and end at multiples of four
    /// elements.
    fn is_vectorizable(&self) -> bool {
        let [m, n, k] = self.sizes;
        let a_length = if self.transposed[0] { m } else { k };
        let b_length = if self.transposed[1] { k } else { n };
        [
            n,
            a_length,
            b_length,
            self.a.offset,
            self.a.stride,
            self.b.offset,
            self.b.stride,
            self.c.offset,
            self.c.stride,
        ]
        .iter()
        .all(|size| size.is_multiple_of(4))
    }

    /// Launches the block, in bands if it is too much work for one submission. That changes no
    /// result: a band has the block's tiles and chunks.
    fn launch(mut self, gpu: &mut Gpu) {
        let [m, n, _] = self.sizes;
        if m == 0 || n == 0 {
            return;
        }
        let tiling = self.tiling(gpu);
        if tiling.is_cooperative() {
            self.copy_factors(gpu, tiling.tile);
        }
        let [rows, columns] = tiling.tile;
        let (operations, limit) = (self.operations(), gpu.max_operations());
        if m.div_ceil(rows) > n.div_ceil(columns) {
            for rows in bands(m, rows, operations, limit) {
                self.band(rows, 0..n).dispatch(gpu, &tiling);
            }
        } else {
            for columns in bands(n, columns, operations, limit) {
                self.band(0..m, columns).dispatch(gpu, &tiling);
            }
        }
    }

    fn operations(&self) -> u64 {
        self.sizes
            .iter()
            .fold(2, |product, &size| product.saturating_mul(size as u64))
    }

    /// Some of the block's rows and columns.
    fn band(&self, rows: Range<usize>, columns: Range<usize>) -> Self {
        let mut band = *self;
        band.sizes = [rows.len(), columns.len(), self.sizes[2]];
        let step = |stride: usize, transposed: bool| if transposed { 1 } else { stride };
        let [transpose_a, transpose_b] = self.transposed;
        band.a.offset += rows.start * step(self.a.stride, transpose_a);
        band.b.offset += columns.start * step(self.b.stride, !transpose_b);
        band.c.offset += rows.start * self.c.stride + columns.start;
        band
    }

    fn dispatch(&self, gpu: &mut Gpu, tiling: &Tiling) {
        let [m, n, k] = self.sizes;
        let &Tiling {
            shader,
            tile: [rows, columns],
            chunks,
            depth,
        } = tiling;
        // At least one chunk, even if k is 0.
        let chunk = k.div_ceil(chunks).next_multiple_of(depth).max(depth);
        let chunks = k.div_ceil(chunk).max(1);
        let (round, a_scale) = match self.precision {
            Precision::Full => (false, 1.0),
            Precision::Mixed { scale } => (true, scale),
        };
        let constant = |on: bool| f64::from(u8::from(on));
        let [transpose_a, transpose_b] = self.transposed.map(constant);
        let accumulate = constant(self.accumulate);
        let mut constants = vec![
            ("TRANSPOSE_A", transpose_a),
            ("TRANSPOSE_B", transpose_b),
            ("ACCUMULATE", accumulate),
        ];
        if tiling.is_cooperative() {
            constants.push(("A_IS_HALF", constant(self.a.is_half)));
            constants.push(("B_IS_HALF", constant(self.b.is_half)));
        } else if round {
            constants.push(("ROUND", 1.0));
        }
        let bindings = |c: Binding| {
            let mut bindings = vec![self.a.binding, self.b.binding, c];
            if tiling.is_cooperative() {
                // The same buffers, as f16.
                bindings.extend([self.a.binding, self.b.binding]);
            }
            bindings
        };
        let arguments = Arguments {
            m: to_u32(m),
            n: to_u32(n),
            k: to_u32(k),
            chunk: to_u32(chunk),
            a_offset: to_u32(self.a.offset),
            a_stride: to_u32(self.a.stride),
            b_offset: to_u32(self.b.offset),
            b_stride: to_u32(self.b.stride),
            c_offset: to_u32(self.c.offset),
            c_stride: to_u32(self.c.stride),
            a_scale,
        };
        let groups = [
            to_u32(n.div_ceil(columns)),
            to_u32(m.div_ceil(rows)),
            to_u32(chunks),
        ];
        if chunks == 1 {
            return gpu.launch_work(
                shader,
                &constants,
                &bindings(self.c.binding),
                &arguments,
                groups,
                self.operations(),
            );
        }
        let scratch = gpu.scratch();
        let in_scratch = Arguments {
            c_offset: 0,
            c_stride: to_u32(n),
            ..arguments
        };
        constants[2].1 = 0.0;
        gpu.launch_work(
            shader,
            &constants,
            &bindings(scratch),
            &in_scratch,
            groups,
            self.operations(),
        );
        let sum = Arguments {
            chunk: to_u32(chunks),
            ..arguments
        };
        gpu.launch_work(
            &SUM_CHUNKS,
            &[("ACCUMULATE", accumulate)],
            &[scratch, scratch, self.c.binding],
            &sum,
            workgroups(m * n, 256),
            (m * n * chunks) as u64 * OPERATIONS_PER_ACCESS,
        );
    }
}
