//! What is written where all ranks end at once: which ranks hang, and where the run is saved.
//!
//! In: ranks that do not answer, or SIGTERM. Out: one message on standard error.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::live;
use crate::cli::ranks::timeout::RankTimeout;
use crate::cli::{quoted, stderr};
use crate::error::Result;
use crate::parallel::Ranks;

/// The last checkpoint of the run.
#[derive(Debug, Clone)]
pub(in crate::cli) struct LastCheckpoint {
    directory: PathBuf,
    exists: Arc<AtomicBool>,
    /// Whether the reason why all ranks end is written.
    is_reported: Arc<AtomicBool>,
    /// If no event of this rank has come for this long, it may hang, and another one reports it.
    limit: Arc<OnceLock<Duration>>,
    last_event: Arc<Mutex<Instant>>,
}

impl LastCheckpoint {
    /// In this directory, once the run has saved or if it is `resumed`.
    pub(super) fn new(directory: PathBuf, resumed: bool) -> Self {
        Self {
            directory,
            exists: Arc::new(AtomicBool::new(resumed)),
            is_reported: Arc::default(),
            limit: Arc::default(),
            last_event: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// Whether the directory has a checkpoint of this run.
    pub(super) fn exists(&self) -> bool {
        self.exists.load(Ordering::SeqCst)
    }

    /// A checkpoint of the run is complete.
    pub(super) fn is_saved(&self) {
        self.exists.store(true, Ordering::SeqCst);
    }

    /// This rank is at an event of the run.
    pub(super) fn note_event(&self) {
        *self.last_event() = Instant::now();
    }

    fn last_event(&self) -> MutexGuard<'_, Instant> {
        self.last_event
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this rank itself hangs, so that another one reports it.
    fn hangs(&self) -> bool {
        let limit = self.limit.get();
        limit.is_some_and(|&limit| self.last_event().elapsed() >= limit)
    }

    /// How the run can be continued.
    fn hint(&self) -> String {
        match self.exists() {
            true => {
                let directory = quoted(&self.directory);
                format!(
                    "The last checkpoint in {directory} is complete: elman train --resume \
                     {directory} continues the run, also on fewer ranks"
                )
            }
            false => "This run had saved nothing yet; --save-every also saves during epochs".into(),
        }
    }

    /// Takes the terminal back and makes sure that only the first reason is written.
    fn report(&self, write: impl FnOnce()) {
        if !self.is_reported.swap(true, Ordering::SeqCst) {
            live::leave();
            write();
        }
    }

    /// Writes that SIGTERM has ended the run.
    pub(super) fn report_termination(&self) {
        if self.hangs() {
            return;
        }
        self.report(|| stderr_line!("ended by SIGTERM, without saving. {}", self.hint()));
    }

    /// Ends all ranks, with a message, if some do not answer within the limit.
    ///
    /// # Errors
    /// If the ranks have different limits.
    pub(super) fn watch(&self, ranks: &Ranks, timeout: RankTimeout) -> Result<()> {
        if let Some(limit) = timeout.0 {
            let _ = self.limit.set(limit);
            self.note_event();
        }
        let checkpoint = self.clone();
        timeout.watch_with(ranks, move |reason| {
            let hint = checkpoint.hint();
            checkpoint.report(|| stderr::write_error_of_all(&format!("{reason}. {hint}")));
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_know_whether_the_run_is_saved() {
        let checkpoint = LastCheckpoint::new("model".into(), false);
        assert!(checkpoint.hint().contains("saved nothing yet"));
        checkpoint.clone().is_saved();
        assert!(checkpoint.hint().contains("--resume model continues"));
    }
}
