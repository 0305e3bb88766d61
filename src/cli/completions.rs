//! `elman completions`: a script that completes the program's commands and flags in a shell.

use clap::Args;
use clap_complete::Shell;

use super::command;
use super::output::Output;
use crate::error::Result;

#[derive(Debug, Args)]
pub(super) struct CompletionsFlags {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(flags: &CompletionsFlags) -> Result<()> {
    // In memory first: the generator panics where a write fails.
    let mut script = Vec::new();
    clap_complete::generate(flags.shell, &mut command(), "elman", &mut script);
    let mut output = Output::new();
    output.bytes(&script)?;
    output.flush()
}
