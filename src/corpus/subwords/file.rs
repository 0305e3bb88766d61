//! A `tokenizer.json` as [`Subwords`], if it is one that every text comes back from.

use std::path::Path;

use tokenizers::{ModelWrapper, Tokenizer};

use super::Subwords;
use crate::corpus::Unit;
use crate::error::{Error, Result};

/// Lines that show what a tokenizer changes: spaces before and behind, capitals, marks that can be
/// composed, and more than one script.
const PROBES: [&str; 3] = [
    "Two  spaces, TABS\t\té e\u{301} ﬁ №1 İ don't ",
    " \u{a0}漢字 👩‍👩‍👧\r\u{200b}x",
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\u{7f}",
];

/// GPT-2's letter for a byte: the character of the same number where that can be seen, else one
/// from U+0100 on.
pub(super) fn letter(byte: u8) -> char {
    match byte {
        b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
        0..=b' ' => shifted(byte),
        0x7f..=0xa0 => shifted(byte - 0x7f + 0x21),
        0xad => shifted(0x43),
    }
}

fn shifted(place: u8) -> char {
    char::from_u32(0x100 + u32::from(place)).unwrap_or_default()
}

/// The byte of a letter.
fn byte(letter: char) -> Option<u8> {
    let byte = match u32::from(letter) {
        code @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => code,
        code @ 0x100..=0x120 => code - 0x100,
        code @ 0x121..=0x142 => code - 0x121 + 0x7f,
        0x143 => 0xad,
        _ => return None,
    };
    u8::try_from(byte).ok()
}

/// The bytes of a subword: those of its letters; where it is not made of letters, its own.
pub(in crate::corpus) fn bytes(token: &str) -> Vec<u8> {
    token
        .chars()
        .map(byte)
        .collect::<Option<_>>()
        .unwrap_or_else(|| token.as_bytes().to_vec())
}

fn invalid(file: &str, rule: impl Into<String>, hint: &str) -> Error {
    Error::invalid(file, rule, hint)
}

/// What would do instead.
const OTHER: &str =
    "Give a byte-level BPE such as GPT-2's, or let --unit bpe learn one from the text";

impl Subwords {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read or [`Subwords::parse`] refuses it.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        let file = path.display().to_string();
        let json = String::from_utf8(bytes)
            .map_err(|error| invalid(&file, format!("it is not JSON ({error})"), OTHER))?;
        Self::parse(json, &file)
    }

    /// Takes a file's text; `file` is its name.
    ///
    /// # Errors
    /// If it is no JSON, no byte-level BPE, its numbers have holes, or a text would not come back
    /// from it as it was.
    pub fn parse(json: String, file: &str) -> Result<Self> {
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&json) {
            return Err(invalid(file, format!("it is not JSON ({error})"), OTHER));
        }
        let mut tokenizer = Tokenizer::from_bytes(&json).map_err(|error| {
            invalid(
                file,
                format!("it is no tokenizer.json of Hugging Face's format ({error})"),
                OTHER,
            )
        })?;
        check_model(&tokenizer, file)?;
        // A line is encoded whole and alone, and is text through and through: nothing in it is a
        // mark such as </s>.
        tokenizer
            .with_truncation(None)
            .map_err(|error| invalid(file, error.to_string(), OTHER))?;
        tokenizer.with_padding(None);
        tokenizer.set_encode_special_tokens(true);
        let types = dense_types(&tokenizer, file)?;
        let letters = (0..=255)
            .map(|byte| letter_id(&tokenizer, byte, file))
            .collect::<Result<_>>()?;
        let boundary = types
            .iter()
            .position(|token| token == Unit::Bpe.boundary())
            .unwrap_or(types.len());
        let mut texts: Vec<_> = types.iter().map(|token| bytes(token)).collect();
        if let Some(text) = texts.get_mut(boundary) {
            *text = b"\n".to_vec();
        }
        let boundary =
            u32::try_from(boundary).map_err(|error| invalid(file, error.to_string(), OTHER))?;
        let subwords = Self {
            tokenizer,
            json,
            boundary,
            texts,
            letters,
        };
        subwords.check_texts(file)?;
        Ok(subwords)
    }

    /// A text must come back as it was.
    fn check_texts(&self, file: &str) -> Result<()> {
        for line in PROBES {
            let encoding = self
                .tokenizer
                .encode_fast(line, false)
                .map_err(|error| invalid(file, error.to_string(), OTHER))?;
            let ids = encoding.get_ids();
            if !self.spells(ids, line.as_bytes()) {
                let text: Vec<u8> = ids
                    .iter()
                    .flat_map(|&id| self.texts[id as usize].iter().copied())
                    .collect();
                return Err(invalid(
                    file,
                    format!(
                        "a text must come back as it was, and {line:?} comes back as {:?}",
                        String::from_utf8_lossy(&text)
                    ),
                    "Set its \"normalizer\" to null, and add_prefix_space to false",
                ));
            }
        }
        Ok(())
    }
}

/// The model must be BPE, and must not toss coins.
fn check_model(tokenizer: &Tokenizer, file: &str) -> Result<()> {
    let kind = match tokenizer.get_model() {
        ModelWrapper::BPE(model) => {
            return match model.dropout {
                Some(rate) if rate > 0.0 => Err(invalid(
                    file,
                    format!("its dropout is {rate}, and a text must have one encoding"),
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
        format!("its model is {kind}, and --unit bpe takes BPE"),
        OTHER,
    ))
}

/// The types in the order of their numbers, which must be 0, 1, 2 ….
fn dense_types(tokenizer: &Tokenizer, file: &str) -> Result<Vec<String>> {
    let vocabulary = tokenizer.get_vocab(true);
    let count = vocabulary.len();
    let mut types: Vec<Option<String>> = vec![None; count];
    let mut double = None;
    for (token, id) in vocabulary {
        match types.get_mut(id as usize) {
            Some(slot @ None) => *slot = Some(token),
            _ => double = double.max(Some((id, token))),
        }
    }
    match (types.iter().position(Option::is_none), double) {
        (Some(hole), Some((id, token))) => Err(invalid(
            file,
            format!(
                "its {count} tokens must have the numbers 0 to {}, each once; none has {hole}, and \
                 {token:?} has {id}",
                count - 1
            ),
            "Give a tokenizer whose numbers have no holes",
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
                with that byte could not be written"
            );
            invalid(file, rule, OTHER)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::Decoder;
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;

    #[test]
    fn letters_are_gpt2s() {
        let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
        let mut letters: Vec<char> = (0..=255).map(letter).collect();
        for &one in &letters {
            assert_eq!(byte(one).map(letter), Some(one));
        }
        assert_eq!(bytes("Ġa\u{143}"), [b' ', b'a', 0xad]);
        assert_eq!(bytes("a b"), b"a b", "a space is no letter");
        let text = "a\t \u{7f}\u{ad}\u{a0}é漢👧";
        let spelt: String = text.bytes().map(letter).collect();
        assert_eq!(
            ByteLevel::default()
                .decode_chain(vec![spelt])
                .expect("text"),
            [text]
        );
        alphabet.sort_unstable();
        letters.sort_unstable();
        assert_eq!(letters, alphabet);
    }
}
