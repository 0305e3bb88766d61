//! The adaptive softmax (Grave 2017, "Efficient softmax approximation for GPUs"; PyTorch's
//! `AdaptiveLogSoftmaxWithLoss`): one softmax over the head, the frequent words and an entry for
//! each cluster of rarer ones, and for a word of a cluster another over the cluster's words, which
//! see a projection of the state onto fewer numbers. `P(w) = P(cluster) P(w | cluster)`, exactly.
//!
//! The vocabulary is cut by [`Clusters`]. Rows of a window whose target is in a cluster are
//! gathered, so that plain products of that many rows do the work: a cluster may have most of the
//! vocabulary, and few of the window's words. Where nothing is trained, the products are of as many
//! rows always, the last ones of no use, so that a row's loss does not depend, by rounding, on how
//! many are in its cluster: for scores that are compared.

use std::ops::Range;

use super::blocks::Blocks;
use super::cell::Capacity;
use super::clusters::{Clusters, MOST_CLUSTERS};
use super::config::Config;
use super::output::{OutputLayer, Predictions};
use super::parameters::{ParameterSpec, Parameters, of_tables};
use super::plan::{Lists, OutputPlan, WindowWords};
use super::products::{input_gradient, of_activations, of_gradients, product, weight_gradient};
use super::softmax::log_softmax;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{
    Add, AddBias, Exponential, Fill, Gather, Gradient, Matmul, Precision, ROW_FIELDS,
    RaggedSoftmax, SoftmaxCrossEntropy, SumRows, batch_invariant_rows,
};
use crate::tensor::{NONE, Tensor};

/// The names of the head's parameters, in the order of the file; the bias where there is one.
const HEAD: &str = "decoder.weight";
const HEAD_BIAS: &str = "decoder.bias";
/// Why the weights are there.
const ALWAYS: &str = "a model with clusters has weights for them";

/// What a plan lists: the entry of the head that each row's target is or is in; each row's place
/// among the gathered ones; where gathered rows' logits lie in their block; and from [`GATHERED`]
/// on, for each cluster the rows that are gathered.
const TARGETS: usize = 0;
const PLACES: usize = 1;
const RECORDS: usize = 2;
const GATHERED: usize = 3;

/// The names of cluster `number`'s parameters, in the order of the file: its projection,
/// `[size, D]`, and its words' weight, `[words, size]`.
fn names(number: usize) -> [String; 2] {
    ["projection", "weight"].map(|part| format!("decoder.tail_{part}_{number}"))
}

/// A cluster of rare words.
#[derive(Debug)]
struct Cluster {
    words: Range<usize>,
    /// Numbers that the projection leaves.
    size: usize,
    /// Rows that are projected at a time.
    projected: Blocks,
    /// Rows whose logits are computed at a time.
    blocks: Blocks,
    names: [String; 2],
}

/// The layer with its scratch memory.
#[derive(Debug)]
pub struct AdaptiveSoftmax {
    /// Words of the head.
    head: usize,
    head_blocks: Blocks,
    clusters: Vec<Cluster>,
    /// Whether all blocks of a cluster have as many rows.
    batch_invariant: bool,
    mixed: bool,
    /// As many numbers as the largest block of logits of head or cluster has.
    logits: Tensor,
    /// Hidden states of rows with a target in a cluster, cluster by cluster, `[rows, D]`.
    gathered: Tensor,
    /// Their gradient; one number where nothing is trained.
    gathered_gradient: Tensor,
    /// What one cluster's projection leaves of them, `rows * size` numbers, and its gradient.
    projected: Tensor,
    projected_gradient: Tensor,
    /// The plan's lists, `[numbers, 1]`.
    lists: Tensor<u32>,
}

impl AdaptiveSoftmax {
    pub(super) fn parameter_specs(config: &Config) -> Vec<ParameterSpec> {
        let Some(clusters) = &config.clusters else {
            return Vec::new();
        };
        let (size, entries) = (
            config.decoder_input_size(),
            clusters.head() + clusters.cutoffs.len(),
        );
        let mut list = vec![ParameterSpec::weight(
            HEAD,
            entries,
            size,
            of_tables(config),
        )];
        if config.decoder_bias {
            list.push(ParameterSpec::bias(HEAD_BIAS, entries));
        }
        for (number, words) in clusters.ranges(config.vocab_size).into_iter().enumerate() {
            let [projection, weight] = names(number);
            let own = clusters.size(number, size);
            list.push(ParameterSpec::weight(
                projection,
                own,
                size,
                of_tables(config),
            ));
            list.push(ParameterSpec::weight(
                weight,
                words.len(),
                own,
                of_tables(config),
            ));
        }
        list
    }

    pub(super) fn new(
        device: &mut Device,
        config: &Config,
        rows: usize,
        capacity: Capacity,
    ) -> Result<Self> {
        let cut = config.clusters.clone().unwrap_or(Clusters {
            cutoffs: Vec::new(),
            divisor: 1.0,
        });
        let size = config.decoder_input_size();
        let of_cluster = |(number, words): (usize, Range<usize>)| {
            let own = cut.size(number, size);
            let [projected, blocks] = match capacity.training {
                true => [Blocks { rows }, Blocks::new(device, rows, words.len(), own)],
                false => [own, words.len()].map(|width| Blocks {
                    rows: batch_invariant_rows(width),
                }),
            };
            Cluster {
                projected,
                blocks,
                size: own,
                names: names(number),
                words,
            }
        };
        let clusters: Vec<Cluster> = cut
            .ranges(config.vocab_size)
            .into_iter()
            .enumerate()
            .map(of_cluster)
            .collect();
        let (head, entries) = (cut.head(), cut.head() + clusters.len());
        let head_blocks = Blocks::new(device, rows, entries, size);
        let of_clusters = clusters
            .iter()
            .map(|cluster| cluster.blocks.rows * cluster.words.len());
        let logits = of_clusters
            .chain([head_blocks.rows * entries])
            .max()
            .unwrap_or(1);
        let widest = clusters
            .iter()
            .map(|cluster| cluster.size)
            .max()
            .unwrap_or(1);
        let trained = if capacity.training { rows } else { 1 };
        // Blocks of one kind may reach behind those of the other.
        let behind = clusters
            .iter()
            .map(|cluster| cluster.projected.rows + cluster.blocks.rows)
            .max()
            .unwrap_or(0);
        let gathered = if capacity.training {
            rows
        } else {
            rows + behind
        };
        Ok(Self {
            head,
            head_blocks,
            batch_invariant: !capacity.training,
            mixed: capacity.mixed,
            logits: device.scratch("logits", 1, logits)?,
            gathered: device.tensor("gathered states", gathered, size)?,
            gathered_gradient: device.tensor("gradient of the gathered states", trained, size)?,
            projected: device.tensor("projected states of a cluster", gathered, widest)?,
            projected_gradient: device.tensor(
                "gradient of the projected states of a cluster",
                trained,
                widest,
            )?,
            lists: device.tensor("gathered words", (3 + ROW_FIELDS) * rows, 1)?,
            clusters,
        })
    }

    /// Entries of the head: its words, then the clusters.
    fn entries(&self) -> usize {
        self.head + self.clusters.len()
    }

    /// The number of the cluster that a word is in.
    fn cluster_of(&self, word: usize) -> Option<usize> {
        self.clusters
            .iter()
            .position(|cluster| cluster.words.contains(&word))
    }

    /// Logits of the head for a few states.
    fn head_logits(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        hidden: Tensor,
        precision: Precision,
    ) -> Tensor {
        let logits = self.logits.reshape(hidden.rows(), self.entries());
        device.run(&product(
            hidden,
            parameter(parameters, HEAD),
            logits,
            precision,
        ));
        if let Some(bias) = parameters.position(HEAD_BIAS) {
            device.run(&AddBias {
                bias: parameters.tensors()[bias],
                values: logits,
            });
        }
        logits
    }

    /// What a cluster's projection leaves of the states.
    fn project(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        cluster: &Cluster,
        hidden: Tensor,
        precision: Precision,
    ) -> Tensor {
        let projected = self.projected.reshape(hidden.rows(), cluster.size);
        device.run(&product(
            hidden,
            parameter(parameters, &cluster.names[0]),
            projected,
            precision,
        ));
        projected
    }

    /// Logits of a cluster's words for a few projected states.
    fn tail_logits(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        cluster: &Cluster,
        projected: Tensor,
        precision: Precision,
    ) -> Tensor {
        let logits = self.logits.reshape(projected.rows(), cluster.words.len());
        device.run(&product(
            projected,
            parameter(parameters, &cluster.names[1]),
            logits,
            precision,
        ));
        logits
    }

    /// The head's part of every loss, and where there is something to train, the gradient of its
    /// logits for what `back` does with a block's.
    fn walk_head(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        predictions: Predictions,
        scale: Option<f32>,
        back: impl Fn(&mut Device, Range<usize>, Tensor),
    ) {
        let all_targets = predictions.plan.list(&self.lists, TARGETS, 1);
        for rows in self.head_blocks.ranges(predictions.hidden.rows()) {
            let block = predictions.slice_rows(rows.clone());
            let logits = self.head_logits(device, parameters, block.hidden, self.precision(scale));
            let targets = all_targets.slice_rows(rows.clone());
            let (gradient, exponential) = (scale.is_some(), Exponential::Exact);
            device.run(&SoftmaxCrossEntropy {
                logits,
                targets,
                losses: block.losses,
                gradient,
                scale: scale.unwrap_or(0.0),
                exponential,
            });
            back(device, rows, logits);
        }
    }

    /// Adds the part of a cluster's words to the losses; `places` are those of its rows among the
    /// gathered ones.
    fn walk_tail(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        predictions: Predictions,
        (number, places): (usize, Range<usize>),
        scale: Option<f32>,
        back: impl Fn(&mut Device, Range<usize>, [Tensor; 2]),
    ) {
        let (cluster, precision) = (&self.clusters[number], self.precision(scale));
        let tokens = predictions.plan.list(&self.lists, GATHERED + number, 1);
        let all_rows = predictions
            .plan
            .list(&self.lists, RECORDS, ROW_FIELDS)
            .slice_rows(places.clone());
        if tokens.is_empty() {
            return;
        }
        // For the gradients the gathered states of all clusters lie one behind the other.
        let first = if self.batch_invariant {
            0
        } else {
            places.start
        };
        let count = places.len();
        let states = |rows: Range<usize>| {
            self.gathered
                .slice_rows(first + rows.start..first + rows.end)
        };
        device.run(&Gather {
            table: predictions.hidden,
            tokens,
            output: states(0..count),
        });
        let all_projected = self.projected.reshape(self.projected.rows(), cluster.size);
        for block in cluster.projected.ranges(count) {
            let block = self.whole(block, cluster.projected);
            let projected = all_projected.slice_rows(block.clone());
            device.run(&product(
                states(block),
                parameter(parameters, &cluster.names[0]),
                projected,
                precision,
            ));
        }
        for block in cluster.blocks.ranges(count) {
            let projected = all_projected.slice_rows(self.whole(block.clone(), cluster.blocks));
            let logits = self.tail_logits(device, parameters, cluster, projected, precision);
            let (rows, losses) = (all_rows.slice_rows(block.clone()), predictions.losses);
            let (gradient, exponential) = (scale.is_some(), Exponential::Exact);
            device.run(&RaggedSoftmax {
                logits,
                rows,
                losses,
                gradient,
                scale: scale.unwrap_or(0.0),
                exponential,
            });
            back(device, block, [logits, projected]);
        }
    }

    /// The block with as many rows as every other one, where they are to have.
    fn whole(&self, block: Range<usize>, blocks: Blocks) -> Range<usize> {
        if self.batch_invariant {
            block.start..block.start + blocks.rows
        } else {
            block
        }
    }

    fn precision(&self, scale: Option<f32>) -> Precision {
        if scale.is_some() {
            of_activations(self.mixed)
        } else {
            Precision::Full
        }
    }

    /// For each cluster, where its rows lie among the gathered ones.
    fn places(&self, plan: OutputPlan) -> Vec<Range<usize>> {
        let mut end = 0;
        let place = |number| {
            let begin = end;
            end += plan.len(GATHERED + number);
            begin..end
        };
        (0..self.clusters.len()).map(place).collect()
    }
}

impl OutputLayer for AdaptiveSoftmax {
    fn plan(&self, device: &mut Device, words: &WindowWords<'_>) -> OutputPlan {
        let clusters: Vec<Option<usize>> = words
            .targets
            .iter()
            .map(|&word| self.cluster_of(word as usize))
            .collect();
        let mut lists = Lists::default();
        lists.push(
            words
                .targets
                .iter()
                .zip(&clusters)
                .map(|(&word, cluster)| cluster.map_or(word, |number| (self.head + number) as u32)),
        );
        let (mut places, mut records, mut gathered) =
            (vec![NONE; clusters.len()], Vec::new(), Vec::new());
        let mut place = 0;
        for (number, cluster) in self.clusters.iter().enumerate() {
            let rows: Vec<u32> = (0..)
                .zip(&clusters)
                .filter(|(_, of)| **of == Some(number))
                .map(|(row, _)| row)
                .collect();
            let (first, width) = (cluster.words.start as u32, cluster.words.len() as u32);
            for (&row, within) in rows.iter().zip(0..) {
                (places[row as usize], place) = (place, place + 1);
                let begin = (within % cluster.blocks.rows) as u32 * width;
                records.extend([begin, width, words.targets[row as usize] - first, row]);
            }
            gathered.push(rows);
        }
        lists.push(places);
        lists.push(records);
        gathered.into_iter().for_each(|rows| lists.push(rows));
        lists.upload(device, &self.lists)
    }

    fn losses(&self, device: &mut Device, parameters: &Parameters, predictions: Predictions) {
        self.walk_head(device, parameters, predictions, None, |_, _, _| {});
        for part in self.places(predictions.plan).into_iter().enumerate() {
            self.walk_tail(device, parameters, predictions, part, None, |_, _, _| {});
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
        let precision = of_gradients(self.mixed, scale);
        let of = |name: &str| gradients[parameters.position(name).expect(ALWAYS)].values();
        self.walk_head(
            device,
            parameters,
            predictions,
            Some(scale),
            |device, rows, logits| {
                let accumulate = rows.start > 0;
                device.run(&input_gradient(
                    logits,
                    parameter(parameters, HEAD),
                    hidden_gradient.slice_rows(rows.clone()),
                    precision,
                ));
                let product = weight_gradient(logits, hidden.slice_rows(rows), of(HEAD), precision);
                device.run(&Matmul {
                    accumulate,
                    ..product
                });
                if parameters.position(HEAD_BIAS).is_some() {
                    device.run(&SumRows {
                        values: logits,
                        output: of(HEAD_BIAS),
                        accumulate,
                    });
                }
            },
        );
        for (number, places) in self.places(predictions.plan).into_iter().enumerate() {
            let cluster = &self.clusters[number];
            let [projection, weight] = &cluster.names;
            let of_projected = self.projected_gradient.reshape(places.len(), cluster.size);
            let part = (number, places.clone());
            self.walk_tail(
                device,
                parameters,
                predictions,
                part,
                Some(scale),
                |device, block, [logits, projected]| {
                    let accumulate = block.start > 0;
                    device.run(&input_gradient(
                        logits,
                        parameter(parameters, weight),
                        of_projected.slice_rows(block),
                        precision,
                    ));
                    device.run(&Matmul {
                        accumulate,
                        ..weight_gradient(logits, projected, of(weight), precision)
                    });
                },
            );
            if places.is_empty() {
                device.run(&Fill {
                    values: of(weight),
                    value: 0.0,
                });
            }
            let [states, gradient] = [self.gathered, self.gathered_gradient]
                .map(|tensor| tensor.slice_rows(places.clone()));
            device.run(&weight_gradient(
                of_projected,
                states,
                of(projection),
                precision,
            ));
            device.run(&input_gradient(
                of_projected,
                parameter(parameters, projection),
                gradient,
                precision,
            ));
        }
        // The gathered states are not needed any more: their gradient takes their place, each at
        // its row.
        let (tokens, spread) = (
            predictions.plan.list(&self.lists, PLACES, 1),
            self.gathered.slice_rows(0..hidden.rows()),
        );
        device.run(&Gather {
            table: self.gathered_gradient,
            tokens,
            output: spread,
        });
        device.run(&Add {
            input: Gradient::Dense(spread),
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
        let vocabulary = self
            .clusters
            .last()
            .map_or(self.head, |cluster| cluster.words.end);
        let together = self
            .clusters
            .iter()
            .map(|cluster| cluster.blocks.rows)
            .fold(self.head_blocks.rows, usize::min);
        let mut all = vec![0.0; hidden.rows() * vocabulary];
        for (rows, all) in (Blocks { rows: together })
            .ranges(hidden.rows())
            .zip(all.chunks_mut(together * vocabulary))
        {
            let states = hidden.slice_rows(rows);
            let logits = self.head_logits(device, parameters, states, Precision::Full);
            let mut of_head = device.download(&logits)?;
            of_head
                .chunks_exact_mut(self.entries())
                .for_each(log_softmax);
            for (row, head) in all
                .chunks_exact_mut(vocabulary)
                .zip(of_head.chunks_exact(self.entries()))
            {
                row[..self.head].copy_from_slice(&head[..self.head]);
            }
            for (number, cluster) in self.clusters.iter().enumerate() {
                let projected = self.project(device, parameters, cluster, states, Precision::Full);
                let logits =
                    self.tail_logits(device, parameters, cluster, projected, Precision::Full);
                let of_words = device.download(&logits)?;
                let rows = all
                    .chunks_exact_mut(vocabulary)
                    .zip(of_words.chunks_exact(cluster.words.len()));
                for ((row, words), head) in rows.zip(of_head.chunks_exact(self.entries())) {
                    let own = &mut row[cluster.words.clone()];
                    own.copy_from_slice(words);
                    log_softmax(own);
                    own.iter_mut()
                        .for_each(|value| *value += head[self.head + number]);
                }
            }
        }
        Ok(all)
    }
}

/// The parameter of this name on the device.
fn parameter(parameters: &Parameters, name: &str) -> Tensor {
    parameters.tensors()[parameters.position(name).expect(ALWAYS)]
}

// Every cluster has a list of its own behind the first three.
const _: () = assert!(GATHERED + MOST_CLUSTERS <= super::plan::SECTIONS);
