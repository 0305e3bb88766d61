//! Reads a text in one streaming pass, whatever its size, and splits it into units.
//!
//! In: files or bytes in memory. Out: the units of the text, in groups, and a [`TextReport`]. How
//! threads share the work is in [`chunks`](super::chunks).
//!
//! - Words are separated by spaces, tabs and line endings, and every line ends in `</s>`. An empty
//!   line is a single `</s>`, as in rnnlm. A last line without a newline counts as a line. `</s>`
//!   inside a line ends a sentence; at the end of a line it is dropped, and so is `<s>`.
//! - Subwords have the same line endings. Each line is encoded separately and keeps its white
//!   space, except for a carriage return before a newline.
//! - Characters are all Unicode scalar values of the text, except for a carriage return before a
//!   newline.
//! - Bytes are the file, unchanged.
//!
//! A byte order mark at the start of a text is dropped, except in byte mode.

use std::path::{Path, PathBuf};

use super::chunks::{TextReader, Units};
use super::text_report::TextReport;
use super::unit::Unit;
use crate::decompress;
use crate::error::{Error, Result};

/// Where a text comes from.
#[derive(Debug, Clone, Copy)]
pub enum TextSource<'a> {
    /// A file, plain or compressed with gzip or zstd, read in one streaming pass; `-` is standard
    /// input.
    File(&'a Path),
    /// Such files one after the other, as one text. The last line of each ends with the file.
    Files(&'a [PathBuf]),
    /// The content of a file, decompressed: for a file that can be read only once.
    Content(&'a Path, &'a [u8]),
    /// Bytes in memory, such as the built-in corpus.
    Memory(&'a [u8]),
}

impl TextSource<'_> {
    /// Reads the text and calls `take` with the groups of its units, in order. The units are those
    /// of [`split`](super::split); the last line is ended if it has no newline.
    ///
    /// # Errors
    /// If the text cannot be read, is not UTF-8 where the unit requires it, or is empty, or if
    /// `take` fails.
    pub(super) fn read<U: Units>(
        self,
        unit: Unit,
        units: &U,
        mut take: impl FnMut(U::Group) -> Result<()>,
    ) -> Result<TextReport> {
        let mut reader = TextReader::new(unit);
        let mut read_file = |path: &Path| {
            let name = decompress::name(path);
            reader.read(decompress::open(path)?, &name, units, &mut take)
        };
        match self {
            Self::File(path) => read_file(path)?,
            Self::Files(paths) => paths.iter().try_for_each(|path| read_file(path))?,
            Self::Content(_, text) | Self::Memory(text) => {
                reader.read(text, &self.name(), units, &mut take)?;
            }
        }
        let report = reader.report();
        if report.bytes == 0 {
            return Err(Error::invalid(
                self.name(),
                "it is empty",
                "Give a text with at least one sentence",
            ));
        }
        Ok(report)
    }

    /// An error about the types of the text, with its name.
    pub(super) fn in_text(self, error: Error) -> Error {
        match error {
            Error::Invalid { what, rule, hint } => {
                Error::invalid(format!("{}: {what}", self.name()), rule, hint)
            }
            error => error,
        }
    }

    /// The name of the text in messages.
    pub(super) fn name(self) -> String {
        match self {
            Self::File(path) | Self::Content(path, _) => decompress::name(path),
            Self::Files([path]) => decompress::name(path),
            Self::Files([]) => "no file".to_owned(),
            Self::Files([first, others @ ..]) => {
                format!(
                    "{} with {} other files",
                    decompress::name(first),
                    others.len()
                )
            }
            Self::Memory(_) => "the text".to_owned(),
        }
    }
}
