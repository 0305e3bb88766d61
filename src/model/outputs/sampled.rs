//! The full softmax, trained on a sample of the vocabulary: each window's targets are distinguished
//! from K words drawn once per window, by a softmax over them (Bengio and Senécal 2008, Jean 2015)
//! or by noise-contrastive estimation (Mnih and Teh 2012). The cost of a window does not depend on
//! the size of the vocabulary: only the rows of targets and sampled words are gathered, and have
//! gradients. A weight that is the embedding too has a dense gradient, to which both layers add.
//!
//! The parameters are those of the full softmax, and so are losses and distributions outside of
//! training. Losses in training are those of the sample.

use super::softmax::Softmax;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{
    Add, AddBias, Fill, GROUP_FIELDS, Gather, Gradient, GroupedMatmul, GroupedProduct, Groups,
    Matmul, SampledLoss, SampledObjective, ScatterAdd, SparseRows, SumRows,
};
use crate::model::config::Config;
use crate::model::layer::LayerContext;
use crate::model::noise::{Noise, NoiseSampler};
use crate::model::output::{OutputLayer, Predictions};
use crate::model::parameter_spec::{DECODER_BIAS, MemoryLayout, ParameterId, ParameterSpec};
use crate::model::parameters::Parameters;
use crate::model::plan::{OutputPlan, PlanBuilder, WindowWords};
use crate::model::products::{
    activation_precision, gradient_precision, input_gradient, product, weight_gradient,
};
use crate::tensor::{NONE, Tensor};

/// The lists of a plan: the target of each row, or none, then the words of the sample; and the
/// positions of these words, sorted by word.
const WORDS: usize = 0;
const ORDER: usize = 1;

/// The layer with its scratch memory for training.
#[derive(Debug)]
pub(super) struct SampledSoftmax {
    noise: Noise,
    sampler: NoiseSampler,
    /// The full softmax, one row at a time, for losses and distributions between two updates.
    full: Softmax,
    mixed: bool,
    /// `[rows, K]`, or fewer columns if words are drawn repeatedly: logits of the sample, then
    /// their gradient.
    sample_logits: Tensor,
    /// `[rows, 1]`: logits of the targets, then their gradient.
    target_logits: Tensor,
    /// `[rows + K, D]`: the weight's rows of the targets and of the sample, then their gradients.
    weights: Tensor,
    /// `[rows + K, D]`: the gradients of `weights`, summed by word, if the weight is the embedding.
    tied_sums: Option<Tensor>,
    /// `[rows + K, 1]`: the bias's elements of the same words, then their gradients.
    biases: Tensor,
    /// `[rows + K, 1]`: subtracted from the logits of these words.
    corrections: Tensor,
    /// `[rows + 1, 5]`: a group for every row, whose table is the row of its target.
    groups: Tensor<u32>,
    /// The lists of the plan, `[values, 1]`.
    lists: Tensor<u32>,
}

impl SampledSoftmax {
    /// Those of the full softmax. The gradient of the bias consists of rows.
    pub(super) fn parameter_specs(config: &Config) -> Vec<ParameterSpec> {
        let mut specs = Softmax::parameter_specs(config);
        for spec in &mut specs {
            if spec.name == DECODER_BIAS {
                spec.layout = MemoryLayout::Rows(1);
            }
        }
        specs
    }

    /// Room for training. Without `counts`, all words are equally frequent.
    pub(super) fn new(context: &mut LayerContext<'_>, counts: &[u64]) -> Result<Self> {
        let full = Softmax::new(context, 1)?;
        let config = context.config;
        let capacity = context.capacity;
        let noise = config
            .noise
            .expect("a validated configuration has the noise that its output layer needs");
        let rows = capacity.rows();
        let all = rows + noise.samples;
        let bias_rows = if config.decoder_bias { all } else { 1 };
        let equal_counts = vec![
            1;
            if counts.is_empty() {
                config.vocab_size
            } else {
                0
            }
        ];
        let counts = if counts.is_empty() {
            &equal_counts
        } else {
            counts
        };
        let groups: Vec<u32> = (0..=rows as u32)
            .flat_map(|row| [row, row, 1, row, row])
            .collect();
        let device = &mut *context.device;
        let size = config.decoder_input_size();
        let tied_sums = match config.tied {
            true => Some(device.tensor("gradient of the gathered rows", all, size)?),
            false => None,
        };
        Ok(Self {
            noise,
            sampler: NoiseSampler::new(counts, noise.power, capacity.seed),
            full,
            mixed: capacity.mixed,
            sample_logits: device.scratch("logits of the sample", rows, noise.samples)?,
            target_logits: device.tensor("logits of the targets", rows, 1)?,
            weights: device.tensor("weights of targets and sample", all, size)?,
            tied_sums,
            biases: device.tensor("biases of targets and sample", bias_rows, 1)?,
            corrections: device.tensor("corrections of logits", all, 1)?,
            groups: device.tensor_from("rows as groups", rows + 1, GROUP_FIELDS, &groups)?,
            lists: device.tensor("targets and sample", 2 * all, 1)?,
        })
    }

    /// The words of a plan and their order.
    fn rows(&self, plan: OutputPlan) -> SparseRows {
        let tokens = plan.list(&self.lists, WORDS, 1);
        let order = plan.list(&self.lists, ORDER, 1);
        SparseRows {
            tokens,
            order: order.reshape(1, order.len()),
        }
    }

    /// A product of every row with the row of its target.
    fn target_product(
        &self,
        product: GroupedProduct,
        rows: Tensor,
        biases: Option<Tensor>,
    ) -> GroupedMatmul {
        let count = rows.rows();
        let groups = Groups {
            records: self.groups.slice_rows(0..count + 1),
            count,
            max_width: 1,
            total_width: count,
        };
        GroupedMatmul {
            product,
            groups,
            rows,
            table: self.weights.slice_rows(0..count),
            bias: biases.map(|biases| biases.slice_rows(0..count)),
            products: self.target_logits.slice_rows(0..count),
            batch_invariant: false,
        }
    }

    /// Computes the logits of targets and sample, then the losses; the gradients of the logits
    /// overwrite them.
    fn compute_losses(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        predictions: Predictions,
        scale: f32,
    ) {
        let hidden = predictions.hidden;
        let rows = hidden.rows();
        let words = self.rows(predictions.plan).tokens;
        let all = words.len();
        let weights = self.weights.slice_rows(0..all);
        device.run(&Gather {
            table: parameters.tensor(self.full.weight),
            tokens: words,
            output: weights,
        });
        let sample = self.sample_logits.reshape(rows, all - rows);
        device.run(&product(
            hidden,
            weights.slice_rows(rows..all),
            sample,
            activation_precision(self.mixed),
        ));
        let biases = self.full.bias.map(|_| self.biases.slice_rows(0..all));
        if let (Some(id), Some(output)) = (self.full.bias, biases) {
            device.run(&Gather {
                table: parameters.tensor(id),
                tokens: words,
                output,
            });
            device.run(&AddBias {
                bias: output.slice_rows(rows..all).reshape(1, all - rows),
                second: None,
                values: sample,
            });
        }
        device.run(&self.target_product(GroupedProduct::Forward, hidden, biases));
        device.run(&SampledLoss {
            sample,
            targets: self.target_logits.slice_rows(0..rows),
            words,
            corrections: self.corrections.slice_rows(0..all),
            losses: predictions.losses,
            objective: self.noise.objective,
            scale,
        });
    }

    /// The sampled words of a draw, sorted.
    fn sample(&self, draw: u32) -> Vec<u32> {
        let mut sample = self.sampler.sample(draw, self.noise.samples);
        sample.sort_unstable();
        if self.noise.objective == SampledObjective::Softmax {
            // A word drawn repeatedly would be repeated in the sum, unless it is the target.
            sample.dedup();
        }
        sample
    }

    /// What is subtracted from a word's logit.
    fn correction(&self, word: u32) -> f32 {
        let samples = self.noise.samples;
        match (word, self.noise.objective) {
            (NONE, _) => 0.0,
            (word, SampledObjective::Softmax) => self.sampler.log_included(word, samples),
            (word, SampledObjective::Nce) => {
                self.sampler.log_expected(word, samples) + self.noise.ln_z
            }
        }
    }

    /// Whether the parameter's gradient consists of the rows of targets and sample.
    fn has_sparse_gradient(&self, id: ParameterId) -> bool {
        Some(id) == self.full.bias || (id == self.full.weight && self.tied_sums.is_none())
    }

    /// Writes the weight's gradient from the gradients of the gathered rows.
    fn write_weight_gradient(&self, device: &mut Device, touched: SparseRows, output: Tensor) {
        let gradient = self.weights.slice_rows(0..touched.tokens.len());
        let Some(sums) = self.tied_sums else {
            return device.run(&ScatterAdd {
                gradient,
                rows: touched,
                sums: output,
            });
        };
        let sums = sums.slice_rows(0..touched.tokens.len());
        device.run(&ScatterAdd {
            gradient,
            rows: touched,
            sums,
        });
        device.run(&Fill {
            values: output,
            value: 0.0,
        });
        device.run(&Add {
            input: Gradient::Sparse(sums, touched),
            output,
        });
    }
}

impl OutputLayer for SampledSoftmax {
    fn plan(&self, device: &mut Device, words: &WindowWords<'_>) -> OutputPlan {
        let all = [words.targets.clone(), self.sample(words.draw)].concat();
        let corrections: Vec<f32> = all.iter().map(|&word| self.correction(word)).collect();
        device.upload(&self.corrections.slice_rows(0..all.len()), &corrections);
        let mut order: Vec<u32> = (0..all.len() as u32).collect();
        order.sort_by_key(|&position| all[position as usize]);
        let mut plan = PlanBuilder::default();
        plan.push(all);
        plan.push(order);
        plan.upload(device, &self.lists)
    }

    fn max_touched_rows(&self, id: ParameterId) -> Option<usize> {
        self.has_sparse_gradient(id).then(|| self.weights.rows())
    }

    fn touched_rows(&self, id: ParameterId, plan: OutputPlan) -> Option<SparseRows> {
        self.has_sparse_gradient(id).then(|| self.rows(plan))
    }

    fn losses(&self, device: &mut Device, parameters: &Parameters, predictions: Predictions) {
        self.full.losses(device, parameters, predictions);
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
        self.compute_losses(device, parameters, predictions, scale);
        let hidden = predictions.hidden;
        let rows = hidden.rows();
        let touched = self.rows(predictions.plan);
        let all = touched.tokens.len();
        let sample = self.sample_logits.reshape(rows, all - rows);
        let precision = gradient_precision(self.mixed, scale);
        let weights = self.weights.slice_rows(0..all);
        device.run(&self.target_product(GroupedProduct::InputGradient, hidden_gradient, None));
        let sample_weights = weights.slice_rows(rows..all);
        device.run(&Matmul {
            accumulate: true,
            ..input_gradient(sample, sample_weights, hidden_gradient, precision)
        });
        // The gradients of the gathered rows overwrite them, then are summed by word.
        let biases = self.full.bias.map(|_| self.biases);
        device.run(&self.target_product(GroupedProduct::WeightGradient, hidden, biases));
        device.run(&weight_gradient(sample, hidden, sample_weights, precision));
        let output = gradients[self.full.weight.index()].values();
        self.write_weight_gradient(device, touched, output);
        if let Some(bias) = self.full.bias {
            let biases = self.biases.slice_rows(0..all);
            device.run(&SumRows {
                values: sample,
                output: biases.slice_rows(rows..all).reshape(1, all - rows),
                copy: None,
                accumulate: false,
            });
            device.run(&ScatterAdd {
                gradient: biases,
                rows: touched,
                sums: gradients[bias.index()].values(),
            });
        }
    }

    fn distribution(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        hidden: Tensor,
        words: &WindowWords<'_>,
    ) -> Result<Vec<f32>> {
        self.full.distribution(device, parameters, hidden, words)
    }
}
