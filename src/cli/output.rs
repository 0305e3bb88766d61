//! Writes results to standard output, and protects files that exist.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::path::Path;

use serde::Serialize;

use super::waiting;
use crate::error::{Error, Result};
use crate::output_file::check_writable;
use crate::parallel::{finish, world};

const STANDARD_OUTPUT: &str = "to standard output";

/// Standard output, buffered.
pub(super) struct Output {
    writer: BufWriter<Stdout>,
}

/// Standard output; none where the first of several ranks prints the results. On a terminal,
/// results end what it shows about progress.
struct Stdout(Option<StdoutLock<'static>>);

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(stdout) = &mut self.0 else {
            return Ok(bytes.len());
        };
        if stdout.is_terminal() {
            waiting::stop();
        }
        stdout.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Output {
    pub(super) fn new() -> Self {
        let stdout = world().is_first().then(|| io::stdout().lock());
        Self {
            writer: BufWriter::new(Stdout(stdout)),
        }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).map_err(write_error())
    }

    pub(super) fn line(&mut self, line: impl std::fmt::Display) -> Result<()> {
        writeln!(self.writer, "{line}").map_err(write_error())
    }

    /// Writes a JSON value as one line.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(value).expect("plain structs have a JSON form");
        self.line(text)
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.writer.flush().map_err(write_error())
    }
}

/// Prints help, or what is wrong with a command line, and ends the process.
pub(super) fn print_and_exit(error: &clap::Error) -> ! {
    // Where several ranks have this command line, one of them prints.
    let ended: Result<()> = Err(Error::usage("the command line", "it is complete", ""));
    let is_mine = !matches!(world().agree(ended), Err(Error::OtherRank { .. }));
    let printed = match is_mine {
        true => error.print().and_then(|()| io::stdout().flush()),
        false => Ok(()),
    };
    let code = match printed {
        Err(cause) if !error.use_stderr() && cause.kind() != io::ErrorKind::BrokenPipe => {
            stderr_line!("error: cannot write {STANDARD_OUTPUT}");
            stderr_line!("  because: {cause}");
            1
        }
        _ => error.exit_code(),
    };
    finish(None);
    std::process::exit(code)
}

fn write_error() -> impl FnOnce(io::Error) -> Error {
    Error::io("write", Path::new(STANDARD_OUTPUT))
}

/// Checks that a file can be written, before the work whose result it takes, and that no existing
/// one is overwritten without --force. Devices and pipes are written to.
pub(super) fn check_overwrite(file: &Path, force: bool) -> Result<()> {
    check_overwrite_by("--out", file, force)
}

/// [`check_overwrite`] of the file that the flag `flag` names.
pub(super) fn check_overwrite_by(flag: &str, file: &Path, force: bool) -> Result<()> {
    if file.is_dir() {
        return Err(Error::invalid(
            file.display().to_string(),
            "it is a directory",
            format!("Give {flag} the name of a file"),
        ));
    }
    if file.is_file() && !force {
        return Err(Error::invalid(
            file.display().to_string(),
            "it exists",
            format!("Use --force to replace it, or {flag} FILE to write elsewhere"),
        ));
    }
    check_writable(file)
}

/// Whether the error is a write to standard output whose reader closed it.
pub fn is_broken_pipe(error: &Error) -> bool {
    matches!(error, Error::Io { path, source, .. }
        if path == Path::new(STANDARD_OUTPUT) && source.kind() == io::ErrorKind::BrokenPipe)
}
