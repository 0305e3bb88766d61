//! The training recipe: every choice of a run that is not part of the model.
//!
//! In: values set by the caller. Out: a checked [`Recipe`], which [`Trainer`](super::Trainer)
//! follows and `training.json` stores. The table of fields is in `recipe_fields.rs`.

use serde::{Deserialize, Serialize};

use super::choices::{AverageKind, Keep, LossReduction, PrecisionKind, ScheduleKind};
use crate::error::{Error, Result};
use crate::field::{Choice, Fields};
use crate::model::{DIRECT_WEIGHT, DropoutRates};

/// The default learning rate of direct connections as a fraction of [`Recipe::lr`]: most features
/// occur a few times, and a few large steps would memorize them.
const DIRECT_FACTOR: f32 = 0.1;

/// Every choice of a training run. [`Recipe::FIELDS`](Fields::FIELDS) describes the fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// B: parallel streams.
    pub batch: usize,
    /// T: time steps of a window, through which gradients flow back.
    pub bptt: usize,
    /// Steps that a window predicts, its last ones; the next window starts this many steps later.
    /// `None` for all steps.
    #[serde(default)]
    pub bptt_block: Option<usize>,
    /// Standard deviation of the number of steps of a window, drawn anew in every epoch; 0 for
    /// windows of `bptt` steps.
    #[serde(default)]
    pub bptt_jitter: usize,
    /// Maximum number of epochs.
    pub epochs: usize,
    /// The name of a row of [`OPTIMIZERS`](super::OPTIMIZERS).
    pub optimizer: String,
    /// Initial learning rate; for [`ScheduleKind::OneCycle`] the maximum.
    pub lr: f32,
    /// Initial learning rate of direct connections; `None` for a tenth of `lr`. Both follow the
    /// same schedule.
    #[serde(default)]
    pub direct_lr: Option<f32>,
    /// How the learning rate changes.
    pub schedule: ScheduleKind,
    /// Factor of [`ScheduleKind::Plateau`] and [`ScheduleKind::Step`].
    #[serde(default = "half")]
    pub lr_decay: f64,
    /// Consecutive epochs without a better validation loss before [`ScheduleKind::Plateau`] lowers
    /// the rate.
    #[serde(default)]
    pub lr_patience: usize,
    /// Epoch after which [`ScheduleKind::Step`] lowers the rate for the first time.
    #[serde(default = "one")]
    pub lr_decay_after: usize,
    /// Final learning rate of [`ScheduleKind::Cosine`] and [`ScheduleKind::Linear`].
    #[serde(default)]
    pub lr_end: f32,
    /// Updates over which the rate increases from 0 to that of the schedule.
    #[serde(default)]
    pub warm_up: u32,
    /// Consecutive epochs without a better validation loss after which training stops.
    #[serde(default)]
    pub patience: Option<usize>,
    /// Which weights are the model at the end.
    #[serde(default = "last")]
    pub keep: Keep,
    /// The ratio of validation log-probabilities below which an epoch is not a significant
    /// improvement.
    pub min_improvement: f64,
    /// When weight averaging starts.
    #[serde(default)]
    pub average: AverageKind,
    /// Whether a gradient is the sum or the mean over the tokens of an update.
    pub reduction: LossReduction,
    /// Windows of an update; the last update of an epoch may have fewer.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// Maximum magnitude of a gradient's elements, applied before `clip`; 0 for no limit.
    #[serde(default)]
    pub clip_value: f32,
    /// Maximum norm of a gradient; 0 for no limit.
    pub clip: f32,
    /// L2 regularization: before an update, parameters are multiplied by `1 - lr * l2`, decoupled
    /// from the gradient for every optimizer.
    pub l2: f32,
    /// Coefficient of the mean square of the last layer's output after dropout, in nats.
    #[serde(default)]
    pub activation_l2: f32,
    /// Coefficient of the mean square of the changes of the last layer's states from step to step,
    /// in nats.
    #[serde(default)]
    pub temporal_l2: f32,
    /// Coefficient of past decode regularization, λ.
    #[serde(default)]
    pub past_decode: f32,
    /// Probability of resetting the states of a stream at the start of a window.
    #[serde(default)]
    pub reset_states: f32,
    /// Whether the state is reset at every sentence.
    pub independent: bool,
    /// Dropout probabilities.
    #[serde(default)]
    pub dropout: DropoutRates,
    /// Initial bias of the gates that keep the state.
    #[serde(default)]
    pub forget_bias: f32,
    /// Precision of matrix products.
    #[serde(default)]
    pub precision: PrecisionKind,
    /// Seed of random numbers.
    pub seed: u64,
}

// Values of fields that older files lack.

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
            activation_l2: 0.0,
            temporal_l2: 0.0,
            past_decode: 0.0,
            reset_states: 0.0,
            independent: false,
            dropout: DropoutRates::default(),
            forget_bias: 1.0,
            precision: PrecisionKind::Full,
            seed: 1,
        }
    }
}

impl Recipe {
    /// Checks everything that does not depend on a corpus.
    ///
    /// # Errors
    /// If a field breaks its rule, or two fields contradict each other.
    pub fn validate(&self) -> Result<()> {
        self.check_rules()?;
        self.check_block()?;
        self.check_jitter()?;
        self.check_schedule()?;
        self.check_temporal()?;
        if self.optimizer == "adam" && self.l2 > 0.0 {
            return Err(Error::config(
                "l2",
                format!("{} with `optimizer = adam`", self.l2),
                "Adam's L2 regularization is part of the gradient and passes through its moments, \
                 but `l2` is decoupled from the gradient",
                "Use `optimizer = adamw`, which is Adam with decoupled L2 regularization",
            ));
        }
        Ok(())
    }

    /// The factor of a parameter's learning rate.
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

    fn check_block(&self) -> Result<()> {
        if (1..=self.bptt).contains(&self.block()) {
            return Ok(());
        }
        Err(Error::config(
            "bptt_block",
            self.block(),
            format!(
                "an update predicts at least 1 step and at most the {} of `bptt`, through which \
                 its gradients flow",
                self.bptt
            ),
            "Use a larger `bptt`, or a smaller block",
        ))
    }

    /// Checks that windows of drawn lengths are possible.
    fn check_jitter(&self) -> Result<()> {
        let jitter = self.bptt_jitter;
        if jitter == 0 {
            return Ok(());
        }
        if jitter > self.bptt {
            return Err(Error::config(
                "bptt_jitter",
                jitter,
                format!(
                    "it must be at most the {} of `bptt`, around which lengths are drawn",
                    self.bptt
                ),
                "AWD-LSTM uses 5 with a `bptt` of 70",
            ));
        }
        let (other, rule) = if self.block() < self.bptt {
            ("bptt_block", "overlapping windows have one length")
        } else if self.accumulate > 1 {
            (
                "accumulate",
                "accumulated windows must all have the same length",
            )
        } else if self.schedule.needs_total_updates() {
            (
                "schedule",
                "cosine, linear and one-cycle need to know the number of updates in advance",
            )
        } else {
            return Ok(());
        };
        Err(Error::config(
            "bptt_jitter",
            format!("{jitter} with `{other}`"),
            rule,
            "Use `bptt_jitter = 0`, or remove the other",
        ))
    }

    /// Checks that windows have changes from step to step.
    fn check_temporal(&self) -> Result<()> {
        if self.temporal_l2 == 0.0 || self.longest_window() > 1 {
            return Ok(());
        }
        Err(Error::config(
            "temporal_l2",
            format!("{} with `bptt = {}`", self.temporal_l2, self.bptt),
            "it penalizes changes from one step of a window to the next",
            "Use a `bptt` of 2 or more, or remove it",
        ))
    }

    /// Checks the fields that some schedules exclude.
    fn check_schedule(&self) -> Result<()> {
        let halve = self.schedule == ScheduleKind::Halve;
        if let (true, Some(patience)) = (halve, self.patience) {
            return Err(Error::config(
                "patience",
                patience,
                "`schedule = halve` has its own stopping rule",
                "Remove it, or use another `schedule`, such as plateau",
            ));
        }
        if halve && self.average != AverageKind::Off {
            return Err(Error::config(
                "average",
                self.average.name(),
                "`schedule = halve` rolls weights back, and an average needs a continuous run of \
                 updates",
                "Remove it, or use another `schedule`, such as constant",
            ));
        }
        if self.schedule == ScheduleKind::OneCycle && self.warm_up > 0 {
            return Err(Error::config(
                "warm_up",
                self.warm_up,
                "`schedule = one-cycle` has its own warm-up, over the first 30 % of the updates",
                "Remove it, or use another `schedule`",
            ));
        }
        Ok(())
    }

    /// The recipe of a run that is resumed with another number of epochs.
    ///
    /// # Errors
    /// If the learning rates of past epochs depend on the number of epochs.
    pub fn with_epochs(self, epochs: usize) -> Result<Self> {
        if self.schedule.needs_total_updates() && epochs != self.epochs {
            return Err(Error::config(
                "epochs",
                epochs,
                format!(
                    "the learning rates of `schedule = {}` depend on the number of epochs, which \
                     is {} in this run",
                    self.schedule.name(),
                    self.epochs
                ),
                "Remove it, or start a new run in another directory",
            ));
        }
        let recipe = Self { epochs, ..self };
        recipe.validate()?;
        Ok(recipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::{NamedRow, ValueKind};

    /// The names of all values in a JSON object, with dots between nested names.
    fn paths(value: &serde_json::Value, prefix: &str, into: &mut Vec<String>) {
        let Some(object) = value.as_object() else {
            return into.push(prefix.trim_end_matches('.').to_owned());
        };
        for (name, value) in object {
            paths(value, &format!("{prefix}{name}."), into);
        }
    }

    #[test]
    fn every_field_has_a_row() {
        let mut names = Vec::new();
        let recipe = serde_json::to_value(Recipe::default()).expect("a recipe has a JSON form");
        paths(&recipe, "", &mut names);
        for name in &names {
            let row = match name.as_str() {
                "dropout.variational" => "variational".to_owned(),
                "dropout.zoneout" => "zoneout".to_owned(),
                name => name.replace('.', "_"),
            };
            assert!(Recipe::field(&row).is_some(), "{name} has no row");
        }
        // `dropout` sets three other fields.
        assert_eq!(Recipe::FIELDS.len(), names.len() + 1);
    }

    #[test]
    fn rows_read_and_write_their_fields() {
        for row in Recipe::FIELDS {
            assert!(!row.description.is_empty(), "{}", row.name);
            let default = row.get(&Recipe::default());
            let sample = match row.kind() {
                ValueKind::Switch => "true",
                ValueKind::Choice(rows) => {
                    let is_other = |row: &&NamedRow| default.as_deref() != Some(row.0);
                    rows.iter().find(is_other).expect("two choices").0
                }
                ValueKind::Text => "sgd",
                ValueKind::Number => "0.25",
                ValueKind::Integer | ValueKind::List => "7",
            };
            let mut recipe = Recipe::default();
            row.set(&mut recipe, sample).expect("a value");
            assert_ne!(recipe, Recipe::default(), "{} changes nothing", row.name);
            let read = row.get(&recipe);
            assert!(
                read.as_deref() == Some(sample) || row.name == "dropout",
                "{}: {read:?}",
                row.name
            );
        }
        assert!(Recipe::default().check_rules().is_ok());
    }
}
