//! Reads the lines of a file or of standard input.

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
