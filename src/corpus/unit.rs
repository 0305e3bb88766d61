//! What a token is: a word, a character, a byte, or a subword.

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
    /// A subword of byte-pair encoding: no text has an unknown one; the end of a line is the token
    /// `</s>`.
    Bpe,
}

impl Unit {
    /// The token with id 0: the context before the first token of a text.
    pub fn boundary(self) -> &'static str {
        match self {
            Self::Word | Self::Bpe => "</s>",
            Self::Char | Self::Byte => "\n",
        }
    }

    /// The name in flags and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Word => "word",
            Self::Char => "char",
            Self::Byte => "byte",
            Self::Bpe => "bpe",
        }
    }

    /// What several tokens are called.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Word => "words",
            Self::Char => "chars",
            Self::Byte => "bytes",
            Self::Bpe => "subwords",
        }
    }

    /// Whether the end of a line is the boundary and no character of the text, so that a line is a
    /// sentence.
    pub fn has_sentences(self) -> bool {
        matches!(self, Self::Word | Self::Bpe)
    }
}
