//! A mixture of softmaxes (Yang 2018), by blocks of tokens. With the hidden state h:
//!
//! ```text
//! l_k = tanh(W_k h + b_k)                          the latents, k = 1 … K
//! π   = softmax(P h)
//! y   = Σ_k π_k softmax(V l_k + b)
//! ```
//!
//! All K softmaxes have the same V and b, so the logits of a block of states are one product of K
//! times as many latents. Probabilities are added in log space: that of a softmax may be below the
//! smallest number.
//!
//! With the responsibilities r of a target, the gradient of a softmax's logits is r_k times that of
//! its own loss. The factor is not applied to the logits, of which there are many, but to what they
//! are multiplied by: rows of the gradient of latents, and of the latents in that of V.

use super::softmax::Softmax;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{
    Activation, ActivationBackward, ActivationForward, AddBias, Dropout, Exponential, Gradient,
    Mask, Matmul, MixtureLoss, Precision, ScaleRows, SoftmaxCrossEntropy, SoftmaxResult, SumRows,
    mixture_log_probabilities,
};
use crate::model::cells::cell_kind;
use crate::model::config::Config;
use crate::model::dropout::DropoutPlacement;
use crate::model::dropout_mask::DropoutMask;
use crate::model::layer::LayerContext;
use crate::model::output::{OutputLayer, Predictions};
use crate::model::parameter_spec::{ParameterId, ParameterSpec};
use crate::model::parameters::Parameters;
use crate::model::plan::WindowWords;
use crate::model::products::{
    activation_precision, gradient_precision, input_gradient, product, weight_gradient,
};
use crate::tensor::Tensor;

/// The names of P, and of W and the bias of all latents, as in the published program.
const PRIOR: &str = "prior.weight";
const LATENT_WEIGHT: &str = "latent.0.weight";
const LATENT_BIAS: &str = "latent.0.bias";

/// The layer with its scratch memory.
#[derive(Debug)]
pub(super) struct MixtureOfSoftmaxes {
    /// K.
    count: usize,
    /// The softmax of latents, with memory for a block of logits.
    decoder: Softmax,
    prior: ParameterId,
    latent_weight: ParameterId,
    latent_bias: Option<ParameterId>,
    /// The mask of latents. Its rows are those of predictions.
    mask: Option<DropoutMask>,
    /// Whether products in training are of mixed precision.
    mixed: bool,
    /// `[rows, K]`: the logits of π, then their gradient.
    prior_logits: Tensor,
    /// `[rows, K*D]`: the latents of each state, side by side.
    latents: Tensor,
    /// `[rows, K*D]`: the latents after dropout, if there is dropout.
    dropped: Option<Tensor>,
    /// `[rows, K]`: the losses of each softmax, then the responsibilities.
    components: Tensor,
    /// `[rows, K*D]` in training.
    latent_gradient: Tensor,
    /// `[block, D]` in training: latents multiplied by responsibilities.
    weighted: Tensor,
}

impl MixtureOfSoftmaxes {
    /// P, then W and the bias of latents, then those of the softmax.
    pub(super) fn parameter_specs(config: &Config) -> Vec<ParameterSpec> {
        let size = config.output_size();
        let rows = config.mixture.saturating_mul(config.decoder_input_size());
        let initializer = (cell_kind(config).initializer)(size);
        let mut specs = vec![
            ParameterSpec::weight(PRIOR, config.mixture, size, initializer),
            ParameterSpec::weight(LATENT_WEIGHT, rows, size, initializer),
        ];
        if config.decoder_bias {
            specs.push(ParameterSpec::bias(LATENT_BIAS, rows));
        }
        specs.extend(Softmax::parameter_specs(config));
        specs
    }

    pub(super) fn new(context: &mut LayerContext<'_>) -> Result<Self> {
        let (config, capacity) = (context.config, context.capacity);
        let (rows, count) = (capacity.rows(), config.mixture);
        let size = config.decoder_input_size();
        let mask = DropoutMask::new(capacity, DropoutPlacement::Latents, config.num_layers);
        let decoder = Softmax::new(context, rows * count)?;
        let block = decoder.block_rows();
        let gradient_shape = |rows, columns| capacity.gradient_shape(rows, columns);
        let device = &mut *context.device;
        let mut tensor = |what, [rows, columns]: [usize; 2]| device.tensor(what, rows, columns);
        let of_latents = [rows, count * size];
        Ok(Self {
            count,
            prior_logits: tensor("logits of the prior", [rows, count])?,
            latents: tensor("latents", of_latents)?,
            dropped: match mask {
                None => None,
                Some(_) => Some(tensor("latents after dropout", of_latents)?),
            },
            components: tensor("losses of softmaxes", [rows, count])?,
            latent_gradient: tensor("gradient of latents", gradient_shape(rows, count * size))?,
            weighted: tensor("weighted latents", gradient_shape(block, size))?,
            decoder,
            mask,
            prior: context.id(PRIOR),
            latent_weight: context.id(LATENT_WEIGHT),
            latent_bias: config.decoder_bias.then(|| context.id(LATENT_BIAS)),
            mixed: capacity.mixed,
        })
    }

    /// Computes the logits of the prior and the latents, with dropout if there is a mask. Returns
    /// the latents that are decoded, `[rows, K*D]`.
    fn latents(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        hidden: Tensor,
        precision: Precision,
        mask: Option<Mask>,
    ) -> Tensor {
        let rows = hidden.rows();
        let weight = parameters.tensor(self.prior);
        let prior = self.prior_logits.slice_rows(0..rows);
        device.run(&product(hidden, weight, prior, precision));
        let latents = self.latents.slice_rows(0..rows);
        let weight = parameters.tensor(self.latent_weight);
        device.run(&product(hidden, weight, latents, precision));
        if let Some(bias) = self.latent_bias {
            device.run(&AddBias {
                bias: parameters.tensor(bias),
                second: None,
                values: latents,
            });
        }
        device.run(&ActivationForward {
            activation: Activation::Tanh,
            values: latents,
        });
        let (Some(mask), Some(dropped)) = (mask, self.dropped) else {
            return latents;
        };
        let output = dropped.slice_rows(0..rows);
        device.run(&Dropout {
            input: latents,
            output,
            mask,
        });
        output
    }

    /// The number of states whose logits are computed at a time.
    fn block_rows(&self) -> usize {
        self.decoder.block_rows() / self.count
    }

    /// Computes the losses of a block of predictions, whose decoded latents are `[rows*K, D]`, and
    /// returns its logits. With a `scale`, they are replaced by the gradient of the scaled losses
    /// of each softmax, and [`Self::components`] by responsibilities.
    fn block_losses(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        block: &Block,
        precision: Precision,
        scale: Option<f32>,
    ) -> Tensor {
        let logits = self
            .decoder
            .logits_without_bias(device, parameters, block.latents, precision);
        device.run(&SoftmaxCrossEntropy {
            logits,
            bias: self.decoder.bias(parameters),
            targets: block.predictions.targets,
            rows_per_target: self.count,
            losses: block.components,
            result: SoftmaxResult::gradient(scale),
            exponential: Exponential::Exact,
        });
        device.run(&MixtureLoss {
            prior: block.prior,
            components: block.components,
            targets: block.predictions.targets,
            losses: block.predictions.losses,
            gradient: scale.is_some(),
            scale: scale.unwrap_or(0.0),
        });
        logits
    }

    /// The blocks of predictions whose decoded latents are `latents`.
    fn blocks(&self, predictions: Predictions, latents: Tensor) -> impl Iterator<Item = Block> {
        let all = predictions.hidden.rows();
        let (step, count) = (self.block_rows(), self.count);
        let [prior, components] = [self.prior_logits, self.components];
        let size = latents.columns() / count;
        (0..all).step_by(step).map(move |first| {
            let rows = first..all.min(first + step);
            let by_latent = |tensor: Tensor| {
                let part = tensor.slice_rows(rows.clone());
                part.reshape(rows.len() * count, size)
            };
            Block {
                first,
                predictions: predictions.slice_rows(rows.clone()),
                prior: prior.slice_rows(rows.clone()),
                components: components.slice_rows(rows.clone()),
                latents: by_latent(latents),
            }
        })
    }
}

/// Some of a window's predictions.
struct Block {
    /// The index of the first one.
    first: usize,
    predictions: Predictions,
    /// `[rows, K]`.
    prior: Tensor,
    /// `[rows, K]`.
    components: Tensor,
    /// `[rows*K, D]`.
    latents: Tensor,
}

impl MixtureOfSoftmaxes {
    /// Adds the part of a block to the gradients of the softmax's parameters and writes that of its
    /// latents, from the gradient of its logits.
    fn block_gradient(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        block: &Block,
        logits: Tensor,
        precision: Precision,
        gradients: &[Gradient],
    ) {
        let accumulate = block.first > 0;
        let rows = block.latents.rows();
        let latent_gradient = self
            .latent_gradient
            .slice_rows(block.first..block.first + block.prior.rows())
            .reshape(rows, block.latents.columns());
        let weight = parameters.tensor(self.decoder.weight);
        device.run(&input_gradient(logits, weight, latent_gradient, precision));
        let factors = block.components;
        device.run(&ScaleRows {
            input: latent_gradient,
            factors,
            output: latent_gradient,
        });
        let weighted = self.weighted.slice_rows(0..rows);
        device.run(&ScaleRows {
            input: block.latents,
            factors,
            output: weighted,
        });
        device.run(&Matmul {
            accumulate,
            ..weight_gradient(
                logits,
                weighted,
                gradients[self.decoder.weight.index()].values(),
                precision,
            )
        });
        if let Some(bias) = self.decoder.bias {
            device.run(&Matmul {
                a: factors.reshape(1, rows),
                b: logits,
                c: gradients[bias.index()].values(),
                transpose_a: false,
                transpose_b: false,
                accumulate,
                precision: Precision::Full,
            });
        }
    }

    /// From the gradients of the latents and of the prior's logits to those of their parameters and
    /// of the hidden states.
    fn latent_gradients(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        hidden: Tensor,
        mask: Option<Mask>,
        hidden_gradient: Tensor,
        gradients: &[Gradient],
    ) {
        let rows = hidden.rows();
        let gradient = self.latent_gradient.slice_rows(0..rows);
        if let Some(mask) = mask {
            device.run(&Dropout {
                input: gradient,
                output: gradient,
                mask,
            });
        }
        device.run(&ActivationBackward {
            activation: Activation::Tanh,
            values: self.latents.slice_rows(0..rows),
            gradient,
        });
        if let Some(bias) = self.latent_bias {
            device.run(&SumRows {
                values: gradient,
                output: gradients[bias.index()].values(),
                copy: None,
                accumulate: false,
            });
        }
        let prior = self.prior_logits.slice_rows(0..rows);
        let parts = [(self.latent_weight, gradient), (self.prior, prior)];
        for (accumulate, (id, gradient)) in [false, true].into_iter().zip(parts) {
            let of_weight = gradients[id.index()].values();
            device.run(&weight_gradient(
                gradient,
                hidden,
                of_weight,
                Precision::Full,
            ));
            let weight = parameters.tensor(id);
            device.run(&Matmul {
                accumulate,
                ..input_gradient(gradient, weight, hidden_gradient, Precision::Full)
            });
        }
    }
}

impl OutputLayer for MixtureOfSoftmaxes {
    fn losses(&self, device: &mut Device, parameters: &Parameters, predictions: Predictions) {
        let precision = Precision::Full;
        let latents = self.latents(device, parameters, predictions.hidden, precision, None);
        for block in self.blocks(predictions, latents) {
            self.block_losses(device, parameters, &block, precision, None);
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
        let hidden = predictions.hidden;
        let forward = activation_precision(self.mixed);
        let backward = gradient_precision(self.mixed, scale);
        let mask = self.mask.map(|mask| mask.of_draw(predictions.draw));
        let latents = self.latents(device, parameters, hidden, forward, mask);
        for block in self.blocks(predictions, latents) {
            let logits = self.block_losses(device, parameters, &block, forward, Some(scale));
            self.block_gradient(device, parameters, &block, logits, backward, gradients);
        }
        self.latent_gradients(device, parameters, hidden, mask, hidden_gradient, gradients);
    }

    fn distribution(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        hidden: Tensor,
        _words: &WindowWords<'_>,
    ) -> Result<Vec<f32>> {
        let rows = hidden.rows();
        let latents = self.latents(device, parameters, hidden, Precision::Full, None);
        let latents = latents.reshape(rows * self.count, latents.columns() / self.count);
        let prior = device.download(&self.prior_logits.slice_rows(0..rows))?;
        let mut priors = prior.chunks_exact(self.count);
        let mut all = Vec::new();
        let step = self.block_rows() * self.count;
        for first in (0..latents.rows()).step_by(step) {
            let block = latents.slice_rows(first..latents.rows().min(first + step));
            let logits = self
                .decoder
                .logits(device, parameters, block, Precision::Full);
            let logits_of_rows = device.download(&logits)?;
            let of_row = self.count * logits.columns();
            for (logits, prior) in logits_of_rows.chunks_exact(of_row).zip(&mut priors) {
                all.extend(mixture_log_probabilities(prior, logits));
            }
        }
        Ok(all)
    }
}
