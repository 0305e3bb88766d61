//! The input of every step beside that of the step before, which the first layer of some cells
//! reads.
//!
//! The last input of a window is carried to the next one, so results do not depend on the windows.
//! The gradient of a window reaches the inputs of the window only.

use crate::error::Result;
use crate::kernels::{Gradient, PreviousInputBackward, PreviousInputForward, Reset};
use crate::model::layer::{Activations, Layer, LayerContext, Pass};
use crate::model::window::Window;
use crate::tensor::Tensor;

/// Writes `[x(t), x(t-1)]`.
#[derive(Debug)]
pub(in crate::model) struct PreviousInput {
    batch: usize,
    initial_state: f32,
    independent: bool,
    /// `[T*B, D]`: x.
    input: Activations,
    /// `[T*B, 2D]`, whose gradient overwrites it.
    output: Activations,
    /// `[B, D]`: x before the window.
    carried: Tensor,
}

impl PreviousInput {
    /// The layer above `input`.
    pub(in crate::model) fn new(
        context: &mut LayerContext<'_>,
        input: Activations,
    ) -> Result<Self> {
        let capacity = context.capacity;
        let (rows, columns) = (capacity.rows(), input.values.columns());
        let device = &mut *context.device;
        let output = device.tensor("inputs and those before them", rows, 2 * columns)?;
        Ok(Self {
            batch: capacity.batch,
            initial_state: context.config.initial_state,
            independent: capacity.independent,
            input,
            output: Activations {
                values: output,
                gradient: output,
            },
            carried: device.tensor("input before a window", capacity.batch, columns)?,
        })
    }

    /// Where a stream has no previous input.
    fn reset(&self, window: &Window) -> Reset {
        Reset {
            enabled: self.independent,
            initial: self.initial_state,
            tokens: window.inputs,
            previous: self.carried,
        }
    }
}

impl Layer for PreviousInput {
    fn output(&self) -> Activations {
        self.output
    }

    fn forward(&self, pass: &mut Pass<'_>) {
        pass.device.run(&PreviousInputForward {
            input: self.input.values(pass.rows),
            carried: self.carried,
            output: self.output.values(pass.rows),
            reset: self.reset(pass.window),
            advance: pass.window.advance,
        });
    }

    fn backward(&self, pass: &mut Pass<'_>, _gradients: &[Gradient]) {
        pass.device.run(&PreviousInputBackward {
            gradient: self.output.gradient(pass.rows),
            output: self.input.gradient(pass.rows),
            reset: self.reset(pass.window),
            batch: self.batch,
        });
    }

    fn carried(&self) -> Vec<Tensor> {
        vec![self.carried]
    }
}
