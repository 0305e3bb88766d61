//! Reads the lines of a file or of standard input.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Opens a file, or standard input if the path is `-`.
pub(super) fn open(path: &Path) -> Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    if path.is_dir() {
        return Err(Error::invalid(
            path.display().to_string(),
            "it is a directory",
            "Give a text file, or - for standard input",
        ));
    }
    Ok(Box::new(BufReader::new(
        File::open(path).map_err(Error::io("open", path))?,
    )))
}

/// The lines of a file without their line endings.
pub(super) struct InputLines {
    reader: Box<dyn BufRead>,
    path: PathBuf,
    /// The number of lines that were read.
    pub(super) count: u64,
}

impl InputLines {
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            reader: open(path)?,
            path: path.to_owned(),
            count: 0,
        })
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
