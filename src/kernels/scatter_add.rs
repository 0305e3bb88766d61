//! The gradient of [`Gather`](super::Gather): the sum of the gradient rows of each token, in a
//! fixed order.

pub(super) mod cases;

use super::parallel::{for_row_chunks, vectorized};
use super::rows::SparseRows;
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, OPERATIONS_PER_ACCESS, Shader, arguments,
    to_u32, workgroups,
};
use crate::tensor::{NONE, Tensor};

/// `sums[p] = Σ gradient[i]` over all positions i with the token of position `order[p]`, if p is
/// the token's first position in `order`. All other rows of `sums` are zero.
#[derive(Debug, Clone, Copy)]
pub struct ScatterAdd {
    /// `[rows, columns]`: the gradient of the lookup's output.
    pub gradient: Tensor,
    /// The tokens of the lookup, and their order.
    pub rows: SparseRows,
    /// `[rows, columns]`, overwritten.
    pub sums: Tensor,
}

arguments! { columns: u32, rows: u32, tokens_offset: u32, order_offset: u32 }

pub(super) static SHADER: Shader = Shader {
    stem: "scatter_add",
    source: include_str!("../../shaders/scatter_add.wgsl"),
    entry_point: "main",
    bindings: &[
        ("gradient", Access::Read),
        ("tokens", Access::Read),
        ("order", Access::Read),
        ("sums", Access::Write),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};

/// Columns per workgroup.
const COLUMNS: usize = 64;

impl Kernel for ScatterAdd {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let columns = self.gradient.columns();
        let gradient = cpu.read(&self.gradient);
        let order = cpu.read(&self.rows.order);
        let mut sums = cpu.write(&self.sums);
        let tokens = cpu.read(&self.rows.tokens);
        let gradient = &*gradient;
        let order = &*order;
        let tokens = &*tokens;
        let token = |p: usize| tokens[order[p] as usize];
        for_row_chunks(cpu.threads(), &mut sums, columns, |first, chunk| {
            vectorized(
                #[inline(always)]
                || {
                    for (p, sum) in (first..).zip(chunk.chunks_exact_mut(columns)) {
                        sum.fill(0.0);
                        if token(p) == NONE || (p > 0 && token(p - 1) == token(p)) {
                            continue;
                        }
                        for q in (p..order.len()).take_while(|&q| token(q) == token(p)) {
                            let row = &gradient[order[q] as usize * columns..][..columns];
                            sum.iter_mut()
                                .zip(row)
                                .for_each(|(sum, value)| *sum += value);
                        }
                    }
                },
            );
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (tokens, tokens_offset) = Binding::with_offset(&self.rows.tokens);
        let (order, order_offset) = Binding::with_offset(&self.rows.order);
        let rows = self.gradient.rows();
        let columns = self.gradient.columns();
        gpu.launch_work(
            &SHADER,
            &[],
            &[
                Binding::whole(&self.gradient),
                tokens,
                order,
                Binding::whole(&self.sums),
            ],
            &Arguments {
                columns: to_u32(columns),
                rows: to_u32(rows),
                tokens_offset,
                order_offset,
            },
            workgroups(rows * columns.div_ceil(COLUMNS), 1),
            2 * self.gradient.len() as u64 * OPERATIONS_PER_ACCESS,
        );
    }
}
