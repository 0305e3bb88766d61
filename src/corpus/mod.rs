//! Text corpora: units, vocabularies, subwords, token ids, parallel streams, the built-in corpus,
//! and memory tasks.
//!
//! In: text files. Out: token ids in host memory, arranged in windows. This module depends on
//! neither models nor devices.

pub mod builtin;
pub mod grammar;
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
mod tokens;
mod unit;
mod unknown;
mod vocabulary;
mod words;
mod writer;

pub use limits::{DEFAULT_SUBWORDS, Limits, MIN_SUBWORDS};
pub use reader::read_tokens;
pub use size::TextSize;
pub use source::{TextReport, TextSource};
pub use splitter::{split, split_line, without_byte_order_mark};
pub use streams::{Streams, order_by_token};
pub use subwords::Subwords;
pub use tokens::Tokens;
pub use unit::Unit;
pub use unknown::UnknownWords;
pub use vocabulary::{UNKNOWN, Vocabulary};
pub use words::{SentenceTags, is_separator};
pub use writer::TextWriter;

use std::path::Path;

use crate::decompress;
use crate::error::{Error, Result};
use crate::tensor::NONE;
use indexed_text::IndexedText;

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
        let IndexedText {
            mut tokens,
            types,
            report,
        } = IndexedText::read(train, unit)?;
        let train_len = match (valid, unit) {
            (Some(_), _) => tokens.len(),
            (None, Unit::Bpe) => {
                let lengths = subwords::byte_lengths(&types);
                held_out_start(&tokens, unit, |id| lengths[id as usize])
            }
            (None, _) => held_out_start(&tokens, unit, |_| 1),
        };
        let vocabulary = if unit == Unit::Bpe {
            let (vocabulary, encodings) =
                Vocabulary::learn_subwords(&types, &tokens, train_len, limits)?;
            tokens.expand(&encodings);
            vocabulary
        } else {
            let (vocabulary, new_ids) =
                Vocabulary::select(types, &tokens, train_len, unit, limits)?;
            tokens.remap(&new_ids);
            vocabulary
        };
        Self::split(tokens, vocabulary, report, train, valid, unit)
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
        let (tokens, report) = reader::read_source(train, unit, &vocabulary)?;
        Self::split(tokens, vocabulary, report, train, valid, unit)
    }

    fn split(
        tokens: Tokens,
        vocabulary: Vocabulary,
        report: TextReport,
        train: TextSource<'_>,
        valid: Option<&Path>,
        unit: Unit,
    ) -> Result<Self> {
        let mut tags = report.tags;
        let (train_tokens, valid_tokens) = match valid {
            Some(path) => {
                let (valid_tokens, valid_report) = read_tokens(path, unit, &vocabulary)?;
                tags += valid_report.tags;
                (tokens, valid_tokens)
            }
            None => {
                let lengths = vocabulary.lengths();
                let held_out = held_out_start(&tokens, unit, |id| {
                    lengths.get(id as usize).copied().unwrap_or(1)
                });
                tokens.split(held_out)
            }
        };
        let corpus = Self {
            vocabulary,
            train: train_tokens,
            valid: valid_tokens,
            report,
            tags,
        };
        let name = match train {
            TextSource::File(path) => decompress::name(path),
            TextSource::Memory(_) => "the text".to_owned(),
        };
        corpus.check(name, valid)?;
        Ok(corpus)
    }

    /// The number of occurrences of each type of the vocabulary in the training text.
    pub fn counts(&self) -> Vec<u64> {
        let mut counts = vec![0; self.vocabulary.len()];
        self.train
            .iter()
            .filter(|&id| id != NONE)
            .for_each(|id| counts[id as usize] += 1);
        counts
    }

    fn check(&self, name: String, valid: Option<&Path>) -> Result<()> {
        if self.train.is_empty() {
            return Err(Error::invalid(
                name,
                "there is no token to train on",
                "Give a text with at least one sentence",
            ));
        }
        if self.valid.known() == 0 {
            return Err(Error::invalid(
                valid.map_or_else(|| format!("the held-out tenth of {name}"), decompress::name),
                "none of its words is in the vocabulary, so it measures nothing",
                "Give a `valid` text that resembles the training text, or use a larger vocabulary",
            ));
        }
        Ok(())
    }
}

/// Where the held-out tenth starts: at 90 % of the tokens, weighted by their lengths. If lines are
/// sentences, at the first sentence after that.
///
/// The length of a subword is its number of bytes, so the boundary is the same line ending for
/// every tokenizer.
fn held_out_start(tokens: &Tokens, unit: Unit, length: impl Fn(u32) -> usize) -> usize {
    let total: usize = tokens.iter().map(&length).sum();
    let train_length = total / 10 * 9 + total % 10 * 9 / 10;
    let mut length_before = 0;
    let mut first = None;
    for position in 0..tokens.len() {
        if length_before >= train_length {
            first.get_or_insert(position);
            if !unit.has_sentences() || (position > 0 && tokens.get(position - 1) == 0) {
                return position;
            }
        }
        length_before += length(tokens.get(position));
    }
    first.unwrap_or(tokens.len())
}
