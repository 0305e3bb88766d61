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
        let [n, k] = [sizes.gates, sizes.units];
        let packed = (sizes.time_steps >= MIN_STEPS_TO_PACK).then_some(packed);
        Self::new(weight, [1, k], [n, k], sizes, packed)
    }

    /// Products `c = a W`, from gradients of gates to those of states. `packed` is scratch memory.
    pub(in crate::kernels) fn backward(
        weight: &'a [f32],
        sizes: StepSizes,
        packed: &'a mut Vec<f32>,
    ) -> Self {
        let [k, n] = [sizes.gates, sizes.units];
        // For one stream the weight is in the order of a panel.
        let is_packed = sizes.time_steps >= MIN_STEPS_TO_PACK && sizes.streams > 1;
        let packed = is_packed.then(|| {
            packed.resize(k * n, 0.0);
            &mut packed[..]
        });
        Self::new(weight, [n, 1], [n, k], sizes, packed)
    }

    /// Products with an operand `[k, n]` of these distances between rows and columns, which is
    /// packed into `packed` if that is given.
    fn new(
        weight: &'a [f32],
        strides: [usize; 2],
        [n, k]: [usize; 2],
        sizes: StepSizes,
        packed: Option<&'a mut [f32]>,
    ) -> Self {
        let threads = sizes.threads;
        let operand = match packed {
            Some(packed) => {
                let sizes = [sizes.streams, n, k];
                Operand::Packed(Panels::pack(weight, strides, sizes, packed, threads))
            }
            None => Operand::InPlace(View {
                data: weight,
                strides,
            }),
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
