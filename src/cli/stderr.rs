//! Messages on standard error. A message that cannot be written is lost and never ends a command;
//! `eprintln!` would panic.

use std::fmt::Arguments;
use std::io::Write;

use super::waiting::without_line;

/// Writes a line to standard error, if that is possible.
macro_rules! stderr_line {
    ($($argument:tt)*) => { $crate::cli::stderr::write_line(format_args!($($argument)*)) };
}

/// Writes a line to standard error, if that is possible.
pub fn write_line(line: Arguments<'_>) {
    // One write per line, so that lines of several processes do not mix.
    let line = format!("{line}\n");
    let _ = without_line(|| std::io::stderr().write_all(line.as_bytes()));
}
