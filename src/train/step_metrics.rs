//! The losses and the gradients' norms of windows: summed on the device, read for a run of windows
//! at a time, while the next run goes on.

use crate::device::{Device, Download};
use crate::error::Result;
use crate::kernels::{Gradient, PARTIAL_SUMS, Sum, SumOfSquares};
use crate::tensor::Tensor;

/// The most windows of a run.
pub(super) const MAX_STEPS: usize = 256;

/// StepMetrics of two runs: one may be read while the other is written.
#[derive(Debug)]
pub(super) struct StepMetrics {
    /// `[2 * MAX_STEPS, 1 + parameters]`: for each window its sum of losses and each gradient's
    /// sum of squares.
    tensor: Tensor,
    partial: Tensor,
    /// The first record of the run being written.
    first: usize,
}

/// A run of windows whose records were asked for.
#[derive(Debug)]
pub(super) struct PendingSteps {
    /// The first window's number in its epoch.
    pub(super) first: usize,
    /// Windows.
    pub(super) count: usize,
    /// Tokens predicted in them.
    pub(super) tokens: usize,
    /// Seconds that it took to run them, or on a GPU to hand them over.
    pub(super) seconds: f64,
    download: Download<f32>,
}

/// What the records of a run say.
#[derive(Debug)]
pub(super) struct CollectedMetrics {
    /// Each window's sum of losses, in nats.
    pub(super) sums: Vec<f32>,
    /// The norm of the last window's gradient.
    pub(super) gradient_norm: f64,
    /// The first window, counted in the run, with a number that is not finite: its loss, or else
    /// the gradient of that parameter.
    pub(super) not_finite: Option<(usize, Option<usize>)>,
}

impl StepMetrics {
    pub(super) fn new(device: &mut Device, parameters: usize) -> Result<Self> {
        Ok(Self {
            tensor: device.tensor("records of windows", 2 * MAX_STEPS, 1 + parameters)?,
            partial: device.tensor("partial sums", 1, PARTIAL_SUMS)?,
            first: 0,
        })
    }

    /// Sums a window's losses and the squares of its gradients into record `number` of the run.
    pub(super) fn write(
        &self,
        device: &mut Device,
        number: usize,
        losses: Tensor,
        gradients: &[Gradient],
    ) {
        let row = self.row(number);
        let partial = self.partial;
        device.run(&Sum {
            values: losses,
            partial,
            output: row.element(0),
        });
        for (parameter, gradient) in gradients.iter().enumerate() {
            let output = row.element(1 + parameter);
            device.run(&SumOfSquares {
                values: gradient.values(),
                partial,
                output,
            });
        }
    }

    /// The gradients' sums of squares of record `number` of the run.
    pub(super) fn squares(&self, number: usize) -> Tensor {
        self.row(number).tail(1)
    }

    fn row(&self, number: usize) -> Tensor {
        self.tensor
            .slice_rows(self.first + number..self.first + number + 1)
    }

    /// Ends a run of `count` windows: asks for its records and goes on with the other half.
    pub(super) fn finish(
        &mut self,
        device: &mut Device,
        first: usize,
        count: usize,
        tokens: usize,
        seconds: f64,
    ) -> PendingSteps {
        let download =
            device.start_download(&self.tensor.slice_rows(self.first..self.first + count));
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
    /// Whether the records can be read without waiting.
    pub(super) fn is_ready(&self) -> bool {
        self.download.is_ready()
    }

    /// Waits for the records and reads them.
    pub(super) fn collect(self, device: &mut Device) -> Result<CollectedMetrics> {
        let values = device.finish_download(self.download)?;
        let mut collected = CollectedMetrics {
            sums: Vec::with_capacity(self.count),
            gradient_norm: 0.0,
            not_finite: None,
        };
        for (window, record) in values.chunks_exact(values.len() / self.count).enumerate() {
            if let (Some(bad), None) = (
                record.iter().position(|value| !value.is_finite()),
                collected.not_finite,
            ) {
                collected.not_finite = Some((window, bad.checked_sub(1)));
            }
            collected.sums.push(record[0]);
            collected.gradient_norm = record[1..]
                .iter()
                .map(|&value| f64::from(value))
                .sum::<f64>()
                .sqrt();
        }
        Ok(collected)
    }
}
