//! The gradient of [`AddRuns`](super::AddRuns): what reached each number of the table, block by
//! block, in an order that never changes.

use super::parallel::{for_row_parts, vectorised};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// `sums[p, i] = Σ gradient[place + i - behind]` over the pieces of block p for which
/// `0 <= i - behind < length`.
#[derive(Debug, Clone, Copy)]
pub struct RunsGradient {
    /// The gradient of what runs were added to.
    pub gradient: Tensor,
    /// Where each block's pieces begin, and behind them where the last one's end: one number more
    /// than blocks.
    pub begins: Tensor<u32>,
    /// `[pieces, 3]`: where the run begins in `gradient`; how many numbers behind the block's first
    /// it begins, in two's complement where it begins before it; its length.
    pub pieces: Tensor<u32>,
    /// `[blocks, 32]`, overwritten.
    pub sums: Tensor,
}

/// Numbers of a block.
pub const BLOCK: usize = 32;
/// Numbers of a record of [`RunsGradient::pieces`].
pub const PIECE_FIELDS: usize = 3;

arguments! { blocks: u32, begins_offset: u32, pieces_offset: u32, gradient_offset: u32 }

pub(super) static SHADER: Shader = Shader {
    stem: "runs_gradient",
    source: include_str!("../../shaders/runs_gradient.wgsl"),
    entry_point: "main",
    bindings: &[
        ("gradient", Access::Read),
        ("begins", Access::Read),
        ("pieces", Access::Read),
        ("sums", Access::Write),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: true,
};

impl Kernel for RunsGradient {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let (gradient, begins, pieces) = (
            cpu.read(&self.gradient),
            cpu.read(&self.begins),
            cpu.read(&self.pieces),
        );
        let (gradient, begins, pieces) = (&*gradient, &*begins, &*pieces);
        for_row_parts(
            cpu.threads(),
            &mut cpu.write(&self.sums),
            BLOCK,
            |first, part| {
                vectorised(
                    #[inline(always)]
                    || {
                        for (block, sums) in (first..).zip(part.chunks_exact_mut(BLOCK)) {
                            sums.fill(0.0);
                            let pieces = &pieces[begins[block] as usize * PIECE_FIELDS
                                ..begins[block + 1] as usize * PIECE_FIELDS];
                            for piece in pieces.chunks_exact(PIECE_FIELDS) {
                                let (place, behind, length) = (
                                    piece[0] as usize,
                                    piece[1] as i32 as isize,
                                    piece[2] as usize,
                                );
                                let begin = behind.max(0) as usize;
                                let skipped = (-behind).max(0) as usize;
                                let count = (BLOCK - begin).min(length - skipped);
                                let values = &gradient[place + skipped..][..count];
                                sums[begin..begin + count]
                                    .iter_mut()
                                    .zip(values)
                                    .for_each(|(sum, value)| *sum += value);
                            }
                        }
                    },
                );
            },
        );
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (gradient, gradient_offset) = Binding::with_offset(&self.gradient);
        let ((begins, begins_offset), (pieces, pieces_offset)) = (
            Binding::with_offset(&self.begins),
            Binding::with_offset(&self.pieces),
        );
        gpu.launch(
            &SHADER,
            &[],
            &[gradient, begins, pieces, Binding::whole(&self.sums)],
            &Arguments {
                blocks: to_u32(self.sums.rows()),
                begins_offset,
                pieces_offset,
                gradient_offset,
            },
            workgroups(self.sums.len(), 64),
        );
    }
}
