//! Products in f16 with sums in f32 by cooperative matrices, on adapters that have those of 16 x
//! 16: the face that [`Precision::Mixed`](super::Precision::Mixed) shows there. Arguments,
//! constants and meaning are those of `matmul`.

use super::matmul::SMALL;
use crate::device::Shader;

pub(super) static SHADER: Shader = Shader {
    stem: "matmul_cooperative",
    source: include_str!("../../shaders/matmul_cooperative.wgsl"),
    entry_point: "main",
    bindings: SMALL.bindings,
    arguments: SMALL.arguments,
    enables: "enable f16;\nenable wgpu_cooperative_matrix;\n",
    trusted: true,
};

/// Rows and columns of c that one workgroup makes.
pub(super) const TILE: [usize; 2] = [64, 32];
