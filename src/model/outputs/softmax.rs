//! The full softmax: `y(t) = softmax(V s(t) + b)`, by blocks of tokens.

use super::blocks::Blocks;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{
    AddBias, Exponential, Gradient, Matmul, Precision, SoftmaxCrossEntropy, SumRows,
};
use crate::model::cells::cell_kind;
use crate::model::config::Config;
use crate::model::layer::LayerContext;
use crate::model::output::{OutputLayer, Predictions};
use crate::model::parameter_spec::{
    DECODER_BIAS, DECODER_WEIGHT, EMBEDDING_WEIGHT, ParameterId, ParameterSpec,
};
use crate::model::parameters::Parameters;
use crate::model::plan::WindowWords;
use crate::model::products::{
    activation_precision, gradient_precision, input_gradient, product, weight_gradient,
};
use crate::tensor::Tensor;

/// The full softmax, with memory for one block of logits.
#[derive(Debug)]
pub(super) struct Softmax {
    /// The decoder's weight, or the embedding if it is tied.
    pub(super) weight: ParameterId,
    pub(super) bias: Option<ParameterId>,
    /// `[block, V]`: logits, then their gradient.
    logits: Tensor,
    blocks: Blocks,
    /// Whether products in training are of mixed precision.
    mixed: bool,
}

impl Softmax {
    /// The weight, unless it is the embedding, and the bias, if there is one.
    pub(super) fn parameter_specs(config: &Config) -> Vec<ParameterSpec> {
        let mut specs = Vec::new();
        if !config.tied {
            specs.push(ParameterSpec::weight(
                DECODER_WEIGHT,
                config.vocab_size,
                config.decoder_input_size(),
                cell_kind(config).table_initializer(),
            ));
        }
        if config.decoder_bias {
            specs.push(ParameterSpec::bias(DECODER_BIAS, config.vocab_size));
        }
        specs
    }

    /// Room for blocks of up to `rows` rows.
    pub(super) fn new(context: &mut LayerContext<'_>, rows: usize) -> Result<Self> {
        let config = context.config;
        let size = config.decoder_input_size();
        let blocks = Blocks::new(context.device, rows, config.vocab_size, size);
        let weight = if config.tied {
            EMBEDDING_WEIGHT
        } else {
            DECODER_WEIGHT
        };
        Ok(Self {
            weight: context.id(weight),
            bias: config.decoder_bias.then(|| context.id(DECODER_BIAS)),
            logits: context
                .device
                .scratch("logits", blocks.rows, config.vocab_size)?,
            blocks,
            mixed: context.capacity.mixed,
        })
    }

    /// The number of rows of a block.
    pub(super) fn block_rows(&self) -> usize {
        self.blocks.rows
    }

    /// The bias of the logits, `[1, V]`, if there is one.
    pub(super) fn bias(&self, parameters: &Parameters) -> Option<Tensor> {
        // The tensor is a column where its gradient consists of rows.
        let bias = parameters.tensor(self.bias?);
        Some(bias.reshape(1, bias.len()))
    }

    /// Computes the logits of a block of hidden states.
    pub(super) fn logits(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        hidden: Tensor,
        precision: Precision,
    ) -> Tensor {
        let logits = self.logits_without_bias(device, parameters, hidden, precision);
        if let Some(bias) = self.bias(parameters) {
            device.run(&AddBias {
                bias,
                second: None,
                values: logits,
            });
        }
        logits
    }

    /// Computes the logits of a block of hidden states, but for the bias, which
    /// [`SoftmaxCrossEntropy`] adds as it reads them.
    pub(super) fn logits_without_bias(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        hidden: Tensor,
        precision: Precision,
    ) -> Tensor {
        let logits = self.logits.slice_rows(0..hidden.rows());
        let weight = parameters.tensor(self.weight);
        device.run(&product(hidden, weight, logits, precision));
        logits
    }
}

impl OutputLayer for Softmax {
    fn losses(&self, device: &mut Device, parameters: &Parameters, predictions: Predictions) {
        for rows in self.blocks.ranges(predictions.hidden.rows()) {
            let block = predictions.slice_rows(rows);
            let hidden = block.hidden;
            let logits = self.logits_without_bias(device, parameters, hidden, Precision::Full);
            device.run(&SoftmaxCrossEntropy {
                logits,
                bias: self.bias(parameters),
                targets: block.targets,
                rows_per_target: 1,
                losses: block.losses,
                gradient: false,
                scale: 0.0,
                exponential: Exponential::Exact,
            });
        }
    }

    fn losses_and_gradient(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        predictions: Predictions,
        scale: f32,
        hidden_gradient: Tensor,
        gradients: &[Gradient],
    ) {
        let precision = gradient_precision(self.mixed, scale);
        for rows in self.blocks.ranges(predictions.hidden.rows()) {
            let accumulate = rows.start > 0;
            let block = predictions.slice_rows(rows.clone());
            let forward_precision = activation_precision(self.mixed);
            let logits =
                self.logits_without_bias(device, parameters, block.hidden, forward_precision);
            device.run(&SoftmaxCrossEntropy {
                logits,
                bias: self.bias(parameters),
                targets: block.targets,
                rows_per_target: 1,
                losses: block.losses,
                gradient: true,
                scale,
                exponential: Exponential::Exact,
            });
            device.run(&input_gradient(
                logits,
                parameters.tensor(self.weight),
                hidden_gradient.slice_rows(rows),
                precision,
            ));
            let weight = gradients[self.weight.index()].values();
            device.run(&Matmul {
                accumulate,
                ..weight_gradient(logits, block.hidden, weight, precision)
            });
            if let Some(bias) = self.bias {
                device.run(&SumRows {
                    values: logits,
                    output: gradients[bias.index()].values(),
                    copy: None,
                    accumulate,
                });
            }
        }
    }

    fn distribution(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        hidden: Tensor,
        _words: &WindowWords<'_>,
    ) -> Result<Vec<f32>> {
        let mut all = Vec::new();
        for rows in self.blocks.ranges(hidden.rows()) {
            let logits = self.logits(device, parameters, hidden.slice_rows(rows), Precision::Full);
            let mut values = device.download(&logits)?;
            values
                .chunks_exact_mut(logits.columns())
                .for_each(log_softmax);
            all.append(&mut values);
        }
        Ok(all)
    }
}

/// Replaces logits by the logarithms of their softmax.
pub(super) fn log_softmax(logits: &mut [f32]) {
    Exponential::Exact.log_softmax(logits);
}
