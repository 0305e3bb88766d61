//! The losses and gradient norms of training steps: reduced on the device, and downloaded for many
//! steps at a time while the next steps run.

use std::time::Instant;

use crate::device::{Device, Download};
use crate::error::Result;
use crate::kernels::{ClipGradNorm, Gradient, PARTIAL_SUMS, Summand, Sums};
use crate::parallel::Ranks;
use crate::tensor::Tensor;

/// The most steps whose metrics are downloaded together.
pub(super) const MAX_STEPS: usize = 256;

/// Records of two groups of steps: one is downloaded while the other is written.
#[derive(Debug)]
pub(super) struct StepMetrics {
    /// `[2 * MAX_STEPS, 1 + parameters]`: for each step, the sum of its losses and the sum of
    /// squares of each gradient.
    tensor: Tensor,
    partial: Tensor,
    /// The first record of the group being written: 0 or `MAX_STEPS`.
    first: usize,
}

/// Steps whose metrics are being downloaded.
#[derive(Debug)]
pub(super) struct PendingSteps {
    /// Index of the first step's window in the epoch.
    pub(super) first: usize,
    /// The number of steps.
    pub(super) count: usize,
    /// Tokens predicted in them.
    pub(super) tokens: usize,
    /// Time to run the steps, or on a GPU to submit them.
    pub(super) seconds: f64,
    download: Download<f32>,
}

/// The metrics of some steps.
#[derive(Debug)]
pub(super) struct CollectedMetrics {
    /// The sum of the losses of each step on all ranks, in nats.
    pub(super) loss_sums: Vec<f32>,
    /// The norm of the last step's gradient.
    pub(super) gradient_norm: f64,
    /// The first step with a value that is not finite, and the index of the parameter whose
    /// gradient has it; none for the loss.
    pub(super) not_finite: Option<(usize, Option<usize>)>,
    /// The time that the steps took on the first rank.
    pub(super) seconds: f64,
}

impl StepMetrics {
    pub(super) fn new(device: &mut Device, parameters: usize) -> Result<Self> {
        Ok(Self {
            tensor: device.tensor("records of steps", 2 * MAX_STEPS, 1 + parameters)?,
            partial: device.tensor("partial sums", 1 + parameters, PARTIAL_SUMS)?,
            first: 0,
        })
    }

    /// Reduces a step's losses and gradients into the record with this index in the group, and
    /// computes the factor that clips the gradients if `clip` is given.
    pub(super) fn write(
        &self,
        device: &mut Device,
        index: usize,
        losses: Tensor,
        gradients: &[Gradient],
        clip: Option<ClipGradNorm>,
    ) {
        let losses = Summand {
            values: losses,
            is_squared: false,
        };
        let summands = std::iter::once(losses).chain(Summand::squares(gradients));
        device.run(&Sums {
            summands: &summands.collect::<Vec<_>>(),
            partial: self.partial,
            output: self.row(index),
            clip,
        });
    }

    fn row(&self, index: usize) -> Tensor {
        self.tensor
            .slice_rows(self.first + index..self.first + index + 1)
    }

    /// Completes a group of `count` steps: requests its records and switches to the other half.
    pub(super) fn finish(
        &mut self,
        device: &mut Device,
        first: usize,
        count: usize,
        tokens: usize,
        seconds: f64,
    ) -> PendingSteps {
        let download =
            device.start_download(&[self.tensor.slice_rows(self.first..self.first + count)]);
        self.first = MAX_STEPS - self.first;
        PendingSteps {
            first,
            count,
            tokens,
            seconds,
            download,
        }
    }
}

impl PendingSteps {
    /// Whether the metrics can be read without waiting.
    pub(super) fn is_ready(&self) -> bool {
        self.download.is_ready()
    }

    /// Waits for the metrics, reads them, and adds those of all ranks. On a GPU, where steps
    /// overlap, they took the time since the previous collection.
    pub(super) fn collect(
        self,
        device: &mut Device,
        ranks: &Ranks,
        collected_at: Instant,
    ) -> Result<CollectedMetrics> {
        let is_ready = self.is_ready();
        let values = device.finish_download(self.download)?;
        let seconds = match is_ready {
            true => self.seconds,
            false => collected_at.elapsed().as_secs_f64(),
        };
        let mut collected = CollectedMetrics {
            seconds,
            loss_sums: Vec::with_capacity(self.count),
            gradient_norm: 0.0,
            not_finite: None,
        };
        for (step, record) in values.chunks_exact(values.len() / self.count).enumerate() {
            if let (Some(bad), None) = (
                record.iter().position(|value| !value.is_finite()),
                collected.not_finite,
            ) {
                collected.not_finite = Some((step, bad.checked_sub(1)));
            }
            collected.loss_sums.push(record[0]);
            collected.gradient_norm = record[1..]
                .iter()
                .map(|&value| f64::from(value))
                .sum::<f64>()
                .sqrt();
        }
        if !ranks.is_alone() {
            collected.add_ranks(ranks);
        }
        Ok(collected)
    }
}

impl CollectedMetrics {
    /// Adds the losses of other ranks, and takes the first value of any rank that is not finite:
    /// all ranks decide alike.
    fn add_ranks(&mut self, ranks: &Ranks) {
        ranks.sum(&mut self.loss_sums);
        let encoded = match self.not_finite {
            None => [u64::MAX; 2],
            Some((step, parameter)) => [step as u64, parameter.map_or(0, |index| 1 + index as u64)],
        };
        let first = ranks.gather(&[encoded]).concat().into_iter().min();
        self.not_finite = first
            .filter(|&[step, _]| step != u64::MAX)
            .map(|[step, parameter]| (step as usize, (parameter as usize).checked_sub(1)));
        self.seconds = ranks.of_first(self.seconds);
    }
}
