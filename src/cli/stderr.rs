//! Messages on standard error. A message that cannot be written is lost and never ends a command;
//! `eprintln!` would panic.
//!
//! `stderr_line!` is for errors, warnings and what a user must know to go on; `note_line!` is for
//! everything else, which `--quiet` leaves out.

use std::fmt::Arguments;
use std::io::Write;

use console::{Color, style};

use super::waiting::without_line;

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

/// Writes a line to standard error, if that is possible.
pub fn write_line(line: Arguments<'_>) {
    // One write per line, so that lines of several processes do not mix.
    let line = format!("{}\n", with_colored_label(&line.to_string()));
    let _ = without_line(|| std::io::stderr().write_all(line.as_bytes()));
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
