//! The lines of `log.jsonl`.

use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::train::EpochRecord;

/// The records of a log.
#[derive(Debug, Default)]
pub(super) struct LogLines {
    pub(super) intervals: Vec<WindowsRecord>,
    pub(super) epochs: Vec<EpochRecord>,
    /// Whether the last line was not written completely.
    is_cut: bool,
}

/// The record of a group of windows. A value that is not finite is `null` in the file.
#[derive(Debug, Deserialize)]
pub(super) struct WindowsRecord {
    pub(super) epoch: usize,
    pub(super) window: usize,
    pub(super) loss: Option<f64>,
    pub(super) gradient_norm: Option<f64>,
    pub(super) lr: Option<f64>,
    pub(super) tokens_per_second: Option<f64>,
    /// Since the start of the run; none in logs of earlier versions.
    pub(super) tokens: Option<f64>,
    pub(super) seconds: Option<f64>,
}

impl LogLines {
    /// Reads a log; none if there is no such file.
    ///
    /// # Errors
    /// If it cannot be read, or a line other than the last is not a record.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        let text = String::from_utf8_lossy(&bytes);
        let mut log = Self::default();
        let count = text.lines().count();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            match log.add(line) {
                Ok(()) => {}
                // A process that was killed may have written a part of its last line.
                Err(_) if index + 1 == count && !text.ends_with('\n') => log.is_cut = true,
                Err(error) => {
                    return Err(Error::invalid(
                        format!("{}, line {}", path.display(), index + 1),
                        format!("it is not a record of a training log ({error})"),
                        "Remove the line, or restore the file from a copy",
                    ));
                }
            }
        }
        Ok(Some(log))
    }

    fn add(&mut self, line: &str) -> serde_json::Result<()> {
        let value: Value = serde_json::from_str(line)?;
        if value.get("window").is_some() {
            self.intervals.push(serde_json::from_value(value)?);
        } else {
            self.epochs.push(serde_json::from_value(value)?);
        }
        Ok(())
    }

    /// Whether every record has its number of tokens.
    pub(super) fn has_tokens(&self) -> bool {
        let intervals = self.intervals.iter().map(|it| it.tokens.is_some());
        let epochs = self.epochs.iter().map(|it| it.train_tokens.is_some());
        intervals.chain(epochs).all(|has| has)
    }

    /// What the log lacks, one sentence each.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.is_cut {
            notes.push("The last line of the log is incomplete and was skipped.".to_owned());
        }
        let infinite =
            |record: &&WindowsRecord| record.loss.is_none() || record.gradient_norm.is_none();
        let infinite = self.intervals.iter().filter(infinite).count();
        if infinite > 0 {
            notes.push(format!(
                "{infinite} record(s) have a loss or a gradient that is not finite; curves leave \
                 them out."
            ));
        }
        if self.intervals.is_empty() && !self.epochs.is_empty() {
            notes.push(
                "The epochs were too short for records between them, so there is no gradient norm."
                    .to_owned(),
            );
        }
        if !self.has_tokens() {
            notes.push(
                "An earlier version wrote records without numbers of tokens, so tokens are \
                 windows × streams × steps."
                    .to_owned(),
            );
        }
        let without = self.epochs.iter().filter(|it| it.last_update.is_none());
        match without.count() {
            0 => {}
            count => notes.push(format!(
                "The log has no update-to-weight ratio and no saturation of {count} epoch(s): \
                 earlier versions did not write them, and an epoch that is cut short has none."
            )),
        }
        notes
    }
}
