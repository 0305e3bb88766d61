//! Reads the lines of a file or of standard input, which a command reads once.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use crate::decompress::{self, Reader};
use crate::error::{Error, Result};

/// The lines of a file without their line endings.
pub(super) struct InputLines {
    reader: Reader,
    path: PathBuf,
    /// The number of lines that were read.
    pub(super) count: u64,
}

impl InputLines {
    /// Opens a file whose lines are scored.
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            reader: decompress::open_for("scoring", path)?,
            path: path.to_owned(),
            count: 0,
        })
    }

    /// Whether the next line can be read without waiting. Always, of a file.
    pub(super) fn is_ready(&self) -> bool {
        !decompress::is_standard_input(&self.path) || self.reader.buffer().contains(&b'\n')
    }

    /// The next line; `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        if self
            .reader
            .read_until(b'\n', &mut line)
            .map_err(Error::io("read", &self.path))?
            == 0
        {
            return Ok(None);
        }
        self.count += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }
}

/// The paths of a flag, or of an argument whose name is empty, with its name.
pub(super) fn named<'a>(
    flag: &'static str,
    paths: impl IntoIterator<Item = &'a PathBuf>,
) -> impl Iterator<Item = (&'static str, &'a Path)> {
    let paths = paths.into_iter();
    paths.map(move |path| (flag, path.as_path()))
}

/// Checks that at most one of a command's inputs, each with the name of its flag, is standard
/// input. Returns whether one is.
///
/// # Errors
/// If several are.
pub(super) fn check_read_once<'a>(
    inputs: impl IntoIterator<Item = (&'static str, &'a Path)>,
) -> Result<bool> {
    let mut inputs = inputs
        .into_iter()
        .filter(|(_, path)| decompress::is_standard_input(path))
        .map(|(flag, _)| [flag, "-"].join(" ").trim_start().to_owned());
    match (inputs.next(), inputs.next()) {
        (Some(first), Some(second)) => Err(Error::usage(
            format!("{first} with {second}"),
            "standard input is read once",
            "Write it to a file, and give the name of the file instead of one -",
        )),
        (first, _) => Ok(first.is_some()),
    }
}
