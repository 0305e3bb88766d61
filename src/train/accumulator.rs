//! Gradients of several windows, summed for one update.

use super::choices::LossReduction;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{Add, Fill, Gradient, Scale};
use crate::model::Parameters;
use crate::tensor::Tensor;

/// Sums of gradients, a dense one for each parameter: windows touch different rows of a table.
#[derive(Debug)]
pub(super) struct Accumulator {
    sums: Vec<Tensor>,
    /// Whether the next window is an update's first.
    is_new: bool,
    /// Tokens predicted in the windows since.
    tokens: usize,
}

impl Accumulator {
    pub(super) fn new(device: &mut Device, parameters: &Parameters) -> Result<Self> {
        let mut sums = Vec::new();
        for spec in parameters.parameter_specs() {
            sums.push(spec.allocate(device, &format!("summed gradient of {}", spec.name))?);
        }
        Ok(Self {
            sums,
            is_new: true,
            tokens: 0,
        })
    }

    /// Adds a window's gradients, those of the sum of its losses, to those of the update's windows
    /// before it; the sums so far.
    pub(super) fn add(
        &mut self,
        device: &mut Device,
        gradients: &[Gradient],
        tokens: usize,
    ) -> Vec<Gradient> {
        if self.is_new {
            (self.is_new, self.tokens) = (false, 0);
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

    /// The update's last window was added: its sums become means where the recipe says so.
    pub(super) fn end(&mut self, device: &mut Device, reduction: LossReduction) {
        self.is_new = true;
        if reduction == LossReduction::Mean {
            let factor = 1.0 / self.tokens.max(1) as f32;
            for &values in &self.sums {
                device.run(&Scale { values, factor });
            }
        }
    }
}
