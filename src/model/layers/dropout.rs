//! Dropout of activations.

use crate::error::Result;
use crate::kernels::{Dropout as ApplyDropout, Gradient, Mask, MaskPattern};
use crate::model::capacity::Capacity;
use crate::model::dropout::DropoutPlacement;
use crate::model::layer::{Activations, Layer, LayerContext, Pass};
use crate::model::window::Window;
use crate::tensor::Tensor;

/// The masks of one place in a model.
#[derive(Debug, Clone, Copy)]
pub(in crate::model) struct DropoutMask {
    placement: DropoutPlacement,
    rate: f32,
    seed: u32,
    /// B where a window's masks are the same in all of its steps.
    shared_by_steps: Option<usize>,
    /// `[T*B, N]`: the words of each row of activations, if these are not the window's inputs.
    contexts: Option<Tensor<u32>>,
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
            contexts: None,
        })
    }

    /// The multiplier of elements that are kept.
    pub(in crate::model) fn factor(&self) -> f32 {
        Mask::factor(self.rate)
    }

    /// The masks of activations that have several words side by side, `[T*B, N]`.
    pub(in crate::model) fn with_contexts(self, contexts: Option<Tensor<u32>>) -> Self {
        Self { contexts, ..self }
    }

    /// Activations with a row for each word of a mask.
    fn rows(&self, activations: Tensor) -> Tensor {
        match self.contexts {
            None => activations,
            Some(contexts) => {
                let words = activations.rows() * contexts.columns();
                activations.reshape(words, activations.len() / words)
            }
        }
    }

    /// The mask of a window.
    pub(in crate::model) fn mask(&self, window: &Window) -> Mask {
        let words = match self.contexts {
            None => window.inputs,
            Some(contexts) => contexts.slice_rows(0..window.inputs.len()),
        };
        let pattern = match (self.placement, self.shared_by_steps) {
            (DropoutPlacement::Words, _) => MaskPattern::Words(words),
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
            input: self.mask.rows(self.input.values(pass.rows)),
            output: self.mask.rows(self.output.values(pass.rows)),
            mask: self.mask.mask(pass.window),
        });
    }

    fn backward(&self, pass: &mut Pass<'_>, _gradients: &[Gradient]) {
        let gradient = self.mask.rows(self.output.gradient(pass.rows));
        pass.device.run(&ApplyDropout {
            input: gradient,
            output: gradient,
            mask: self.mask.mask(pass.window),
        });
    }
}
