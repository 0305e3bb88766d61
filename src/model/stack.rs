//! The stack of layers of a configuration.
//!
//! With tokens w(t), hidden states h_k(t) of layer k and the distribution y(t) over the next token:
//!
//! ```text
//! x(t)   = E w(t)                                embedding; with one-hot input x(t) = w(t)
//! h_1(t) = cell(W_1 x(t) + b_1, h_1(t-1))        recurrent layers, dropout between them
//! h_k(t) = cell(W_k h_k-1(t) + b_k, h_k(t-1))
//!                                                with residual connections, what layer k passes on
//!                                                is h_k(t) plus what it reads
//! p(t)   = f(P h_L(t))                           projection or compression, if configured
//! y(t)   = output layer(p(t))
//! ```
//!
//! A feed-forward network has this in place of the recurrent layers:
//!
//! ```text
//! x(t)   = [E w(t), E w(t-1), … E w(t-N+1)]
//! h(t)   = tanh(W x(t) + b)
//! h_L(t) = h(t), or [h(t), x(t)] with direct connections
//! ```

use super::cells::cell_kind;
use super::config::Config;
use super::dropout::DropoutPlacement;
use super::dropout_mask::DropoutMask;
use super::layer::{Activations, Layer, LayerContext};
use super::layers::{
    ActivationPenalty, Dropout, Embedding, Linear, PerTypeInput, PreviousInput, Recurrent,
    ResidualInput, Skip, recurrent_parameter_name,
};
use super::outputs::output_kind;
use super::parameter_spec::ParameterSpec;
use super::parameter_values::ParameterValues;
use super::parameters::find_parameter;
use crate::error::Result;

/// The parameters of a configuration's layers, in the order of the file.
pub fn parameter_specs(config: &Config) -> Vec<ParameterSpec> {
    let mut specs = Embedding::parameter_specs(config);
    if cell_kind(config).is_feed_forward() {
        specs.extend(Linear::hidden_specs(config));
    } else {
        for layer in 0..config.num_layers {
            specs.extend(Recurrent::parameter_specs(config, layer));
        }
    }
    specs.extend(Linear::parameter_specs(config));
    specs.extend((output_kind(config).parameter_specs)(config));
    specs
}

/// Builds a configuration's layers up to the output layer's input.
pub(super) fn build(context: &mut LayerContext<'_>) -> Result<Vec<Box<dyn Layer>>> {
    let mut stack = Stack::default();
    let hidden = match cell_kind(context.config).is_feed_forward() {
        true => stack.push_feed_forward(context)?,
        false => stack.push_recurrent(context)?,
    };
    if let Some(linear) = Linear::new(context, hidden)? {
        stack.push(linear);
    }
    Ok(stack.layers)
}

/// Layers, the first first.
#[derive(Debug, Default)]
struct Stack {
    layers: Vec<Box<dyn Layer>>,
}

impl Stack {
    /// Adds a layer; its output.
    fn push(&mut self, layer: impl Layer + 'static) -> Activations {
        let output = layer.output();
        self.layers.push(Box::new(layer));
        output
    }

    /// Adds the recurrent layers and what is below them; their output.
    fn push_recurrent(&mut self, context: &mut LayerContext<'_>) -> Result<Activations> {
        let (first, residual) = self.push_input(context)?;
        let mut hidden = self.push_layer(context, 0, first, residual)?;
        for layer in 1..context.config.num_layers {
            let residual = self.push_residual_input(context, layer, hidden)?;
            let recurrent = Recurrent::new(context, layer)?.with_input(hidden);
            hidden = self.push_layer(context, layer, recurrent, residual)?;
        }
        Ok(hidden)
    }

    /// Adds a recurrent layer with the end of the connection past it, and dropout; the output.
    fn push_layer(
        &mut self,
        context: &mut LayerContext<'_>,
        layer: usize,
        recurrent: Recurrent,
        residual: Option<ResidualInput>,
    ) -> Result<Activations> {
        let mut hidden = self.push(recurrent);
        if let Some(residual) = residual {
            hidden = self.push(residual.sum_with(hidden));
        }
        self.push_output_dropout(context, layer, hidden)
    }

    /// Adds the start of the connection from a recurrent layer's input past the layer, if it has
    /// one.
    fn push_residual_input(
        &mut self,
        context: &mut LayerContext<'_>,
        layer: usize,
        input: Activations,
    ) -> Result<Option<ResidualInput>> {
        if !context.config.has_residual(layer) {
            return Ok(None);
        }
        let residual = ResidualInput::new(context, input)?;
        self.push(residual);
        Ok(Some(residual))
    }

    /// Adds the layers of a feed-forward network; their output.
    fn push_feed_forward(&mut self, context: &mut LayerContext<'_>) -> Result<Activations> {
        let embedding = Embedding::new(context)?;
        let contexts = embedding.context_tokens();
        let embedded = self.push(embedding);
        if let Some(mask) = mask(context, DropoutPlacement::Words) {
            self.push(Dropout::in_place(embedded, mask.with_contexts(contexts)));
        }
        self.push_dropout(context, DropoutPlacement::Input, embedded);
        let mut hidden = self.push(Linear::hidden(context, embedded)?);
        if context.config.skip_connection {
            hidden = self.push(Skip::new(context, hidden, embedded)?);
        }
        self.push_output_dropout(context, 0, hidden)
    }

    /// Adds the layers below the first recurrent layer, which is returned with the start of the
    /// connection past it. Unless a product is computed for each embedded token, they write the
    /// recurrent layer's `W x` themselves.
    fn push_input(
        &mut self,
        context: &mut LayerContext<'_>,
    ) -> Result<(Recurrent, Option<ResidualInput>)> {
        let first = Recurrent::new(context, 0)?;
        let pre_activations = first.pre_activations();
        let weight = first.input_weight();
        if context.config.embedding_size == 0 {
            self.push(Embedding::one_hot(weight, pre_activations));
        } else if PerTypeInput::is_worthwhile(context.config, context.capacity) {
            let layer = PerTypeInput::new(context, weight, pre_activations)?;
            self.push(layer);
        } else {
            let embedded = self.push(Embedding::new(context)?);
            self.push_dropout(context, DropoutPlacement::Words, embedded);
            self.push_dropout(context, DropoutPlacement::Input, embedded);
            let residual = self.push_residual_input(context, 0, embedded)?;
            let input = match context.config.reads_previous_input() {
                true => self.push(PreviousInput::new(context, embedded)?),
                false => embedded,
            };
            return Ok((first.with_input(input), residual));
        }
        self.push_dropout(context, DropoutPlacement::Words, pre_activations);
        Ok((first, None))
    }

    /// Adds dropout that overwrites its input, where the rate is not 0.
    fn push_dropout(
        &mut self,
        context: &LayerContext<'_>,
        placement: DropoutPlacement,
        input: Activations,
    ) {
        if let Some(mask) = mask(context, placement) {
            self.push(Dropout::in_place(input, mask));
        }
    }

    /// Adds dropout of a recurrent layer's output, where the rate is not 0, and the last layer's
    /// penalties; the output.
    fn push_output_dropout(
        &mut self,
        context: &mut LayerContext<'_>,
        layer: usize,
        output: Activations,
    ) -> Result<Activations> {
        let mask = mask(context, DropoutPlacement::Outputs(layer));
        let dropout = match mask {
            None => None,
            Some(mask) => Some(Dropout::new(context, output, mask)?),
        };
        if layer + 1 == context.config.num_layers {
            let dropped = dropout.as_ref().map(Layer::output).zip(mask);
            if let Some(penalty) = ActivationPenalty::new(context, output, dropped) {
                self.push(penalty);
            }
        }
        Ok(dropout.map_or(output, |dropout| self.push(dropout)))
    }
}

fn mask(context: &LayerContext<'_>, placement: DropoutPlacement) -> Option<DropoutMask> {
    DropoutMask::new(context.capacity, placement, context.config.num_layers)
}

/// Initial values of a configuration's parameters, the same for the same seed on every machine.
pub fn initial_values(config: &Config, seed: u64) -> ParameterValues {
    ParameterValues::initial(&parameter_specs(config), seed)
}

/// Gives a model the parameters of past decode regularization, if it has none: those of a new model
/// with this seed.
pub fn add_past_decoder(config: &mut Config, values: &mut ParameterValues, seed: u64) {
    if config.past_decode {
        return;
    }
    config.past_decode = true;
    // They are the last ones.
    let drawn = initial_values(config, seed);
    let count = values.len();
    let before = std::mem::take(values).into_iter();
    *values = before.chain(drawn.into_iter().skip(count)).collect();
}

/// Sets the input bias of the forget gate in every layer whose cell has such a gate; 1 helps a new
/// network remember (Jozefowicz 2015).
pub fn set_forget_bias(config: &Config, values: &mut ParameterValues, bias: f32) {
    let Some(gate) = cell_kind(config).forget_gate else {
        return;
    };
    let specs = parameter_specs(config);
    for layer in 0..config.num_layers {
        let size = config.layer_size(layer);
        if let Some(id) = find_parameter(&specs, &recurrent_parameter_name("bias_ih", layer)) {
            values.of_mut(id)[gate * size..(gate + 1) * size].fill(bias);
        }
    }
}
