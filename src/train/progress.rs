//! Where a run stands, what happens on the way, and what a checkpoint keeps of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::schedule::Schedule;

/// An epoch as `log.jsonl` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Nats a token, averaged over the epoch as it went.
    pub train_loss: f64,
    /// Nats a token on the validation text.
    pub valid_loss: f64,
    /// e to the validation loss.
    pub valid_perplexity: f64,
    /// The learning rate of this epoch's last update.
    pub lr: f32,
    /// Training tokens a second, validation left out.
    pub tokens_per_second: f64,
    /// Seconds of the epoch with its validation.
    pub seconds: f64,
    /// Whether the weights from before the epoch were put back.
    pub rolled_back: bool,
    /// Whether it was validated with averaged weights.
    #[serde(default)]
    pub averaged: bool,
}

/// Where a run stands: everything that resuming needs besides tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Epochs that are done.
    pub epochs: usize,
    /// Windows of the current epoch that are done.
    pub window: usize,
    /// Updates since the beginning.
    pub step: u32,
    /// Sum of the losses of the current epoch's windows, in nats.
    pub nats: f64,
    /// Tokens predicted in them.
    pub tokens: usize,
    /// Seconds spent on the current epoch.
    pub seconds: f64,
    /// What steers the learning rate.
    pub schedule: Schedule,
    /// The updates before the first one whose weights were averaged; none as long as they are not.
    #[serde(default)]
    pub averaged_after: Option<u32>,
    /// Whether the schedule or the patience has ended the run.
    pub stopped: bool,
    /// The epochs so far.
    pub history: Vec<EpochRecord>,
    /// The validation loss of the weights kept so far.
    pub best_valid_loss: Option<f64>,
}

/// What [`Trainer::advance`](super::Trainer::advance) came to.
#[derive(Debug, Clone)]
pub enum Event {
    /// Some windows are done. On a GPU the next ones are under way already, and count in
    /// [`Progress::window`].
    Windows {
        /// Nats a token, averaged over them.
        loss: f64,
        /// The sum of the losses of each of them in nats.
        sums: Vec<f32>,
        /// The norm of the last update's gradient, clamped by its numbers and not yet clipped by
        /// its norm.
        gradient_norm: f64,
        /// Tokens predicted in a second.
        tokens_per_second: f64,
    },
    /// An epoch is done and validated; its weights are kept, put back, or gone on from without
    /// being kept.
    Epoch(EpochRecord),
    /// There is nothing left to do; the model has the kept weights.
    Finished,
}

/// Tensors of a run that a checkpoint keeps, in the file's layout.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The model's parameters: within an epoch as they are, between epochs the kept ones.
    pub parameters: Arc<Vec<Vec<f32>>>,
    /// The kept parameters, where they are not those above; none before the first epoch's end.
    pub best: Option<Arc<Vec<Vec<f32>>>>,
    /// The parameters that training goes on from, where they are not those above.
    pub last: Option<Arc<Vec<Vec<f32>>>>,
    /// The averaged parameters, where they are averaged.
    pub average: Option<Vec<Vec<f32>>>,
    /// The optimiser's state: for each of its names, one entry a parameter.
    pub optimizer: Vec<Vec<Vec<f32>>>,
    /// The carried states of the streams.
    pub carried: Vec<Vec<f32>>,
}
