//! Dropout of activations.

use crate::error::Result;
use crate::kernels::{Dropout as ApplyDropout, Gradient, Mask, MaskPattern};
use crate::model::capacity::Capacity;
use crate::model::dropout::DropoutPlacement;
use crate::model::layer::{Activations, Layer, LayerContext, Pass};
use crate::model::window::Window;

/// The masks of one place in a model.
#[derive(Debug, Clone, Copy)]
pub(in crate::model) struct DropoutMask {
    placement: DropoutPlacement,
    rate: f32,
    seed: u32,
    /// B where a window's masks are the same in all of its steps.
    shared_by_steps: Option<usize>,
}

impl DropoutMask {
    /// The masks at `placement` in a model of `num_layers` layers, if the rate there is not 0.
    pub(in crate::model) fn new(
        capacity: &Capacity,
        placement: DropoutPlacement,
        num_layers: usize,
    ) -> Option<Self> {
        let rates = &capacity.dropout;
        let rate = rates.rate(placement, num_layers);
        (rate > 0.0).then_some(Self {
            placement,
            rate,
            seed: capacity.seed,
            shared_by_steps: rates.variational.then_some(capacity.batch),
        })
    }

    /// The multiplier of elements that are kept.
    pub(in crate::model) fn factor(&self) -> f32 {
        Mask::factor(self.rate)
    }

    /// The mask of a window.
    pub(in crate::model) fn mask(&self, window: &Window) -> Mask {
        let pattern = match (self.placement, self.shared_by_steps) {
            (DropoutPlacement::Words, _) => MaskPattern::Words(window.inputs),
            (DropoutPlacement::Input | DropoutPlacement::Outputs(_), Some(batch)) => {
                MaskPattern::Streams(batch)
            }
            _ => MaskPattern::Elements,
        };
        Mask {
            rate: self.rate,
            seed: self.seed,
            site: self.placement.index(),
            draw: window.draw,
            pattern,
        }
    }
}

/// Multiplies activations by masks.
#[derive(Debug)]
pub(in crate::model) struct Dropout {
    input: Activations,
    output: Activations,
    mask: DropoutMask,
}

impl Dropout {
    /// Overwrites the input.
    pub(in crate::model) fn in_place(input: Activations, mask: DropoutMask) -> Self {
        Self {
            input,
            output: input,
            mask,
        }
    }

    /// Keeps the input, which the layer below needs in its backward pass. The gradient is
    /// multiplied in place.
    pub(in crate::model) fn new(
        context: &mut LayerContext<'_>,
        input: Activations,
        mask: DropoutMask,
    ) -> Result<Self> {
        let rows = input.values.rows();
        let columns = input.values.columns();
        let values = context
            .device
            .tensor("states after dropout", rows, columns)?;
        Ok(Self {
            input,
            output: Activations { values, ..input },
            mask,
        })
    }
}

impl Layer for Dropout {
    fn output(&self) -> Activations {
        self.output
    }

    fn forward(&self, pass: &mut Pass<'_>) {
        pass.device.run(&ApplyDropout {
            input: self.input.values(pass.rows),
            output: self.output.values(pass.rows),
            mask: self.mask.mask(pass.window),
        });
    }

    fn backward(&self, pass: &mut Pass<'_>, _gradients: &[Gradient]) {
        let gradient = self.output.gradient(pass.rows);
        pass.device.run(&ApplyDropout {
            input: gradient,
            output: gradient,
            mask: self.mask.mask(pass.window),
        });
    }
}
