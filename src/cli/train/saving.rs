//! When a run is saved, and what happens when it cannot be.
//!
//! In: a [`TrainingRun`]. Out: its directory, with older checkpoints in it. A directory that cannot
//! be written does not end the run: saving is tried again, and at the end the model is written
//! elsewhere.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::training_run::TrainingRun;
use crate::checkpoint::{self, LockedDirectory};
use crate::cli::message::with_causes;
use crate::cli::{heap, quoted};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::train::Snapshot;

impl TrainingRun<'_> {
    /// Saves the run. Where its directory cannot be written, there is a warning.
    ///
    /// # Errors
    /// If the device fails.
    pub(super) fn save(&mut self, device: &mut Device) -> Result<()> {
        let snapshot = self.snapshot(device)?;
        let saved = match snapshot {
            Some(snapshot) => self.write(snapshot),
            None => Ok(()),
        };
        self.saving.attempted_at = Instant::now();
        self.saving.attempted_updates = self.trainer.progress().step;
        let failure = match saved {
            Ok(()) => None,
            Err(error @ Error::Io { .. }) => Some(error),
            Err(error) => return Err(error),
        };
        let failure = self.failure_of_first(failure);
        match (&failure, &self.saving.failure) {
            (Some(error), None) => stderr_line!(
                "warning: {}. Training continues; saving is tried again every minute and at the \
                 end of each epoch",
                with_causes(error)
            ),
            (None, Some(_)) => note_line!("note: {} is saved again", quoted(&self.directory)),
            _ => {}
        }
        self.saving.failure = failure;
        Ok(())
    }

    /// Saves the run during an epoch if it is time to.
    ///
    /// # Errors
    /// As [`TrainingRun::save`].
    pub(super) fn save_if_due(&mut self, device: &mut Device) -> Result<()> {
        let interval = self.flags.safety.save_every;
        let is_due = self.saving.is_due(interval, self.trainer.progress().step);
        if self.trainer.ranks().of_first(u8::from(is_due)) > 0 {
            self.save(device)?;
        }
        Ok(())
    }

    /// Makes sure that a run that ends is saved: where its directory still cannot be written, in
    /// another one.
    ///
    /// # Errors
    /// If the directory cannot be written.
    pub(super) fn save_at_end(&mut self, device: &mut Device) -> Result<()> {
        if self.saving.failure.is_some() {
            self.save(device)?;
        }
        let Some(failure) = self.saving.failure.take() else {
            return Ok(());
        };
        let snapshot = self.snapshot(device)?;
        let ranks = self.trainer.ranks().clone();
        let Some(snapshot) = snapshot else {
            return ranks.agree(Ok(()));
        };
        let directory = self.rescue(snapshot).map_err(|error| {
            Error::invalid(
                format!("the model of {}", quoted(&self.directory)),
                format!(
                    "it is lost: {}, and {}",
                    with_causes(&failure),
                    with_causes(&error)
                ),
                "Make room on a disk, and train again with --rescue-dir DIR on it",
            )
        });
        ranks.agree(directory.and_then(|directory| {
            let directory = quoted(&directory);
            let resume = format!("elman train --resume {directory} continues the run");
            Err(Error::invalid(
                "the model",
                format!("{}, so it is in {directory}", with_causes(&failure)),
                format!("{resume}, if it is not complete"),
            ))
        }))
    }

    /// Writes the run to a new directory in --rescue-dir or, if that fails, in the system's
    /// temporary directory. Returns its path.
    ///
    /// # Errors
    /// That of the first directory, if neither can be written.
    fn rescue(&mut self, snapshot: Snapshot) -> Result<PathBuf> {
        let given = self.flags.safety.rescue_dir.clone();
        let first = given.unwrap_or_else(std::env::temp_dir);
        self.rescue_in(&snapshot, &first).or_else(|error| {
            self.rescue_in(&snapshot, &std::env::temp_dir())
                .map_err(|_| error)
        })
    }

    /// Writes the run to a new directory in `parent`, which is created if it is missing.
    fn rescue_in(&mut self, snapshot: &Snapshot, parent: &Path) -> Result<PathBuf> {
        std::fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
        let directory = tempfile::Builder::new()
            .prefix("elman-rescue-")
            .tempdir_in(parent)
            .map_err(Error::io("create a directory in", parent))?;
        let locked = LockedDirectory::lock(directory.path())?;
        self.write_to(snapshot, Some(&locked))?;
        drop(locked);
        Ok(directory.keep())
    }

    /// What the first rank saves; none on the others, which take part in it.
    fn snapshot(&mut self, device: &mut Device) -> Result<Option<Snapshot>> {
        if !self.trainer.ranks().is_first() {
            self.trainer.join_snapshot(device)?;
            return Ok(None);
        }
        // A snapshot is large: freed memory goes back before it is taken and after it is written.
        heap::trim_heap();
        self.trainer.snapshot(device).map(Some)
    }

    /// Why the first rank could not save, if it could not: all ranks need to know it.
    fn failure_of_first(&mut self, own: Option<Error>) -> Option<Error> {
        let has_failed = self.trainer.ranks().of_first(u8::from(own.is_some())) > 0;
        if !has_failed {
            self.saving.last.is_saved();
        }
        own.or_else(|| {
            has_failed.then(|| Error::OtherRank {
                rank: self.trainer.ranks().name(0),
                is_usage: false,
            })
        })
    }

    /// Writes the checkpoint.
    fn write(&mut self, snapshot: Snapshot) -> Result<()> {
        if !self.directory.is_dir() {
            let missing = std::io::ErrorKind::NotFound.into();
            return Err(Error::io("write to", &self.directory)(missing));
        }
        if self.saving.last.exists() {
            let generations = self.flags.safety.keep_last as usize;
            self.directory.keep_last(generations);
        } else {
            // Those of the model that --force replaces, which does not become one either.
            self.directory.remove_generations()?;
        }
        self.write_to(&snapshot, None)?;
        self.saving.last.is_saved();
        drop(snapshot);
        heap::trim_heap();
        self.failures = 0;
        Ok(())
    }

    /// Writes the checkpoint to the run's directory, or to another one.
    fn write_to(&mut self, snapshot: &Snapshot, other: Option<&LockedDirectory>) -> Result<()> {
        checkpoint::save(
            other.unwrap_or(&self.directory),
            &self.description,
            &self.corpus.vocabulary,
            snapshot,
            self.trainer.recipe(),
            self.trainer.progress(),
            &self.record,
        )
    }
}
