//! Past decode regularization (Brahma 2018): from the distribution p that the softmax predicts, a
//! small network predicts the token that was read last. Its loss is added to that of training only,
//! and makes the states keep what they have read. With the table E of words, which is tied:
//!
//! ```text
//! m = Eᵀ p                          the mean of the words' rows
//! y = tanh(W m + b)
//! q = softmax(E y + c)
//! loss += -λ ln q(input)
//! ```
//!
//! Nothing outside of training reads W, b and c. Gradients reach E by all of its three uses, and
//! the hidden states by p.

use crate::device::Device;
use crate::error::Result;
use crate::kernels::{
    Activation, ActivationBackward, ActivationForward, AddBias, Exponential, Fill, Gradient,
    Matmul, Precision, SoftmaxBackward, SoftmaxCrossEntropy, SoftmaxResult, SumRows,
};
use crate::model::config::Config;
use crate::model::layer::LayerContext;
use crate::model::parameter_spec::{Initializer, PAST_PREFIX, ParameterId, ParameterSpec};
use crate::model::parameters::Parameters;
use crate::model::plan::{OutputPlan, PlanBuilder, WindowWords};
use crate::model::products::{input_gradient, product, weight_gradient};
use crate::tensor::{NONE, Tensor};

/// The network that predicts the last input.
#[derive(Debug)]
pub(super) struct PastDecoder {
    /// E.
    table: ParameterId,
    /// W, `[D, D]`.
    weight: ParameterId,
    /// b, `[D]`.
    bias: Option<ParameterId>,
    /// c, `[V]`.
    output_bias: Option<ParameterId>,
    /// What it needs in training, if λ is not 0.
    pub(super) memory: Option<Memory>,
}

/// λ, and scratch memory for one block of rows.
#[derive(Debug)]
pub(super) struct Memory {
    /// λ.
    factor: f32,
    /// `[rows, 1]`: the inputs of a window's rows, [`NONE`] where nothing is predicted.
    inputs: Tensor<u32>,
    /// `[block, D]`: m, then its gradient.
    means: Tensor,
    /// `[block, D]`: y.
    decoded: Tensor,
    /// `[block, D]`: the gradient of `W m + b`.
    decoded_gradient: Tensor,
    /// `[block, V]`: the logits of q, then their gradient, then the gradient of p.
    logits: Tensor,
    /// `[block, 1]`: losses that nothing reads.
    losses: Tensor,
}

/// Rows whose distributions were computed.
pub(super) struct PastBlock {
    /// Their places in the window.
    pub(super) rows: std::ops::Range<usize>,
    /// `[rows, V]`: p; replaced by the gradient of its logits.
    pub(super) probabilities: Tensor,
    /// The tokens that p predicts.
    pub(super) targets: Tensor<u32>,
    pub(super) plan: OutputPlan,
    /// The factor of the loss.
    pub(super) scale: f32,
}

/// The names of W, b and c.
fn names() -> [String; 3] {
    ["weight", "bias", "decoder_bias"].map(|part| format!("{PAST_PREFIX}{part}"))
}

impl PastDecoder {
    /// W, b and c, if the configuration has them.
    pub(super) fn parameter_specs(config: &Config) -> Vec<ParameterSpec> {
        if !config.past_decode {
            return Vec::new();
        }
        let size = config.decoder_input_size();
        let [weight, bias, output_bias] = names();
        let initializer = Initializer::Uniform(size);
        let mut specs = vec![ParameterSpec::weight(weight, size, size, initializer)];
        if config.decoder_bias {
            specs.push(ParameterSpec::bias(bias, size));
            specs.push(ParameterSpec::bias(output_bias, config.vocab_size));
        }
        specs
    }

    /// Room for blocks of up to `block` rows, if the configuration has the parameters.
    pub(super) fn new(
        context: &mut LayerContext<'_>,
        table: ParameterId,
        block: usize,
    ) -> Result<Option<Self>> {
        let config = context.config;
        if !config.past_decode {
            return Ok(None);
        }
        let [weight, bias, output_bias] = names();
        let has_bias = config.decoder_bias;
        Ok(Some(Self {
            table,
            weight: context.id(&weight),
            bias: has_bias.then(|| context.id(&bias)),
            output_bias: has_bias.then(|| context.id(&output_bias)),
            memory: match context.capacity.training && context.capacity.past_decode > 0.0 {
                true => Some(Memory::new(context, block)?),
                false => None,
            },
        }))
    }

    /// Zero gradients: without λ, the loss does not depend on the parameters.
    pub(super) fn clear_gradients(&self, device: &mut Device, gradients: &[Gradient]) {
        let biases = [self.bias, self.output_bias].into_iter().flatten();
        for id in std::iter::once(self.weight).chain(biases) {
            device.run(&Fill {
                values: gradients[id.index()].values(),
                value: 0.0,
            });
        }
    }
}

impl Memory {
    fn new(context: &mut LayerContext<'_>, block: usize) -> Result<Self> {
        let config = context.config;
        let (size, rows) = (config.decoder_input_size(), context.capacity.rows());
        let factor = context.capacity.past_decode;
        let device = &mut *context.device;
        Ok(Self {
            factor,
            inputs: device.tensor("inputs to decode", rows, 1)?,
            means: device.tensor("means of embedded words", block, size)?,
            decoded: device.tensor("decoded means", block, size)?,
            decoded_gradient: device.tensor("gradient of the decoded means", block, size)?,
            logits: device.tensor("logits of inputs", block, config.vocab_size)?,
            losses: device.tensor("losses of inputs", block, 1)?,
        })
    }

    /// The plan of a window: its inputs.
    pub(super) fn plan(&self, device: &mut Device, words: &WindowWords<'_>) -> OutputPlan {
        let targets = words.targets.iter().enumerate();
        let inputs = targets.map(|(row, &target)| match target {
            NONE => NONE,
            _ => (words.before)(row, 0),
        });
        let mut plan = PlanBuilder::default();
        plan.push(inputs);
        plan.upload(device, &self.inputs)
    }
}

impl PastDecoder {
    /// Adds a block's part to the gradients of W, b, c and E, and replaces the probabilities by the
    /// gradient of their logits, which is that of `scale` times the cross-entropies of targets and
    /// inputs. The first block overwrites all gradients.
    ///
    /// All products are of f32, with mixed precision too: probabilities may be too small for f16.
    pub(super) fn block_gradient(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        memory: &Memory,
        block: PastBlock,
        gradients: &[Gradient],
    ) {
        let accumulate = block.rows.start > 0;
        let count = block.rows.len();
        let parts = [memory.means, memory.decoded, memory.decoded_gradient];
        let [means, decoded, to_decoded] = parts.map(|tensor| tensor.slice_rows(0..count));
        let logits = memory.logits.slice_rows(0..count);
        let full = Precision::Full;
        let [table, weight] = [self.table, self.weight].map(|id| parameters.tensor(id));
        let gradient_of = |id: ParameterId| gradients[id.index()].values();
        let probabilities = block.probabilities;

        device.run(&input_gradient(probabilities, table, means, full));
        self.decode(device, parameters, [means, decoded]);
        device.run(&product(decoded, table, logits, full));
        device.run(&SoftmaxCrossEntropy {
            logits,
            bias: self.output_bias.map(|bias| parameters.tensor(bias)),
            targets: block.plan.list(&memory.inputs, 0, 1).slice_rows(block.rows),
            rows_per_target: 1,
            losses: memory.losses.slice_rows(0..count),
            result: SoftmaxResult::Gradient {
                scale: block.scale * memory.factor,
            },
            exponential: Exponential::Exact,
        });

        device.run(&input_gradient(logits, table, to_decoded, full));
        device.run(&Matmul {
            accumulate,
            ..weight_gradient(logits, decoded, gradient_of(self.table), full)
        });
        device.run(&ActivationBackward {
            activation: Activation::Tanh,
            values: decoded,
            gradient: to_decoded,
        });
        device.run(&Matmul {
            accumulate,
            ..weight_gradient(to_decoded, means, gradient_of(self.weight), full)
        });
        for (bias, values) in [(self.bias, to_decoded), (self.output_bias, logits)] {
            if let Some(bias) = bias {
                device.run(&SumRows {
                    values,
                    output: gradient_of(bias),
                    copy: None,
                    accumulate,
                });
            }
        }

        let to_means = means;
        device.run(&input_gradient(to_decoded, weight, to_means, full));
        device.run(&Matmul {
            accumulate: true,
            ..weight_gradient(probabilities, to_means, gradient_of(self.table), full)
        });
        let to_probabilities = logits;
        device.run(&product(to_means, table, to_probabilities, full));
        device.run(&SoftmaxBackward {
            probabilities,
            gradient: to_probabilities,
            targets: block.targets,
            scale: block.scale,
        });
    }

    /// y of m.
    fn decode(&self, device: &mut Device, parameters: &Parameters, [means, decoded]: [Tensor; 2]) {
        let weight = parameters.tensor(self.weight);
        device.run(&product(means, weight, decoded, Precision::Full));
        if let Some(bias) = self.bias {
            device.run(&AddBias {
                bias: parameters.tensor(bias),
                second: None,
                values: decoded,
            });
        }
        device.run(&ActivationForward {
            activation: Activation::Tanh,
            values: decoded,
        });
    }
}
