//! Text corpora: units, vocabularies, subwords, token ids, parallel streams, the built-in corpus,
//! and memory tasks.
//!
//! In: text files. Out: token ids in host memory or in files, arranged in windows. This module
//! depends on neither models nor devices.

pub mod builtin;
mod chunks;
pub mod grammar;
mod id_width;
mod indexed_text;
mod limits;
mod reader;
mod size;
mod source;
mod splitter;
mod streams;
#[cfg(feature = "tokenizers")]
mod subwords;
#[cfg(not(feature = "tokenizers"))]
#[path = "subwords/disabled.rs"]
mod subwords;
pub mod tasks;
mod text_report;
mod texts;
mod token_file;
mod token_writer;
mod tokens;
mod unit;
mod unknown;
mod vocabulary;
mod words;
mod writer;

pub use limits::{DEFAULT_SUBWORDS, Limits, MIN_SUBWORDS};
pub use reader::read_tokens;
pub use size::TextSize;
pub use source::TextSource;
pub use splitter::{split, split_line, without_byte_order_mark};
pub use streams::{Streams, order_by_token};
pub use subwords::Subwords;
pub use text_report::TextReport;
pub use tokens::Tokens;
pub use unit::Unit;
pub use unknown::UnknownWords;
pub use vocabulary::{UNKNOWN, Vocabulary};
pub use words::{SentenceTags, is_separator};
pub use writer::TextWriter;

use std::borrow::Cow;
use std::path::Path;

use crate::error::Result;
pub(crate) use texts::{CorpusTexts, TEXT_TOKENS, Types, VALID_TOKENS};
pub use texts::{read_with_types, types_of_training_text};
pub(crate) use token_writer::Store;
use vocabulary::count_types;

/// A vocabulary with a training text and a validation text, both encoded in it.
#[derive(Debug)]
pub struct Corpus {
    /// The types and their ids. Built from the training text alone.
    pub vocabulary: Vocabulary,
    /// The training text.
    pub train: Tokens,
    /// The validation text, which controls the learning rate.
    pub valid: Tokens,
    /// Size and hash of the training file.
    pub report: TextReport,
    /// The sentence tags of both texts.
    pub tags: SentenceTags,
    /// What [`Corpus::counts`] returns, if it is known already.
    pub counts: Option<Vec<u64>>,
}

impl Corpus {
    /// Reads a training text and, if `valid` is given, a validation text. Otherwise the last tenth
    /// of the training text is held out for validation; if lines are sentences, it starts at the
    /// next sentence. Vocabulary and subwords are learned from the remaining training text.
    ///
    /// # Errors
    /// If a file cannot be read, is not UTF-8 where the unit requires it, or has no tokens to train
    /// on or to validate with.
    pub fn read(
        train: TextSource<'_>,
        valid: Option<&Path>,
        unit: Unit,
        limits: Limits,
    ) -> Result<Self> {
        let texts = CorpusTexts {
            train,
            valid: valid.map(TextSource::File),
            unit,
        };
        texts.read(Types::Selected(limits), Store::Memory)
    }

    /// Reads the texts of [`Corpus::read`] with an existing vocabulary: that of a model being
    /// fine-tuned, or of a tokenizer.
    ///
    /// # Errors
    /// As [`Corpus::read`].
    pub fn read_with(
        vocabulary: Vocabulary,
        train: TextSource<'_>,
        valid: Option<&Path>,
        unit: Unit,
    ) -> Result<Self> {
        let texts = CorpusTexts {
            train,
            valid: valid.map(TextSource::File),
            unit,
        };
        texts.read(Types::Given(vocabulary), Store::Memory)
    }

    /// The number of occurrences of each type of the vocabulary in the training text.
    ///
    /// # Errors
    /// If the text is in a file that cannot be read.
    pub fn counts(&self) -> Result<Cow<'_, [u64]>> {
        match &self.counts {
            Some(counts) => Ok(counts.into()),
            None => {
                count_types(self.vocabulary.len(), &self.train, self.train.len()).map(Cow::Owned)
            }
        }
    }
}
