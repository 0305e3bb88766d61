//! Activation regularization of the last recurrent layer (Merity 2017).

use crate::kernels::{ActivationPenalty as AddPenalty, Gradient};
use crate::model::dropout_mask::DropoutMask;
use crate::model::layer::{Activations, Layer, LayerContext, Pass};
use crate::tensor::Tensor;

/// Adds the gradients of two penalties to that of a layer's states. With the states h(t), `[B, H]`,
/// and the output d(t) after dropout, every token that a window predicts adds
/// `activation_l2 mean(d(t)²)` to its loss, and the window adds, as often as it predicts tokens,
/// `temporal_l2 mean((h(t) - h(t-1))²)`, the mean being over its predicting steps after the first.
#[derive(Debug)]
pub(in crate::model) struct ActivationPenalty {
    states: Activations,
    /// The states after dropout.
    output: Tensor,
    /// The derivative of the output with respect to the states where the output is not 0.
    output_factor: f32,
    batch: usize,
    resets: bool,
    activation_l2: f32,
    temporal_l2: f32,
}

impl ActivationPenalty {
    /// The penalties of `states`, if their coefficients are not 0. `output` and `mask` are those of
    /// the dropout that follows, if any.
    pub(in crate::model) fn new(
        context: &LayerContext<'_>,
        states: Activations,
        dropout: Option<(Activations, DropoutMask)>,
    ) -> Option<Self> {
        let capacity = context.capacity;
        let penalty = Self {
            states,
            output: dropout.map_or(states.values, |(output, _)| output.values),
            output_factor: dropout.map_or(1.0, |(_, mask)| mask.factor()),
            batch: capacity.batch,
            resets: capacity.independent,
            activation_l2: capacity.activation_l2,
            temporal_l2: capacity.temporal_l2,
        };
        (capacity.activation_l2 > 0.0 || capacity.temporal_l2 > 0.0).then_some(penalty)
    }
}

impl Layer for ActivationPenalty {
    fn output(&self) -> Activations {
        self.states
    }

    fn forward(&self, _pass: &mut Pass<'_>) {}

    fn backward(&self, pass: &mut Pass<'_>, _gradients: &[Gradient]) {
        let window = pass.window;
        let per_element = 2.0 * pass.scale / self.states.values.columns() as f32;
        let per_change = match window.changes {
            0 => 0.0,
            changes => per_element * (window.predicted as f32 / changes as f32),
        };
        pass.device.run(&AddPenalty {
            gradient: self.states.gradient(pass.rows),
            states: self.states.values(pass.rows),
            output: self.output.slice_rows(0..pass.rows),
            targets: window.targets,
            inputs: window.inputs,
            batch: self.batch,
            first: window.history * self.batch,
            resets: self.resets,
            activation: self.activation_l2 * self.output_factor * per_element,
            temporal: self.temporal_l2 * per_change,
        });
    }
}
