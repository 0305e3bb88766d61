//! The adaptive softmax (Grave 2017, "Efficient softmax approximation for GPUs"; PyTorch's
//! `AdaptiveLogSoftmaxWithLoss`): one softmax over the head, which has the frequent words and an
//! entry for each cluster of rarer words, and for a word of a cluster another softmax over the
//! cluster's words, of a projection of the state to fewer values. `P(w) = P(cluster) P(w |
//! cluster)`, exactly.
//!
//! [`Clusters`](crate::model::Clusters) divides the vocabulary. Rows of a window whose target is in
//! a cluster are gathered, so that plain products of that many rows suffice: a cluster may have
//! most of the vocabulary, but few of the window's words. Outside of training all products have the
//! same number of rows, the last ones unused, so that the rounding of a row's loss does not depend
//! on the number of rows in its cluster: scores are comparable.

mod losses;
mod plan;

use std::ops::Range;

use super::blocks::Blocks;
use super::softmax::log_softmax;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{
    Add, AddBias, Fill, Gather, Gradient, Matmul, Precision, ROW_FIELDS, SumRows,
    batch_invariant_rows,
};
use crate::model::cells::cell_kind;
use crate::model::clusters::Clusters;
use crate::model::config::Config;
use crate::model::layer::LayerContext;
use crate::model::output::{OutputLayer, Predictions};
use crate::model::parameter_spec::{DECODER_BIAS, DECODER_WEIGHT, ParameterId, ParameterSpec};
use crate::model::parameters::Parameters;
use crate::model::plan::{OutputPlan, WindowWords};
use crate::model::products::{gradient_precision, input_gradient, weight_gradient};
use crate::tensor::Tensor;
use losses::ClusterRows;

/// PyTorch-style names of a cluster's parameters, in the order of the file: the projection, `[size,
/// D]`, and the weight of its words, `[words, size]`.
fn cluster_parameter_names(index: usize) -> [String; 2] {
    ["projection", "weight"].map(|part| format!("decoder.tail_{part}_{index}"))
}

/// A cluster of rare words.
#[derive(Debug)]
struct Cluster {
    words: Range<usize>,
    /// Number of values of the projected state.
    size: usize,
    /// Rows that are projected at a time.
    projected_blocks: Blocks,
    /// Rows whose logits are computed at a time.
    logits_blocks: Blocks,
    projection: ParameterId,
    weight: ParameterId,
}

/// The layer with its scratch memory.
#[derive(Debug)]
pub(super) struct AdaptiveSoftmax {
    /// Number of words in the head.
    head_words: usize,
    head_blocks: Blocks,
    head_weight: ParameterId,
    head_bias: Option<ParameterId>,
    clusters: Vec<Cluster>,
    /// Whether all blocks of a cluster have the same number of rows.
    batch_invariant: bool,
    mixed: bool,
    /// The logits of the largest block of the head or a cluster, in one row.
    logits: Tensor,
    /// `[rows, D]`: hidden states of rows with a target in a cluster, cluster by cluster.
    gathered: Tensor,
    /// Their gradient; one row outside of training.
    gathered_gradient: Tensor,
    /// The projected states of one cluster, `rows * size` values.
    projected: Tensor,
    /// Their gradient; one row outside of training.
    projected_gradient: Tensor,
    /// The lists of the plan, `[values, 1]`.
    lists: Tensor<u32>,
}

impl AdaptiveSoftmax {
    pub(super) fn parameter_specs(config: &Config) -> Vec<ParameterSpec> {
        let Some(clusters) = &config.clusters else {
            return Vec::new();
        };
        let state_size = config.decoder_input_size();
        let entries = clusters.head_words() + clusters.cutoffs.len();
        let initializer = cell_kind(config).table_initializer();
        let mut specs = vec![ParameterSpec::weight(
            DECODER_WEIGHT,
            entries,
            state_size,
            initializer,
        )];
        if config.decoder_bias {
            specs.push(ParameterSpec::bias(DECODER_BIAS, entries));
        }
        for (index, words) in clusters.ranges(config.vocab_size).into_iter().enumerate() {
            let [projection, weight] = cluster_parameter_names(index);
            let size = clusters.projected_size(index, state_size);
            specs.push(ParameterSpec::weight(
                projection,
                size,
                state_size,
                initializer,
            ));
            specs.push(ParameterSpec::weight(
                weight,
                words.len(),
                size,
                initializer,
            ));
        }
        specs
    }

    pub(super) fn new(context: &mut LayerContext<'_>) -> Result<Self> {
        let config = context.config;
        let capacity = context.capacity;
        let rows = capacity.rows();
        let state_size = config.decoder_input_size();
        let division = config
            .clusters
            .as_ref()
            .expect("a validated configuration has the clusters that its output layer needs");
        let clusters: Vec<Cluster> = division
            .ranges(config.vocab_size)
            .into_iter()
            .enumerate()
            .map(|(index, words)| Cluster::new(context, division, index, words))
            .collect();
        let head_weight = context.id(DECODER_WEIGHT);
        let head_bias = config.decoder_bias.then(|| context.id(DECODER_BIAS));
        let device = &mut *context.device;
        let head_words = division.head_words();
        let entries = head_words + clusters.len();
        let head_blocks = Blocks::new(device, rows, entries, state_size);
        let max_of = |size: fn(&Cluster) -> usize| clusters.iter().map(size).max().unwrap_or(0);
        let cluster_logits = max_of(|cluster| cluster.logits_blocks.rows * cluster.words.len());
        let logits = cluster_logits.max(head_blocks.rows * entries);
        let largest_size = max_of(|cluster| cluster.size).max(1);
        let gradient_rows = if capacity.training { rows } else { 1 };
        let gathered_rows = if capacity.training {
            rows
        } else {
            // The last block of each kind may extend beyond the last row.
            rows + max_of(|cluster| cluster.projected_blocks.rows + cluster.logits_blocks.rows)
        };
        Ok(Self {
            head_words,
            head_blocks,
            head_weight,
            head_bias,
            batch_invariant: !capacity.training,
            mixed: capacity.mixed,
            logits: device.scratch("logits", 1, logits)?,
            gathered: device.tensor("gathered states", gathered_rows, state_size)?,
            gathered_gradient: device.tensor(
                "gradient of the gathered states",
                gradient_rows,
                state_size,
            )?,
            projected: device.tensor(
                "projected states of a cluster",
                gathered_rows,
                largest_size,
            )?,
            projected_gradient: device.tensor(
                "gradient of the projected states of a cluster",
                gradient_rows,
                largest_size,
            )?,
            lists: device.tensor("gathered words", (3 + ROW_FIELDS) * rows, 1)?,
            clusters,
        })
    }

    /// Number of entries in the head: its words, then the clusters.
    fn entries(&self) -> usize {
        self.head_words + self.clusters.len()
    }

    /// Number of words in the vocabulary.
    fn vocabulary(&self) -> usize {
        self.clusters
            .last()
            .map_or(self.head_words, |cluster| cluster.words.end)
    }

    /// Computes the gradients of a cluster's parameters, and the gradient of its gathered states.
    fn cluster_gradients(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        predictions: Predictions,
        rows: &ClusterRows<'_>,
        scale: f32,
        gradients: &[Gradient],
    ) {
        let ClusterRows {
            cluster, places, ..
        } = rows;
        let precision = gradient_precision(self.mixed, scale);
        let gradient_of = |id: ParameterId| gradients[id.index()].values();
        let weight = gradient_of(cluster.weight);
        let projected_gradient = self.projected_gradient.reshape(places.len(), cluster.size);
        self.add_cluster_losses(
            device,
            parameters,
            predictions,
            rows,
            Some(scale),
            |device, block, logits, projected| {
                let accumulate = block.start > 0;
                device.run(&input_gradient(
                    logits,
                    parameters.tensor(cluster.weight),
                    projected_gradient.slice_rows(block),
                    precision,
                ));
                device.run(&Matmul {
                    accumulate,
                    ..weight_gradient(logits, projected, weight, precision)
                });
            },
        );
        if places.is_empty() {
            device.run(&Fill {
                values: weight,
                value: 0.0,
            });
        }
        device.run(&weight_gradient(
            projected_gradient,
            self.gathered.slice_rows(places.clone()),
            gradient_of(cluster.projection),
            precision,
        ));
        device.run(&input_gradient(
            projected_gradient,
            parameters.tensor(cluster.projection),
            self.gathered_gradient.slice_rows(places.clone()),
            precision,
        ));
    }
}

impl Cluster {
    fn new(
        context: &LayerContext<'_>,
        division: &Clusters,
        index: usize,
        words: Range<usize>,
    ) -> Self {
        let rows = context.capacity.rows();
        let size = division.projected_size(index, context.config.decoder_input_size());
        let invariant = |columns| Blocks {
            rows: batch_invariant_rows(columns),
        };
        let [projected_blocks, logits_blocks] = if context.capacity.training {
            [
                Blocks { rows },
                Blocks::new(context.device, rows, words.len(), size),
            ]
        } else {
            [invariant(size), invariant(words.len())]
        };
        let [projection, weight] = cluster_parameter_names(index).map(|name| context.id(&name));
        Self {
            words,
            size,
            projected_blocks,
            logits_blocks,
            projection,
            weight,
        }
    }
}

impl OutputLayer for AdaptiveSoftmax {
    fn plan(&self, device: &mut Device, words: &WindowWords<'_>) -> OutputPlan {
        self.make_plan(device, words)
    }

    fn losses(&self, device: &mut Device, parameters: &Parameters, predictions: Predictions) {
        self.compute_head_losses(device, parameters, predictions, None, |_, _, _| {});
        for rows in self.cluster_rows(predictions.plan) {
            self.add_cluster_losses(
                device,
                parameters,
                predictions,
                &rows,
                None,
                |_, _, _, _| {},
            );
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
        let precision = gradient_precision(self.mixed, scale);
        let gradient_of = |id: ParameterId| gradients[id.index()].values();
        self.compute_head_losses(
            device,
            parameters,
            predictions,
            Some(scale),
            |device, rows, logits| {
                let accumulate = rows.start > 0;
                device.run(&input_gradient(
                    logits,
                    parameters.tensor(self.head_weight),
                    hidden_gradient.slice_rows(rows.clone()),
                    precision,
                ));
                let weight = gradient_of(self.head_weight);
                device.run(&Matmul {
                    accumulate,
                    ..weight_gradient(logits, hidden.slice_rows(rows), weight, precision)
                });
                if let Some(bias) = self.head_bias {
                    device.run(&SumRows {
                        values: logits,
                        output: gradient_of(bias),
                        copy: None,
                        accumulate,
                    });
                }
            },
        );
        for rows in self.cluster_rows(predictions.plan) {
            self.cluster_gradients(device, parameters, predictions, &rows, scale, gradients);
        }
        // The gradient of each gathered state overwrites the gathered states, at its row of the
        // window, then is added.
        let scattered = self.gathered.slice_rows(0..hidden.rows());
        device.run(&Gather {
            table: self.gathered_gradient,
            tokens: self.places(predictions.plan),
            output: scattered,
        });
        device.run(&Add {
            input: Gradient::Dense(scattered),
            output: hidden_gradient,
        });
    }

    fn distribution(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        hidden: Tensor,
        _words: &WindowWords<'_>,
    ) -> Result<Vec<f32>> {
        let vocabulary = self.vocabulary();
        let entries = self.entries();
        let block_rows = self
            .clusters
            .iter()
            .map(|cluster| cluster.logits_blocks.rows)
            .fold(self.head_blocks.rows, usize::min);
        let blocks = Blocks { rows: block_rows };
        let mut all = vec![0.0; hidden.rows() * vocabulary];
        for rows in blocks.ranges(hidden.rows()) {
            let output = &mut all[rows.start * vocabulary..rows.end * vocabulary];
            let states = hidden.slice_rows(rows);
            let logits = self.head_logits(device, parameters, states, Precision::Full);
            if let Some(bias) = self.head_bias {
                device.run(&AddBias {
                    bias: parameters.tensor(bias),
                    second: None,
                    values: logits,
                });
            }
            let mut head = device.download(&logits)?;
            head.chunks_exact_mut(entries).for_each(log_softmax);
            for (row, output) in output.chunks_exact_mut(vocabulary).enumerate() {
                output[..self.head_words]
                    .copy_from_slice(&head[row * entries..][..self.head_words]);
            }
            for (index, cluster) in self.clusters.iter().enumerate() {
                let projected = self.project(device, parameters, cluster, states, Precision::Full);
                let logits =
                    self.cluster_logits(device, parameters, cluster, projected, Precision::Full);
                let size = cluster.words.len();
                let words = device.download(&logits)?;
                for (row, output) in output.chunks_exact_mut(vocabulary).enumerate() {
                    let output = &mut output[cluster.words.clone()];
                    output.copy_from_slice(&words[row * size..][..size]);
                    log_softmax(output);
                    let log_cluster = head[row * entries + self.head_words + index];
                    for value in output {
                        *value += log_cluster;
                    }
                }
            }
        }
        Ok(all)
    }
}
