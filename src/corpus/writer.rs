//! Tokens back into text.

use super::subwords;
use super::unit::Unit;

/// Writes tokens as text, one after the other: words with spaces between them and a line's end for
/// `</s>`; characters side by side; bytes as they are; the bytes of subwords, a character as soon
/// as it is whole.
#[derive(Debug, Clone)]
pub struct TextWriter {
    unit: Unit,
    at_line_start: bool,
    /// The first bytes of a character whose others are in the next subword.
    partial: Vec<u8>,
}

impl TextWriter {
    /// `at_line_start`: whether what was written before, if anything, wants no space before the
    /// next word.
    pub fn new(unit: Unit, at_line_start: bool) -> Self {
        Self {
            unit,
            at_line_start,
            partial: Vec::new(),
        }
    }

    /// Writes the next token's text.
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
            // A byte is kept as the character of the same number.
            Unit::Byte => text.extend(
                token
                    .chars()
                    .filter_map(|character| u8::try_from(u32::from(character)).ok()),
            ),
            Unit::Bpe => {
                self.partial.extend(subwords::bytes(token));
                self.whole_characters(text);
            }
        }
        self.at_line_start = is_boundary;
    }

    /// Whether a line has just ended or nothing was written yet.
    pub fn at_line_start(&self) -> bool {
        self.at_line_start
    }

    /// The end: of a character that never became whole there is a replacement character.
    pub fn finish(&mut self, text: &mut Vec<u8>) {
        if !self.partial.is_empty() {
            text.extend_from_slice(REPLACEMENT.as_bytes());
            self.partial.clear();
        }
    }

    /// Moves what can be read from the bytes at hand into the text. A model can put bytes together
    /// that are no character.
    fn whole_characters(&mut self, text: &mut Vec<u8>) {
        let bytes = std::mem::take(&mut self.partial);
        let mut rest = bytes.as_slice();
        while let Err(error) = std::str::from_utf8(rest) {
            let (valid, bad) = rest.split_at(error.valid_up_to());
            text.extend_from_slice(valid);
            let Some(length) = error.error_len() else {
                self.partial = bad.to_vec();
                return;
            };
            text.extend_from_slice(REPLACEMENT.as_bytes());
            rest = &bad[length..];
        }
        text.extend_from_slice(rest);
    }
}

const REPLACEMENT: &str = "\u{fffd}";

#[cfg(test)]
mod tests {
    use super::*;

    fn written(unit: Unit, tokens: &[&str]) -> String {
        let (mut writer, mut text) = (TextWriter::new(unit, true), Vec::new());
        tokens
            .iter()
            .for_each(|token| writer.write(token, &mut text));
        writer.finish(&mut text);
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn tokens_become_text() {
        assert_eq!(
            written(Unit::Word, &["a", "b", "</s>", "c", "</s>"]),
            "a b\nc\n"
        );
        assert_eq!(written(Unit::Char, &["a", "é", "\n"]), "aé\n");
        // 漢 is e6 bc a2, in GPT-2's letters æ ¼ ¢.
        assert_eq!(
            written(Unit::Bpe, &["Ġa", "æ", "¼¢b", "</s>", "Ġ"]),
            " a漢b\n "
        );
        assert_eq!(
            written(Unit::Bpe, &["æ¼", "</s>"]),
            "\u{fffd}\n",
            "a line ends within a character"
        );
        assert_eq!(
            written(Unit::Bpe, &["æ¼", "b", "æ"]),
            "\u{fffd}b\u{fffd}",
            "a character is broken off"
        );
    }
}
