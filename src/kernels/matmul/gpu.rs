//! A GPU's face of a product: tiles and parts chosen by its sizes, one dispatch for each block that
//! lies in single buffers.

use std::ops::Range;

use super::super::matmul_cooperative;
use super::{Matmul, Precision};
use crate::device::{
    Access, Arguments as _, Binding, Gpu, Shader, Shard, arguments, to_u32, workgroups,
};

arguments! {
    m: u32,
    n: u32,
    k: u32,
    part: u32,
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
    source: include_str!("../../../shaders/matmul.wgsl"),
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
pub(in crate::kernels) static LARGE: Shader = Shader {
    entry_point: "large",
    ..SMALL
};
pub(in crate::kernels) static LARGE_VECTOR: Shader = Shader {
    entry_point: "large_vector",
    bindings: &[
        ("a4", Access::Read),
        ("b4", Access::Read),
        ("c", Access::Write),
    ],
    ..SMALL
};
pub(in crate::kernels) static SUM_PARTS: Shader = Shader {
    entry_point: "sum_parts",
    ..SMALL
};

/// Parts of a sum are multiples of this: whole loads of every tile.
const DEPTH: usize = 16;
/// Terms of the inner size that one dispatch adds up: a turn for each, and two for a load of eight.
const TERMS: usize = super::super::MOST_TURNS / 10 * 8;
/// Rows or columns of c that one dispatch makes: as many tiles as a dimension has workgroups.
const LARGEST_SIDE: usize = 65_535 * 64;
/// Workgroups from which on a GPU is full.
const MANY_GROUPS: usize = 256;
/// Workgroups below which large tiles leave most of a GPU idle.
const FEW_GROUPS: usize = 128;
/// Terms below which a sum is not split between workgroups.
const SHORTEST_PART: usize = 256;
impl Matmul {
    pub(super) fn multiply_on_gpu(&self, gpu: &mut Gpu) {
        let [m, n, k] = self.sizes();
        let [a, b, c] = [&self.a, &self.b, &self.c].map(|tensor| gpu.shards(tensor));
        let along = |pieces: &[Shard], here: bool| {
            if here {
                pieces.iter().map(|piece| piece.rows.end).collect()
            } else {
                Vec::new()
            }
        };
        let rows = cut(
            m,
            LARGEST_SIDE,
            [along(&c, true), along(&a, !self.transpose_a)],
        );
        let columns = cut(n, LARGEST_SIDE, [along(&b, self.transpose_b), Vec::new()]);
        let terms = cut(
            k,
            TERMS,
            [along(&a, self.transpose_a), along(&b, !self.transpose_b)],
        );
        for rows in &rows {
            for columns in &columns {
                for (number, terms) in terms.iter().enumerate() {
                    let block = Block {
                        sizes: [rows.len(), columns.len(), terms.len()],
                        a: if self.transpose_a {
                            corner(&a, terms, rows)
                        } else {
                            corner(&a, rows, terms)
                        },
                        b: if self.transpose_b {
                            corner(&b, columns, terms)
                        } else {
                            corner(&b, terms, columns)
                        },
                        c: corner(&c, rows, columns),
                        transposed: [self.transpose_a, self.transpose_b],
                        // One dispatch overwrites c, those after it add to what is there.
                        accumulate: self.accumulate || number > 0,
                        precision: self.precision,
                    };
                    block.launch(gpu);
                }
            }
        }
    }
}

/// Cuts `0..whole` after every `largest` and at every place given; a single empty run where there
/// is nothing.
fn cut(whole: usize, largest: usize, places: [Vec<usize>; 2]) -> Vec<Range<usize>> {
    let mut ends: Vec<usize> = places
        .into_iter()
        .flatten()
        .chain((1..=whole / largest).map(|number| number * largest))
        .collect();
    ends.push(whole);
    ends.sort_unstable();
    ends.dedup();
    let mut start = 0;
    ends.into_iter()
        .map(|end| std::mem::replace(&mut start, end)..end)
        .collect()
}

/// Where in a GPU's memory a block of a matrix begins, and how far apart its rows are.
#[derive(Clone, Copy)]
struct Corner {
    binding: Binding,
    offset: usize,
    stride: usize,
}

/// The corner of the block of `rows` and `columns`, which lies in one piece.
fn corner(pieces: &[Shard], rows: &Range<usize>, columns: &Range<usize>) -> Corner {
    let piece = pieces
        .iter()
        .find(|piece| piece.rows.contains(&rows.start))
        .unwrap_or(&pieces[0]);
    let stride = piece.tensor.columns();
    let (binding, offset) = Binding::with_offset(&piece.tensor);
    Corner {
        binding,
        offset: offset as usize + (rows.start - piece.rows.start) * stride + columns.start,
        stride,
    }
}

/// A block of a product that one dispatch makes, or one for its parts and one for their sum.
struct Block {
    /// m, n and k.
    sizes: [usize; 3],
    a: Corner,
    b: Corner,
    c: Corner,
    transposed: [bool; 2],
    accumulate: bool,
    precision: Precision,
}

impl Block {
    /// The side of a tile, and the number of parts that the sums are split into: enough workgroups,
    /// and large tiles as far as that allows. The choice depends on sizes alone, so that results
    /// repeat.
    fn tile_and_parts(&self) -> (usize, usize) {
        let [m, n, k] = self.sizes;
        let parts = |tile: usize| {
            let tiles = m.div_ceil(tile) * n.div_ceil(tile);
            let wanted = if tiles < MANY_GROUPS {
                (2 * MANY_GROUPS).div_ceil(tiles)
            } else {
                1
            };
            (
                tiles,
                wanted
                    .min(k / SHORTEST_PART)
                    .min(Gpu::SCRATCH_ELEMENTS / (m * n))
                    .max(1),
            )
        };
        let (tiles, split) = parts(128);
        if tiles * split >= FEW_GROUPS {
            (128, split)
        } else {
            (64, parts(64).1)
        }
    }

    /// Whether all rows that are read begin at multiples of four and end there.
    fn is_vectorisable(&self) -> bool {
        let [m, n, k] = self.sizes;
        let a_length = if self.transposed[0] { m } else { k };
        let b_length = if self.transposed[1] { k } else { n };
        [
            a_length,
            b_length,
            self.a.offset,
            self.a.stride,
            self.b.offset,
            self.b.stride,
        ]
        .iter()
        .all(|size| size.is_multiple_of(4))
    }

    fn launch(&self, gpu: &mut Gpu) {
        let [m, n, k] = self.sizes;
        if m == 0 || n == 0 {
            return;
        }
        let (tile, parts) = self.tile_and_parts();
        // A sum without terms is a part too.
        let part = k.div_ceil(parts).next_multiple_of(DEPTH).max(DEPTH);
        let parts = k.div_ceil(part).max(1);
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
        let (shader, [rows, columns]) = match tile {
            _ if round && gpu.has_cooperative_matrix() => {
                (&matmul_cooperative::SHADER, matmul_cooperative::TILE)
            }
            64 => (&SMALL, [64, 64]),
            _ if self.is_vectorisable() => (&LARGE_VECTOR, [128, 128]),
            _ => (&LARGE, [128, 128]),
        };
        if round && shader.stem == SMALL.stem {
            constants.push(("ROUND", 1.0));
        }
        let arguments = Arguments {
            m: to_u32(m),
            n: to_u32(n),
            k: to_u32(k),
            part: to_u32(part),
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
            to_u32(parts),
        ];
        if parts == 1 {
            return gpu.launch(
                shader,
                &constants,
                &[self.a.binding, self.b.binding, self.c.binding],
                &arguments,
                groups,
            );
        }
        let scratch = gpu.scratch();
        let in_scratch = Arguments {
            c_offset: 0,
            c_stride: to_u32(n),
            ..arguments
        };
        constants[2].1 = 0.0;
        gpu.launch(
            shader,
            &constants,
            &[self.a.binding, self.b.binding, scratch],
            &in_scratch,
            groups,
        );
        let sum = Arguments {
            part: to_u32(parts),
            ..arguments
        };
        gpu.launch(
            &SUM_PARTS,
            &[("ACCUMULATE", accumulate)],
            &[scratch, scratch, self.c.binding],
            &sum,
            workgroups(m * n, 256),
        );
    }
}
