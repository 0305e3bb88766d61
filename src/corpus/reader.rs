//! Reading a text in one streaming pass, whatever its size: bytes into characters into tokens.
//!
//! Words: white space separates, every line ends in `</s>` (an empty line is a lone `</s>`, as in rnnlm), a last line without a newline
//! counts as a line. Characters: every scalar value of the text; a carriage return before a newline is dropped. Bytes: the file as it is.
//! A byte order mark at the beginning is dropped except in byte mode.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use super::tokens::Tokens;
use super::unit::Unit;
use super::vocabulary::Vocabulary;
use crate::error::{Error, Result};
use crate::hash::Hash;
use crate::tensor::NONE;

/// What is remembered of a text that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextReport {
    /// Bytes in the file.
    pub bytes: u64,
    /// The file's SHA-256 in hexadecimal.
    pub sha256: String,
}

/// Bytes read at a time.
const CHUNK: usize = 1 << 16;

/// Reads a text in a vocabulary that exists; words outside it become `<unk>`, or [`NONE`] where there is no `<unk>`.
///
/// # Errors
/// If the file cannot be read, is not UTF-8 where the unit needs it, or is empty.
pub fn read_tokens(path: &Path, unit: Unit, vocabulary: &Vocabulary) -> Result<(Tokens, TextReport)> {
    read_source(Source::File(path), unit, vocabulary)
}

pub(super) fn read_source(source: Source<'_>, unit: Unit, vocabulary: &Vocabulary) -> Result<(Tokens, TextReport)> {
    let mut tokens = Tokens::default();
    let take = |token: &str| tokens.push(vocabulary.id(token).unwrap_or(NONE));
    let report = match source {
        Source::File(path) => read(path, unit, take)?,
        Source::Memory(text) => read_from(text, "the text", unit, take)?,
    };
    Ok((tokens, report))
}

/// A text whose types are numbered as they come, the boundary first.
#[derive(Debug)]
pub(super) struct Census {
    pub(super) tokens: Tokens,
    pub(super) types: Vec<String>,
    pub(super) report: TextReport,
}

/// Takes the census of a text.
pub(super) fn census(source: Source<'_>, unit: Unit) -> Result<Census> {
    let mut numbers: HashMap<String, u32> = HashMap::from([(unit.boundary().to_owned(), 0)]);
    let mut tokens = Tokens::default();
    let mut overflow = false;
    let take = |token: &str| {
        let id = numbers.get(token).copied().unwrap_or_else(|| {
            let id = u32::try_from(numbers.len()).unwrap_or(NONE);
            overflow |= id == NONE;
            numbers.insert(token.to_owned(), id);
            id
        });
        tokens.push(id);
    };
    let report = match source {
        Source::File(path) => read(path, unit, take)?,
        Source::Memory(text) => read_from(text, "the text", unit, take)?,
    };
    if overflow {
        return Err(Error::refused("the text", "it has more than 2^32 - 1 types", "Split words into smaller units"));
    }
    let mut types = vec![String::new(); numbers.len()];
    for (token, id) in numbers {
        types[id as usize] = token;
    }
    Ok(Census { tokens, types, report })
}

/// Where a text comes from.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// A file, read in one streaming pass.
    File(&'a Path),
    /// Bytes in memory: the built-in corpus.
    Memory(&'a [u8]),
}

/// Calls `take` with every token of the file.
fn read(path: &Path, unit: Unit, take: impl FnMut(&str)) -> Result<TextReport> {
    let name = path.display().to_string();
    if path.is_dir() {
        return Err(Error::refused(name, "it is a directory", "Give a text file"));
    }
    let file = File::open(path).map_err(Error::io("open", path))?;
    read_from(file, &name, unit, take)
}

fn read_from(mut source: impl Read, name: &str, unit: Unit, mut take: impl FnMut(&str)) -> Result<TextReport> {
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
        splitter.push(&buffer[..length], &mut take).map_err(|bad| bad.in_file(name))?;
    }
    splitter.finish(&mut take).map_err(|bad| bad.in_file(name))?;
    if bytes == 0 {
        return Err(Error::refused(name, "it is empty", "Give a text with at least a sentence"));
    }
    Ok(TextReport { bytes, sha256: hash.hexadecimal() })
}

/// Splits one text held in memory, such as a prompt or a line to be scored. Words get no `</s>` at the end unless there is a newline.
///
/// # Errors
/// If it is not UTF-8 where the unit needs it.
pub fn split(text: &[u8], unit: Unit, mut take: impl FnMut(&str)) -> Result<()> {
    let mut splitter = Splitter::new(unit);
    splitter.push(text, &mut take).map_err(|bad| bad.in_file("the text"))?;
    splitter.end_of_word(&mut take);
    splitter.end_of_text().map_err(|bad| bad.in_file("the text"))
}

/// Bytes that are no UTF-8.
#[derive(Debug)]
struct BadByte {
    line: u64,
    byte: u64,
    value: u8,
}

impl BadByte {
    fn in_file(self, name: &str) -> Error {
        Error::refused(
            format!("{name}, line {}, byte {} (0x{:02x})", self.line, self.byte, self.value),
            "it is not UTF-8",
            "Convert the text to UTF-8, or take --unit byte",
        )
    }
}

/// The state of splitting between one chunk of bytes and the next.
struct Splitter {
    unit: Unit,
    /// The first bytes of a character whose others are in the next chunk.
    partial: Vec<u8>,
    word: String,
    /// Whether the line has a token already.
    line_has_words: bool,
    /// A carriage return that is dropped if a newline follows.
    carriage_return: bool,
    at_start: bool,
    line: u64,
    /// Bytes of the line before what comes next.
    byte: u64,
}

impl Splitter {
    fn new(unit: Unit) -> Self {
        Self {
            unit,
            partial: Vec::new(),
            word: String::new(),
            line_has_words: false,
            carriage_return: false,
            at_start: true,
            line: 1,
            byte: 0,
        }
    }

    fn push(&mut self, bytes: &[u8], take: &mut impl FnMut(&str)) -> std::result::Result<(), BadByte> {
        if self.unit == Unit::Byte {
            let mut utf8 = [0; 2];
            bytes.iter().for_each(|&byte| take(char::from(byte).encode_utf8(&mut utf8)));
            return Ok(());
        }
        let mut joined = std::mem::take(&mut self.partial);
        joined.extend_from_slice(bytes);
        let (text, rest) = match std::str::from_utf8(&joined) {
            Ok(text) => (text, &[][..]),
            Err(error) => {
                let (valid, rest) = joined.split_at(error.valid_up_to());
                let text = std::str::from_utf8(valid).unwrap_or_default();
                if error.error_len().is_some() {
                    self.characters(text, take);
                    return Err(self.bad(rest[0]));
                }
                (text, rest)
            }
        };
        self.characters(text, take);
        self.partial = rest.to_vec();
        Ok(())
    }

    fn bad(&self, value: u8) -> BadByte {
        BadByte { line: self.line, byte: self.byte + 1, value }
    }

    fn characters(&mut self, text: &str, take: &mut impl FnMut(&str)) {
        for character in text.chars() {
            let is_mark = std::mem::take(&mut self.at_start) && character == '\u{feff}';
            if !is_mark {
                match self.unit {
                    Unit::Word => self.character_of_word(character, take),
                    _ => self.single_character(character, take),
                }
            }
            self.byte += character.len_utf8() as u64;
            if character == '\n' {
                self.line += 1;
                self.byte = 0;
            }
        }
    }

    fn character_of_word(&mut self, character: char, take: &mut impl FnMut(&str)) {
        if !character.is_whitespace() {
            return self.word.push(character);
        }
        self.end_of_word(take);
        if character == '\n' {
            take(Unit::Word.boundary());
            self.line_has_words = false;
        }
    }

    fn single_character(&mut self, character: char, take: &mut impl FnMut(&str)) {
        if std::mem::take(&mut self.carriage_return) && character != '\n' {
            take("\r");
        }
        if character == '\r' {
            self.carriage_return = true;
        } else {
            take(character.encode_utf8(&mut [0; 4]));
        }
    }

    fn end_of_word(&mut self, take: &mut impl FnMut(&str)) {
        if !self.word.is_empty() {
            take(&self.word);
            self.word.clear();
            self.line_has_words = true;
        }
    }

    fn end_of_text(&self) -> std::result::Result<(), BadByte> {
        self.partial.first().map_or(Ok(()), |&value| Err(self.bad(value)))
    }

    /// The end of a file: a last line without a newline is a line.
    fn finish(&mut self, take: &mut impl FnMut(&str)) -> std::result::Result<(), BadByte> {
        self.end_of_text()?;
        self.end_of_word(take);
        if self.line_has_words {
            take(Unit::Word.boundary());
        }
        if self.carriage_return {
            take("\r");
        }
        Ok(())
    }
}
