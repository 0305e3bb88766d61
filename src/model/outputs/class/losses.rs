//! The logits of classes and of the words of their targets' classes, and the losses.

use super::{ClassSoftmax, List};
use crate::device::Device;
use crate::kernels::{
    AddBias, AddRuns, Gather, GroupedMatmul, GroupedProduct, Precision, ROW_FIELDS, RaggedSoftmax,
    SoftmaxCrossEntropy, SoftmaxResult,
};
use crate::model::output::Predictions;
use crate::model::parameters::Parameters;
use crate::model::plan::OutputPlan;
use crate::model::products::{activation_precision, product};
use crate::tensor::Tensor;

impl ClassSoftmax {
    /// Computes the logits and the losses. With a `scale`, the gradients of `scale` times their sum
    /// overwrite the logits.
    pub(super) fn compute_losses(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        predictions: Predictions,
        scale: Option<f32>,
    ) {
        let plan = predictions.plan;
        let precision = match scale {
            Some(_) => activation_precision(self.mixed),
            None => Precision::Full,
        };
        self.compute_logits(device, parameters, predictions.hidden, plan, precision);
        let logits = self.logits(predictions.hidden.rows());
        device.run(&SoftmaxCrossEntropy {
            logits: logits.classes,
            bias: None,
            targets: self.list(plan, List::Targets, 1),
            rows_per_target: 1,
            losses: predictions.losses,
            result: SoftmaxResult::gradient(scale),
            exponential: self.exponential,
        });
        device.run(&RaggedSoftmax {
            logits: logits.words,
            rows: self.list(plan, List::Rows, ROW_FIELDS),
            losses: predictions.losses,
            gradient: scale.is_some(),
            scale: scale.unwrap_or(0.0),
            exponential: self.exponential,
        });
    }

    /// Computes the logits of the classes, and of the words of the planned targets' classes.
    pub(super) fn compute_logits(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        hidden: Tensor,
        plan: OutputPlan,
        precision: Precision,
    ) {
        let logits = self.logits(hidden.rows());
        let class_weight = parameters.tensor(self.classes.weight);
        device.run(&product(hidden, class_weight, logits.classes, precision));
        if let Some(bias) = self.classes.bias {
            device.run(&AddBias {
                bias: parameters.tensor(bias),
                second: None,
                values: logits.classes,
            });
        }
        let sorted = self.sorted.slice_rows(0..hidden.rows());
        device.run(&Gather {
            table: hidden,
            tokens: self.list(plan, List::Order, 1),
            output: sorted,
        });
        device.run(&GroupedMatmul {
            product: GroupedProduct::Forward,
            groups: self.groups(plan),
            rows: sorted,
            table: parameters.tensor(self.words.weight),
            bias: self.words.bias.map(|bias| parameters.tensor(bias)),
            products: logits.words,
            batch_invariant: !self.training,
        });
        if let Some((table, direct)) = self.direct {
            for (list, output) in [
                (List::ClassRuns, logits.classes),
                (List::WordRuns, logits.words),
            ] {
                device.run(&AddRuns {
                    table: parameters.tensor(table),
                    runs: self.list(plan, list, direct.record_len()),
                    output,
                });
            }
        }
    }
}
