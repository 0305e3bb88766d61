//! The command line: parse, run, print the error's chain, set the exit code.

use std::error::Error as _;
use std::process::ExitCode;

use elman::cli::{Cli, is_broken_pipe};

fn main() -> ExitCode {
    match Cli::from_arguments(std::env::args_os()).and_then(Cli::run) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough: `elman generate | head` is no failure.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::from(error.exit_code())
        }
    }
}
