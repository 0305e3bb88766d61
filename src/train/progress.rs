//! What a run reports and what a checkpoint stores of it.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::last_update::LastUpdate;
use super::numbers::number_or_infinity;
use super::recipe::Recipe;
use super::schedule::Schedule;
use crate::device::Device;
use crate::model::ParameterValues;

/// The record of an epoch in `log.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Mean loss over the epoch's training tokens, in nats per token, each measured before its
    /// update.
    #[serde(deserialize_with = "number_or_infinity")]
    pub train_loss: f64,
    /// Loss on the validation text, in nats per token.
    #[serde(deserialize_with = "number_or_infinity")]
    pub valid_loss: f64,
    /// e to the power of the validation loss. Infinite where it is too large for a number.
    #[serde(deserialize_with = "number_or_infinity")]
    pub valid_perplexity: f64,
    /// The learning rate of the epoch's last update.
    pub lr: f32,
    /// Training tokens per second, without validation.
    pub tokens_per_second: f64,
    /// Duration of the epoch with its validation.
    pub seconds: f64,
    /// Whether the weights were rolled back to those before the epoch.
    pub rolled_back: bool,
    /// Whether averaged weights were validated.
    #[serde(default)]
    pub averaged: bool,
    /// Whether training diverged: the validation loss is more than 1 above that of a model to which
    /// all types of the vocabulary are equally likely, ln V.
    #[serde(default)]
    pub diverged: bool,
    /// Training tokens of the epoch; none in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_tokens: Option<usize>,
    /// What was measured at the epoch's last update; none if the epoch was cut short, and in files
    /// of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update: Option<LastUpdate>,
    /// A text that the model generated after the epoch; none where it would have taken long beside
    /// the epoch, and in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<String>,
}

/// The device of a run, on which its bits depend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum DeviceRecord {
    /// The CPU.
    Cpu {
        /// The number of threads.
        threads: usize,
    },
    /// A GPU.
    Gpu {
        /// The adapter's name.
        name: String,
    },
}

impl DeviceRecord {
    pub(super) fn of(device: &Device) -> Self {
        match device.threads() {
            Some(threads) => Self::Cpu { threads },
            None => Self::Gpu {
                name: device.name().to_owned(),
            },
        }
    }
}

impl Display for DeviceRecord {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu { threads: 1 } => formatter.write_str("the CPU with 1 thread"),
            Self::Cpu { threads } => write!(formatter, "the CPU with {threads} threads"),
            Self::Gpu { name } => formatter.write_str(name),
        }
    }
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// The state of a run: everything that resuming needs apart from tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Completed epochs.
    pub epochs: usize,
    /// Windows of the current epoch whose steps have been started.
    pub window: usize,
    /// Updates since the start of the run.
    pub step: u32,
    /// Sum of the losses of the current epoch's windows, in nats.
    pub nats: f64,
    /// Tokens predicted in them.
    pub tokens: usize,
    /// Time spent on the current epoch.
    pub seconds: f64,
    /// What was measured at the current epoch's last update, until its record has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update: Option<LastUpdate>,
    /// The device of the last steps; none in files of version 0.1.0.
    #[serde(default)]
    pub device: Option<DeviceRecord>,
    /// State of the learning-rate schedule.
    pub schedule: Schedule,
    /// The number of updates before the first one whose weights are averaged; none if weights are
    /// not averaged yet.
    #[serde(default)]
    pub averaged_after: Option<u32>,
    /// Whether the schedule, the patience or [`Trainer::stop`](super::Trainer::stop) has ended the
    /// run.
    pub stopped: bool,
    /// Whether [`Trainer::stop`](super::Trainer::stop) has ended the run before its schedule did.
    #[serde(default)]
    pub cut_short: bool,
    /// The completed epochs.
    pub history: Vec<EpochRecord>,
    /// The validation loss of the kept weights.
    pub best_valid_loss: Option<f64>,
    /// How often training has diverged and continued from an earlier state. The learning rate is
    /// half as large after each time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub divergences: u32,
}

impl Progress {
    /// Whether all epochs of the recipe are complete, or the run has ended before.
    pub fn is_finished(&self, recipe: &Recipe) -> bool {
        self.stopped || self.epochs >= recipe.epochs
    }

    /// The time of training and validation since the start of the run, in seconds.
    pub fn total_seconds(&self) -> f64 {
        let epochs: f64 = self.history.iter().map(|epoch| epoch.seconds).sum();
        epochs + self.seconds
    }

    /// Training tokens since the start of the run, if all epochs have counted theirs.
    pub fn total_tokens(&self) -> Option<usize> {
        let epochs = self.history.iter().map(|epoch| epoch.train_tokens);
        Some(epochs.sum::<Option<usize>>()? + self.tokens)
    }

    /// Training tokens per second, without validation: the mean over the time of all epochs.
    pub fn tokens_per_second(&self) -> Option<f64> {
        let seconds: f64 = self.history.iter().map(|epoch| epoch.seconds).sum();
        let weighted = self
            .history
            .iter()
            .map(|epoch| epoch.tokens_per_second * epoch.seconds);
        (seconds > 0.0).then(|| weighted.sum::<f64>() / seconds)
    }
}

/// What [`Trainer::advance`](super::Trainer::advance) reports.
#[derive(Debug, Clone)]
pub enum Event {
    /// Some training steps are complete, each on one window. On a GPU the next ones have already
    /// started and count in [`Progress::window`].
    Steps {
        /// Mean loss over them, in nats per token.
        loss: f64,
        /// The sum of the losses of each step, in nats.
        loss_sums: Vec<f32>,
        /// The norm of the last step's gradient, after clipping its elements and before clipping
        /// the norm.
        gradient_norm: f64,
        /// Tokens predicted per second.
        tokens_per_second: f64,
    },
    /// An epoch is complete and validated.
    Epoch(EpochRecord),
    /// Training is complete; the model has the kept weights.
    Finished,
}

/// The state of an optimizer: for each name in [`OptimizerKind::state`], the values for each
/// parameter, in the file's order and layout.
///
/// [`OptimizerKind::state`]: super::OptimizerKind::state
pub type OptimizerState = BTreeMap<&'static str, ParameterValues>;

/// The tensors of a run that a checkpoint stores, in the file's order and layout.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The model's parameters: during an epoch the current ones, between epochs the kept ones.
    pub parameters: Arc<ParameterValues>,
    /// During an epoch, the kept parameters; none in the first epoch and between epochs.
    pub best: Option<Arc<ParameterValues>>,
    /// Between epochs, the parameters from which training continues, if they are not the kept ones.
    pub last: Option<Arc<ParameterValues>>,
    /// The averaged parameters, if weights are averaged.
    pub average: Option<ParameterValues>,
    /// The optimizer's state.
    pub optimizer: OptimizerState,
    /// The carried states of the streams.
    pub carried: Vec<Vec<f32>>,
}
