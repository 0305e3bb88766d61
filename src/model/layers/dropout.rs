//! Dropout of activations.

use crate::error::Result;
use crate::kernels::{Dropout as ApplyDropout, Gradient};
use crate::model::dropout_mask::DropoutMask;
use crate::model::layer::{Activations, Layer, LayerContext, Pass};

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
