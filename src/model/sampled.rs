//! The full softmax, trained on a sample of the vocabulary: each window's targets are told apart
//! from K words drawn once for the window, by a softmax over them (Bengio and Senécal 2008, Jean
//! 2015) or by noise-contrastive estimation (Mnih and Teh 2012). What a window costs does not
//! depend on the vocabulary's size: only rows of targets and of the sample are looked up, and have
//! gradients.
//!
//! The parameters are the full softmax's, and so are losses and distributions outside of training;
//! those of training are of the sample.

use super::cell::Capacity;
use super::config::Config;
use super::noise::{Draws, Noise};
use super::output::{OutputLayer, Predictions};
use super::parameters::{MemoryLayout, ParameterSpec, Parameters};
use super::plan::{Lists, OutputPlan, WindowWords};
use super::products::{input_gradient, of_activations, of_gradients, product, weight_gradient};
use super::softmax::{BIAS, Softmax, WEIGHT};
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{
    AddBias, GROUP_FIELDS, Gather, Gradient, GroupedMatmul, GroupedProduct, Groups, Matmul, Rows,
    SampledLoss, SampledObjective, ScatterAdd, SumRows,
};
use crate::tensor::{NONE, Tensor};

/// What a plan lists: each row's target, or none, and then the words of the sample; and their
/// positions sorted by word.
const WORDS: usize = 0;
const ORDER: usize = 1;

/// The layer with its scratch memory for training.
#[derive(Debug)]
pub struct Sampled {
    noise: Noise,
    draws: Draws,
    /// For losses and distributions between two updates: one row at a time.
    full: Softmax,
    mixed: bool,
    /// `[rows, K]`, or fewer columns where words are drawn again: logits of the sample, then their
    /// gradient.
    sample_logits: Tensor,
    /// `[rows, 1]`: logits of the targets, then their gradient.
    target_logits: Tensor,
    /// `[rows + K, D]`: the weight's rows of the targets and of the sample, then their gradients.
    weights: Tensor,
    /// `[rows + K, 1]`: the same of the bias.
    biases: Tensor,
    /// `[rows + K, 1]`: what is subtracted from the logits of these words.
    corrections: Tensor,
    /// `[rows + 1, 5]`: every row is a group of its own, whose table is its target's row.
    groups: Tensor<u32>,
    /// The plan's lists, `[numbers, 1]`.
    lists: Tensor<u32>,
}

impl Sampled {
    pub(super) fn parameter_specs(config: &Config) -> Vec<ParameterSpec> {
        let mut list = Softmax::parameter_specs(config);
        list.iter_mut()
            .filter(|one| one.name == BIAS)
            .for_each(|one| one.layout = MemoryLayout::Rows(1));
        list
    }

    /// Room for training on windows of `rows` rows; without `counts`, all words are equally
    /// frequent.
    pub(super) fn new(
        device: &mut Device,
        config: &Config,
        rows: usize,
        capacity: Capacity,
        counts: &[u64],
    ) -> Result<Self> {
        let usual = Noise {
            samples: 1,
            power: 0.0,
            objective: SampledObjective::default(),
            ln_z: 0.0,
        };
        let noise = config.noise.unwrap_or(usual);
        let (all, size) = (rows + noise.samples, config.decoder_input_size());
        let even = if counts.is_empty() {
            vec![1; config.vocab_size]
        } else {
            Vec::new()
        };
        let counts = if counts.is_empty() { &even } else { counts };
        let groups: Vec<u32> = (0..=rows as u32)
            .flat_map(|row| [row, row, 1, row, row])
            .collect();
        Ok(Self {
            noise,
            draws: Draws::new(counts, noise.power, capacity.seed),
            mixed: capacity.mixed,
            sample_logits: device.scratch("logits of the sample", rows, noise.samples)?,
            full: Softmax::new(device, config, 1, capacity.mixed)?,
            target_logits: device.tensor("logits of the targets", rows, 1)?,
            weights: device.tensor("weights of targets and sample", all, size)?,
            biases: device.tensor(
                "biases of targets and sample",
                if config.decoder_bias { all } else { 1 },
                1,
            )?,
            corrections: device.tensor("corrections of logits", all, 1)?,
            groups: device.tensor_from("rows as groups", rows + 1, GROUP_FIELDS, &groups)?,
            lists: device.tensor("targets and sample", 2 * all, 1)?,
        })
    }

    /// The words of a plan and their order.
    fn rows(&self, plan: OutputPlan) -> Rows {
        let tokens = plan.list(&self.lists, WORDS, 1);
        let order = plan.list(&self.lists, ORDER, 1);
        Rows {
            tokens,
            order: order.reshape(1, order.len()),
        }
    }

    /// A product of every row with the row of its target.
    fn of_targets(
        &self,
        product: GroupedProduct,
        rows: Tensor,
        biases: Option<Tensor>,
    ) -> GroupedMatmul {
        let count = rows.rows();
        let groups = Groups {
            records: self.groups.slice_rows(0..count + 1),
            count,
            widest: 1,
            touched: count,
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

    /// The losses, and in place of the logits their gradients.
    fn walk(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        predictions: Predictions,
        scale: f32,
    ) {
        let Predictions {
            hidden,
            losses,
            plan,
            ..
        } = predictions;
        let (rows, words) = (hidden.rows(), self.rows(plan).tokens);
        let all = words.len();
        let tensor = |name| {
            parameters
                .position(name)
                .map(|number| parameters.tensors()[number])
        };
        let (weights, biases) = (
            self.weights.slice_rows(0..all),
            tensor(BIAS).map(|table| (table, self.biases.slice_rows(0..all))),
        );
        device.run(&Gather {
            table: tensor(WEIGHT).expect("every model has a decoder"),
            tokens: words,
            output: weights,
        });
        let sample = self.sample_logits.reshape(rows, all - rows);
        device.run(&product(
            hidden,
            weights.slice_rows(rows..all),
            sample,
            of_activations(self.mixed),
        ));
        if let Some((table, output)) = biases {
            device.run(&Gather {
                table,
                tokens: words,
                output,
            });
            device.run(&AddBias {
                bias: output.slice_rows(rows..all).reshape(1, all - rows),
                values: sample,
            });
        }
        device.run(&self.of_targets(
            GroupedProduct::Forward,
            hidden,
            biases.map(|(_, output)| output),
        ));
        device.run(&SampledLoss {
            sample,
            targets: self.target_logits.slice_rows(0..rows),
            words,
            corrections: self.corrections.slice_rows(0..all),
            losses,
            objective: self.noise.objective,
            scale,
        });
    }
}

impl OutputLayer for Sampled {
    fn plan(&self, device: &mut Device, words: &WindowWords<'_>) -> OutputPlan {
        let Noise {
            samples,
            objective,
            ln_z,
            ..
        } = self.noise;
        let mut sample = self.draws.sample(words.draw, samples);
        sample.sort_unstable();
        if objective == SampledObjective::Softmax {
            // A frequent word would be in the sum as often as it was drawn where it is not the
            // target, and once where it is.
            sample.dedup();
        }
        let all: Vec<u32> = words.targets.iter().copied().chain(sample).collect();
        let correction = |&word: &u32| match (word, objective) {
            (NONE, _) => 0.0,
            (word, SampledObjective::Softmax) => self.draws.log_included(word, samples),
            (word, SampledObjective::Nce) => self.draws.log_expected(word, samples) + ln_z,
        };
        device.upload(
            &self.corrections.slice_rows(0..all.len()),
            &all.iter().map(correction).collect::<Vec<_>>(),
        );
        let mut order: Vec<u32> = (0..all.len() as u32).collect();
        order.sort_by_key(|&position| all[position as usize]);
        let mut lists = Lists::default();
        lists.push(all);
        lists.push(order);
        lists.upload(device, &self.lists)
    }

    fn most_rows(&self, name: &str) -> Option<usize> {
        [WEIGHT, BIAS].contains(&name).then(|| self.weights.rows())
    }

    fn touched_rows(&self, name: &str, plan: OutputPlan) -> Option<Rows> {
        [WEIGHT, BIAS].contains(&name).then(|| self.rows(plan))
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
        self.walk(device, parameters, predictions, scale);
        let hidden = predictions.hidden;
        let (rows, touched) = (hidden.rows(), self.rows(predictions.plan));
        let all = touched.tokens.len();
        let (sample, precision) = (
            self.sample_logits.reshape(rows, all - rows),
            of_gradients(self.mixed, scale),
        );
        let weights = self.weights.slice_rows(0..all);
        device.run(&self.of_targets(GroupedProduct::Input, hidden_gradient, None));
        let from_sample = input_gradient(
            sample,
            weights.slice_rows(rows..all),
            hidden_gradient,
            precision,
        );
        device.run(&Matmul {
            accumulate: true,
            ..from_sample
        });
        // The looked-up rows are not needed any more: their gradients take their place, to be
        // summed by word.
        let bias = parameters.position(BIAS);
        device.run(&self.of_targets(GroupedProduct::Weight, hidden, bias.map(|_| self.biases)));
        device.run(&weight_gradient(
            sample,
            hidden,
            weights.slice_rows(rows..all),
            precision,
        ));
        let number = parameters
            .position(WEIGHT)
            .expect("every model has a decoder");
        device.run(&ScatterAdd {
            gradient: weights,
            rows: touched,
            sums: gradients[number].values(),
        });
        if let Some(number) = bias {
            let biases = self.biases.slice_rows(0..all);
            let output = biases.slice_rows(rows..all).reshape(1, all - rows);
            device.run(&SumRows {
                values: sample,
                output,
                accumulate: false,
            });
            device.run(&ScatterAdd {
                gradient: biases,
                rows: touched,
                sums: gradients[number].values(),
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
