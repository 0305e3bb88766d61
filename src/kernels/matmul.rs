//! Matrix products.

use std::ops::Range;

use gemm::Parallelism;
use rayon::prelude::*;

use super::parallel::vectorised;
use crate::device::{Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Piece, Shader, arguments, index, workgroups};
use crate::tensor::Tensor;

/// `c = op(a) op(b)`, or `c += op(a) op(b)` where `accumulate`.
///
/// op(a) is `[m, k]` and op(b) is `[k, n]`; op turns a matrix over where its `transpose_*` says so. c is `[m, n]`. All three may be tables
/// of several pieces.
#[derive(Debug, Clone, Copy)]
pub struct Matmul {
    /// `[m, k]`, or `[k, m]` where `transpose_a`.
    pub a: Tensor,
    /// `[k, n]`, or `[n, k]` where `transpose_b`.
    pub b: Tensor,
    /// `[m, n]`.
    pub c: Tensor,
    /// Whether a is stored turned over.
    pub transpose_a: bool,
    /// Whether b is stored turned over.
    pub transpose_b: bool,
    /// Whether the product is added to c instead of replacing it.
    pub accumulate: bool,
}

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
}

pub(super) static SMALL: Shader = Shader {
    stem: "matmul",
    source: include_str!("../../shaders/matmul.wgsl"),
    entry_point: "small",
    bindings: &[("a", Access::Read), ("b", Access::Read), ("c", Access::Write)],
    arguments: Arguments::FIELDS,
    trusted: true,
};
pub(super) static LARGE: Shader = Shader { entry_point: "large", ..SMALL };
pub(super) static LARGE_VECTOR: Shader =
    Shader { entry_point: "large_vector", bindings: &[("a4", Access::Read), ("b4", Access::Read), ("c", Access::Write)], ..SMALL };
pub(super) static SUM_PARTS: Shader = Shader { entry_point: "sum_parts", ..SMALL };

/// Parts of a sum are multiples of this: whole loads of every tile.
const DEPTH: usize = 16;
/// Terms of the inner size that one dispatch adds up: a turn for each, and two for a load of eight.
const TERMS: usize = super::MOST_TURNS / 10 * 8;
/// Rows or columns of c that one dispatch makes: as many tiles as a dimension has workgroups.
const LARGEST_SIDE: usize = 65_535 * 64;
/// Workgroups from which on a GPU is full.
const MANY_GROUPS: usize = 256;
/// Workgroups below which large tiles leave most of a GPU idle.
const FEW_GROUPS: usize = 128;
/// Terms below which a sum is not split between workgroups.
const SHORTEST_PART: usize = 256;
/// Multiplications below which a second thread costs more than it saves.
const SMALLEST_SPLIT: usize = 64 * 64 * 64;

impl Matmul {
    /// m, n and k.
    ///
    /// # Panics
    /// If the shapes do not fit together.
    fn sizes(&self) -> [usize; 3] {
        let turned =
            |tensor: &Tensor, transpose| if transpose { (tensor.columns(), tensor.rows()) } else { (tensor.rows(), tensor.columns()) };
        let ((m, k), (k_of_b, n)) = (turned(&self.a, self.transpose_a), turned(&self.b, self.transpose_b));
        assert_eq!(k, k_of_b, "inner sizes of {self:?}");
        assert_eq!((self.c.rows(), self.c.columns()), (m, n), "result of {self:?}");
        [m, n, k]
    }
}

impl Kernel for Matmul {
    fn name(&self) -> &'static str {
        SMALL.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let [m, n, k] = self.sizes();
        let (a, b, mut c) = (cpu.read(&self.a), cpu.read(&self.b), cpu.write(&self.c));
        let strides = |columns: usize, transpose| if transpose { [1, columns] } else { [columns, 1] };
        let product = Product {
            sizes: [m, n, k],
            a: View { data: &a, strides: strides(self.a.columns(), self.transpose_a) },
            b: View { data: &b, strides: strides(self.b.columns(), self.transpose_b) },
            accumulate: self.accumulate,
        };
        let parts = if m * n * k < SMALLEST_SPLIT { 1 } else { cpu.threads() };
        product.run_in_parts(&mut c, parts);
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let [m, n, k] = self.sizes();
        let [a, b, c] = [&self.a, &self.b, &self.c].map(|tensor| gpu.pieces(tensor));
        let along = |pieces: &[Piece], here: bool| if here { pieces.iter().map(|piece| piece.rows.end).collect() } else { Vec::new() };
        let rows = cut(m, LARGEST_SIDE, [along(&c, true), along(&a, !self.transpose_a)]);
        let columns = cut(n, LARGEST_SIDE, [along(&b, self.transpose_b), Vec::new()]);
        let terms = cut(k, TERMS, [along(&a, self.transpose_a), along(&b, !self.transpose_b)]);
        for rows in &rows {
            for columns in &columns {
                for (number, terms) in terms.iter().enumerate() {
                    let block = Block {
                        sizes: [rows.len(), columns.len(), terms.len()],
                        a: if self.transpose_a { corner(&a, terms, rows) } else { corner(&a, rows, terms) },
                        b: if self.transpose_b { corner(&b, columns, terms) } else { corner(&b, terms, columns) },
                        c: corner(&c, rows, columns),
                        transposed: [self.transpose_a, self.transpose_b],
                        // One dispatch overwrites c, those after it add to what is there.
                        accumulate: self.accumulate || number > 0,
                    };
                    block.launch(gpu);
                }
            }
        }
    }
}

/// Cuts `0..whole` after every `largest` and at every place given; a single empty run where there is nothing.
fn cut(whole: usize, largest: usize, places: [Vec<usize>; 2]) -> Vec<Range<usize>> {
    let mut ends: Vec<usize> = places.into_iter().flatten().chain((1..=whole / largest).map(|number| number * largest)).collect();
    ends.push(whole);
    ends.sort_unstable();
    ends.dedup();
    let mut start = 0;
    ends.into_iter().map(|end| std::mem::replace(&mut start, end)..end).collect()
}

/// Where in a GPU's memory a block of a matrix begins, and how far apart its rows are.
#[derive(Clone, Copy)]
struct Corner {
    binding: Binding,
    offset: usize,
    stride: usize,
}

/// The corner of the block of `rows` and `columns`, which lies in one piece.
fn corner(pieces: &[Piece], rows: &Range<usize>, columns: &Range<usize>) -> Corner {
    let piece = pieces.iter().find(|piece| piece.rows.contains(&rows.start)).unwrap_or(&pieces[0]);
    let stride = piece.tensor.columns();
    let (binding, offset) = Binding::with_offset(&piece.tensor);
    Corner { binding, offset: offset as usize + (rows.start - piece.rows.start) * stride + columns.start, stride }
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
}

impl Block {
    /// The side of a tile, and the number of parts that the sums are split into: enough workgroups, and large tiles as far as that allows.
    /// The choice depends on sizes alone, so that results repeat.
    fn tile_and_parts(&self) -> (usize, usize) {
        let [m, n, k] = self.sizes;
        let parts = |tile: usize| {
            let tiles = m.div_ceil(tile) * n.div_ceil(tile);
            let wanted = if tiles < MANY_GROUPS { (2 * MANY_GROUPS).div_ceil(tiles) } else { 1 };
            (tiles, wanted.min(k / SHORTEST_PART).min(Gpu::SCRATCH / (m * n)).max(1))
        };
        let (tiles, split) = parts(128);
        if tiles * split >= FEW_GROUPS { (128, split) } else { (64, parts(64).1) }
    }

    /// Whether all rows that are read begin at multiples of four and end there.
    fn is_vectorisable(&self) -> bool {
        let [m, n, k] = self.sizes;
        let a_length = if self.transposed[0] { m } else { k };
        let b_length = if self.transposed[1] { k } else { n };
        [a_length, b_length, self.a.offset, self.a.stride, self.b.offset, self.b.stride].iter().all(|size| size.is_multiple_of(4))
    }

    fn launch(&self, gpu: &mut Gpu) {
        let [m, n, k] = self.sizes;
        if m == 0 || n == 0 {
            return;
        }
        let (tile, parts) = self.tile_and_parts();
        let part = k.div_ceil(parts).next_multiple_of(DEPTH);
        let parts = k.div_ceil(part).max(1);
        let shader = match tile {
            64 => &SMALL,
            _ if self.is_vectorisable() => &LARGE_VECTOR,
            _ => &LARGE,
        };
        let constant = |on: bool| f64::from(u8::from(on));
        let [transpose_a, transpose_b] = self.transposed.map(constant);
        let accumulate = constant(self.accumulate);
        let arguments = Arguments {
            m: index(m),
            n: index(n),
            k: index(k),
            part: index(part),
            a_offset: index(self.a.offset),
            a_stride: index(self.a.stride),
            b_offset: index(self.b.offset),
            b_stride: index(self.b.stride),
            c_offset: index(self.c.offset),
            c_stride: index(self.c.stride),
        };
        let constants = [("TRANSPOSE_A", transpose_a), ("TRANSPOSE_B", transpose_b), ("ACCUMULATE", accumulate)];
        let groups = [index(n.div_ceil(tile)), index(m.div_ceil(tile)), index(parts)];
        if parts == 1 {
            return gpu.launch(shader, &constants, &[self.a.binding, self.b.binding, self.c.binding], &arguments, groups);
        }
        let scratch = gpu.scratch();
        let in_scratch = Arguments { c_offset: 0, c_stride: index(n), ..arguments };
        let overwriting = [constants[0], constants[1], ("ACCUMULATE", 0.0)];
        gpu.launch(shader, &overwriting, &[self.a.binding, self.b.binding, scratch], &in_scratch, groups);
        let sum = Arguments { part: index(parts), ..arguments };
        gpu.launch(&SUM_PARTS, &[("ACCUMULATE", accumulate)], &[scratch, scratch, self.c.binding], &sum, workgroups(m * n, 256));
    }
}

/// How many times deeper than wide a product is before threads share its depth.
const DEEP: usize = 4;

/// A matrix in memory: its numbers, and the distance between neighbouring rows and between neighbouring columns.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) data: &'a [f32],
    pub(super) strides: [usize; 2],
}

impl View<'_> {
    /// The matrix from row `first` on (`side` 0), or from column `first` on (1).
    fn from(self, side: usize, first: usize) -> Self {
        View { data: &self.data[first * self.strides[side]..], ..self }
    }
}

/// A product of two views into a row-major matrix; `sizes` are m, n, k.
#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    pub(super) sizes: [usize; 3],
    pub(super) a: View<'a>,
    pub(super) b: View<'a>,
    pub(super) accumulate: bool,
}

/// The first element of c, for threads that write different parts of it.
#[derive(Clone, Copy)]
struct Destination(*mut f32);
#[expect(unsafe_code, reason = "a raw pointer is not Send by itself")]
// SAFETY: `run_in_parts` gives every thread rows or columns of its own, and c outlives the threads.
unsafe impl Send for Destination {}
#[expect(unsafe_code, reason = "a raw pointer is not Sync by itself")]
// SAFETY: as above.
unsafe impl Sync for Destination {}

impl Product<'_> {
    /// Writes the product into `c`, `[m, n]` row-major, in this thread.
    pub(super) fn run(&self, c: &mut [f32]) {
        self.run_in_parts(c, 1);
    }

    /// The same in `parts` parts of the longer side of c, at once.
    pub(super) fn run_in_parts(&self, c: &mut [f32], parts: usize) {
        let [m, n, k] = self.sizes;
        if m == 0 || n == 0 {
            return;
        }
        let last = |view: &View, rows: usize, columns: usize| (rows - 1) * view.strides[0] + (columns - 1) * view.strides[1];
        // Everything below trusts these.
        assert!(c.len() >= m * n);
        assert!(k == 0 || (last(&self.a, m, k) < self.a.data.len() && last(&self.b, k, n) < self.b.data.len()));
        if parts > 1 && k > DEEP * m.max(n) {
            return self.run_in_terms(c, parts);
        }
        let destination = Destination(c.as_mut_ptr());
        let whole = [0..m, 0..n];
        if parts < 2 {
            return self.block(destination, whole);
        }
        let side = usize::from(n > m);
        // Whole vectors for every part.
        let part = self.sizes[side].div_ceil(parts).next_multiple_of(16);
        (0..self.sizes[side].div_ceil(part)).into_par_iter().for_each(|number| {
            let mut block = whole.clone();
            block[side] = number * part..((number + 1) * part).min(self.sizes[side]);
            self.block(destination, block);
        });
    }

    /// The same in `parts` parts of the inner size, which are added up in their order: where c is small, each thread then packs its part of
    /// the factors and not all of one.
    fn run_in_terms(&self, c: &mut [f32], parts: usize) {
        let [m, n, k] = self.sizes;
        let part = k.div_ceil(parts).next_multiple_of(16);
        let of_terms = |number: usize| {
            let terms = number * part..((number + 1) * part).min(k);
            let [a, b] = [self.a.from(1, terms.start), self.b.from(0, terms.start)];
            Product { sizes: [m, n, terms.len()], a, b, accumulate: number == 0 && self.accumulate }
        };
        let mut others = vec![0.0; (k.div_ceil(part) - 1) * m * n];
        let sums = std::iter::once(&mut c[..m * n]).chain(others.chunks_exact_mut(m * n));
        sums.collect::<Vec<_>>().into_par_iter().enumerate().for_each(|(number, sum)| of_terms(number).run(sum));
        for other in others.chunks_exact(m * n) {
            vectorised(
                #[inline(always)]
                || c.iter_mut().zip(other).for_each(|(sum, value)| *sum += value),
            );
        }
    }

    /// One block of rows and columns of c, in this thread.
    #[expect(unsafe_code, reason = "gemm's interface is raw pointers and strides")]
    fn block(&self, c: Destination, [rows, columns]: [Range<usize>; 2]) {
        let [_, n, k] = self.sizes;
        let ([a_row, a_column], [b_row, b_column]) = (self.a.strides, self.b.strides);
        // SAFETY: `run_in_parts` checked that every index below m, n and k lies inside the three slices, and no two blocks of c overlap.
        unsafe {
            gemm::gemm(
                rows.len(),
                columns.len(),
                k,
                c.0.add(rows.start * n + columns.start),
                1,
                n as isize,
                self.accumulate,
                self.a.data.as_ptr().add(rows.start * a_row),
                a_column as isize,
                a_row as isize,
                self.b.data.as_ptr().add(columns.start * b_column),
                b_column as isize,
                b_row as isize,
                if self.accumulate { 1.0 } else { 0.0 },
                1.0,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    }
}
