//! What a trainer trains on: a corpus, and its share of the streams.

use crate::corpus::Corpus;
use crate::parallel::Ranks;

/// A corpus, and the ranks that divide its streams. `From<&Corpus>` is for a process without
/// other ranks.
#[derive(Debug, Clone)]
pub struct CorpusShare<'a> {
    /// The corpus, which every rank reads.
    pub corpus: &'a Corpus,
    /// The ranks.
    pub ranks: Ranks,
}

impl<'a> From<&'a Corpus> for CorpusShare<'a> {
    fn from(corpus: &'a Corpus) -> Self {
        Self {
            corpus,
            ranks: Ranks::default(),
        }
    }
}
