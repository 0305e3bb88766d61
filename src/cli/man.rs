//! `elman man`: manual pages of the program and of each command.

use std::fs;
use std::path::PathBuf;

use clap::{Args, Command};
use clap_mangen::Man;

use super::command;
use super::output::{Output, check_overwrite_by};
use crate::error::{Error, Result};

#[derive(Debug, Args)]
pub(super) struct ManFlags {
    /// The command whose page is printed [default: the page of the program]
    #[arg(value_name = "COMMAND", conflicts_with = "out")]
    page: Option<String>,
    /// Write all pages to this directory, as elman.1, elman-train.1, …
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace pages that exist
    #[arg(long, requires = "out")]
    force: bool,
}

pub(super) fn run(flags: &ManFlags) -> Result<()> {
    let mut pages = pages();
    if let Some(directory) = &flags.out {
        return write_all(&pages, directory, flags.force);
    }
    let name = match &flags.page {
        Some(command) => format!("elman-{command}"),
        None => "elman".to_owned(),
    };
    let Some(index) = pages.iter().position(|page| page.get_name() == name) else {
        let names = pages[1..]
            .iter()
            .map(|page| &page.get_name()["elman-".len()..]);
        return Err(Error::usage(
            format!("elman man {}", flags.page.as_deref().unwrap_or_default()),
            "there is no such command",
            format!("Use one of {}", names.collect::<Vec<_>>().join(", ")),
        ));
    };
    let mut output = Output::new();
    output.bytes(&rendered(pages.swap_remove(index)))?;
    output.flush()
}

/// The program, then its commands, each with the name of its page.
fn pages() -> Vec<Command> {
    let mut program = command();
    program.build();
    let commands: Vec<_> = program
        .get_subcommands()
        .filter(|command| command.get_name() != "help")
        .map(|command| {
            let name = format!("elman-{}", command.get_name());
            command.clone().display_name(&name).name(name)
        })
        .collect();
    std::iter::once(program).chain(commands).collect()
}

/// A page in roff.
fn rendered(page: Command) -> Vec<u8> {
    let mut text = Vec::new();
    Man::new(page)
        .render(&mut text)
        .expect("writing to memory cannot fail");
    text
}

fn write_all(pages: &[Command], directory: &PathBuf, force: bool) -> Result<()> {
    fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
    let files: Vec<_> = pages
        .iter()
        .map(|page| directory.join(format!("{}.1", page.get_name())))
        .collect();
    for file in &files {
        check_overwrite_by("--out", file, force)?;
    }
    for (page, file) in pages.iter().zip(&files) {
        fs::write(file, rendered(page.clone())).map_err(Error::io("write", file))?;
    }
    note_line!("written: {} pages to {}", files.len(), directory.display());
    Ok(())
}
