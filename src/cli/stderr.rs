//! Messages on standard error. A message that cannot be written is lost and never ends a command;
//! `eprintln!` would panic.
//!
//! `stderr_line!` is for errors, warnings and what a user must know to go on; `note_line!` is for
//! everything else, which `--quiet` leaves out.

use std::fmt::Arguments;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use console::{Color, style};

use super::message::{hint, message};
use super::waiting::without_line;
use crate::error::Error;
use crate::parallel::world;

/// Writes a line to standard error, if that is possible.
macro_rules! stderr_line {
    ($($argument:tt)*) => { $crate::cli::stderr::write_line(format_args!($($argument)*)) };
}

/// Writes a line to standard error, if that is possible, unless the command is quiet.
macro_rules! note_line {
    ($($argument:tt)*) => {
        if !$crate::cli::quiet::is_quiet() {
            $crate::cli::stderr::write_line(format_args!($($argument)*));
        }
    };
}

/// Lines that wait until the terminal shows lines again; none where it does.
static HELD: Mutex<Option<Vec<String>>> = Mutex::new(None);

fn held() -> MutexGuard<'static, Option<Vec<String>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether lines are left to another rank.
static SILENT: AtomicBool = AtomicBool::new(false);

/// Leaves lines to another rank from now on, except for the error that ends the command.
pub(super) fn be_silent() {
    SILENT.store(true, Ordering::Relaxed);
}

/// From now on a panic says on which of several ranks it is.
pub fn name_rank_in_panics() {
    let ranks = world();
    if ranks.is_alone() {
        return;
    }
    let name = ranks.name(ranks.index());
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        SILENT.store(false, Ordering::Relaxed);
        write_line(format_args!("error: {name} panicked:"));
        default(panic);
    }));
}

/// Writes the error that ends the command, with its causes and what to do. Where there are several
/// ranks, those after the first say which one has failed; an error that another rank writes is left
/// out.
pub fn write_error(error: &Error) {
    if matches!(error, Error::OtherRank { .. }) {
        return;
    }
    let ranks = world();
    let rank = match ranks.is_first() {
        true => String::new(),
        false => format!("{}: ", ranks.name(ranks.index())),
    };
    SILENT.store(false, Ordering::Relaxed);
    write_line(format_args!("error: {rank}{}", message(error)));
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        write_line(format_args!("  because: {error}"));
        cause = error.source();
    }
    if let Some(hint) = hint(error) {
        write_line(format_args!("  hint: {hint}"));
    }
}

/// Writes an error that concerns all ranks, on whichever rank finds it.
pub(super) fn write_error_of_all(text: &str) {
    SILENT.store(false, Ordering::Relaxed);
    write_line(format_args!("error: {text}"));
}

/// Writes a line to standard error, if that is possible. While lines are held, it waits.
pub fn write_line(line: Arguments<'_>) {
    if SILENT.load(Ordering::Relaxed) {
        return;
    }
    let line = line.to_string();
    if let Some(lines) = &mut *held() {
        lines.push(line);
        return;
    }
    // One write per line, so that lines of several processes do not mix.
    let line = format!("{}\n", with_colored_label(&line));
    let _ = without_line(|| std::io::stderr().write_all(line.as_bytes()));
}

/// Keeps lines from now on: the whole terminal shows something else.
pub(super) fn hold_lines() {
    held().get_or_insert_default();
}

/// Writes the lines that were kept, and keeps no more.
pub(super) fn release_lines() {
    let lines = held().take().unwrap_or_default();
    for line in lines {
        write_line(format_args!("{line}"));
    }
}

/// The last of the lines that are kept.
pub(super) fn last_held_line() -> Option<String> {
    held().as_ref()?.last().cloned()
}

/// A line, with its label in color where standard error shows colors.
fn with_colored_label(line: &str) -> String {
    for (label, color) in [("error:", Color::Red), ("warning:", Color::Yellow)] {
        if let Some(rest) = line.strip_prefix(label) {
            return format!("{}{rest}", style(label).for_stderr().fg(color).bold());
        }
    }
    line.to_owned()
}
