//! Layer normalization of the products of a recurrent layer's inputs.

use crate::error::Result;
use crate::kernels::{LayerNormBackward, LayerNormForward, SumRows};
use crate::model::layer::{Activations, LayerContext, Pass};
use crate::model::parameter_spec::ParameterId;
use crate::tensor::Tensor;

/// `z = gain LN(W x)`, for all time steps at once.
#[derive(Debug)]
pub(super) struct InputNorm {
    gain: ParameterId,
    /// `[T*B, G*H]`: W x, whose values the backward pass overwrites.
    products: Activations,
}

impl InputNorm {
    pub(super) fn new(
        context: &mut LayerContext<'_>,
        gain: ParameterId,
        columns: usize,
    ) -> Result<Self> {
        Ok(Self {
            gain,
            products: Activations::new(context, "products of the inputs", columns)?,
        })
    }

    /// W x and its gradient.
    pub(super) fn products(&self) -> Activations {
        self.products
    }

    pub(super) fn forward(&self, pass: &mut Pass<'_>, z: Tensor) {
        pass.device.run(&LayerNormForward {
            input: self.products.values(pass.rows),
            gain: pass.parameters.tensor(self.gain),
            output: z,
            accumulate: false,
        });
    }

    /// Computes the gradients of W x and of the gain.
    pub(super) fn backward(&self, pass: &mut Pass<'_>, z_gradient: Tensor, gain_gradient: Tensor) {
        let terms = self.products.values(pass.rows);
        pass.device.run(&LayerNormBackward {
            input: terms,
            gain: pass.parameters.tensor(self.gain),
            output_gradient: z_gradient,
            input_gradient: self.products.gradient(pass.rows),
        });
        pass.device.run(&SumRows {
            values: terms,
            output: gain_gradient,
            copy: None,
            accumulate: false,
        });
    }
}
