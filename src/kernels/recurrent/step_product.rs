//! The product of each time step on the CPU, with the recurrent weight packed once for all steps of
//! a window.

use crate::kernels::matmul::{Panels, Product, View};

/// From this number of steps on, packing the weight first is faster.
const MIN_STEPS_TO_PACK: usize = 4;

/// The products of a window's steps: their sizes, and how many there are.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct StepSizes {
    /// G*H, the rows of the weight.
    pub(super) gates: usize,
    /// H, the columns of the weight.
    pub(super) units: usize,
    /// The streams of a product.
    pub(super) streams: usize,
    /// The number of steps.
    pub(super) time_steps: usize,
    /// The threads that share a product.
    pub(super) threads: usize,
}

/// The weight as an operand `[k, n]`.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct StepProduct<'a> {
    k: usize,
    n: usize,
    threads: usize,
    operand: Operand<'a>,
}

#[derive(Clone, Copy)]
enum Operand<'a> {
    Packed(Panels<'a>),
    InPlace(View<'a>),
}

impl<'a> StepProduct<'a> {
    /// Products `c = a Wᵀ`, from states to gates. `packed` has as many elements as the weight.
    pub(in crate::kernels) fn forward(
        weight: &'a [f32],
        sizes: StepSizes,
        packed: &'a mut [f32],
    ) -> Self {
        let StepSizes {
            gates: n,
            units: k,
            streams,
            threads,
            ..
        } = sizes;
        let strides = [1, k];
        let operand = if sizes.time_steps < MIN_STEPS_TO_PACK {
            Operand::InPlace(View {
                data: weight,
                strides,
            })
        } else {
            Operand::Packed(Panels::pack(
                weight,
                strides,
                [streams, n, k],
                packed,
                threads,
            ))
        };
        Self {
            k,
            n,
            threads,
            operand,
        }
    }

    /// Products `c = a W`, from gradients of gates to those of states. `packed` is scratch memory.
    pub(in crate::kernels) fn backward(
        weight: &'a [f32],
        sizes: StepSizes,
        packed: &'a mut Vec<f32>,
    ) -> Self {
        let StepSizes {
            gates: k,
            units: n,
            streams,
            threads,
            ..
        } = sizes;
        let strides = [n, 1];
        // For one stream the weight is in the order of a panel.
        let operand = if sizes.time_steps < MIN_STEPS_TO_PACK || streams == 1 {
            Operand::InPlace(View {
                data: weight,
                strides,
            })
        } else {
            packed.resize(k * n, 0.0);
            Operand::Packed(Panels::pack(
                weight,
                strides,
                [streams, n, k],
                packed,
                threads,
            ))
        };
        Self {
            k,
            n,
            threads,
            operand,
        }
    }

    /// `c = a W`, or `c += a W` if `accumulate` is set, for some of the streams.
    pub(in crate::kernels) fn run(&self, a: &[f32], c: &mut [f32], accumulate: bool) {
        let &Self { k, n, threads, .. } = self;
        match self.operand {
            Operand::Packed(panels) => panels.multiply(a, c, accumulate),
            Operand::InPlace(b) => {
                let a = View {
                    data: a,
                    strides: [k, 1],
                };
                let sizes = [c.len() / n, n, k];
                let product = Product {
                    sizes,
                    a,
                    b,
                    accumulate,
                };
                product.run_parallel(c, threads);
            }
        }
    }
}
