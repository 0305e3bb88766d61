//! Splits bytes, in chunks of any size, into words, characters, bytes, or lines for
//! [subwords](super::Subwords).
//!
//! In: the bytes of a text, chunk by chunk. Out: the units of the text, and its number of words and
//! characters. The [vocabulary](super::Vocabulary) maps units to ids.

use super::size::{CharacterCounter, TextSize};
use super::unit::Unit;
use super::words::{SentenceTags, WordSplitter, is_separator};
use crate::error::{Error, Result};

/// In subword mode, a line longer than this number of bytes is split at the next piece boundary.
const LONG_LINE: usize = 2048;
/// A line longer than this number of bytes is split anywhere: learning takes time quadratic in the
/// length of a piece, and a line may be a gigabyte long.
const LONGEST_PIECE: usize = 2 * LONG_LINE;

/// Splits a text in memory that continues, such as a prompt, into pieces for
/// [`Vocabulary::encode`](super::Vocabulary::encode). A last line without a newline is not ended.
///
/// # Errors
/// If the text is not UTF-8 and the unit requires it.
pub fn split(text: &[u8], unit: Unit, mut take: impl FnMut(&str)) -> Result<()> {
    let mut splitter = Splitter::new(unit);
    splitter.push_last(text, &mut take)?;
    if unit == Unit::Word {
        splitter.words.finish_open(&mut take);
    }
    Ok(())
}

/// Splits a line of a text, without its newline, into pieces for
/// [`Vocabulary::encode`](super::Vocabulary::encode). The end of the line is not among them. A byte
/// order mark is an ordinary character: [`without_byte_order_mark`] drops that of the first line.
///
/// # Errors
/// If the line is not UTF-8 and the unit requires it.
pub fn split_line(line: &[u8], unit: Unit, mut take: impl FnMut(&str)) -> Result<SentenceTags> {
    let mut splitter = Splitter::at_line_start(unit);
    splitter.push_last(line, &mut take)?;
    if unit == Unit::Word {
        splitter.words.finish_line(&mut take);
    }
    Ok(splitter.tags())
}

/// A text without the byte order mark at its start. In byte mode, all bytes are text.
pub fn without_byte_order_mark(text: &[u8], unit: Unit) -> &[u8] {
    match text.strip_prefix("\u{feff}".as_bytes()) {
        Some(rest) if unit != Unit::Byte => rest,
        _ => text,
    }
}

/// A byte that is not valid UTF-8.
#[derive(Debug)]
pub(super) struct InvalidUtf8 {
    line: u64,
    byte: u64,
    value: u8,
}

impl InvalidUtf8 {
    /// The error for a text that has `lines_before` lines before those of the splitter.
    pub(super) fn in_file(self, name: &str, lines_before: u64) -> Error {
        Error::invalid(
            format!(
                "{name}, line {}, byte {} (0x{:02x})",
                lines_before + self.line,
                self.byte,
                self.value
            ),
            "it is not UTF-8",
            "Convert the text to UTF-8, or use `unit = byte`",
        )
    }
}

/// Whether a byte of UTF-8 is a [separator](super::words::is_separator), each of which is one byte.
fn is_separator_byte(byte: u8) -> bool {
    is_separator(char::from(byte))
}

/// The state of the splitter between two chunks of bytes.
#[derive(Debug)]
pub(super) struct Splitter {
    unit: Unit,
    /// The first bytes of a character that continues in the next chunk.
    partial: Vec<u8>,
    /// Splits the text into words, whatever the unit is.
    words: WordSplitter,
    /// Number of words and sentence ends so far.
    word_count: u64,
    characters: CharacterCounter,
    /// The current line in subword mode.
    pending: String,
    /// Whether a part of the current line was returned, in subword mode.
    line_is_split: bool,
    /// Whether the previous character is a carriage return, which is dropped if a newline follows.
    carriage_return: bool,
    at_start: bool,
    /// The current line, counted from 1.
    line: u64,
    /// Bytes of the current line before the next character.
    byte: u64,
    is_utf8: bool,
}

impl Splitter {
    pub(super) fn new(unit: Unit) -> Self {
        Self {
            unit,
            partial: Vec::new(),
            words: match unit {
                Unit::Word => WordSplitter::new(),
                Unit::Char | Unit::Byte | Unit::Bpe => WordSplitter::counting(),
            },
            word_count: 0,
            characters: CharacterCounter::default(),
            pending: String::new(),
            line_is_split: false,
            carriage_return: false,
            at_start: true,
            line: 1,
            byte: 0,
            is_utf8: true,
        }
    }

    /// The state after the end of a line.
    pub(super) fn at_line_start(unit: Unit) -> Self {
        Self {
            at_start: false,
            ..Self::new(unit)
        }
    }

    /// Pushes the only bytes of a text in memory.
    fn push_last(&mut self, text: &[u8], take: &mut impl FnMut(&str)) -> Result<()> {
        let pushed = self.push(text, take).and_then(|()| self.end_of_bytes());
        pushed.map_err(|error| error.in_file("the text", 0))?;
        if self.unit == Unit::Bpe && !self.pending.is_empty() {
            take(&self.pending);
        }
        Ok(())
    }

    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        take: &mut impl FnMut(&str),
    ) -> std::result::Result<(), InvalidUtf8> {
        if self.unit != Unit::Byte {
            return self.decode(bytes, take);
        }
        let mut utf8 = [0; 2];
        bytes
            .iter()
            .for_each(|&byte| take(char::from(byte).encode_utf8(&mut utf8)));
        // In byte mode, a text need not be UTF-8. Its size is counted only if it is.
        self.is_utf8 = self.is_utf8 && self.decode(bytes, take).is_ok();
        Ok(())
    }

    fn decode(
        &mut self,
        bytes: &[u8],
        take: &mut impl FnMut(&str),
    ) -> std::result::Result<(), InvalidUtf8> {
        let mut joined = std::mem::take(&mut self.partial);
        joined.extend_from_slice(bytes);
        let (text, rest) = match std::str::from_utf8(&joined) {
            Ok(text) => (text, &[][..]),
            Err(error) => {
                let (valid, rest) = joined.split_at(error.valid_up_to());
                let text = std::str::from_utf8(valid).unwrap_or_default();
                if error.error_len().is_some() {
                    self.push_characters(text, take);
                    return Err(self.invalid_utf8(rest[0]));
                }
                (text, rest)
            }
        };
        self.push_characters(text, take);
        self.partial = rest.to_vec();
        Ok(())
    }

    fn invalid_utf8(&self, value: u8) -> InvalidUtf8 {
        InvalidUtf8 {
            line: self.line,
            byte: self.byte + 1,
            value,
        }
    }

    fn push_characters(&mut self, text: &str, take: &mut impl FnMut(&str)) {
        if self.unit != Unit::Word || self.at_start {
            return self.push_each(text, take);
        }
        // Between separators, the characters of words need no look at each.
        let mut rest = text;
        while let Some(length) = rest.bytes().position(is_separator_byte) {
            let (run, next) = rest.split_at(length);
            self.push_run(run);
            let (separator, next) = next.split_at(1);
            self.push_each(separator, take);
            rest = next;
        }
        self.push_run(rest);
    }

    /// Pushes a part of a word.
    fn push_run(&mut self, run: &str) {
        self.characters.push_run(run);
        self.words.push_run(run);
        self.byte += run.len() as u64;
    }

    fn push_each(&mut self, text: &str, take: &mut impl FnMut(&str)) {
        for character in text.chars() {
            let is_byte_order_mark = std::mem::take(&mut self.at_start) && character == '\u{feff}';
            if !is_byte_order_mark {
                self.characters.push(character);
                self.push_to_words(character, take);
                match self.unit {
                    Unit::Word | Unit::Byte => {}
                    Unit::Char => self.push_character(character, take),
                    Unit::Bpe => self.push_to_line(character, take),
                }
            }
            self.byte += character.len_utf8() as u64;
            if character == '\n' {
                self.line += 1;
                self.byte = 0;
            }
        }
    }

    /// Returns the words in word mode, and only counts them in other modes.
    fn push_to_words(&mut self, character: char, take: &mut impl FnMut(&str)) {
        let Self {
            words, word_count, ..
        } = self;
        let is_word_mode = self.unit == Unit::Word;
        words.push(character, &mut |word| {
            *word_count += 1;
            if is_word_mode {
                take(word);
            }
        });
    }

    fn push_character(&mut self, character: char, take: &mut impl FnMut(&str)) {
        if std::mem::take(&mut self.carriage_return) && character != '\n' {
            take("\r");
        }
        if character == '\r' {
            self.carriage_return = true;
        } else {
            take(character.encode_utf8(&mut [0; 4]));
        }
    }

    /// A line is returned with its newline, to distinguish it from a part of a longer line.
    fn push_to_line(&mut self, character: char, take: &mut impl FnMut(&str)) {
        if character == '\n' {
            if self.pending.ends_with('\r') {
                self.pending.pop();
            }
            return self.end_of_line(take);
        }
        if self.pending.len() >= LONG_LINE {
            self.split_long_line(character, take);
        }
        self.pending.push(character);
    }

    /// Splits a long line before `next` if that is allowed: before a single space between two
    /// words, where pieces always end, or anywhere if the line exceeds [`LONGEST_PIECE`].
    fn split_long_line(&mut self, next: char, take: &mut impl FnMut(&str)) {
        let before = self
            .pending
            .strip_suffix(' ')
            .filter(|before| !before.ends_with(char::is_whitespace) && !next.is_whitespace());
        if let Some(length) = before.map(str::len) {
            take(&self.pending[..length]);
            self.pending.replace_range(..length, "");
        } else if self.pending.len() >= LONGEST_PIECE {
            take(&self.pending);
            self.pending.clear();
        } else {
            return;
        }
        self.line_is_split = true;
    }

    fn end_of_line(&mut self, take: &mut impl FnMut(&str)) {
        self.pending.push('\n');
        take(&self.pending);
        self.pending.clear();
        self.line_is_split = false;
    }

    /// Checks that the bytes do not end inside a character.
    fn end_of_bytes(&self) -> std::result::Result<(), InvalidUtf8> {
        match self.partial.first() {
            Some(&value) if self.unit != Unit::Byte => Err(self.invalid_utf8(value)),
            _ => Ok(()),
        }
    }

    /// Ends the text: a last line without a newline counts as a line.
    pub(super) fn finish(
        &mut self,
        take: &mut impl FnMut(&str),
    ) -> std::result::Result<(), InvalidUtf8> {
        self.end_of_bytes()?;
        let is_word_mode = self.unit == Unit::Word;
        let word_count = &mut self.word_count;
        self.words.finish(&mut |word| {
            *word_count += 1;
            if is_word_mode {
                take(word);
            }
        });
        if self.unit == Unit::Bpe && (self.line_is_split || !self.pending.is_empty()) {
            self.end_of_line(take);
        }
        if self.carriage_return {
            take("\r");
        }
        Ok(())
    }

    /// Number of lines that have ended.
    pub(super) fn lines(&self) -> u64 {
        self.line - 1
    }

    /// The size of the text; `None` if it is not UTF-8.
    pub(super) fn size(&self) -> Option<TextSize> {
        let size = TextSize {
            words: self.word_count,
            characters: self.characters.characters,
        };
        (self.is_utf8 && self.partial.is_empty()).then_some(size)
    }

    /// The sentence tags of the text. Only in word mode do they have a meaning.
    pub(super) fn tags(&self) -> SentenceTags {
        match self.unit {
            Unit::Word => self.words.tags(),
            Unit::Char | Unit::Byte | Unit::Bpe => SentenceTags::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_counts_match_the_tokens_of_each_unit() {
        for text in [
            "",
            "\n",
            "a",
            "a b\n",
            "\u{feff} a\r\n\r\nb\rc\r",
            "  \n x",
            "漢字 e\u{301}\u{2028}k\n\n",
            "a\n  ",
            "\r\r\n\r",
            "<s> a </s>\n<s> b </s> c </s>",
            "a </s> </s>\n</s>\n<s>",
        ] {
            let tokens = |unit| {
                let mut splitter = Splitter::new(unit);
                let mut tokens = 0;
                // Chunks that split characters.
                for chunk in text.as_bytes().chunks(2) {
                    splitter.push(chunk, &mut |_| tokens += 1).expect("UTF-8");
                }
                splitter.finish(&mut |_| tokens += 1).expect("UTF-8");
                (tokens, splitter.size().expect("UTF-8"))
            };
            let (words, size) = tokens(Unit::Word);
            let (characters, same) = tokens(Unit::Char);
            assert_eq!(size, TextSize { words, characters }, "{text:?}");
            assert_eq!(size, same, "{text:?}");
            assert_eq!(
                (size, size),
                (tokens(Unit::Byte).1, tokens(Unit::Bpe).1),
                "{text:?}"
            );
        }
    }
}
