//! What is written where all ranks end at once: which ranks hang, and where the run is saved.
//!
//! In: ranks that do not answer, or SIGTERM. Out: one message on standard error.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::live;
use crate::cli::{quoted, stderr};
use crate::parallel::{Ranks, Watch};

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
    pub(super) fn watch(&self, ranks: &Ranks, limit: Option<Duration>) {
        let processes = ranks.gather(&[std::process::id()]).concat();
        let Some(limit) = limit else {
            return;
        };
        let _ = self.limit.set(limit);
        self.note_event();
        let name = |(rank, process)| format!("{} (process {process})", ranks.name(rank));
        let names: Vec<String> = processes.into_iter().enumerate().map(name).collect();
        let checkpoint = self.clone();
        ranks.watch(Watch {
            limit,
            report: Box::new(move |silent| {
                let silent: Vec<&str> = silent.iter().map(|&rank| names[rank].as_str()).collect();
                let reason = reason(&silent, limit);
                let hint = checkpoint.hint();
                checkpoint.report(|| stderr::write_error_of_all(&format!("{reason}. {hint}")));
            }),
        });
    }
}

/// Why all ranks end if these do not answer.
fn reason(silent: &[&str], limit: Duration) -> String {
    let seconds = limit.as_secs_f64();
    let (last, others) = match silent {
        [] => {
            return format!(
                "all ranks answer, but values that they exchange have not arrived for {seconds} s \
                 (--rank-timeout), so all ranks end. Check the network between the hosts; on one \
                 host, report this as a fault"
            );
        }
        [others @ .., last] => (last, others),
    };
    let (names, have) = match others {
        [] => ((*last).to_owned(), "has"),
        _ => (format!("{} and {last}", others.join(", ")), "have"),
    };
    format!(
        "{names} {have} not answered for {seconds} s (--rank-timeout), so all ranks end. A driver, \
         a file system, the network or the host hangs: see the log of that host's kernel (dmesg)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_name_all_ranks() {
        let of = |silent| reason(silent, Duration::from_secs(600));
        for (silent, start) in [
            (&["a"][..], "a has not answered for 600 s"),
            (&["a", "b"], "a and b have not"),
            (&["a", "b", "c"], "a, b and c have not"),
            (&[], "all ranks answer"),
        ] {
            assert!(of(silent).starts_with(start), "{}", of(silent));
        }
    }

    #[test]
    fn hints_know_whether_the_run_is_saved() {
        let checkpoint = LastCheckpoint::new("model".into(), false);
        assert!(checkpoint.hint().contains("saved nothing yet"));
        checkpoint.clone().is_saved();
        assert!(checkpoint.hint().contains("--resume model continues"));
    }
}
