//! When the learning rate falls, when weights are put back, and when training ends.

use serde::{Deserialize, Serialize};

/// How the learning rate falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleKind {
    /// Halved before every epoch from the first insignificant improvement on; the second ends training (rnnlm).
    Halve,
    /// It stays as it is, for as many epochs as asked.
    Constant,
}

/// What follows from an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The epoch made the validation text less likely: the weights from before it come back.
    pub roll_back: bool,
    /// Training is over.
    pub stop: bool,
}

/// The state of rnnlm's schedule: with r = previous validation log-probability / new one, both negative, r > 1 is better.
///
/// A worse epoch puts the previous weights back. r < `min_improvement` for the first time: from now on the rate is halved before every epoch.
/// A second time: stop. The new log-probability counts as the previous one for the next epoch even after weights were put back, as in rnnlm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    kind: ScheduleKind,
    min_improvement: f64,
    rate: f32,
    halving: bool,
    previous: Option<f64>,
}

impl Schedule {
    /// A schedule at its start.
    pub fn new(kind: ScheduleKind, min_improvement: f64, rate: f32) -> Self {
        Self { kind, min_improvement, rate, halving: false, previous: None }
    }

    /// The learning rate now.
    pub fn rate(&self) -> f32 {
        self.rate
    }

    /// Takes the validation text's log-probability after an epoch; any base of the logarithm does.
    pub fn after_epoch(&mut self, log_probability: f64) -> Verdict {
        let ratio = self.previous.map_or(f64::INFINITY, |previous| previous / log_probability);
        self.previous = Some(log_probability);
        // NaN is no improvement.
        let falls_short_of = |least: f64| ratio.is_nan() || ratio < least;
        let insignificant = falls_short_of(self.min_improvement);
        let mut verdict = Verdict { roll_back: falls_short_of(1.0), stop: false };
        if self.kind == ScheduleKind::Constant {
            verdict.roll_back = false;
            return verdict;
        }
        verdict.stop = insignificant && self.halving;
        self.halving |= insignificant;
        if self.halving {
            self.rate /= 2.0;
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(log_probabilities: &[f64]) -> Vec<(f32, bool, bool)> {
        let mut schedule = Schedule::new(ScheduleKind::Halve, 1.003, 0.1);
        log_probabilities
            .iter()
            .map(|&value| {
                let verdict = schedule.after_epoch(value);
                (schedule.rate(), verdict.roll_back, verdict.stop)
            })
            .collect()
    }

    #[test]
    fn rnnlms_schedule_step_by_step() {
        // 1000/900 is better; 900/899 is not significantly so: halve; 899/850 is better and halves again; 850/860 is worse: back, and stop.
        let steps = run(&[-1000.0, -900.0, -899.0, -850.0, -860.0]);
        assert_eq!(steps, [(0.1, false, false), (0.1, false, false), (0.05, false, false), (0.025, false, false), (0.0125, true, true)]);
    }

    #[test]
    fn a_worse_epoch_is_rolled_back_and_counts_as_the_previous_one() {
        let steps = run(&[-1000.0, -1100.0, -1001.0, -999.5]);
        assert_eq!(steps[1], (0.05, true, false));
        assert_eq!(steps[2], (0.025, false, false));
        assert_eq!(steps[3], (0.0125, false, true));
    }

    #[test]
    fn nan_is_no_improvement() {
        assert_eq!(run(&[-1000.0, f64::NAN])[1], (0.05, true, false));
    }
}
