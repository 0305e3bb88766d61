//! Faults on demand, for tests of what a run does after one: the feature `fault-injection`.
//!
//! In: `ELMAN_FAULTS`, a list such as `nan@500,device@300`. Each fault happens once, after the
//! given number of updates, of saves for faults of saves, or of works for faults of works. List a
//! fault twice to make it happen twice.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use crate::activity;

/// The faults that have not happened yet, with the counts after which they do.
static FAULTS: LazyLock<Mutex<Vec<(String, u32)>>> = LazyLock::new(|| {
    let list = std::env::var("ELMAN_FAULTS").unwrap_or_default();
    let fault = |text: &str| {
        let (name, count) = text.split_once('@')?;
        Some((name.to_owned(), count.parse().ok()?))
    };
    Mutex::new(list.split(',').filter_map(fault).collect())
});

/// Saves of this process.
static SAVES: AtomicU32 = AtomicU32::new(0);

/// Whether a fault happens now. It is taken from the list.
pub(crate) fn happens(name: &str, count: u32) -> bool {
    let mut faults = FAULTS.lock().unwrap_or_else(PoisonError::into_inner);
    let due = faults
        .iter()
        .position(|(fault, after)| fault == name && *after <= count);
    due.map(|index| faults.remove(index)).is_some()
}

/// Kills the process if a fault of this name happens. MPI writes a stack trace at other signals.
pub(crate) fn die(name: &str, count: u32) {
    if happens(name, count) {
        let process = std::process::id().to_string();
        let _ = std::process::Command::new("kill")
            .args(["-KILL", &process])
            .status();
        std::process::abort();
    }
}

/// Waits forever if a fault of this name happens.
pub(crate) fn hang(name: &str, count: u32) {
    if happens(name, count) {
        loop {
            std::thread::park();
        }
    }
}

/// Work of ranks that this process has started.
static WORKS: AtomicU32 = AtomicU32::new(0);

/// Faults after a number of works of ranks: `hang-in-work`, `die-in-work`, and `slow-work`, which
/// takes eight seconds more.
pub(crate) fn in_work() {
    let works = WORKS.fetch_add(1, Ordering::SeqCst);
    hang("hang-in-work", works);
    die("die-in-work", works);
    if happens("slow-work", works) {
        for _ in 0..80 {
            std::thread::sleep(Duration::from_millis(100));
            activity::advanced();
        }
    }
}

/// `die-before-save`: the files of a checkpoint are written, but the old ones still count.
pub(crate) fn before_save() {
    let saves = SAVES.fetch_add(1, Ordering::SeqCst);
    die("die-before-save", saves);
}

/// `die-in-save`: the new files count, but do not have their names yet.
pub(crate) fn in_save() {
    die(
        "die-in-save",
        SAVES.load(Ordering::SeqCst).saturating_sub(1),
    );
}
