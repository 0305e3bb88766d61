//! Bytes into pieces of text, in chunks of any size: words, characters, bytes, or lines for
//! [subwords](super::Subwords).
//!
//! In: the bytes of a text as they come. Out: its pieces, and on the way how many words and
//! characters there are. What a piece is to a model is the [vocabulary](super::Vocabulary)'s to
//! say.

use super::size::{Sizer, TextSize};
use super::unit::Unit;
use crate::error::{Error, Result};

/// Bytes of a line of subwords from which on it is cut where its pieces end.
const LONG_LINE: usize = 2048;
/// Bytes after which it is cut wherever it is: learning takes the square of a piece's length, and a
/// line may be a gigabyte.
const LONGEST_PIECE: usize = 2 * LONG_LINE;

/// Splits one text held in memory, such as a prompt or a line to be scored, into what
/// [`Vocabulary::encode`](super::Vocabulary::encode) takes. There is no end of a line at the end
/// unless there is a newline.
///
/// # Errors
/// If it is not UTF-8 where the unit needs it.
pub fn split(text: &[u8], unit: Unit, mut take: impl FnMut(&str)) -> Result<()> {
    let mut splitter = Splitter::new(unit);
    splitter
        .push(text, &mut take)
        .map_err(|bad| bad.in_file("the text"))?;
    splitter.end_of_word(&mut take);
    splitter
        .end_of_text()
        .map_err(|bad| bad.in_file("the text"))
}

/// Bytes that are no UTF-8.
#[derive(Debug)]
pub(super) struct BadByte {
    line: u64,
    byte: u64,
    value: u8,
}

impl BadByte {
    pub(super) fn in_file(self, name: &str) -> Error {
        Error::invalid(
            format!(
                "{name}, line {}, byte {} (0x{:02x})",
                self.line, self.byte, self.value
            ),
            "it is not UTF-8",
            "Convert the text to UTF-8, or take --unit byte",
        )
    }
}

/// The state of splitting between one chunk of bytes and the next.
pub(super) struct Splitter {
    unit: Unit,
    /// The first bytes of a character whose others are in the next chunk.
    partial: Vec<u8>,
    /// A word, or a line of subwords.
    word: String,
    /// Whether the line has a token already.
    line_has_words: bool,
    /// A carriage return that is dropped if a newline follows.
    carriage_return: bool,
    at_start: bool,
    line: u64,
    /// Bytes of the line before what comes next.
    byte: u64,
    /// None where bytes transposed out to be no UTF-8.
    sizer: Option<Sizer>,
}

impl Splitter {
    pub(super) fn new(unit: Unit) -> Self {
        Self {
            unit,
            partial: Vec::new(),
            word: String::new(),
            line_has_words: false,
            carriage_return: false,
            at_start: true,
            line: 1,
            byte: 0,
            sizer: Some(Sizer::default()),
        }
    }

    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        take: &mut impl FnMut(&str),
    ) -> std::result::Result<(), BadByte> {
        if self.unit != Unit::Byte {
            return self.decode(bytes, take);
        }
        let mut utf8 = [0; 2];
        bytes
            .iter()
            .for_each(|&byte| take(char::from(byte).encode_utf8(&mut utf8)));
        // Bytes need not be characters; where they are, they are counted.
        if self.sizer.is_some() && self.decode(bytes, take).is_err() {
            self.sizer = None;
        }
        Ok(())
    }

    fn decode(
        &mut self,
        bytes: &[u8],
        take: &mut impl FnMut(&str),
    ) -> std::result::Result<(), BadByte> {
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
        BadByte {
            line: self.line,
            byte: self.byte + 1,
            value,
        }
    }

    fn characters(&mut self, text: &str, take: &mut impl FnMut(&str)) {
        for character in text.chars() {
            let is_mark = std::mem::take(&mut self.at_start) && character == '\u{feff}';
            if !is_mark {
                if let Some(sizer) = &mut self.sizer {
                    sizer.add(character);
                }
                match self.unit {
                    Unit::Word => self.character_of_word(character, take),
                    Unit::Char => self.single_character(character, take),
                    Unit::Bpe => self.character_of_line(character, take),
                    Unit::Byte => {}
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

    /// A line is handed out with its newline, so that its end is told from a text that goes on.
    fn character_of_line(&mut self, character: char, take: &mut impl FnMut(&str)) {
        if character == '\n' {
            if self.word.ends_with('\r') {
                self.word.pop();
            }
            return self.end_of_line(take);
        }
        if self.word.len() >= LONG_LINE {
            self.cut_line(character, take);
        }
        self.word.push(character);
    }

    /// Cuts a long line before `next` if it may be cut there: before the only space between two
    /// words, where every piece of a line ends, or after far too long a text without any.
    fn cut_line(&mut self, next: char, take: &mut impl FnMut(&str)) {
        let before = self
            .word
            .strip_suffix(' ')
            .filter(|before| !before.ends_with(char::is_whitespace) && !next.is_whitespace());
        if let Some(length) = before.map(str::len) {
            take(&self.word[..length]);
            self.word.replace_range(..length, "");
        } else if self.word.len() >= LONGEST_PIECE {
            take(&self.word);
            self.word.clear();
        } else {
            return;
        }
        self.line_has_words = true;
    }

    fn end_of_line(&mut self, take: &mut impl FnMut(&str)) {
        self.word.push('\n');
        take(&self.word);
        self.word.clear();
        self.line_has_words = false;
    }

    fn end_of_word(&mut self, take: &mut impl FnMut(&str)) {
        if !self.word.is_empty() {
            take(&self.word);
            self.word.clear();
            self.line_has_words = true;
        }
    }

    fn end_of_text(&self) -> std::result::Result<(), BadByte> {
        match self.partial.first() {
            Some(&value) if self.unit != Unit::Byte => Err(self.bad(value)),
            _ => Ok(()),
        }
    }

    /// The end of a file: a last line without a newline is a line.
    pub(super) fn finish(
        &mut self,
        take: &mut impl FnMut(&str),
    ) -> std::result::Result<(), BadByte> {
        self.end_of_text()?;
        if self.unit == Unit::Bpe {
            if self.line_has_words || !self.word.is_empty() {
                self.end_of_line(take);
            }
            return Ok(());
        }
        self.end_of_word(take);
        if self.line_has_words {
            take(Unit::Word.boundary());
        }
        if self.carriage_return {
            take("\r");
        }
        Ok(())
    }

    /// How much text there was; none where it was not UTF-8.
    pub(super) fn size(self) -> Option<TextSize> {
        self.sizer
            .filter(|_| self.partial.is_empty())
            .map(Sizer::finish)
    }
}
