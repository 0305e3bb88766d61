//! What is known about a text after it was read.

use serde::{Deserialize, Serialize};

use super::size::TextSize;
use super::unknown::UnknownWords;
use super::words::SentenceTags;

/// Facts about a text that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextReport {
    /// Size of the text in bytes, decompressed.
    pub bytes: u64,
    /// SHA-256 of the text, decompressed, in hexadecimal.
    pub sha256: String,
    /// Number of words and characters; `None` if the file is not UTF-8.
    pub size: Option<TextSize>,
    /// The words that the vocabulary lacks.
    pub unknown: UnknownWords,
    /// The sentence tags of a text of words.
    pub tags: SentenceTags,
}

impl TextReport {
    /// The report of two texts together, which have no hash.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        let mut unknown = self.unknown;
        unknown += other.unknown;
        let mut tags = self.tags;
        tags += other.tags;
        Self {
            bytes: self.bytes + other.bytes,
            sha256: String::new(),
            size: self.size.zip(other.size).map(|(one, other)| one.add(other)),
            unknown,
            tags,
        }
    }
}
