//! The gradient of the table of [`AddRuns`](super::AddRuns), block by block and in a fixed order of
//! summation.

pub(super) mod cases;

use super::parallel::{for_row_chunks, vectorized};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// `sums[p, i] = Σ gradient[offset + i - start]` over the segments of block p for which
/// `0 <= i - start < length`. A segment is a run of [`AddRuns`](super::AddRuns) that overlaps the
/// block.
#[derive(Debug, Clone, Copy)]
pub struct RunsGradient {
    /// The gradient of the output of [`AddRuns`](super::AddRuns).
    pub gradient: Tensor,
    /// `blocks + 1` elements: the index of each block's first segment, and the number of segments.
    pub segment_starts: Tensor<u32>,
    /// `[segments, 3]`, one record per segment: the offset of the run in `gradient`, the start of
    /// the run relative to the block (in two's complement, negative if the run starts before the
    /// block), and the run's length.
    pub segments: Tensor<u32>,
    /// `[blocks, 32]`, overwritten.
    pub sums: Tensor,
}

/// Number of elements in a block.
pub const BLOCK: usize = 32;
/// Number of fields in a record of [`RunsGradient::segments`].
pub const SEGMENT_FIELDS: usize = 3;

arguments! {
    blocks: u32,
    segment_starts_offset: u32,
    segments_offset: u32,
    gradient_offset: u32,
}

pub(super) static SHADER: Shader = Shader {
    stem: "runs_gradient",
    source: include_str!("../../shaders/runs_gradient.wgsl"),
    entry_point: "main",
    bindings: &[
        ("gradient", Access::Read),
        ("segment_starts", Access::Read),
        ("segments", Access::Read),
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
        let gradient = cpu.read(&self.gradient);
        let segment_starts = cpu.read(&self.segment_starts);
        let segments = cpu.read(&self.segments);
        let gradient = &*gradient;
        let segment_starts = &*segment_starts;
        let segments = &*segments;
        for_row_chunks(
            cpu.threads(),
            &mut cpu.write(&self.sums),
            BLOCK,
            |first, chunk| {
                vectorized(
                    #[inline(always)]
                    || {
                        for (block, sums) in (first..).zip(chunk.chunks_exact_mut(BLOCK)) {
                            sums.fill(0.0);
                            let segments = &segments[segment_starts[block] as usize * SEGMENT_FIELDS
                                ..segment_starts[block + 1] as usize * SEGMENT_FIELDS];
                            for segment in segments.chunks_exact(SEGMENT_FIELDS) {
                                let offset = segment[0] as usize;
                                let start = segment[1] as i32 as isize;
                                let length = segment[2] as usize;
                                let first = start.max(0) as usize;
                                let skipped = (-start).max(0) as usize;
                                let count = (BLOCK - first).min(length - skipped);
                                let values = &gradient[offset + skipped..][..count];
                                sums[first..first + count]
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
        let (segment_starts, segment_starts_offset) = Binding::with_offset(&self.segment_starts);
        let (segments, segments_offset) = Binding::with_offset(&self.segments);
        gpu.launch(
            &SHADER,
            &[],
            &[
                gradient,
                segment_starts,
                segments,
                Binding::whole(&self.sums),
            ],
            &Arguments {
                blocks: to_u32(self.sums.rows()),
                segment_starts_offset,
                segments_offset,
                gradient_offset,
            },
            workgroups(self.sums.len(), 64),
        );
    }
}
