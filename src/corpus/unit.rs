//! The unit of text that a token represents: word, character, byte, or subword.

use serde::{Deserialize, Serialize};

use crate::field::choices;

choices! {
    /// The unit of text that a token represents.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Unit {
        /// A word between spaces, tabs or line endings; a line ending is the token `</s>`.
        Word = "word",
        /// A Unicode scalar value; a newline is an ordinary character.
        Char = "char",
        /// A byte.
        Byte = "byte",
        /// A subword of byte-pair encoding; no text contains unknown tokens. A line ending is the
        /// token `</s>`.
        Bpe = "bpe",
    }
}

impl Unit {
    /// The token with id 0, which is also the context of the first token of a text.
    pub fn boundary(self) -> &'static str {
        match self {
            Self::Word | Self::Bpe => "</s>",
            Self::Char | Self::Byte => "\n",
        }
    }

    /// The plural noun for tokens of this unit, for messages.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Word => "words",
            Self::Char => "chars",
            Self::Byte => "bytes",
            Self::Bpe => "subwords",
        }
    }

    /// Whether each line is a sentence: the line ending is the boundary and not a character of the
    /// text.
    pub fn has_sentences(self) -> bool {
        matches!(self, Self::Word | Self::Bpe)
    }
}
