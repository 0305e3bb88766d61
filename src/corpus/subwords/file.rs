//! Reads a `tokenizer.json` as [`Subwords`] and checks that every text survives encoding and
//! decoding unchanged.

use std::fs::File;
use std::path::Path;

use tokenizers::{ModelWrapper, Tokenizer};

use super::Subwords;
use crate::activity::read_to_end;
use crate::corpus::unit::Unit;
use crate::error::{Error, Result};

/// Lines that reveal what a tokenizer changes: leading and trailing spaces, capitals, combining
/// marks, and several scripts.
const PROBES: [&str; 3] = [
    "Two  spaces, TABS\t\té e\u{301} ﬁ №1 İ don't ",
    " \u{a0}漢字 👩‍👩‍👧\r\u{200b}x",
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\u{7f}",
];

/// GPT-2's letter for a byte: the character with the same code point if it is printable, else one
/// starting at U+0100.
pub(super) fn letter(byte: u8) -> char {
    match byte {
        b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
        0..=b' ' => shifted(byte),
        0x7f..=0xa0 => shifted(byte - 0x7f + 0x21),
        0xad => shifted(0x43),
    }
}

fn shifted(offset: u8) -> char {
    char::from_u32(0x100 + u32::from(offset)).unwrap_or_default()
}

/// The byte that a letter represents.
fn letter_byte(letter: char) -> Option<u8> {
    let byte = match u32::from(letter) {
        code @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => code,
        code @ 0x100..=0x120 => code - 0x100,
        code @ 0x121..=0x142 => code - 0x121 + 0x7f,
        0x143 => 0xad,
        _ => return None,
    };
    u8::try_from(byte).ok()
}

/// The bytes of a subword: those that its letters represent, or its UTF-8 bytes if it contains
/// other characters.
pub(in crate::corpus) fn token_bytes(token: &str) -> Vec<u8> {
    token
        .chars()
        .map(letter_byte)
        .collect::<Option<_>>()
        .unwrap_or_else(|| token.as_bytes().to_vec())
}

fn invalid(file: &str, rule: impl Into<String>, hint: &str) -> Error {
    Error::invalid(file, rule, hint)
}

/// Hint for a tokenizer that cannot be used.
const HINT: &str =
    "Give a byte-level BPE such as GPT-2's, or let `unit = bpe` learn one from the text";

impl Subwords {
    /// Reads a tokenizer file.
    ///
    /// # Errors
    /// If the file cannot be read, or as [`Subwords::parse`].
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = File::open(path)
            .and_then(|file| read_to_end(&file, path))
            .map_err(Error::io("read", path))?;
        let file = path.display().to_string();
        let json = String::from_utf8(bytes)
            .map_err(|error| invalid(&file, format!("it is not JSON ({error})"), HINT))?;
        Self::parse(json, &file)
    }

    /// Parses the text of a tokenizer file; `file` is its name in error messages.
    ///
    /// # Errors
    /// If the text is not JSON, is not a byte-level BPE, has gaps in its ids, or does not decode to
    /// exactly the text that it encodes.
    pub fn parse(json: String, file: &str) -> Result<Self> {
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&json) {
            return Err(invalid(file, format!("it is not JSON ({error})"), HINT));
        }
        let mut tokenizer = Tokenizer::from_bytes(&json).map_err(|error| {
            invalid(
                file,
                format!("it is not a tokenizer.json in Hugging Face's format ({error})"),
                HINT,
            )
        })?;
        check_model(&tokenizer, file)?;
        // A line is encoded on its own and without truncation, and all of it is text: a special
        // token such as </s> is not recognized in it.
        tokenizer
            .with_truncation(None)
            .map_err(|error| invalid(file, error.to_string(), HINT))?;
        tokenizer.with_padding(None);
        tokenizer.set_encode_special_tokens(true);
        let types = contiguous_types(&tokenizer, file)?;
        let letters = (0..=255)
            .map(|byte| letter_id(&tokenizer, byte, file))
            .collect::<Result<_>>()?;
        let boundary = types
            .iter()
            .position(|token| token == Unit::Bpe.boundary())
            .unwrap_or(types.len());
        let mut texts: Vec<_> = types.iter().map(|token| token_bytes(token)).collect();
        if let Some(text) = texts.get_mut(boundary) {
            *text = b"\n".to_vec();
        }
        let boundary =
            u32::try_from(boundary).map_err(|error| invalid(file, error.to_string(), HINT))?;
        let subwords = Self {
            tokenizer,
            json,
            boundary,
            texts,
            letters,
        };
        subwords.check_round_trip(file)?;
        Ok(subwords)
    }

    /// Checks that every probe decodes to itself.
    fn check_round_trip(&self, file: &str) -> Result<()> {
        for line in PROBES {
            let encoding = self
                .tokenizer
                .encode_fast(line, false)
                .map_err(|error| invalid(file, error.to_string(), HINT))?;
            let ids = encoding.get_ids();
            if !self.decodes_to(ids, line.as_bytes()) {
                let text: Vec<u8> = ids
                    .iter()
                    .flat_map(|&id| self.texts[id as usize].iter().copied())
                    .collect();
                return Err(invalid(
                    file,
                    format!(
                        "a text must decode to itself, but {line:?} decodes to {:?}",
                        String::from_utf8_lossy(&text)
                    ),
                    "Set its \"normalizer\" to null, and add_prefix_space to false",
                ));
            }
        }
        Ok(())
    }
}

/// Checks that the model is BPE without dropout, so that every text has one encoding.
fn check_model(tokenizer: &Tokenizer, file: &str) -> Result<()> {
    let kind = match tokenizer.get_model() {
        ModelWrapper::BPE(model) => {
            return match model.dropout {
                Some(rate) if rate > 0.0 => Err(invalid(
                    file,
                    format!("its dropout is {rate}, but a text must have exactly one encoding"),
                    "Set its \"dropout\" to null",
                )),
                _ => Ok(()),
            };
        }
        ModelWrapper::WordPiece(_) => "WordPiece",
        ModelWrapper::WordLevel(_) => "WordLevel",
        ModelWrapper::Unigram(_) => "Unigram",
    };
    Err(invalid(
        file,
        format!("its model is {kind}, but `unit = bpe` requires BPE"),
        HINT,
    ))
}

/// The types in the order of their ids, which must be 0, 1, 2, ….
fn contiguous_types(tokenizer: &Tokenizer, file: &str) -> Result<Vec<String>> {
    let vocabulary = tokenizer.get_vocab(true);
    let count = vocabulary.len();
    let mut types: Vec<Option<String>> = vec![None; count];
    let mut misplaced = None;
    for (token, id) in vocabulary {
        match types.get_mut(id as usize) {
            Some(slot @ None) => *slot = Some(token),
            _ => misplaced = misplaced.max(Some((id, token))),
        }
    }
    match (types.iter().position(Option::is_none), misplaced) {
        (Some(gap), Some((id, token))) => Err(invalid(
            file,
            format!(
                "its {count} tokens must have the ids 0 to {}, each exactly once; no token has \
                 {gap}, and {token:?} has {id}",
                count - 1
            ),
            "Give a tokenizer whose ids have no gaps",
        )),
        _ => Ok(types.into_iter().flatten().collect()),
    }
}

fn letter_id(tokenizer: &Tokenizer, byte: u8, file: &str) -> Result<u32> {
    let letter = letter(byte);
    tokenizer
        .token_to_id(letter.encode_utf8(&mut [0; 4]))
        .ok_or_else(|| {
            let rule = format!(
                "it has no token {letter:?}, GPT-2's letter for byte 0x{byte:02x}, so a text \
                with that byte cannot be encoded"
            );
            invalid(file, rule, HINT)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::Decoder;
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;

    #[test]
    fn letters_match_gpt2() {
        let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
        let mut letters: Vec<char> = (0..=255).map(letter).collect();
        for &expected in &letters {
            assert_eq!(letter_byte(expected).map(letter), Some(expected));
        }
        assert_eq!(token_bytes("Ġa\u{143}"), [b' ', b'a', 0xad]);
        assert_eq!(token_bytes("a b"), b"a b", "a space is not a letter");
        let text = "a\t \u{7f}\u{ad}\u{a0}é漢👧";
        let encoded: String = text.bytes().map(letter).collect();
        assert_eq!(
            ByteLevel::default()
                .decode_chain(vec![encoded])
                .expect("text"),
            [text]
        );
        alphabet.sort_unstable();
        letters.sort_unstable();
        assert_eq!(letters, alphabet);
    }
}
