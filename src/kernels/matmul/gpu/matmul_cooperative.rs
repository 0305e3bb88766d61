//! Matrix products in f16 with f32 accumulation, with cooperative matrices: the implementation of
//! [`Precision::Mixed`](crate::kernels::Precision::Mixed) on adapters that have them. Arguments,
//! constants and semantics are those of `matmul`. A factor that several tiles read is copied to f16
//! first, unless there is a current copy.

use super::{Arguments, Block, BlockView, Precision};
use crate::device::{Access, Arguments as _, Binding, Gpu, HalfSource, Shader, to_u32, workgroups};

pub(in crate::kernels) static SHADER: Shader = Shader {
    stem: "matmul_cooperative",
    source: concat!(
        include_str!("../../../../shaders/matmul_cooperative.wgsl"),
        include_str!("../../../../shaders/cooperative_16.wgsl")
    ),
    entry_point: "main",
    bindings: &[
        ("a", Access::Read),
        ("b", Access::Read),
        ("c", Access::Write),
        ("a_half", Access::Read),
        ("b_half", Access::Read),
    ],
    arguments: Arguments::FIELDS,
    enables: "enable f16;\nenable wgpu_cooperative_matrix;\n",
    trusted: true,
};

pub(in crate::kernels) static HALF_COPY: Shader = Shader {
    entry_point: "half_copy",
    bindings: &[("a", Access::Read), ("copy", Access::Write)],
    ..SHADER
};

/// Rows and columns of c per workgroup, in matrices.
const TILE: usize = 8;
/// Terms of a tile of a factor.
pub(super) const DEPTH: usize = 32;
/// A copy pays off from this number of tiles on that read it: a copy reads and writes 6 bytes for
/// each element, and saves 2 for each tile.
const MIN_READERS: usize = 4;

/// Rows and columns of c per workgroup.
pub(super) fn tile(matrix: usize) -> [usize; 2] {
    [TILE * matrix; 2]
}

impl Block {
    /// Replaces factors by copies in f16 where that pays off. A tile has this number of rows and
    /// columns.
    pub(super) fn copy_factors(&mut self, gpu: &mut Gpu, [rows, columns]: [usize; 2]) {
        let [m, n, k] = self.sizes;
        let Precision::Mixed { scale } = self.precision else {
            return;
        };
        let shape = |rows, columns, transposed| {
            if transposed {
                [columns, rows]
            } else {
                [rows, columns]
            }
        };
        let a_shape = shape(m, k, self.transposed[0]);
        let b_shape = shape(k, n, self.transposed[1]);
        let (a_readers, b_readers) = (n.div_ceil(columns), m.div_ceil(rows));
        self.a = half_view(gpu, self.a, a_shape, scale, a_readers).unwrap_or(self.a);
        self.b = half_view(gpu, self.b, b_shape, 1.0, b_readers).unwrap_or(self.b);
    }
}

/// The copy of a factor that has this shape in memory and that this number of tiles read.
fn half_view(
    gpu: &mut Gpu,
    view: BlockView,
    shape: [usize; 2],
    scale: f32,
    readers: usize,
) -> Option<BlockView> {
    let source = HalfSource {
        binding: view.binding,
        offset: view.offset,
        stride: view.stride,
        shape,
        scale,
    };
    let copy = gpu.half_copy(&source, readers >= MIN_READERS)?;
    if !copy.is_current {
        launch_copy(gpu, &source, copy.binding, copy.stride);
    }
    Some(BlockView {
        binding: copy.binding,
        offset: 0,
        stride: copy.stride,
        is_half: true,
    })
}

fn launch_copy(gpu: &mut Gpu, source: &HalfSource, copy: Binding, stride: usize) {
    let [rows, columns] = source.shape;
    let arguments = Arguments {
        m: to_u32(rows),
        n: 0,
        k: to_u32(columns),
        chunk: 0,
        a_offset: to_u32(source.offset),
        a_stride: to_u32(source.stride),
        b_offset: 0,
        b_stride: 0,
        c_offset: 0,
        c_stride: to_u32(stride),
        a_scale: source.scale,
    };
    gpu.launch(
        &HALF_COPY,
        &[],
        &[source.binding, copy],
        &arguments,
        workgroups(rows * stride / 4, 256),
    );
}
