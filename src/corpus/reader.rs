//! Reading a text in one streaming pass, whatever its size: bytes into pieces into tokens.
//!
//! Words: white space separates, every line ends in `</s>` (an empty line is a lone `</s>`, as in
//! rnnlm), a last line without a newline counts as a line. Subwords: the same ends of lines; the
//! lines are encoded each by itself, their white space as it is, save a carriage return before a
//! newline. Characters: every scalar value of the text; a carriage return before a newline is
//! dropped. Bytes: the file as it is. A byte order mark at the beginning is dropped except in byte
//! mode.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use rayon::prelude::*;

use super::size::TextSize;
use super::splitter::Splitter;
use super::subwords::pieces;
use super::tokens::Tokens;
use super::unit::Unit;
use super::vocabulary::{UNKNOWN, Vocabulary};
use crate::error::{Error, Result};
use crate::hash::Hash;
use crate::tensor::NONE;

/// What is remembered of a text that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextReport {
    /// Bytes in the file.
    pub bytes: u64,
    /// The file's SHA-256 in hexadecimal.
    pub sha256: String,
    /// Its words and characters; none where it is not UTF-8.
    pub size: Option<TextSize>,
    /// Tokens that became `<unk>`.
    pub replaced: u64,
}

/// Bytes read at a time.
const CHUNK: usize = 1 << 16;
/// Bytes of lines that become subwords at a time.
const BATCH: usize = 1 << 20;

/// Reads a text in a vocabulary that exists; words outside it become `<unk>`, or [`NONE`] where
/// there is no `<unk>`.
///
/// # Errors
/// If the file cannot be read, is not UTF-8 where the unit needs it, or is empty.
pub fn read_tokens(
    path: &Path,
    unit: Unit,
    vocabulary: &Vocabulary,
) -> Result<(Tokens, TextReport)> {
    read_source(TextSource::File(path), unit, vocabulary)
}

pub(super) fn read_source(
    source: TextSource<'_>,
    unit: Unit,
    vocabulary: &Vocabulary,
) -> Result<(Tokens, TextReport)> {
    let mut tokens = Tokens::default();
    let mut replaced = 0;
    let report = match vocabulary.subwords() {
        None => source.read(unit, |token| {
            let id = vocabulary.id(token);
            replaced += u64::from(id.is_some() && id == vocabulary.unknown() && token != UNKNOWN);
            tokens.push(id.unwrap_or(NONE));
        })?,
        Some(subwords) => {
            let take =
                |numbers: Vec<u32>| numbers.into_iter().for_each(|number| tokens.push(number));
            source.read_lines(|line| subwords.encode_line(line), take)?
        }
    };
    Ok((tokens, TextReport { replaced, ..report }))
}

/// A text whose types are numbered as they come, the boundary first. Of subwords, types are the
/// pieces that they are learnt from.
#[derive(Debug)]
pub(super) struct Census {
    pub(super) tokens: Tokens,
    pub(super) types: Vec<String>,
    pub(super) report: TextReport,
}

/// Takes the census of a text.
pub(super) fn census(source: TextSource<'_>, unit: Unit) -> Result<Census> {
    let mut numbers: HashMap<String, u32> = HashMap::from([(unit.boundary().to_owned(), 0)]);
    let mut tokens = Tokens::default();
    let mut overflow = false;
    let mut take = |token: &str| {
        let id = numbers.get(token).copied().unwrap_or_else(|| {
            let id = u32::try_from(numbers.len()).unwrap_or(NONE);
            overflow |= id == NONE;
            numbers.insert(token.to_owned(), id);
            id
        });
        tokens.push(id);
    };
    let report = if unit == Unit::Bpe {
        source.read_lines(pieces_and_end, |pieces| {
            pieces.iter().for_each(|piece| take(piece));
        })?
    } else {
        source.read(unit, take)?
    };
    if overflow {
        return Err(Error::invalid(
            "the text",
            "it has more than 2^32 - 1 types",
            "Split words into smaller units",
        ));
    }
    let mut types = vec![String::new(); numbers.len()];
    for (token, id) in numbers {
        types[id as usize] = token;
    }
    Ok(Census {
        tokens,
        types,
        report,
    })
}

/// The pieces of a line, and where it has an end the boundary: letters and signs are never in one
/// piece, so none is `</s>`.
fn pieces_and_end(line: &str) -> Vec<String> {
    match line.strip_suffix('\n') {
        None => pieces(line),
        Some(line) => {
            let mut pieces = pieces(line);
            pieces.push(Unit::Bpe.boundary().to_owned());
            pieces
        }
    }
}

/// Where a text comes from.
#[derive(Debug, Clone, Copy)]
pub enum TextSource<'a> {
    /// A file, read in one streaming pass.
    File(&'a Path),
    /// Bytes in memory: the built-in corpus.
    Memory(&'a [u8]),
}

impl TextSource<'_> {
    /// Calls `take` with every piece of the text that [`split`](super::split) would find, and an
    /// end for its last line.
    fn read(self, unit: Unit, take: impl FnMut(&str)) -> Result<TextReport> {
        let path = match self {
            TextSource::File(path) => path,
            TextSource::Memory(text) => return read_from(text, "the text", unit, take),
        };
        let name = path.display().to_string();
        if path.is_dir() {
            return Err(Error::invalid(
                name,
                "it is a directory",
                "Give a text file",
            ));
        }
        let file = File::open(path).map_err(Error::io("open", path))?;
        read_from(file, &name, unit, take)
    }

    /// Calls `work` with every line, many at a time on all threads, and `take` with the results in
    /// the lines' order.
    fn read_lines<R: Send>(
        self,
        work: impl Fn(&str) -> R + Sync,
        mut take: impl FnMut(R),
    ) -> Result<TextReport> {
        let (mut lines, mut bytes) = (Vec::<String>::new(), 0);
        let mut work_on = |lines: &mut Vec<String>| {
            let done: Vec<R> = lines.par_iter().map(|line| work(line)).collect();
            lines.clear();
            done.into_iter().for_each(&mut take);
        };
        let report = self.read(Unit::Bpe, |line| {
            lines.push(line.to_owned());
            bytes += line.len();
            if bytes >= BATCH {
                work_on(&mut lines);
                bytes = 0;
            }
        })?;
        work_on(&mut lines);
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
            .map_err(|bad| bad.in_file(name))?;
    }
    splitter
        .finish(&mut take)
        .map_err(|bad| bad.in_file(name))?;
    if bytes == 0 {
        return Err(Error::invalid(
            name,
            "it is empty",
            "Give a text with at least a sentence",
        ));
    }
    Ok(TextReport {
        bytes,
        sha256: hash.hexadecimal(),
        size: splitter.size(),
        replaced: 0,
    })
}
