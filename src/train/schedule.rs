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
mod tests {
    use super::*;
    use crate::field::Choice;

    fn run(log_probabilities: &[f64]) -> Vec<(f32, bool, bool)> {
        let recipe = Recipe::default();
        let mut schedule = Schedule::new(&recipe);
        log_probabilities
            .iter()
            .zip(1..)
            .map(|(&value, epoch)| {
                let verdict = schedule.after_epoch(&recipe, epoch, value);
                assert_eq!(verdict.keep, !verdict.roll_back);
                (
                    schedule.rate(&recipe, 1, 1),
                    verdict.roll_back,
                    verdict.stop,
                )
            })
            .collect()
    }

    #[test]
    fn rnnlm_schedule_epoch_by_epoch() {
        // 1000/900 is an improvement; 900/899 is not significant: halve; 899/850 is significant,
        // and halves again; 850/860 is worse: roll back and stop.
        let steps = run(&[-1000.0, -900.0, -899.0, -850.0, -860.0]);
        assert_eq!(
            steps,
            [
                (0.1, false, false),
                (0.1, false, false),
                (0.05, false, false),
                (0.025, false, false),
                (0.0125, true, true)
            ]
        );
    }

    #[test]
    fn a_worse_epoch_is_rolled_back_and_counts_as_the_previous_one() {
        let steps = run(&[-1000.0, -1100.0, -1001.0, -999.5]);
        assert_eq!(steps[1], (0.05, true, false));
        assert_eq!(steps[2], (0.025, false, false));
        assert_eq!(steps[3], (0.0125, false, true));
    }

    #[test]
    fn nan_is_not_an_improvement() {
        assert_eq!(run(&[-1000.0, f64::NAN])[1], (0.05, true, false));
    }

    /// The rate and the verdict after each epoch, given the validation log-probabilities.
    fn verdicts(recipe: &Recipe, log_probabilities: &[f64]) -> (Vec<f32>, Vec<Verdict>) {
        recipe.validate().expect("a recipe");
        let mut schedule = Schedule::new(recipe);
        let after = log_probabilities.iter().zip(1..).map(|(&value, epoch)| {
            let verdict = schedule.after_epoch(recipe, epoch, value);
            (schedule.rate(recipe, 1, 1), verdict)
        });
        after.unzip()
    }

    fn assert_rates(recipe: &Recipe, got: impl IntoIterator<Item = f32>, want: &[f64]) {
        let got: Vec<_> = got.into_iter().collect();
        assert_eq!(got.len(), want.len());
        for (index, (got, want)) in got.iter().zip(want).enumerate() {
            assert!(
                (f64::from(*got) - want).abs() <= 1e-6 * want,
                "{} {index}: {got} and {want}",
                recipe.schedule.name()
            );
        }
    }

    /// ```python
    /// def rates(scheduler, steps, *losses):
    ///     optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    ///     schedule, seen = scheduler(optimizer), []
    ///     for step in range(steps):
    ///         seen.append(optimizer.param_groups[0]["lr"])
    ///         optimizer.step()
    ///         schedule.step(*(loss[step] for loss in losses))
    ///     return seen
    /// rates(lambda o: CosineAnnealingLR(o, T_max=7, eta_min=0.004), 7)
    /// rates(lambda o: LinearLR(o, start_factor=1, end_factor=0.04, total_iters=7), 7)
    /// rates(lambda o: OneCycleLR(o, max_lr=0.1, total_steps=n), n)  # for n in 1, 2, 11
    /// rates(lambda o: LinearLR(o, start_factor=1 / 5, end_factor=1, total_iters=4), 7)
    /// ```
    #[test]
    fn rates_of_updates_are_those_of_pytorch() {
        let constant = Recipe {
            schedule: ScheduleKind::Constant,
            ..Recipe::default()
        };
        let of = |schedule| Recipe {
            schedule,
            lr_end: 0.004,
            ..constant.clone()
        };
        let cases: [(Recipe, &[f64]); 6] = [
            (
                of(ScheduleKind::Cosine),
                &[
                    0.1,
                    0.095246506,
                    0.08192751,
                    0.062681005,
                    0.041318995,
                    0.02207249,
                    0.0087534943,
                ],
            ),
            (
                of(ScheduleKind::Linear),
                &[
                    0.1,
                    0.086285714,
                    0.072571429,
                    0.058857143,
                    0.045142857,
                    0.031428571,
                    0.017714286,
                ],
            ),
            (of(ScheduleKind::OneCycle), &[4e-7]),
            (of(ScheduleKind::OneCycle), &[0.081174565, 4e-7]),
            (
                of(ScheduleKind::OneCycle),
                &[
                    0.004,
                    0.042234111,
                    0.096026142,
                    0.097974657,
                    0.088447572,
                    0.072608705,
                    0.053058271,
                    0.033005803,
                    0.015743251,
                    0.0041045543,
                    4e-7,
                ],
            ),
            (
                Recipe {
                    warm_up: 5,
                    ..constant
                },
                &[0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.1],
            ),
        ];
        for (recipe, want) in cases {
            let schedule = Schedule::new(&recipe);
            assert_rates(
                &recipe,
                (1..=want.len() as u32).map(|step| schedule.rate(&recipe, step, want.len() as u64)),
                want,
            );
        }
    }

    /// ```python
    /// losses = [5, 4, 4, 4.5, 3.9, 3.95, 3.9, 4, 4.1, 3.8, 3.7, 3.8]
    /// for n in 0, 1, 2:
    ///     plateau = lambda o: ReduceLROnPlateau(o, factor=0.7, patience=n, threshold=0)
    ///     rates(plateau, 13, losses + [0])
    /// for n in 1, 4:
    ///     rates(lambda o: MultiplicativeLR(o, lambda epoch: 0.7 if epoch >= n else 1), 7)
    /// ```
    #[test]
    fn rates_of_epochs_are_those_of_pytorch() {
        let losses = [5.0, 4.0, 4.0, 4.5, 3.9, 3.95, 3.9, 4.0, 4.1, 3.8, 3.7, 3.8];
        let log_probabilities = losses.map(|loss| -1000.0 * loss);
        let of = |schedule| Recipe {
            schedule,
            lr_decay: 0.7,
            ..Recipe::default()
        };
        let plateau = |lr_patience| Recipe {
            lr_patience,
            ..of(ScheduleKind::Plateau)
        };
        let step = |lr_decay_after| Recipe {
            lr_decay_after,
            ..of(ScheduleKind::Step)
        };
        let cases: [(Recipe, &[f64]); 5] = [
            (
                plateau(0),
                &[
                    0.1, 0.1, 0.1, 0.07, 0.049, 0.049, 0.0343, 0.02401, 0.016807, 0.0117649,
                    0.0117649, 0.0117649, 0.00823543,
                ],
            ),
            (
                plateau(1),
                &[
                    0.1, 0.1, 0.1, 0.1, 0.07, 0.07, 0.07, 0.049, 0.049, 0.0343, 0.0343, 0.0343,
                    0.0343,
                ],
            ),
            (
                plateau(2),
                &[
                    0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.07, 0.07, 0.07, 0.07, 0.07,
                ],
            ),
            (
                step(1),
                &[0.1, 0.07, 0.049, 0.0343, 0.02401, 0.016807, 0.0117649],
            ),
            (step(4), &[0.1, 0.1, 0.1, 0.1, 0.07, 0.049, 0.0343]),
        ];
        for (recipe, want) in cases {
            let epochs = &log_probabilities[..want.len() - 1];
            assert_rates(
                &recipe,
                [recipe.lr].into_iter().chain(verdicts(&recipe, epochs).0),
                want,
            );
        }
    }

    #[test]
    fn the_best_epoch_is_kept_and_patience_stops() {
        let log_probabilities = [-9.0, -8.0, -8.0, f64::NAN, -7.0, -7.5, -7.2, -7.0];
        let best = Recipe {
            schedule: ScheduleKind::Constant,
            patience: Some(3),
            ..Recipe::default()
        };
        for (recipe, keeps) in [
            (
                best.clone(),
                [true, true, false, false, true, false, false, false],
            ),
            (
                Recipe {
                    keep: Keep::Last,
                    ..best
                },
                [true; 8],
            ),
        ] {
            let (_, verdicts) = verdicts(&recipe, &log_probabilities);
            assert_eq!(
                verdicts
                    .iter()
                    .map(|verdict| verdict.keep)
                    .collect::<Vec<_>>(),
                keeps
            );
            assert!(verdicts.iter().all(|verdict| !verdict.roll_back));
            assert_eq!(verdicts.iter().position(|verdict| verdict.stop), Some(7));
        }
    }
}
