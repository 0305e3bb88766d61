//! A training run, from the files in its directory: `log.jsonl`, `training.json`, `config.json`.
//!
//! In: a directory. Out: a [`RunReport`]. What the files do not say is not guessed: it is named in
//! [`RunReport::missing`]. Logs of earlier versions have no numbers of tokens and no times between
//! epochs, so both are computed from windows.

mod log;

use std::path::Path;

use serde::Serialize;

use super::Floor;
use crate::checkpoint::{CheckpointFiles, Description, LOG, TrainingRecord};
use crate::error::{Error, Result};
use crate::train::EpochRecord;
use log::{LogLines, WindowsRecord};

/// A training run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunReport {
    /// The directory.
    pub name: String,
    /// Unit and configuration of the model.
    pub model: Description,
    /// The command that repeats the run, where the caller knows the flags of its program.
    pub command: Option<String>,
    /// The device of the last steps.
    pub device: Option<String>,
    /// The version of Elman that saved the run.
    pub elman: Option<String>,
    /// The number of epochs of the recipe.
    pub planned_epochs: Option<usize>,
    /// Updates of the parameters since the start.
    pub updates: Option<u32>,
    /// Time of training and validation, in seconds.
    pub seconds: f64,
    /// Training tokens of an epoch, in logs of earlier versions up to a window.
    pub tokens_per_epoch: Option<f64>,
    /// Records of groups of windows, in order.
    pub intervals: Vec<Interval>,
    /// The completed epochs.
    pub epochs: Vec<Epoch>,
    /// The best perplexity to expect, where it is known.
    pub floor: Option<Floor>,
    /// What the files of the run do not say, one sentence each.
    pub missing: Vec<String>,
}

/// Where something happened in a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Position {
    /// Training tokens read since the start of the run, in logs of earlier versions up to a window;
    /// epochs where neither they nor the recipe are known.
    pub tokens: f64,
    /// Time since the start of the run in seconds, with validations.
    pub elapsed: f64,
}

/// The record of a group of windows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Interval {
    /// The end of the group.
    #[serde(flatten)]
    pub position: Position,
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Windows of the epoch that were read.
    pub window: usize,
    /// Mean loss of the group in nats per token; none where it was not finite.
    pub loss: Option<f64>,
    /// Norm of the last gradient before clipping; none where it was not finite.
    pub gradient_norm: Option<f64>,
    /// The learning rate.
    pub lr: Option<f64>,
    /// Training tokens per second.
    pub tokens_per_second: Option<f64>,
}

/// A completed epoch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Epoch {
    /// The end of the epoch.
    #[serde(flatten)]
    pub position: Position,
    /// The record in the log.
    #[serde(flatten)]
    pub record: EpochRecord,
}

impl RunReport {
    /// Reads a run. Where `needs_log` is not set, a directory without a log is described without
    /// curves.
    ///
    /// # Errors
    /// If the directory is not a model's, a file is damaged, or it has no log and needs one.
    pub fn read(directory: &Path, needs_log: bool) -> Result<Self> {
        let files = CheckpointFiles::open(directory)?;
        let model = files.description()?;
        let path = directory.join(LOG);
        let lines = LogLines::read(&path)?;
        if lines.is_none() && needs_log {
            return Err(Error::invalid(
                directory.display().to_string(),
                format!("it has no {LOG}, so there is no training to report"),
                "Give a directory that `elman train` wrote. Of an imported model, `text` reports \
                 what it does with a text",
            ));
        }
        let record = match files.has_training() {
            true => Some(files.training_record()?),
            false => None,
        };
        let floor = match &record {
            Some(record) => Floor::of_grammar(record, model.unit)?,
            None => None,
        };
        let mut missing = Vec::new();
        if lines.is_none() {
            missing.push(format!("There is no {LOG}, so there are no curves."));
        }
        let lines = lines.unwrap_or_default();
        if record.is_none() {
            missing.push("There is no training.json: recipe and device are not known.".to_owned());
        }
        if record.is_none() && !lines.has_tokens() {
            missing.push("Curves have epochs in the place of tokens.".to_owned());
        }
        missing.extend(lines.notes());
        let clock = Clock::new(&lines, record.as_ref());
        let (intervals, epochs) = clock.place(&lines);
        let progress = record.as_ref().map(|record| &record.progress);
        let device = progress.and_then(|progress| progress.device.as_ref());
        if record.is_some() && device.is_none() {
            missing.push("Files of version 0.1.0 do not name the device.".to_owned());
        }
        Ok(Self {
            name: directory.display().to_string(),
            command: None,
            device: device.map(ToString::to_string),
            elman: record.as_ref().map(|record| record.elman.clone()),
            planned_epochs: record.as_ref().map(|record| record.recipe.epochs),
            updates: progress.map(|progress| progress.step),
            seconds: progress.map_or_else(
                || epochs.last().map_or(0.0, |epoch| epoch.position.elapsed),
                crate::train::Progress::total_seconds,
            ),
            tokens_per_epoch: clock.tokens_per_epoch(&lines),
            model,
            intervals,
            epochs,
            floor,
            missing,
        })
    }

    /// The epoch with the lowest validation loss.
    pub fn best(&self) -> Option<&Epoch> {
        let finite = self
            .epochs
            .iter()
            .filter(|epoch| epoch.record.valid_loss.is_finite());
        finite.min_by(|a, b| a.record.valid_loss.total_cmp(&b.record.valid_loss))
    }
}

/// Converts windows into tokens and times.
#[derive(Debug)]
struct Clock {
    /// Windows of an epoch.
    windows: f64,
    /// Tokens of a window; none without a recipe.
    tokens_per_window: Option<f64>,
    /// Whether the log has tokens.
    has_tokens: bool,
}

impl Clock {
    fn new(lines: &LogLines, record: Option<&TrainingRecord>) -> Self {
        let seen = lines.intervals.iter().map(|interval| interval.window).max();
        let counted = record.and_then(|record| {
            let progress = &record.progress;
            // Files may state numbers whose products no integer has.
            let windows = f64::from(progress.step) * record.recipe.accumulate as f64;
            let complete = (windows - progress.window as f64).max(0.0);
            (progress.epochs > 0).then(|| complete / progress.epochs as f64)
        });
        let seen = seen.unwrap_or(1).max(1) as f64;
        Self {
            has_tokens: lines.has_tokens(),
            windows: counted.unwrap_or(seen).max(seen),
            tokens_per_window: record.map(|record| {
                let steps = record.recipe.bptt_block.unwrap_or(record.recipe.bptt);
                steps as f64 * record.recipe.batch as f64
            }),
        }
    }

    /// The tokens of an epoch: those of the last one, or of all windows.
    fn tokens_per_epoch(&self, lines: &LogLines) -> Option<f64> {
        let of_windows = || Some(self.tokens_per_window? * self.windows);
        let last = lines.epochs.last().and_then(|epoch| epoch.train_tokens);
        match last.filter(|_| self.has_tokens) {
            Some(tokens) => Some(tokens as f64),
            None => of_windows(),
        }
    }

    /// Gives every record its place in the run.
    fn place(&self, lines: &LogLines) -> (Vec<Interval>, Vec<Epoch>) {
        let mut starts = vec![0.0];
        for record in &lines.epochs {
            starts.push(starts.last().copied().unwrap_or(0.0) + record.seconds);
        }
        let tokens = |epoch: usize, part: f64| {
            let epochs = epoch.saturating_sub(1) as f64 + part;
            self.tokens_per_window
                .map_or(epochs, |tokens| epochs * self.windows * tokens)
        };
        let intervals = lines.intervals.iter().map(|interval| {
            let part = interval.window as f64 / self.windows;
            let index = interval.epoch.saturating_sub(1);
            let start = starts.get(index).or(starts.last()).copied();
            let seconds = match lines.epochs.get(index) {
                Some(record) => Some(record.seconds),
                None => self.expected_seconds(interval),
            };
            Interval {
                position: Position {
                    tokens: match interval.tokens.filter(|_| self.has_tokens) {
                        Some(tokens) => tokens,
                        None => tokens(interval.epoch, part),
                    },
                    elapsed: match interval.seconds {
                        Some(elapsed) => elapsed,
                        None => start.unwrap_or(0.0) + part * seconds.unwrap_or(0.0),
                    },
                },
                epoch: interval.epoch,
                window: interval.window,
                loss: interval.loss,
                gradient_norm: interval.gradient_norm,
                lr: interval.lr,
                tokens_per_second: interval.tokens_per_second,
            }
        });
        let ends = starts.iter().skip(1);
        let mut counted = 0;
        let epochs = lines.epochs.iter().zip(ends).map(|(record, &end)| {
            counted += record.train_tokens.unwrap_or(0);
            Epoch {
                position: Position {
                    tokens: match self.has_tokens {
                        true => counted as f64,
                        false => tokens(record.epoch, 1.0),
                    },
                    elapsed: end,
                },
                record: record.clone(),
            }
        });
        (intervals.collect(), epochs.collect())
    }

    /// The time of an epoch that is not complete, from the rate of one of its records.
    fn expected_seconds(&self, interval: &WindowsRecord) -> Option<f64> {
        let rate = interval.tokens_per_second.filter(|&rate| rate > 0.0)?;
        Some(self.windows * self.tokens_per_window? / rate)
    }
}
