//! The learning rate schedule: when the rate is lowered, weights are rolled back or kept, and
//! training stops.
//!
//! In: a [`Recipe`] and the validation log-probability of every epoch. Out: the rate of every
//! update and a [`Verdict`] on every epoch.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use super::choices::{Keep, ScheduleKind};
use super::recipe::Recipe;

/// What to do after an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Roll the weights back to those before the epoch, which made the validation text less likely.
    pub roll_back: bool,
    /// Keep the epoch's weights.
    pub keep: bool,
    /// Stop training.
    pub stop: bool,
}

/// The state of a schedule. The [`Recipe`] has its parameters.
///
/// The schedule of rnnlm ([`ScheduleKind::Halve`]): let r = previous validation log-probability /
/// new one. Both are negative, so r > 1 is an improvement. If r < 1, the previous weights are
/// restored. After the first epoch with r < `min_improvement`, the rate is halved before every
/// following epoch; after the second one, training stops. The next epoch is compared with the new
/// log-probability even if weights were rolled back, as in rnnlm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The rate after the epochs so far.
    rate: f32,
    halving: bool,
    /// The validation log-probability of the last epoch.
    previous: Option<f64>,
    /// The best validation log-probability.
    #[serde(default)]
    best: Option<f64>,
    /// Epochs since the best one.
    #[serde(default)]
    since_best: usize,
    /// Epochs since the best one or since the rate fell.
    #[serde(default)]
    since_fall: usize,
}

impl Schedule {
    /// A schedule at its start.
    pub fn new(recipe: &Recipe) -> Self {
        Self {
            rate: recipe.lr,
            halving: false,
            previous: None,
            best: None,
            since_best: 0,
            since_fall: 0,
        }
    }

    /// The learning rate of update `step`, counted from 1, of `updates` in total. It depends on
    /// nothing else, so that resumed runs repeat it exactly.
    pub fn rate(&self, recipe: &Recipe, step: u32, updates: u64) -> f32 {
        let first = f64::from(recipe.lr);
        let last = f64::from(recipe.lr_end);
        let done = f64::from(step) - 1.0;
        let total = updates as f64;
        let rate = match recipe.schedule {
            ScheduleKind::Halve
            | ScheduleKind::Constant
            | ScheduleKind::Plateau
            | ScheduleKind::Step => f64::from(self.rate),
            ScheduleKind::Cosine => half_cosine(first, last, done / total),
            ScheduleKind::Linear => first + (last - first) * (done / total),
            ScheduleKind::OneCycle => one_cycle(first, done, total),
        };
        let warm_up = match recipe.warm_up {
            0 => 1.0,
            updates => (f64::from(step) / f64::from(updates)).min(1.0),
        };
        (rate * warm_up) as f32
    }

    /// Updates the state with the validation log-probability, to any base, of an epoch. Epochs are
    /// counted from 1.
    pub fn after_epoch(&mut self, recipe: &Recipe, epoch: usize, log_probability: f64) -> Verdict {
        // NaN is not an improvement.
        let better = log_probability > self.best.unwrap_or(f64::NEG_INFINITY);
        if better {
            self.best = Some(log_probability);
            self.since_best = 0;
            self.since_fall = 0;
        } else {
            self.since_best += 1;
            self.since_fall += 1;
        }
        match recipe.schedule {
            ScheduleKind::Halve => return self.halve(recipe.min_improvement, log_probability),
            ScheduleKind::Plateau if self.since_fall > recipe.lr_patience => {
                self.lower_rate(recipe.lr_decay);
            }
            ScheduleKind::Step if epoch >= recipe.lr_decay_after => {
                self.lower_rate(recipe.lr_decay);
            }
            _ => {}
        }
        let stop = recipe
            .patience
            .is_some_and(|patience| self.since_best >= patience);
        Verdict {
            roll_back: false,
            keep: better || recipe.keep == Keep::Last,
            stop,
        }
    }

    fn lower_rate(&mut self, factor: f64) {
        self.rate = (f64::from(self.rate) * factor) as f32;
        self.since_fall = 0;
    }

    fn halve(&mut self, min_improvement: f64, log_probability: f64) -> Verdict {
        let ratio = self
            .previous
            .map_or(f64::INFINITY, |previous| previous / log_probability);
        self.previous = Some(log_probability);
        let is_below = |minimum: f64| ratio.is_nan() || ratio < minimum;
        let insignificant = is_below(min_improvement);
        let roll_back = is_below(1.0);
        let stop = insignificant && self.halving;
        self.halving |= insignificant;
        if self.halving {
            self.rate /= 2.0;
        }
        Verdict {
            roll_back,
            keep: !roll_back,
            stop,
        }
    }
}

/// Half a cosine from `first` to `last` while `progress` goes from 0 to 1.
fn half_cosine(first: f64, last: f64, progress: f64) -> f64 {
    last + (first - last) * (1.0 + (PI * progress).cos()) / 2.0
}

/// PyTorch's OneCycleLR after `done` of `total` updates; the last update has the lowest rate.
fn one_cycle(max: f64, done: f64, total: f64) -> f64 {
    let initial = max / 25.0;
    let peak = 0.3 * total - 1.0;
    let end = total - 1.0;
    if done <= peak {
        half_cosine(initial, max, done / peak)
    } else {
        half_cosine(max, initial / 1e4, (done - peak) / (end - peak))
    }
}

#[cfg(test)]
mod tests;
