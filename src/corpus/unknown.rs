//! Counts of a text's words that the vocabulary lacks, and of what a model predicts in their place.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// Words that the vocabulary lacks, and predictions of `<unk>`. A text may contain `<unk>` itself,
/// which is then a word of the vocabulary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownWords {
    /// Words of the text that the vocabulary lacks, whether they are read as `<unk>` or skipped.
    pub oov_words: u64,
    /// Of these, those that are read as `<unk>`; the others are skipped.
    pub read_as_unk: u64,
    /// Tokens that are predicted as `<unk>`: those words, and `<unk>` in the text itself.
    pub predicted_as_unk: u64,
}

impl UnknownWords {
    /// The words that are skipped.
    pub fn skipped(&self) -> u64 {
        self.oov_words - self.read_as_unk
    }
}

impl AddAssign for UnknownWords {
    fn add_assign(&mut self, other: Self) {
        self.oov_words += other.oov_words;
        self.read_as_unk += other.read_as_unk;
        self.predicted_as_unk += other.predicted_as_unk;
    }
}

impl std::fmt::Display for UnknownWords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.oov_words)?;
        if self.oov_words > 0 {
            let skipped = self.skipped();
            write!(
                f,
                " ({} read as <unk>, {skipped} skipped)",
                self.read_as_unk
            )?;
        }
        Ok(())
    }
}
