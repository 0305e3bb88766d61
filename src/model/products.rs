//! The three products of a layer that multiplies by a weight: its output, and the gradients of its
//! weight and its input.

use crate::kernels::{Matmul, Precision};
use crate::tensor::Tensor;

/// The factor of gradients before they are rounded to f16, relative to the factor of the loss: the
/// largest gradient of a logit then has 10 bits before the binary point, and a millionth of it is
/// still a normal number.
const HEADROOM: f32 = 1024.0;

/// The precision of products of activations, whose values are near 1.
pub(super) fn activation_precision(mixed: bool) -> Precision {
    if mixed {
        Precision::Mixed { scale: 1.0 }
    } else {
        Precision::Full
    }
}

/// The precision of products of gradients of logits, of `scale` times the loss.
pub(super) fn gradient_precision(mixed: bool, scale: f32) -> Precision {
    if mixed {
        Precision::Mixed {
            scale: (HEADROOM / scale).log2().floor().exp2(),
        }
    } else {
        Precision::Full
    }
}

/// `output = input weightᵀ`.
pub(super) fn product(
    input: Tensor,
    weight: Tensor,
    output: Tensor,
    precision: Precision,
) -> Matmul {
    Matmul {
        a: input,
        b: weight,
        c: output,
        transpose_a: false,
        transpose_b: true,
        accumulate: false,
        precision,
    }
}

/// `d weight = d outputᵀ input`.
pub(super) fn weight_gradient(
    output_gradient: Tensor,
    input: Tensor,
    gradient: Tensor,
    precision: Precision,
) -> Matmul {
    Matmul {
        a: output_gradient,
        b: input,
        c: gradient,
        transpose_a: true,
        transpose_b: false,
        accumulate: false,
        precision,
    }
}

/// `d input = d output weight`.
pub(super) fn input_gradient(
    output_gradient: Tensor,
    weight: Tensor,
    gradient: Tensor,
    precision: Precision,
) -> Matmul {
    Matmul {
        a: output_gradient,
        b: weight,
        c: gradient,
        transpose_a: false,
        transpose_b: false,
        accumulate: false,
        precision,
    }
}
