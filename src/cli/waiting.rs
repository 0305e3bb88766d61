//! What a terminal shows while a command works for long before it has a result: the activity, its
//! percentage and the time left. Elsewhere, nothing.
//!
//! On a terminal that cannot move its cursor (`TERM=dumb`) these are lines, one every ten seconds.
//! Once results appear on a terminal, they show the progress themselves, and nothing else is shown.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use console::{Term, truncate_str};
use indicatif::HumanDuration;

use super::quiet::is_quiet;
use crate::activity::{self, InProgress};

/// An activity is shown after this time.
const DELAY: Duration = Duration::from_secs(1);
/// Time between two updates of the line.
const INTERVAL: Duration = Duration::from_millis(500);
/// Time between two lines where a line cannot be replaced.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// What is on the terminal.
struct Display {
    /// Whether a line is shown that is to be replaced.
    is_shown: bool,
    /// Whether nothing more is to be shown.
    is_stopped: bool,
    /// When a line was written that stays, and for which activity.
    last_line: Option<(Instant, String)>,
}

static DISPLAY: Mutex<Display> = Mutex::new(Display {
    is_shown: false,
    is_stopped: false,
    last_line: None,
});

fn display() -> MutexGuard<'static, Display> {
    DISPLAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shows activities from now on, if standard error is a terminal.
pub(super) fn show_activities() {
    if is_quiet() || !Term::stderr().features().is_attended() {
        if log::log_enabled!(log::Level::Info) {
            activity::watch(|| ());
        }
        return;
    }
    activity::watch(|| display().clear());
    // Without the thread the command works, and shows nothing.
    let _ = thread::Builder::new()
        .name("activities".to_owned())
        .spawn(|| {
            loop {
                thread::sleep(INTERVAL);
                display().update();
            }
        });
}

/// Writes to standard error where no line is shown meanwhile.
pub(super) fn without_line<T>(write: impl FnOnce() -> T) -> T {
    let mut display = display();
    display.clear();
    write()
}

/// Removes the line for good, because results follow on the terminal.
pub(super) fn stop() {
    let mut display = display();
    display.clear();
    display.is_stopped = true;
}

impl Display {
    fn update(&mut self) {
        if self.is_stopped {
            return;
        }
        let term = Term::stderr();
        match activity::current(DELAY) {
            None => self.clear(),
            Some(activity) if term.is_term() && !console::is_dumb() => {
                let (_, columns) = term.size();
                // The last column stays free: some terminals wrap a line that fills it.
                let line = line(&activity, usize::from(columns).saturating_sub(1));
                let _ = term.clear_line().and_then(|()| term.write_str(&line));
                let _ = term.flush();
                self.is_shown = true;
            }
            Some(activity) => self.write_line(&activity),
        }
    }

    /// Writes a line that stays, unless there was one for this activity a short time ago.
    fn write_line(&mut self, activity: &InProgress) {
        let now = Instant::now();
        let is_recent = self.last_line.as_ref().is_some_and(|(time, label)| {
            *label == activity.label && now.duration_since(*time) < LINE_INTERVAL
        });
        if !is_recent {
            let line = line(activity, usize::MAX);
            let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
            self.last_line = Some((now, activity.label.clone()));
        }
    }

    fn clear(&mut self) {
        if self.is_shown {
            let _ = Term::stderr().clear_line();
            self.is_shown = false;
        }
    }
}

/// An activity in one line of at most `columns`.
fn line(activity: &InProgress, columns: usize) -> String {
    let InProgress {
        label,
        done,
        total,
        elapsed,
    } = activity;
    let progress = match total {
        // A total of 0 has nothing to wait for.
        Some(total @ 1..) => {
            let part = (*done as f64 / *total as f64).min(1.0);
            let left = elapsed.as_secs_f64() * (1.0 - part) / part;
            let percent = (100.0 * part).floor();
            match Duration::try_from_secs_f64(left) {
                Ok(left) => format!("  {percent:>3} %  {:#} left", HumanDuration(left)),
                Err(_) => format!("  {percent:>3} %"),
            }
        }
        _ => format!("  {:#}", HumanDuration(*elapsed)),
    };
    let label = truncate_str(label, columns.saturating_sub(progress.len()), "…");
    truncate_str(&format!("{label}{progress}"), columns, "").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_percentage_and_the_time_left_where_the_total_is_known() {
        let mut activity = InProgress {
            label: "reading a.txt".to_owned(),
            done: 459,
            total: Some(1000),
            elapsed: Duration::from_secs(10),
        };
        assert_eq!(line(&activity, 80), "reading a.txt   45 %  12s left");
        assert_eq!(line(&activity, 29), "reading a.t…   45 %  12s left");
        assert_eq!(line(&activity, 6), "…   45");
        activity.done = 0;
        assert_eq!(line(&activity, 80), "reading a.txt    0 %");
        activity.done = 1001;
        assert_eq!(line(&activity, 80), "reading a.txt  100 %  0s left");
        activity.total = None;
        assert_eq!(line(&activity, 80), "reading a.txt  10s");
    }
}
