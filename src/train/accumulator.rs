//! Gradient accumulation: the gradients of several windows, summed for one update.

use super::choices::LossReduction;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{Add, Fill, Gradient, Scale};
use crate::model::Parameters;
use crate::tensor::Tensor;

/// One dense sum of gradients per parameter. Windows have gradients for different rows of an
/// embedding table, so the sums are dense even where the gradients are not.
#[derive(Debug)]
pub(super) struct Accumulator {
    sums: Vec<Tensor>,
    /// Whether the next window is the first of an update.
    is_new: bool,
    /// Tokens predicted in the windows of the update so far.
    tokens: usize,
}

impl Accumulator {
    pub(super) fn new(device: &mut Device, parameters: &Parameters) -> Result<Self> {
        let mut sums = Vec::new();
        for spec in parameters.specs() {
            sums.push(spec.allocate(device, &format!("summed gradient of {}", spec.name))?);
        }
        Ok(Self {
            sums,
            is_new: true,
            tokens: 0,
        })
    }

    /// Adds the gradients of the sum of a window's losses. Returns the sums over the update's
    /// windows so far.
    pub(super) fn add(
        &mut self,
        device: &mut Device,
        gradients: &[Gradient],
        tokens: usize,
    ) -> Vec<Gradient> {
        if self.is_new {
            self.is_new = false;
            self.tokens = 0;
            for &values in &self.sums {
                device.run(&Fill { values, value: 0.0 });
            }
        }
        self.tokens += tokens;
        for (&output, &input) in self.sums.iter().zip(gradients) {
            device.run(&Add { input, output });
        }
        self.sums.iter().map(|&sum| Gradient::Dense(sum)).collect()
    }

    /// Completes an update: divides its sums by the number of tokens if the loss is a mean.
    pub(super) fn finish(&mut self, device: &mut Device, reduction: LossReduction) {
        self.is_new = true;
        if reduction == LossReduction::Mean {
            let factor = 1.0 / self.tokens.max(1) as f32;
            for &values in &self.sums {
                device.run(&Scale { values, factor });
            }
        }
    }
}
