//! Converts tokens back to text.

use super::subwords;
use super::unit::Unit;

/// Writes tokens as text, one at a time. Words are separated by spaces, and `</s>` ends a line;
/// characters and bytes are concatenated; subwords are decoded to bytes, and a character is written
/// when it is complete.
#[derive(Debug, Clone)]
pub struct TextWriter {
    unit: Unit,
    at_line_start: bool,
    /// The first bytes of a character that continues in the next subword.
    partial: Vec<u8>,
}

impl TextWriter {
    /// Creates a writer. `at_line_start` states that no space is needed before the first word.
    pub fn new(unit: Unit, at_line_start: bool) -> Self {
        Self {
            unit,
            at_line_start,
            partial: Vec::new(),
        }
    }

    /// Appends the text of the next token to `text`.
    pub fn write(&mut self, token: &str, text: &mut Vec<u8>) {
        let is_boundary = token == self.unit.boundary();
        match self.unit {
            Unit::Word | Unit::Bpe if is_boundary => {
                self.finish(text);
                text.push(b'\n');
            }
            Unit::Word => {
                if !self.at_line_start {
                    text.push(b' ');
                }
                text.extend_from_slice(token.as_bytes());
            }
            Unit::Char => text.extend_from_slice(token.as_bytes()),
            // A byte is stored as the character with the same code point.
            Unit::Byte => text.extend(
                token
                    .chars()
                    .filter_map(|character| u8::try_from(u32::from(character)).ok()),
            ),
            Unit::Bpe => {
                self.partial.extend(subwords::token_bytes(token));
                self.write_complete_characters(text);
            }
        }
        self.at_line_start = is_boundary;
    }

    /// Whether the writer is at the start of a line.
    pub fn at_line_start(&self) -> bool {
        self.at_line_start
    }

    /// Ends the text: writes a replacement character for an incomplete character.
    pub fn finish(&mut self, text: &mut Vec<u8>) {
        if !self.partial.is_empty() {
            text.extend_from_slice(REPLACEMENT.as_bytes());
            self.partial.clear();
        }
    }

    /// Moves the complete characters of `partial` to the text. A model can generate byte sequences
    /// that are not valid UTF-8; each is replaced by a replacement character.
    fn write_complete_characters(&mut self, text: &mut Vec<u8>) {
        let bytes = std::mem::take(&mut self.partial);
        let mut rest = bytes.as_slice();
        while let Err(error) = std::str::from_utf8(rest) {
            let (valid, invalid) = rest.split_at(error.valid_up_to());
            text.extend_from_slice(valid);
            let Some(length) = error.error_len() else {
                self.partial = invalid.to_vec();
                return;
            };
            text.extend_from_slice(REPLACEMENT.as_bytes());
            rest = &invalid[length..];
        }
        text.extend_from_slice(rest);
    }
}

const REPLACEMENT: &str = "\u{fffd}";

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(unit: Unit, tokens: &[&str]) -> String {
        let mut writer = TextWriter::new(unit, true);
        let mut text = Vec::new();
        tokens
            .iter()
            .for_each(|token| writer.write(token, &mut text));
        writer.finish(&mut text);
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn tokens_are_decoded() {
        assert_eq!(
            decode(Unit::Word, &["a", "b", "</s>", "c", "</s>"]),
            "a b\nc\n"
        );
        assert_eq!(decode(Unit::Char, &["a", "é", "\n"]), "aé\n");
        // 漢 is the bytes e6 bc a2, which GPT-2's alphabet writes as æ ¼ ¢.
        assert_eq!(
            decode(Unit::Bpe, &["Ġa", "æ", "¼¢b", "</s>", "Ġ"]),
            " a漢b\n "
        );
        assert_eq!(
            decode(Unit::Bpe, &["æ¼", "</s>"]),
            "\u{fffd}\n",
            "a line ending inside a character"
        );
        assert_eq!(
            decode(Unit::Bpe, &["æ¼", "b", "æ"]),
            "\u{fffd}b\u{fffd}",
            "an incomplete character"
        );
    }
}
