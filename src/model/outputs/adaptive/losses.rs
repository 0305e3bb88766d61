//! The logits of the head and of clusters, and the losses.

use std::ops::Range;

use super::{AdaptiveSoftmax, Blocks, Cluster};
use crate::device::Device;
use crate::kernels::{
    Exponential, Gather, Precision, RaggedSoftmax, SoftmaxCrossEntropy, SoftmaxResult,
};
use crate::model::output::Predictions;
use crate::model::parameters::Parameters;
use crate::model::products::{activation_precision, product};
use crate::tensor::Tensor;

/// The rows of a window with a target in one cluster.
pub(super) struct ClusterRows<'a> {
    pub(super) cluster: &'a Cluster,
    /// The rows of the window.
    pub(super) rows: Tensor<u32>,
    /// Where their logits lie.
    pub(super) records: Tensor<u32>,
    /// Their places among the gathered rows of all clusters.
    pub(super) places: Range<usize>,
}

impl AdaptiveSoftmax {
    /// Computes the head's part of every loss. With a `scale`, the gradient overwrites the logits
    /// of a block before `backward` receives the block's rows and logits.
    pub(super) fn compute_head_losses(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        predictions: Predictions,
        scale: Option<f32>,
        backward: impl Fn(&mut Device, Range<usize>, Tensor),
    ) {
        let targets = self.head_targets(predictions.plan);
        for rows in self.head_blocks.ranges(predictions.hidden.rows()) {
            let block = predictions.slice_rows(rows.clone());
            let logits = self.head_logits(device, parameters, block.hidden, self.precision(scale));
            device.run(&SoftmaxCrossEntropy {
                logits,
                bias: self.head_bias.map(|bias| parameters.tensor(bias)),
                targets: targets.slice_rows(rows.clone()),
                rows_per_target: 1,
                losses: block.losses,
                result: SoftmaxResult::gradient(scale),
                exponential: Exponential::Exact,
            });
            backward(device, rows, logits);
        }
    }

    /// Adds a cluster's part to the losses of its rows. With a `scale`, the gradient overwrites the
    /// logits of a block before `backward` receives the block's rows, logits and projected states.
    pub(super) fn add_cluster_losses(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        predictions: Predictions,
        rows: &ClusterRows<'_>,
        scale: Option<f32>,
        backward: impl Fn(&mut Device, Range<usize>, Tensor, Tensor),
    ) {
        let ClusterRows {
            cluster, places, ..
        } = rows;
        if places.is_empty() {
            return;
        }
        let precision = self.precision(scale);
        // In training, the gathered states of all clusters are kept for the gradients.
        let first = if self.batch_invariant {
            0
        } else {
            places.start
        };
        let states = |block: Range<usize>| {
            self.gathered
                .slice_rows(first + block.start..first + block.end)
        };
        let count = places.len();
        device.run(&Gather {
            table: predictions.hidden,
            tokens: rows.rows,
            output: states(0..count),
        });
        let all_projected = self.projected.reshape(self.projected.rows(), cluster.size);
        for block in cluster.projected_blocks.ranges(count) {
            let block = self.block_rows(block, cluster.projected_blocks);
            device.run(&product(
                states(block.clone()),
                parameters.tensor(cluster.projection),
                all_projected.slice_rows(block),
                precision,
            ));
        }
        for block in cluster.logits_blocks.ranges(count) {
            let projected =
                all_projected.slice_rows(self.block_rows(block.clone(), cluster.logits_blocks));
            let logits = self.cluster_logits(device, parameters, cluster, projected, precision);
            device.run(&RaggedSoftmax {
                logits,
                rows: rows.records.slice_rows(block.clone()),
                losses: predictions.losses,
                gradient: scale.is_some(),
                scale: scale.unwrap_or(0.0),
                exponential: Exponential::Exact,
            });
            backward(device, block, logits, projected);
        }
    }

    /// The rows that are computed for a block: with batch invariance, the number of rows of a whole
    /// block.
    fn block_rows(&self, block: Range<usize>, blocks: Blocks) -> Range<usize> {
        if self.batch_invariant {
            block.start..block.start + blocks.rows
        } else {
            block
        }
    }

    fn precision(&self, scale: Option<f32>) -> Precision {
        match scale {
            Some(_) => activation_precision(self.mixed),
            None => Precision::Full,
        }
    }

    /// Computes the head's logits of a block of states, but for the bias.
    pub(super) fn head_logits(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        hidden: Tensor,
        precision: Precision,
    ) -> Tensor {
        let logits = self.logits.reshape(hidden.rows(), self.entries());
        let weight = parameters.tensor(self.head_weight);
        device.run(&product(hidden, weight, logits, precision));
        logits
    }

    /// Projects states to the size of a cluster.
    pub(super) fn project(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        cluster: &Cluster,
        hidden: Tensor,
        precision: Precision,
    ) -> Tensor {
        let projected = self.projected.reshape(hidden.rows(), cluster.size);
        let projection = parameters.tensor(cluster.projection);
        device.run(&product(hidden, projection, projected, precision));
        projected
    }

    /// Computes the logits of a cluster's words from a block of projected states.
    pub(super) fn cluster_logits(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        cluster: &Cluster,
        projected: Tensor,
        precision: Precision,
    ) -> Tensor {
        let logits = self.logits.reshape(projected.rows(), cluster.words.len());
        let weight = parameters.tensor(cluster.weight);
        device.run(&product(projected, weight, logits, precision));
        logits
    }
}
