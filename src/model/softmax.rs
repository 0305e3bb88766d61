//! The full softmax: `y(t) = softmax(V s(t) + b)`, by blocks of tokens whose logits stay small.

use super::blocks::Blocks;
use super::config::Config;
use super::output::{OutputLayer, Predictions};
use super::parameters::{ParameterSpec, Parameters, of_tables};
use super::plan::WindowWords;
use super::products::{input_gradient, of_activations, of_gradients, product, weight_gradient};
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{
    AddBias, Exponential, Gradient, Matmul, Precision, SoftmaxCrossEntropy, SumRows,
};
use crate::tensor::Tensor;

/// The names of its parameters.
pub(super) const WEIGHT: &str = "decoder.weight";
pub(super) const BIAS: &str = "decoder.bias";

/// The full softmax with room for one block of logits.
#[derive(Debug)]
pub struct Softmax {
    /// `[block, V]`: logits, then their gradient.
    logits: Tensor,
    blocks: Blocks,
    /// Whether products of training are of mixed precision.
    mixed: bool,
}

impl Softmax {
    /// The weight, where the embedding is not it too, and the bias, where there is one.
    pub(super) fn parameter_specs(config: &Config) -> Vec<ParameterSpec> {
        let mut list = Vec::new();
        if !config.tied {
            list.push(ParameterSpec::weight(
                WEIGHT,
                config.vocab_size,
                config.decoder_input_size(),
                of_tables(config),
            ));
        }
        if config.decoder_bias {
            list.push(ParameterSpec::bias(BIAS, config.vocab_size));
        }
        list
    }

    pub(super) fn new(
        device: &mut Device,
        config: &Config,
        rows: usize,
        mixed: bool,
    ) -> Result<Self> {
        let blocks = Blocks::new(device, rows, config.vocab_size, config.decoder_input_size());
        Ok(Self {
            logits: device.scratch("logits", blocks.rows, config.vocab_size)?,
            blocks,
            mixed,
        })
    }

    /// The logits of a block of hidden states.
    fn logits(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        hidden: Tensor,
        precision: Precision,
    ) -> Tensor {
        let logits = self.logits.slice_rows(0..hidden.rows());
        let (weight, bias) = self.parameters(parameters);
        device.run(&product(
            hidden,
            parameters.tensors()[weight],
            logits,
            precision,
        ));
        if let Some(bias) = bias {
            let bias = parameters.tensors()[bias];
            // As a row, which it is not in memory where only some of its numbers have gradients.
            device.run(&AddBias {
                bias: bias.reshape(1, bias.len()),
                values: logits,
            });
        }
        logits
    }

    /// The numbers of the weight, which is the embedding where there is none of its own, and of the
    /// bias where there is one.
    fn parameters(&self, parameters: &Parameters) -> (usize, Option<usize>) {
        let weight = parameters
            .position(WEIGHT)
            .or_else(|| parameters.position("embedding.weight"));
        (
            weight.expect("every model has a decoder"),
            parameters.position(BIAS),
        )
    }
}

impl OutputLayer for Softmax {
    fn losses(&self, device: &mut Device, parameters: &Parameters, predictions: Predictions) {
        for rows in self.blocks.ranges(predictions.hidden.rows()) {
            let logits = self.logits(
                device,
                parameters,
                predictions.hidden.slice_rows(rows.clone()),
                Precision::Full,
            );
            let predictions = predictions.slice_rows(rows);
            device.run(&SoftmaxCrossEntropy {
                logits,
                targets: predictions.targets,
                losses: predictions.losses,
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
        let (weight, bias) = self.parameters(parameters);
        let exponential = Exponential::Exact;
        for rows in self.blocks.ranges(predictions.hidden.rows()) {
            let accumulate = rows.start > 0;
            let block = predictions.slice_rows(rows.clone());
            let logits = self.logits(device, parameters, block.hidden, of_activations(self.mixed));
            device.run(&SoftmaxCrossEntropy {
                logits,
                targets: block.targets,
                losses: block.losses,
                gradient: true,
                scale,
                exponential,
            });
            let precision = of_gradients(self.mixed, scale);
            device.run(&input_gradient(
                logits,
                parameters.tensors()[weight],
                hidden_gradient.slice_rows(rows),
                precision,
            ));
            let product =
                weight_gradient(logits, block.hidden, gradients[weight].values(), precision);
            device.run(&Matmul {
                accumulate,
                ..product
            });
            if let Some(bias) = bias {
                device.run(&SumRows {
                    values: logits,
                    output: gradients[bias].values(),
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

/// Turns logits into ln of their softmax.
pub(super) fn log_softmax(logits: &mut [f32]) {
    Exponential::Exact.log_softmax(logits);
}
