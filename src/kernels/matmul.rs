//! Matrix products.

use gemm::Parallelism;
use rayon::prelude::*;

use crate::device::{Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, index};
use crate::tensor::Tensor;

/// `c = op(a) op(b)`, or `c += op(a) op(b)` where `accumulate`.
///
/// op(a) is `[m, k]` and op(b) is `[k, n]`; op turns a matrix over where its `transpose_*` says so. c is `[m, n]`.
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

arguments! { m: u32, n: u32, k: u32, first: u32, last: u32, a_offset: u32, b_offset: u32, c_offset: u32 }

pub(super) static SHADER: Shader = Shader {
    stem: "matmul",
    source: include_str!("../../shaders/matmul.wgsl"),
    entry_point: "main",
    bindings: &[("a", Access::Read), ("b", Access::Read), ("c", Access::Write)],
    arguments: Arguments::FIELDS,
};

/// Rows and columns of the tile of one workgroup.
const TILE: usize = 64;
/// Terms of the inner size that a workgroup loads at once.
const DEPTH: usize = 16;
/// Terms of the inner size that one dispatch adds up: a turn for each, and one for each load.
const TERMS: usize = super::MOST_TURNS / (DEPTH + 1) * DEPTH;
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
        SHADER.stem
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
        let ((a, a_offset), (b, b_offset), (c, c_offset)) =
            (Binding::with_offset(&self.a), Binding::with_offset(&self.b), Binding::with_offset(&self.c));
        // One dispatch overwrites c, those after it add to what is there.
        for first in (0..k.max(1)).step_by(TERMS) {
            gpu.launch(
                &SHADER,
                &[
                    ("TRANSPOSE_A", f64::from(u8::from(self.transpose_a))),
                    ("TRANSPOSE_B", f64::from(u8::from(self.transpose_b))),
                    ("ACCUMULATE", f64::from(u8::from(self.accumulate || first > 0))),
                ],
                &[a, b, c],
                &Arguments {
                    m: index(m),
                    n: index(n),
                    k: index(k),
                    first: index(first),
                    last: index((first + TERMS).min(k)),
                    a_offset,
                    b_offset,
                    c_offset,
                },
                [index(n.div_ceil(TILE)), index(m.div_ceil(TILE)), 1],
            );
        }
    }
}

/// A matrix in memory: its numbers, and the distance between neighbouring rows and between neighbouring columns.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) data: &'a [f32],
    pub(super) strides: [usize; 2],
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
    fn run_in_parts(&self, c: &mut [f32], parts: usize) {
        let [m, n, k] = self.sizes;
        if m == 0 || n == 0 {
            return;
        }
        let last = |view: &View, rows: usize, columns: usize| (rows - 1) * view.strides[0] + (columns - 1) * view.strides[1];
        // Everything below trusts these.
        assert!(c.len() >= m * n);
        assert!(k == 0 || (last(&self.a, m, k) < self.a.data.len() && last(&self.b, k, n) < self.b.data.len()));
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

    /// One block of rows and columns of c, in this thread.
    #[expect(unsafe_code, reason = "gemm's interface is raw pointers and strides")]
    fn block(&self, c: Destination, [rows, columns]: [std::ops::Range<usize>; 2]) {
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
