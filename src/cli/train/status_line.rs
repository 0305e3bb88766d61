//! The line that shows the state of a run: what fits the width of the terminal, and the time left.

use std::time::Duration;

use indicatif::HumanDuration;

use crate::train::Trainer;

/// Between two parts of a line.
const SEPARATOR: &str = "  ";

/// The first parts, as many as fit into `width` columns.
pub(super) fn fit(parts: &[String], width: usize) -> String {
    let mut line = String::new();
    for part in parts {
        let separator = if line.is_empty() { "" } else { SEPARATOR };
        let columns = [line.as_str(), separator, part].map(|text| text.chars().count());
        if columns.iter().sum::<usize>() > width {
            break;
        }
        line = [line.as_str(), separator, part].concat();
    }
    line
}

/// The time left for training in the current epoch, and for the run if no epoch ends it earlier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct TimeLeft {
    /// In the epoch, in seconds.
    epoch: f64,
    /// In the run, in seconds.
    run: f64,
}

impl TimeLeft {
    pub(super) fn of(trainer: &Trainer) -> Self {
        let progress = trainer.progress();
        Self::new(
            progress.seconds,
            (progress.window, trainer.windows_per_epoch()),
            progress.history.last().map(|epoch| epoch.seconds),
            trainer.recipe().epochs.saturating_sub(progress.epochs + 1),
        )
    }

    /// From the time spent on windows of the epoch, the number of these windows and of all windows,
    /// the duration of the last epoch with its validation, and the number of later epochs.
    fn new(
        seconds: f64,
        (done, windows): (usize, usize),
        last_epoch: Option<f64>,
        later_epochs: usize,
    ) -> Self {
        let seconds_per_window = seconds / done.max(1) as f64;
        let epoch = seconds_per_window * windows.saturating_sub(done) as f64;
        let whole = last_epoch.unwrap_or(seconds_per_window * windows as f64);
        Self {
            epoch,
            run: epoch + whole * later_epochs as f64,
        }
    }
}

impl std::fmt::Display for TimeLeft {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short = |seconds: f64| {
            // Durations of this length are as good as infinite.
            let seconds = if seconds < 1e15 { seconds } else { 1e15 };
            HumanDuration(Duration::from_secs_f64(seconds.max(0.0)))
        };
        write!(
            formatter,
            "{:#} left, run {:#}",
            short(self.epoch),
            short(self.run)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_parts_that_fit() {
        let parts = ["45 %", "loss 2.5", "9 tokens/s"].map(str::to_owned);
        assert_eq!(fit(&parts, 80), "45 %  loss 2.5  9 tokens/s");
        assert_eq!(fit(&parts, 26), "45 %  loss 2.5  9 tokens/s");
        assert_eq!(fit(&parts, 25), "45 %  loss 2.5");
        assert_eq!(fit(&parts, 13), "45 %");
        assert_eq!(fit(&parts, 3), "");
    }

    #[test]
    fn time_is_left_for_the_epoch_and_for_the_run() {
        // 30 of 90 windows took 10 seconds. The last epoch took 40 seconds with its validation.
        let left = TimeLeft::new(10.0, (30, 90), Some(40.0), 3);
        let want = TimeLeft {
            epoch: 20.0,
            run: 140.0,
        };
        assert_eq!(left, want);
        assert_eq!(left.to_string(), "20s left, run 2m");
        // The first epoch: the time of the validation is not known.
        let left = TimeLeft::new(10.0, (30, 90), None, 1);
        assert_eq!(left.run, 50.0);
        let left = TimeLeft::new(10.0, (90, 90), None, 0);
        assert_eq!(left.to_string(), "0s left, run 0s");
        let left = TimeLeft::new(f64::INFINITY, (1, 90), None, 9);
        assert!(left.to_string().contains("left, run"));
    }
}
