//! The flags of `elman train` for what may go wrong during a run.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli::time::parse_time;

/// When a run is saved, and what happens when training or the device fails.
#[derive(Debug, Clone, Args)]
pub(super) struct SafetyFlags {
    /// Also save during epochs, at an interval of time (90s, 10m, 2h) or of updates (5000)
    /// [default: at the end of each epoch only]
    #[arg(long, value_name = "TIME|UPDATES")]
    pub(super) save_every: Option<SaveInterval>,
    /// The number of older checkpoints to keep in DIR/checkpoints, at least 2. The newest one from
    /// the end of an epoch, whose weights are the best, is kept too
    #[arg(
        long,
        value_name = "N",
        default_value_t = 2,
        value_parser = clap::value_parser!(u32).range(2..),
    )]
    pub(super) keep_last: u32,
    /// Where to write the model at the end if its directory cannot be written; where DIR cannot be
    /// written either, the system's temporary directory [default: that directory]
    #[arg(long, value_name = "DIR")]
    pub(super) rescue_dir: Option<PathBuf>,
    /// What to do when a loss or a gradient is not finite
    #[arg(long, value_enum, default_value_t = OnDivergence::Rollback)]
    pub(super) on_divergence: OnDivergence,
    /// What to do when the GPU has failed three times in a row. After each failure, the run opens
    /// it again and continues from the last checkpoint
    #[arg(long, value_enum, default_value_t = OnDeviceLoss::Stop)]
    pub(super) on_device_loss: OnDeviceLoss,
}

/// What happens when a loss or a gradient is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OnDivergence {
    /// End the run.
    Stop,
    /// Go back to the last checkpoint and halve the learning rate, at most three times in a run.
    Rollback,
}

/// What happens when the GPU fails again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OnDeviceLoss {
    /// End the run.
    Stop,
    /// Continue on the CPU.
    Cpu,
}

/// How often a run is saved during an epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum SaveInterval {
    Time(Duration),
    Updates(u32),
}

impl FromStr for SaveInterval {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str =
            "it must be a time above 0 such as 90s, 10m or 2h, or a number of updates such as 5000";
        if let Ok(updates @ 1..) = text.parse() {
            return Ok(Self::Updates(updates));
        }
        parse_time(text).map(Self::Time).ok_or(RULE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_times_or_updates() {
        let seconds = |count| SaveInterval::Time(Duration::from_secs(count));
        for (text, interval) in [
            ("90s", seconds(90)),
            ("10m", seconds(600)),
            ("1.5h", seconds(5400)),
            ("5000", SaveInterval::Updates(5000)),
        ] {
            assert_eq!(text.parse(), Ok(interval), "{text}");
        }
        for text in [
            "", "0", "0s", "-1m", "m", "NaNs", "infh", "10 d", "1e400h", "10\u{e9}",
        ] {
            let interval = text.parse::<SaveInterval>();
            assert!(interval.is_err(), "{text}: {interval:?}");
        }
    }
}
