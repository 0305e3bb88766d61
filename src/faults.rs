//! Faults on demand, for tests of what a run does after one: the feature `fault-injection`.
//!
//! In: `ELMAN_FAULTS`, a list such as `nan@500,device@300`. Each fault happens once, after the
//! given number of updates, of saves, of calls of `Ranks::together` or of forward passes. List a
//! fault twice to make it happen twice.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

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

/// Calls of `Ranks::together` in this process.
static CALLS: AtomicU32 = AtomicU32::new(0);

/// Faults after a number of calls of `Ranks::together`: `hang-in-work` and `die-in-work`.
pub(crate) fn in_work() {
    let calls = CALLS.fetch_add(1, Ordering::SeqCst);
    hang("hang-in-work", calls);
    die("die-in-work", calls);
}

/// Forward passes of this process.
static FORWARD_PASSES: AtomicU32 = AtomicU32::new(0);
/// Of these, the slow ones that are left.
static SLOW_PASSES: AtomicU32 = AtomicU32::new(0);

/// `slow`: each of the next twelve forward passes takes 0.7 s more.
pub(crate) fn in_forward_pass() {
    let passes = FORWARD_PASSES.fetch_add(1, Ordering::SeqCst);
    if happens("slow", passes) {
        SLOW_PASSES.store(12, Ordering::SeqCst);
    }
    let left = SLOW_PASSES.load(Ordering::SeqCst);
    if left > 0 {
        SLOW_PASSES.store(left - 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(700));
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
