//! The `elman` program: runs the command line, prints errors with their causes, sets the exit code.

#![warn(clippy::print_stderr, clippy::print_stdout)]

use std::error::Error as _;
use std::process::ExitCode;

use elman::cli::{Cli, exit_code, is_broken_pipe, message, write_stderr_line};

fn main() -> ExitCode {
    match Cli::from_arguments(std::env::args_os()).and_then(Cli::run) {
        Ok(()) => ExitCode::SUCCESS,
        // `elman generate | head` closes the pipe early, which is not a failure.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            write_stderr_line(format_args!("error: {}", message(&error)));
            let mut cause = error.source();
            while let Some(error) = cause {
                write_stderr_line(format_args!("  because: {error}"));
                cause = error.source();
            }
            ExitCode::from(exit_code(&error))
        }
    }
}
