//! Matrix products in f16 with f32 accumulation, with cooperative matrices: the implementation of
//! [`Precision::Mixed`](crate::kernels::Precision::Mixed) on adapters with cooperative matrices of
//! 16 × 16 elements. Arguments, constants and semantics are those of `matmul`.

use super::SMALL;
use crate::device::Shader;

pub(in crate::kernels) static SHADER: Shader = Shader {
    stem: "matmul_cooperative",
    source: include_str!("../../../../shaders/matmul_cooperative.wgsl"),
    entry_point: "main",
    bindings: SMALL.bindings,
    arguments: SMALL.arguments,
    enables: "enable f16;\nenable wgpu_cooperative_matrix;\n",
    trusted: true,
};

/// Rows and columns of c per workgroup.
pub(super) const TILE: [usize; 2] = [64, 32];
