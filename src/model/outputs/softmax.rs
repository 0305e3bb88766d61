//! The full softmax: `y(t) = softmax(V s(t) + b)`, by blocks of tokens.

use std::ops::Range;

use super::blocks::Blocks;
use super::past_decoder::{PastBlock, PastDecoder};
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{
    AddBias, Exponential, Gradient, Matmul, Precision, SoftmaxCrossEntropy, SoftmaxResult, SumRows,
};
use crate::model::cells::cell_kind;
use crate::model::config::Config;
use crate::model::layer::LayerContext;
use crate::model::output::{OutputLayer, Predictions};
use crate::model::parameter_spec::{
    DECODER_BIAS, DECODER_WEIGHT, EMBEDDING_WEIGHT, ParameterId, ParameterSpec,
};
use crate::model::parameters::Parameters;
use crate::model::plan::{OutputPlan, WindowWords};
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
    /// What regularizes training, if the model has its parameters.
    past: Option<PastDecoder>,
    /// Whether products in training are of mixed precision.
    mixed: bool,
}

impl Softmax {
    /// The weight, unless it is the embedding, the bias, if there is one, and what only training
    /// needs.
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
        specs.extend(PastDecoder::parameter_specs(config));
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
        let weight = context.id(weight);
        Ok(Self {
            weight,
            past: PastDecoder::new(context, weight, blocks.rows)?,
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

    /// Computes the losses of a block, whose logits are replaced by `result`, and returns it.
    fn block_losses(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        block: Predictions,
        precision: Precision,
        result: SoftmaxResult,
    ) -> Tensor {
        let logits = self.logits_without_bias(device, parameters, block.hidden, precision);
        device.run(&SoftmaxCrossEntropy {
            logits,
            bias: self.bias(parameters),
            targets: block.targets,
            rows_per_target: 1,
            losses: block.losses,
            result,
            exponential: Exponential::Exact,
        });
        logits
    }

    /// Computes the losses of a block and the gradient of its logits. With past decode
    /// regularization, adds to the gradients of its parameters and of the weight; whether it has.
    fn block_gradient(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        block: Predictions,
        rows: Range<usize>,
        scale: f32,
        gradients: &[Gradient],
    ) -> (Tensor, bool) {
        let precision = activation_precision(self.mixed);
        let past = self.past.as_ref();
        let Some((past, memory)) = past.and_then(|past| Some((past, past.memory.as_ref()?))) else {
            let result = SoftmaxResult::Gradient { scale };
            let logits = self.block_losses(device, parameters, block, precision, result);
            return (logits, false);
        };
        let result = SoftmaxResult::Probabilities;
        let probabilities = self.block_losses(device, parameters, block, precision, result);
        let of_past = PastBlock {
            rows,
            probabilities,
            targets: block.targets,
            plan: block.plan,
            scale,
        };
        past.block_gradient(device, parameters, memory, of_past, gradients);
        (probabilities, true)
    }
}

impl OutputLayer for Softmax {
    fn plan(&self, device: &mut Device, words: &WindowWords<'_>) -> OutputPlan {
        let memory = self.past.as_ref().and_then(|past| past.memory.as_ref());
        memory.map_or_else(OutputPlan::default, |memory| memory.plan(device, words))
    }

    fn losses(&self, device: &mut Device, parameters: &Parameters, predictions: Predictions) {
        for rows in self.blocks.ranges(predictions.hidden.rows()) {
            let block = predictions.slice_rows(rows);
            let (precision, result) = (Precision::Full, SoftmaxResult::Losses);
            self.block_losses(device, parameters, block, precision, result);
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
        if let Some(past) = self.past.as_ref().filter(|past| past.memory.is_none()) {
            past.clear_gradients(device, gradients);
        }
        for rows in self.blocks.ranges(predictions.hidden.rows()) {
            let accumulate = rows.start > 0;
            let block = predictions.slice_rows(rows.clone());
            let (logits, has_added) =
                self.block_gradient(device, parameters, block, rows.clone(), scale, gradients);
            device.run(&input_gradient(
                logits,
                parameters.tensor(self.weight),
                hidden_gradient.slice_rows(rows),
                precision,
            ));
            let weight = gradients[self.weight.index()].values();
            device.run(&Matmul {
                accumulate: accumulate || has_added,
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
