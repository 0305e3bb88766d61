//! Back through a softmax whose probabilities other layers read.

pub(super) mod cases;

use super::parallel::{for_row_chunks, vectorized};
use super::softmax_cross_entropy::LANES;
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, OPERATIONS_PER_ACCESS, Shader, arguments,
    to_u32, workgroups,
};
use crate::tensor::{NONE, Tensor};

/// With the probabilities p of a row, the gradient d of p and the row's target k, replaces p by the
/// gradient of the logits, which is that of a cross-entropy and of what else depends on p:
///
/// ```text
/// scale (p - onehot(k)) + p (d - Σ p d)
/// ```
///
/// Without a target, the first term is 0.
#[derive(Debug, Clone, Copy)]
pub struct SoftmaxBackward {
    /// `[rows, V]`: p, overwritten.
    pub probabilities: Tensor,
    /// `[rows, V]`: d.
    pub gradient: Tensor,
    /// A token for each row, below V or [`NONE`].
    pub targets: Tensor<u32>,
    /// The factor of the cross-entropy.
    pub scale: f32,
}

arguments! {
    rows: u32,
    columns: u32,
    probabilities_offset: u32,
    gradient_offset: u32,
    targets_offset: u32,
    scale: f32,
}

pub(super) static SHADER: Shader = Shader {
    stem: "softmax_backward",
    source: concat!(
        include_str!("../../shaders/softmax_backward.wgsl"),
        include_str!("../../shaders/online_softmax.wgsl"),
        include_str!("../../shaders/workgroup_reduction.wgsl")
    ),
    entry_point: "main",
    bindings: &[
        ("probabilities", Access::Write),
        ("gradient", Access::Read),
        ("targets", Access::Read),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: true,
};

/// `Σ p d`.
#[inline(always)]
fn weighted_sum(probabilities: &[f32], gradient: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (p, d) = (
        probabilities.chunks_exact(LANES),
        gradient.chunks_exact(LANES),
    );
    let rest = p.remainder().iter().zip(d.remainder());
    let rest: f32 = rest.map(|(p, d)| p * d).sum();
    for (p, d) in p.zip(d) {
        for (lane, (p, d)) in lanes.iter_mut().zip(p.iter().zip(d)) {
            *lane += p * d;
        }
    }
    lanes.iter().sum::<f32>() + rest
}

impl Kernel for SoftmaxBackward {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let columns = self.probabilities.columns();
        let (gradient, targets) = (cpu.read(&self.gradient), cpu.read(&self.targets));
        let (gradient, targets) = (&*gradient, &*targets);
        let mut probabilities = cpu.write(&self.probabilities);
        let rows_of = |first: usize, chunk: &mut [f32]| {
            vectorized(
                #[inline(always)]
                || {
                    for (row, p) in (first..).zip(chunk.chunks_exact_mut(columns)) {
                        let d = &gradient[row * columns..][..columns];
                        let mean = weighted_sum(p, d);
                        let scale = match targets[row] {
                            NONE => 0.0,
                            _ => self.scale,
                        };
                        p.iter_mut()
                            .zip(d)
                            .for_each(|(p, d)| *p *= scale + (d - mean));
                        if let Some(of_target) = p.get_mut(targets[row] as usize) {
                            *of_target -= scale;
                        }
                    }
                },
            );
        };
        for_row_chunks(cpu.threads(), &mut probabilities, columns, rows_of);
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (probabilities, probabilities_offset) = Binding::with_offset(&self.probabilities);
        let (gradient, gradient_offset) = Binding::with_offset(&self.gradient);
        let (targets, targets_offset) = Binding::with_offset(&self.targets);
        gpu.launch_work(
            &SHADER,
            &[],
            &[probabilities, gradient, targets],
            &Arguments {
                rows: to_u32(self.probabilities.rows()),
                columns: to_u32(self.probabilities.columns()),
                probabilities_offset,
                gradient_offset,
                targets_offset,
                scale: self.scale,
            },
            workgroups(self.probabilities.rows(), 1),
            5 * self.probabilities.len() as u64 * OPERATIONS_PER_ACCESS,
        );
    }
}
