//! How to train: every choice that is not the model itself.

use serde::{Deserialize, Serialize};

use super::choices::{AverageKind, Keep, LossReduction, PrecisionKind, ScheduleKind};
use super::optimizer::OPTIMIZERS;
use super::step_metrics::MAX_STEPS;
use crate::error::{Error, Result};
use crate::field::Choice;
use crate::model::{DIRECT_WEIGHT, DropoutRates};

/// The learning rate of direct connections in proportion to the others', where nothing is said of
/// it: most features are seen a few times, and a few large steps would learn them by heart.
const DIRECT_FACTOR: f32 = 0.1;

/// Every choice of a training run, under the names of the flags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// B: parallel streams.
    pub batch: usize,
    /// T: time steps of a window, through which gradients flow back.
    pub bptt: usize,
    /// Steps that a window predicts, its last ones: the next window begins so many later. None: all
    /// of them.
    #[serde(default)]
    pub bptt_block: Option<usize>,
    /// The standard deviation of a window's steps, which are drawn anew in every epoch; 0 where all
    /// windows have `bptt` of them.
    #[serde(default)]
    pub bptt_jitter: usize,
    /// The most epochs.
    pub epochs: usize,
    /// A row of [`OPTIMIZERS`].
    pub optimizer: String,
    /// The learning rate at the start; under [`ScheduleKind::OneCycle`] the highest.
    pub lr: f32,
    /// The learning rate of direct connections at the start, where they have one of their own; the
    /// schedule is the same for both.
    #[serde(default)]
    pub direct_lr: Option<f32>,
    /// How the learning rate changes.
    pub schedule: ScheduleKind,
    /// What [`ScheduleKind::Plateau`] and [`ScheduleKind::Step`] multiply the rate by.
    #[serde(default = "half")]
    pub lr_decay: f64,
    /// Epochs in a row without a better validation loss that [`ScheduleKind::Plateau`] puts up
    /// with.
    #[serde(default)]
    pub lr_patience: usize,
    /// The epoch after which [`ScheduleKind::Step`] multiplies for the first time.
    #[serde(default = "one")]
    pub lr_decay_after: usize,
    /// Where [`ScheduleKind::Cosine`] and [`ScheduleKind::Linear`] end.
    #[serde(default)]
    pub lr_end: f32,
    /// Updates at the beginning over which the rate climbs from 0 to the schedule's.
    #[serde(default)]
    pub warm_up: u32,
    /// Epochs in a row without a better validation loss that end training.
    #[serde(default)]
    pub patience: Option<usize>,
    /// Which weights are the model at the end.
    #[serde(default = "last")]
    pub keep: Keep,
    /// The ratio of validation log-probabilities below which an epoch did not improve
    /// significantly.
    pub min_improvement: f64,
    /// From when on weights are averaged.
    #[serde(default)]
    pub average: AverageKind,
    /// Sum or mean over an update's tokens.
    pub reduction: LossReduction,
    /// Windows of an update; the last one of an epoch may have fewer.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// The largest magnitude of a gradient's number, seen to before its norm; 0 for no limit.
    #[serde(default)]
    pub clip_value: f32,
    /// The largest norm of a gradient; 0 for no limit.
    pub clip: f32,
    /// L2 regularisation: before an update, parameters shrink by `lr * l2`, apart from the gradient
    /// whatever the optimiser.
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

fn wrong(flag: &str, value: String, rule: &str, hint: &str) -> Result<()> {
    Err(Error::usage(format!("{flag} {value}"), rule, hint))
}

// What files mean that lack a field.

fn one() -> usize {
    1
}

fn half() -> f64 {
    0.5
}

fn last() -> Keep {
    Keep::Last
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            batch: 32,
            bptt: 16,
            bptt_block: None,
            bptt_jitter: 0,
            epochs: 20,
            optimizer: "adagrad".into(),
            lr: 0.1,
            direct_lr: None,
            schedule: ScheduleKind::Halve,
            lr_decay: half(),
            lr_patience: 0,
            lr_decay_after: one(),
            lr_end: 0.0,
            warm_up: 0,
            patience: None,
            keep: Keep::Best,
            average: AverageKind::Off,
            min_improvement: 1.003,
            reduction: LossReduction::Mean,
            accumulate: one(),
            clip_value: 0.0,
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
        for (flag, value) in [
            ("--batch", self.batch),
            ("--bptt", self.bptt),
            ("--epochs", self.epochs),
        ] {
            if value == 0 {
                return wrong(
                    flag,
                    value.to_string(),
                    "it must be at least 1",
                    "Take 1 or more",
                );
            }
        }
        if !(1..=MAX_STEPS).contains(&self.accumulate) {
            let rule = format!("it must be from 1 to {MAX_STEPS} windows");
            return wrong(
                "--accumulate",
                self.accumulate.to_string(),
                &rule,
                "A larger --batch or --bptt also makes updates of more tokens",
            );
        }
        if self.block() == 0 || self.block() > self.bptt {
            let rule = format!(
                "an update predicts at least 1 step and at most the {} of --bptt, through which \
                 its gradients flow",
                self.bptt
            );
            return wrong(
                "--bptt-block",
                self.block().to_string(),
                &rule,
                "Take a larger --bptt, or a smaller block",
            );
        }
        self.validate_jitter()?;
        if !(self.lr.is_finite() && self.lr > 0.0) {
            return wrong(
                "--lr",
                self.lr.to_string(),
                "a learning rate must be a positive number",
                "0.1 is the usual one",
            );
        }
        if let Some(lr) = self.direct_lr.filter(|lr| !(lr.is_finite() && *lr > 0.0)) {
            return wrong(
                "--direct-lr",
                lr.to_string(),
                "a learning rate must be a positive number",
                "A tenth of --lr is a good one",
            );
        }
        for (flag, value) in [
            ("--clip-value", self.clip_value),
            ("--clip", self.clip),
            ("--l2", self.l2),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return wrong(
                    flag,
                    value.to_string(),
                    "it must be a number from 0 on",
                    "0 turns it off",
                );
            }
        }
        let DropoutRates {
            words,
            input,
            hidden,
            output,
            weights,
            variational: _,
        } = self.dropout;
        for (place, rate) in [
            ("words", words),
            ("input", input),
            ("hidden", hidden),
            ("output", output),
            ("weights", weights),
        ] {
            if !(0.0..1.0).contains(&rate) {
                return wrong(
                    &format!("--dropout-{place}"),
                    rate.to_string(),
                    "it must be at least 0 and below 1",
                    "0.5 is much already",
                );
            }
        }
        if !self.forget_bias.is_finite() {
            return wrong(
                "--forget-bias",
                self.forget_bias.to_string(),
                "it must be a number",
                "1 is the usual one",
            );
        }
        self.validate_schedule()?;
        if !(self.min_improvement.is_finite() && self.min_improvement >= 0.0) {
            return wrong(
                "--min-improvement",
                self.min_improvement.to_string(),
                "it must be a number from 0 on",
                "1.003 is rnnlm's",
            );
        }
        if !OPTIMIZERS.iter().any(|row| row.name == self.optimizer) {
            let names: Vec<_> = OPTIMIZERS.iter().map(|row| row.name).collect();
            let hint = format!("It is one of: {}", names.join(", "));
            return wrong(
                "--optimizer",
                self.optimizer.clone(),
                "there is no such optimiser",
                &hint,
            );
        }
        if self.optimizer == "adam" && self.l2 > 0.0 {
            let rule = "Adam's own L2 would be a part of the gradient and pass through its \
                moments, and --l2 shrinks weights apart from it";
            return wrong(
                "--l2",
                format!("{} with --optimizer adam", self.l2),
                rule,
                "Take --optimizer adamw, which is Adam with that decay",
            );
        }
        Ok(())
    }

    /// What a parameter's learning rate is multiplied by.
    pub fn rate_factor(&self, parameter: &str) -> f32 {
        match self.direct_lr {
            Some(lr) if parameter == DIRECT_WEIGHT => lr / self.lr,
            None if parameter == DIRECT_WEIGHT => DIRECT_FACTOR,
            _ => 1.0,
        }
    }

    /// Steps that a window predicts.
    pub fn block(&self) -> usize {
        self.bptt_block.unwrap_or(self.bptt)
    }

    /// What drawn lengths do not go with.
    fn validate_jitter(&self) -> Result<()> {
        if self.bptt_jitter == 0 {
            return Ok(());
        }
        let value = self.bptt_jitter.to_string();
        if self.bptt_jitter > self.bptt {
            let rule = format!(
                "it must be at most the {} of --bptt around which lengths are drawn",
                self.bptt
            );
            return wrong("--bptt-jitter", value, &rule, "AWD-LSTM has 5 around 70");
        }
        let others = [
            (
                "--bptt-block",
                self.block() < self.bptt,
                "windows that overlap have one length",
            ),
            (
                "--accumulate",
                self.accumulate > 1,
                "updates of several windows have windows of one length",
            ),
            (
                "--schedule",
                self.schedule.needs_total_updates(),
                "cosine, linear and one-cycle are laid out over a known number of windows",
            ),
        ];
        match others.iter().find(|(_, is_on, _)| *is_on) {
            None => Ok(()),
            Some((flag, _, rule)) => wrong(
                "--bptt-jitter",
                format!("{value} with {flag}"),
                rule,
                "Take --bptt-jitter 0, or leave the other out",
            ),
        }
    }

    fn validate_schedule(&self) -> Result<()> {
        if !(self.lr_end.is_finite() && self.lr_end >= 0.0) {
            return wrong(
                "--lr-end",
                self.lr_end.to_string(),
                "it must be a number from 0 on",
                "0 is the usual one",
            );
        }
        if !(self.lr_decay > 0.0 && self.lr_decay < 1.0) {
            return wrong(
                "--lr-decay",
                self.lr_decay.to_string(),
                "it must lie between 0 and 1",
                "0.5 is the usual one",
            );
        }
        if self.lr_decay_after == 0 {
            return wrong(
                "--lr-decay-after",
                "0".into(),
                "epochs are counted from 1",
                "Take 1 or more, or a smaller --lr",
            );
        }
        if self.patience == Some(0) {
            return wrong(
                "--patience",
                "0".into(),
                "it must be at least 1",
                "Leave it out to train for all --epochs",
            );
        }
        if let (ScheduleKind::Halve, Some(patience)) = (self.schedule, self.patience) {
            let rule = "--schedule halve ends training by its own rule";
            return wrong(
                "--patience",
                patience.to_string(),
                rule,
                "Leave it out, or take another --schedule, such as plateau",
            );
        }
        if self.schedule == ScheduleKind::Halve && self.average != AverageKind::Off {
            let rule =
                "--schedule halve puts worse weights back, and an average is of weights that go on";
            return wrong(
                "--average",
                "always or triggered".into(),
                rule,
                "Leave it out, or take another --schedule, such as constant",
            );
        }
        if self.schedule == ScheduleKind::OneCycle && self.warm_up > 0 {
            let rule = "--schedule one-cycle begins with a climb of its own, over the first 30 % \
                of the updates";
            return wrong(
                "--warm-up",
                self.warm_up.to_string(),
                rule,
                "Leave it out, or take another --schedule",
            );
        }
        Ok(())
    }

    /// The recipe for a run that goes on to another number of epochs.
    ///
    /// # Errors
    /// If the learning rates of the epochs that are done already would have been others.
    pub fn with_epochs(self, epochs: usize) -> Result<Self> {
        if self.schedule.needs_total_updates() && epochs != self.epochs {
            return Err(Error::usage(
                format!("--epochs {epochs}"),
                format!(
                    "--schedule {} of this run was laid out over {} epochs",
                    self.schedule.name(),
                    self.epochs
                ),
                "Leave it out, or start a new run with --out",
            ));
        }
        let recipe = Self { epochs, ..self };
        recipe.validate()?;
        Ok(recipe)
    }
}
