//! Text size in measures that do not depend on the unit.

use serde::{Deserialize, Serialize};

/// The number of words and characters of a text, whatever its unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextSize {
    /// Words and sentence ends: the tokens of [`Unit::Word`](super::Unit::Word).
    pub words: u64,
    /// Unicode scalar values including newlines: the tokens of [`Unit::Char`](super::Unit::Char).
    pub characters: u64,
}

impl TextSize {
    /// The size of two texts together.
    pub(super) fn add(self, other: Self) -> Self {
        Self {
            words: self.words + other.words,
            characters: self.characters + other.characters,
        }
    }
}

/// Counts characters, one at a time. The caller skips the byte order mark.
#[derive(Debug, Default)]
pub(super) struct CharacterCounter {
    pub(super) characters: u64,
    /// Whether the previous character is a carriage return, which is not counted if a newline
    /// follows.
    carriage_return: bool,
}

impl CharacterCounter {
    /// Pushes characters none of which is a carriage return or a newline.
    pub(super) fn push_run(&mut self, run: &str) {
        if !run.is_empty() {
            self.characters += run.chars().count() as u64;
            self.carriage_return = false;
        }
    }

    pub(super) fn push(&mut self, character: char) {
        let completes_crlf = std::mem::take(&mut self.carriage_return) && character == '\n';
        self.characters += u64::from(!completes_crlf);
        self.carriage_return = character == '\r';
    }
}
