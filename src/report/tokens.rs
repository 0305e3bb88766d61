//! Tokens as text that people read.

use crate::corpus::{TextWriter, Unit, Vocabulary};
use crate::tensor::NONE;

/// What stands for an unknown word that the vocabulary has no type for.
const UNKNOWN_WORD: &str = "<?>";

/// What each token of a text writes: with the space before a word, and a newline for the end of a
/// line. The bytes of a character that several tokens make are written by the last of them.
pub(super) fn written(
    ids: impl Iterator<Item = u32>,
    unit: Unit,
    vocabulary: &Vocabulary,
) -> Vec<String> {
    let mut writer = TextWriter::new(unit, true);
    let mut pending = Vec::new();
    let write = |id: u32| {
        let token = match id {
            NONE => UNKNOWN_WORD,
            id => vocabulary.token(id),
        };
        writer.write(token, &mut pending);
        let complete = match std::str::from_utf8(&pending) {
            // The start of a character.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => pending.len(),
        };
        let rest = pending.split_off(complete);
        let text = String::from_utf8_lossy(&pending).into_owned();
        pending = rest;
        text
    };
    ids.map(write).collect()
}

/// A token alone, with signs for what cannot be seen.
pub(super) fn name(id: u32, unit: Unit, vocabulary: &Vocabulary) -> String {
    if id == NONE {
        return UNKNOWN_WORD.to_owned();
    }
    let token = vocabulary.token(id);
    if token == unit.boundary() {
        return "⏎".to_owned();
    }
    let mut text = Vec::new();
    // Within a line, so that the space of a subword is written.
    TextWriter::new(unit, true).write(token, &mut text);
    let text = match String::from_utf8(text) {
        Ok(text) if !text.is_empty() => text,
        // A part of a character.
        Err(error) => return hexadecimal(error.as_bytes()),
        Ok(_) => token.to_owned(),
    };
    let visible = |character: char| match character {
        ' ' => '␣',
        '\n' => '⏎',
        '\t' => '⇥',
        other if other.is_control() => '�',
        other => other,
    };
    text.chars().map(visible).collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::{TextSource, read_with_types};

    #[test]
    fn characters_of_several_bytes_are_written_once() {
        let source = TextSource::Memory("aé\nb".as_bytes());
        let (vocabulary, tokens, _) = read_with_types(source, Unit::Byte).expect("a text");
        let found = written(tokens.iter(), Unit::Byte, &vocabulary);
        assert_eq!(found, ["a", "", "é", "\n", "b"]);
        let names: Vec<_> = tokens
            .iter()
            .map(|id| name(id, Unit::Byte, &vocabulary))
            .collect();
        assert_eq!(names, ["a", "\\xc3", "\\xa9", "⏎", "b"]);
    }

    #[test]
    fn words_are_written_with_spaces() {
        let source = TextSource::Memory(b"a b\nc\n");
        let (vocabulary, tokens, _) = read_with_types(source, Unit::Word).expect("a text");
        let ids = tokens.iter().chain([NONE]);
        let found = written(ids, Unit::Word, &vocabulary);
        assert_eq!(found, ["a", " b", "\n", "c", "\n", "<?>"]);
    }
}
