//! How to train: every choice that is not the model itself.

use serde::{Deserialize, Serialize};

use super::optimizer::OPTIMIZERS;
use super::schedule::ScheduleKind;
use crate::error::{Error, Result};
use crate::model::DropoutRates;

/// Whether a window's gradient is the sum over its tokens or their mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Reduction {
    /// The sum: one update of a window moves as far as rnnlm's updates for its tokens together.
    Sum,
    /// The mean: steps do not grow with the window.
    Mean,
}

/// How exact the products of training are; evaluation is always f32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionKind {
    /// f32.
    #[default]
    Full,
    /// Factors rounded to f16, sums and weights in f32, by cooperative matrices where the adapter has them: for GPUs only.
    Mixed,
}

/// Every choice of a training run, under the names of the flags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// B: parallel streams.
    pub batch: usize,
    /// T: time steps of a window, through which gradients flow back.
    pub bptt: usize,
    /// The most epochs.
    pub epochs: usize,
    /// A row of [`OPTIMIZERS`].
    pub optimizer: String,
    /// The learning rate at the start.
    pub lr: f32,
    /// How the learning rate falls and when training ends.
    pub schedule: ScheduleKind,
    /// The ratio of validation log-probabilities below which an epoch did not improve significantly.
    pub min_improvement: f64,
    /// Sum or mean over a window's tokens.
    pub reduction: Reduction,
    /// The largest norm of a gradient; 0 for no limit.
    pub clip: f32,
    /// L2 regularisation: before an update, parameters shrink by `lr * l2`, apart from the gradient whatever the optimiser.
    pub l2: f32,
    /// Whether every sentence begins with the initial state.
    pub independent: bool,
    /// What is left out at random.
    #[serde(default)]
    pub dropout: DropoutRates,
    /// What the biases of gates that forget begin with.
    #[serde(default)]
    pub forget_bias: f32,
    /// How exact products are.
    #[serde(default)]
    pub precision: PrecisionKind,
    /// Where the initial weights come from.
    pub seed: u64,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            batch: 32,
            bptt: 16,
            epochs: 20,
            optimizer: "adagrad".into(),
            lr: 0.1,
            schedule: ScheduleKind::Halve,
            min_improvement: 1.003,
            reduction: Reduction::Mean,
            clip: 0.0,
            l2: 0.0,
            independent: false,
            dropout: DropoutRates::default(),
            forget_bias: 1.0,
            precision: PrecisionKind::Full,
            seed: 1,
        }
    }
}

impl Recipe {
    /// Checks what can be checked without a corpus.
    ///
    /// # Errors
    /// If a number is outside its range, an optimiser unknown or not made for what is asked of it.
    pub fn validate(&self) -> Result<()> {
        let wrong = |flag: &str, value: String, rule: &str, way_out: &str| Err(Error::usage(format!("{flag} {value}"), rule, way_out));
        for (flag, value) in [("--batch", self.batch), ("--bptt", self.bptt), ("--epochs", self.epochs)] {
            if value == 0 {
                return wrong(flag, value.to_string(), "it must be at least 1", "Take 1 or more");
            }
        }
        if !(self.lr.is_finite() && self.lr > 0.0) {
            return wrong("--lr", self.lr.to_string(), "a learning rate must be a positive number", "0.1 is the usual one");
        }
        for (flag, value) in [("--clip", self.clip), ("--l2", self.l2)] {
            if !(value.is_finite() && value >= 0.0) {
                return wrong(flag, value.to_string(), "it must be a number from 0 on", "0 turns it off");
            }
        }
        let DropoutRates { words, input, hidden, output, weights, variational: _ } = self.dropout;
        for (place, rate) in [("words", words), ("input", input), ("hidden", hidden), ("output", output), ("weights", weights)] {
            if !(0.0..1.0).contains(&rate) {
                return wrong(&format!("--dropout-{place}"), rate.to_string(), "it must be at least 0 and below 1", "0.5 is much already");
            }
        }
        if !self.forget_bias.is_finite() {
            return wrong("--forget-bias", self.forget_bias.to_string(), "it must be a number", "1 is the usual one");
        }
        if !(self.min_improvement.is_finite() && self.min_improvement >= 0.0) {
            return wrong("--min-improvement", self.min_improvement.to_string(), "it must be a number from 0 on", "1.003 is rnnlm's");
        }
        if !OPTIMIZERS.iter().any(|row| row.name == self.optimizer) {
            let names: Vec<_> = OPTIMIZERS.iter().map(|row| row.name).collect();
            let way_out = format!("It is one of: {}", names.join(", "));
            return wrong("--optimizer", self.optimizer.clone(), "there is no such optimiser", &way_out);
        }
        if self.optimizer == "adam" && self.l2 > 0.0 {
            let rule = "Adam's own L2 would be a part of the gradient and pass through its moments, and --l2 shrinks weights apart from it";
            return wrong(
                "--l2",
                format!("{} with --optimizer adam", self.l2),
                rule,
                "Take --optimizer adamw, which is Adam with that decay",
            );
        }
        Ok(())
    }
}
