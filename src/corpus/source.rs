//! Reads a text in one streaming pass, whatever its size, and splits it into units.
//!
//! In: a file or bytes in memory. Out: the units of the text, in order, and a [`TextReport`].
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

use std::io::{Read, Write};
use std::path::Path;

use rayon::prelude::*;

use super::size::TextSize;
use super::splitter::Splitter;
use super::unit::Unit;
use super::unknown::UnknownWords;
use super::words::SentenceTags;
use crate::decompress;
use crate::error::{Error, Result};
use crate::hash::Hash;

/// Facts about a text that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextReport {
    /// Size of the text in bytes, decompressed.
    pub bytes: u64,
    /// SHA-256 of the text, decompressed, in hexadecimal.
    pub sha256: String,
    /// Number of words and characters; `None` if the file is not UTF-8.
    pub size: Option<TextSize>,
    /// The words that the vocabulary lacks.
    pub unknown: UnknownWords,
    /// The sentence tags of a text of words.
    pub tags: SentenceTags,
}

impl TextReport {
    /// The report of two texts together, which have no hash.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        let mut unknown = self.unknown;
        unknown += other.unknown;
        let mut tags = self.tags;
        tags += other.tags;
        Self {
            bytes: self.bytes + other.bytes,
            sha256: String::new(),
            size: self.size.zip(other.size).map(|(one, other)| one.add(other)),
            unknown,
            tags,
        }
    }
}

/// Bytes read at a time.
const CHUNK: usize = 1 << 16;
/// Bytes of lines that are encoded as subwords at a time.
const LINE_BATCH: usize = 1 << 20;

/// Where a text comes from.
#[derive(Debug, Clone, Copy)]
pub enum TextSource<'a> {
    /// A file, plain or compressed with gzip or zstd, read in one streaming pass; `-` is standard
    /// input.
    File(&'a Path),
    /// Bytes in memory, such as the built-in corpus.
    Memory(&'a [u8]),
}

impl TextSource<'_> {
    /// Calls `take` with every unit of the text, as [`split`](super::split) does, and ends the last
    /// line if it has no newline.
    pub(super) fn read(self, unit: Unit, take: impl FnMut(&str)) -> Result<TextReport> {
        let path = match self {
            TextSource::File(path) => path,
            TextSource::Memory(text) => return read_from(text, "the text", unit, take),
        };
        read_from(decompress::open(path)?, &decompress::name(path), unit, take)
    }

    /// Calls `work` with every line, on all threads, and `take` with the results in the order of
    /// the lines.
    pub(super) fn read_lines<R: Send>(
        self,
        work: impl Fn(&str) -> R + Sync,
        mut take: impl FnMut(R),
    ) -> Result<TextReport> {
        let mut lines = Vec::<String>::new();
        let mut bytes = 0;
        let mut process = |lines: &mut Vec<String>| {
            let results: Vec<R> = lines.par_iter().map(|line| work(line)).collect();
            lines.clear();
            results.into_iter().for_each(&mut take);
        };
        let report = self.read(Unit::Bpe, |line| {
            lines.push(line.to_owned());
            bytes += line.len();
            if bytes >= LINE_BATCH {
                process(&mut lines);
                bytes = 0;
            }
        })?;
        process(&mut lines);
        Ok(report)
    }
}

fn read_from(
    mut source: impl Read,
    name: &str,
    unit: Unit,
    mut take: impl FnMut(&str),
) -> Result<TextReport> {
    let mut hash = Hash::default();
    let mut splitter = Splitter::new(unit);
    let mut buffer = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        let length = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io("read", Path::new(name))(error)),
        };
        bytes += length as u64;
        // Hashing cannot fail.
        let _ = hash.write_all(&buffer[..length]);
        splitter
            .push(&buffer[..length], &mut take)
            .map_err(|error| error.in_file(name))?;
    }
    splitter
        .finish(&mut take)
        .map_err(|error| error.in_file(name))?;
    if bytes == 0 {
        return Err(Error::invalid(
            name,
            "it is empty",
            "Give a text with at least one sentence",
        ));
    }
    Ok(TextReport {
        bytes,
        sha256: hash.hexadecimal(),
        size: splitter.size(),
        unknown: UnknownWords::default(),
        tags: splitter.tags(),
    })
}
