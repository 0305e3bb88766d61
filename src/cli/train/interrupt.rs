//! Signals that interrupt training: the run saves and ends.
//!
//! In: SIGINT (Ctrl-C), SIGTERM and, on Unix, SIGHUP. Out: the signal, which training checks, and
//! the exit code. A later signal ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};

use super::last_checkpoint::LastCheckpoint;
use super::live;
use crate::error::{Error, Result};
use crate::parallel::Ranks;

/// Signals within this time of the first one are ignored: `timeout` sends its signal to the process
/// and again to its group, and a person may press Ctrl-C twice.
const REPEAT_TIME: Duration = Duration::from_secs(1);
/// Interval between checks of the signals. The loop is the same on every system; signal-hook's
/// iterator exists on Unix only.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// No signal.
const NONE: usize = 0;

/// The signal that interrupts the run.
pub(in crate::cli) struct Interrupt {
    signal: Arc<AtomicUsize>,
}

/// What a signal does.
#[derive(Debug, PartialEq, Eq)]
enum Action {
    Save,
    Ignore,
    EndAtOnce,
}

impl Interrupt {
    /// Installs the handlers. Before this call the signals end the process at once.
    ///
    /// # Errors
    /// If the system refuses.
    fn watch() -> Result<Self> {
        Self::watch_signals(signals())
    }

    /// The same where there may be other ranks. Launchers follow SIGTERM with SIGKILL, too soon to
    /// save, so that with other ranks SIGUSR1, which launchers pass on, and SIGINT interrupt a run.
    /// The first rank watches them, and says at SIGTERM where the last checkpoint is; the others
    /// ignore all but SIGTERM.
    ///
    /// # Errors
    /// If the system refuses.
    pub(in crate::cli) fn watch_on(ranks: &Ranks, last: Option<LastCheckpoint>) -> Result<Self> {
        if ranks.is_alone() {
            return Self::watch();
        }
        if ranks.is_first() {
            if let Some(last) = last {
                report_termination(last)?;
            }
            return Self::watch_signals(signals_of_ranks());
        }
        register(signals_of_ranks())?;
        Ok(Self {
            signal: Arc::new(AtomicUsize::new(NONE)),
        })
    }

    /// Watches these signals.
    fn watch_signals(signals: Vec<i32>) -> Result<Self> {
        let received = register(signals)?;
        let signal = Arc::new(AtomicUsize::new(NONE));
        let interrupt = Self {
            signal: signal.clone(),
        };
        std::thread::spawn(move || take_signals(&received, &signal));
        Ok(interrupt)
    }

    /// The exit code on all ranks if a signal has interrupted the run. The first rank decides.
    pub(in crate::cli) fn exit_code_on(&self, ranks: &Ranks) -> Option<u8> {
        let exit_code = ranks.of_first(self.exit_code().unwrap_or(0));
        (exit_code > 0).then_some(exit_code)
    }

    /// The exit code of a run that a signal has interrupted, as shells compute it: 128 and the
    /// signal's number.
    pub(in crate::cli) fn exit_code(&self) -> Option<u8> {
        match self.signal.load(Ordering::SeqCst) {
            NONE => None,
            signal => Some(exit_code(signal)),
        }
    }
}

fn exit_code(signal: usize) -> u8 {
    128 + signal as u8
}

/// Where the system stores these signals from now on.
fn register(signals: Vec<i32>) -> Result<Arc<AtomicUsize>> {
    let received = Arc::new(AtomicUsize::new(NONE));
    for signal in signals {
        signal_hook::flag::register_usize(signal, received.clone(), signal as usize)
            .map_err(refused)?;
    }
    Ok(received)
}

/// The error where the system refuses to report a signal.
fn refused(error: std::io::Error) -> Error {
    Error::invalid("Ctrl-C", error.to_string(), "Report this as a fault")
}

/// Ends the process at SIGTERM, and says where the last checkpoint is. Launchers send SIGKILL a few
/// milliseconds later, so a thread waits for the signal.
#[cfg(unix)]
fn report_termination(last: LastCheckpoint) -> Result<()> {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    let (mut received, sender) = UnixStream::pair().map_err(refused)?;
    signal_hook::low_level::pipe::register(SIGTERM, sender).map_err(refused)?;
    std::thread::spawn(move || {
        if received.read_exact(&mut [0]).is_ok() {
            last.report_termination();
            std::process::exit(exit_code(SIGTERM as usize).into());
        }
    });
    Ok(())
}

/// Without signals of Unix, SIGTERM ends the process without a message.
#[cfg(not(unix))]
fn report_termination(_last: LastCheckpoint) -> Result<()> {
    Ok(())
}

/// Stores the first signal, and ends the process at a later one.
fn take_signals(received: &AtomicUsize, first: &AtomicUsize) {
    let mut first_at = None;
    loop {
        std::thread::sleep(LOOK_INTERVAL);
        let signal = received.swap(NONE, Ordering::SeqCst);
        if signal == NONE {
            continue;
        }
        match action(first_at.map(|first: Instant| first.elapsed())) {
            Action::Save => {
                first_at = Some(Instant::now());
                first.store(signal, Ordering::SeqCst);
                stderr_line!("\ninterrupted: saving … (press again to stop at once)");
            }
            Action::Ignore => {}
            Action::EndAtOnce => {
                live::leave();
                std::process::exit(exit_code(signal).into());
            }
        }
    }
}

/// What a signal does at this time after the first one; none if it is the first.
fn action(since_first: Option<Duration>) -> Action {
    match since_first {
        None => Action::Save,
        Some(time) if time < REPEAT_TIME => Action::Ignore,
        Some(_) => Action::EndAtOnce,
    }
}

/// The signals that interrupt a run on several ranks.
fn signals_of_ranks() -> Vec<i32> {
    #[cfg(unix)]
    return vec![SIGINT, signal_hook::consts::SIGUSR1];
    #[cfg(not(unix))]
    return vec![SIGINT];
}

/// The signals that interrupt a run.
#[cfg(unix)]
fn signals() -> Vec<i32> {
    let mut signals = vec![SIGINT, SIGTERM];
    if !is_hangup_ignored() {
        signals.push(signal_hook::consts::SIGHUP);
    }
    signals
}

#[cfg(not(unix))]
fn signals() -> Vec<i32> {
    vec![SIGINT, SIGTERM]
}

/// Whether the process was started with SIGHUP ignored, as by `nohup`.
#[cfg(unix)]
#[expect(unsafe_code, reason = "sigaction is a C function")]
fn is_hangup_ignored() -> bool {
    // SAFETY: a zeroed sigaction is a valid value, and with no new action the call only writes the
    // present one to it.
    unsafe {
        let mut present: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGHUP, std::ptr::null(), &raw mut present) == 0
            && present.sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_signal_is_ignored_for_a_second() {
        let after = |milliseconds| action(Some(Duration::from_millis(milliseconds)));
        assert_eq!(action(None), Action::Save);
        assert_eq!(after(0), Action::Ignore);
        assert_eq!(after(999), Action::Ignore);
        assert_eq!(after(1000), Action::EndAtOnce);
    }

    #[test]
    fn exit_codes_are_those_of_shells() {
        assert_eq!(exit_code(SIGINT as usize), 130);
        assert_eq!(exit_code(SIGTERM as usize), 143);
    }
}
