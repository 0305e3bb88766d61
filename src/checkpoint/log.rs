//! `log.jsonl`: one record per logging interval and one per epoch.
//!
//! `training.json` has the epochs of a run; the log of a resumed run is made to agree with it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;

use super::transaction::replace_file;
use super::{LOG, LockedDirectory};
use crate::error::{Error, Result};
use crate::train::Progress;

/// The log of a run, to which records are appended.
#[derive(Debug)]
pub struct TrainingLog {
    file: File,
    path: PathBuf,
    /// Whether a record could not be written.
    has_gap: bool,
}

impl TrainingLog {
    /// An empty log.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn start(directory: &LockedDirectory) -> Result<Self> {
        let path = directory.join(LOG);
        let file = File::create(&path).map_err(Error::io("create", &path))?;
        Ok(Self {
            file,
            path,
            has_gap: false,
        })
    }

    /// The log of a run that is resumed from `progress`: with every completed epoch, and without
    /// what the run repeats.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn resume(directory: &LockedDirectory, progress: &Progress) -> Result<Self> {
        Self::agreeing_with(directory.join(LOG), progress)
    }

    fn agreeing_with(path: PathBuf, progress: &Progress) -> Result<Self> {
        let old = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        let text = agreeing(&String::from_utf8_lossy(&old), progress);
        if text.as_bytes() != old {
            replace_file(&path, text.as_bytes())?;
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        Ok(Self {
            file,
            path,
            has_gap: false,
        })
    }

    /// Appends the record of an interval of windows.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn interval(&mut self, record: &impl Serialize, progress: &Progress) -> Result<()> {
        self.close_gap(progress)?;
        self.append(record)
    }

    /// Appends the last epoch of `progress`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn epoch(&mut self, progress: &Progress) -> Result<()> {
        if self.close_gap(progress)? {
            return Ok(());
        }
        progress
            .history
            .last()
            .map_or(Ok(()), |record| self.append(record))
    }

    /// Writes the log anew if a record is missing. Returns whether it did.
    fn close_gap(&mut self, progress: &Progress) -> Result<bool> {
        if !self.has_gap {
            return Ok(false);
        }
        *self = Self::agreeing_with(self.path.clone(), progress)?;
        Ok(true)
    }

    fn append(&mut self, record: &impl Serialize) -> Result<()> {
        let written = self.file.write_all(line(record).as_bytes());
        self.has_gap = written.is_err();
        written.map_err(Error::io("write", &self.path))
    }
}

fn line(record: &impl Serialize) -> String {
    serde_json::to_string(record).expect("plain structs have a JSON form") + "\n"
}

/// The log up to the position of a run: the intervals of `old`, and the epochs of the run.
fn agreeing(old: &str, progress: &Progress) -> String {
    let intervals: Vec<_> = old
        .lines()
        .filter_map(|line| Some((position(line)?, line)))
        .collect();
    let mut text = String::new();
    let add_intervals = |text: &mut String, epoch: usize, windows: usize| {
        for ((of, window), line) in &intervals {
            if *of == epoch && *window <= windows {
                text.push_str(line);
                text.push('\n');
            }
        }
    };
    for record in &progress.history {
        add_intervals(&mut text, record.epoch, usize::MAX);
        text.push_str(&line(record));
    }
    add_intervals(&mut text, progress.epochs + 1, progress.window);
    text
}

/// The epoch and the window of an interval's record; `None` for another line, or for one that was
/// not written completely.
fn position(line: &str) -> Option<(usize, usize)> {
    let record: serde_json::Value = serde_json::from_str(line).ok()?;
    let number = |key: &str| usize::try_from(record.get(key)?.as_u64()?).ok();
    Some((number("epoch")?, number("window")?))
}
