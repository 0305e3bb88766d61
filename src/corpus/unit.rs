//! What a token is: a word, a character or a byte.

use serde::{Deserialize, Serialize};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// A word between white space; the end of a line is the token `</s>`.
    Word,
    /// A Unicode scalar value; the newline is a character like any other.
    Char,
    /// A byte.
    Byte,
}

impl Unit {
    /// The token with id 0: the context before the first token of a text.
    pub fn boundary(self) -> &'static str {
        match self {
            Self::Word => "</s>",
            Self::Char | Self::Byte => "\n",
        }
    }

    /// The name in flags and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Word => "word",
            Self::Char => "char",
            Self::Byte => "byte",
        }
    }

    /// Writes tokens as text: words with spaces between them and a line's end for `</s>`; characters side by side; bytes as they are.
    ///
    /// In word mode `at_line_start` says whether a space is due, and is kept up to date.
    pub fn join(self, token: &str, at_line_start: &mut bool, text: &mut Vec<u8>) {
        match self {
            Self::Word if token == self.boundary() => {
                text.push(b'\n');
                *at_line_start = true;
            }
            Self::Word => {
                if !*at_line_start {
                    text.push(b' ');
                }
                text.extend_from_slice(token.as_bytes());
                *at_line_start = false;
            }
            Self::Char => text.extend_from_slice(token.as_bytes()),
            // A byte is kept as the character of the same number.
            Self::Byte => text.extend(token.chars().filter_map(|character| u8::try_from(u32::from(character)).ok())),
        }
    }
}
