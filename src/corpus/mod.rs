//! Text into tokens into windows: units, vocabulary, subwords, compact token ids, parallel streams,
//! the built-in corpus, and tasks of memory.
//!
//! In: files. Out: token ids on the host, cut into windows. This module knows no model and no
//! device.

pub mod builtin;
pub mod grammar;
mod reader;
mod size;
mod splitter;
mod streams;
mod subwords;
pub mod tasks;
mod tokens;
mod unit;
mod vocabulary;
mod writer;

pub use reader::{TextReport, TextSource, read_tokens};
pub use size::TextSize;
pub use splitter::split;
pub use streams::{Streams, order_by_token};
pub use subwords::{DEFAULT_SUBWORDS, FEWEST_SUBWORDS, Subwords};
pub use tokens::Tokens;
pub use unit::Unit;
pub use vocabulary::{Limits, UNKNOWN, Vocabulary};
pub use writer::TextWriter;

use crate::error::{Error, Result};
use crate::tensor::NONE;
use std::path::Path;

/// A text in its own vocabulary, split into what is trained on and what is held out.
#[derive(Debug)]
pub struct Corpus {
    /// Types and their numbers, from the training part alone.
    pub vocabulary: Vocabulary,
    /// What is trained on.
    pub train: Tokens,
    /// What the learning rate is steered by.
    pub valid: Tokens,
    /// Size and hash of the training file.
    pub report: TextReport,
}

impl Corpus {
    /// Reads a training text and, where `valid` is given, a validation text; otherwise the last
    /// tenth of the training text is held out, from the next sentence on where a line is one.
    /// Subwords are learnt from what is trained on.
    ///
    /// # Errors
    /// If a file cannot be read, is not UTF-8 where the unit needs it, or has nothing to train on
    /// or to validate with.
    pub fn read(
        train: TextSource<'_>,
        valid: Option<&Path>,
        unit: Unit,
        limits: Limits,
    ) -> Result<Self> {
        let reader::Census {
            mut tokens,
            types,
            report,
        } = reader::census(train, unit)?;
        let counted = match (valid, unit) {
            (Some(_), _) => tokens.len(),
            (None, Unit::Bpe) => {
                let lengths = subwords::lengths(&types);
                held_out_from(&tokens, unit, |id| lengths[id as usize])
            }
            (None, _) => held_out_from(&tokens, unit, |_| 1),
        };
        let vocabulary = if unit == Unit::Bpe {
            let (vocabulary, numbers) = Vocabulary::learn(&types, &tokens, counted, limits)?;
            tokens.expand(&numbers);
            vocabulary
        } else {
            let (vocabulary, numbers) = Vocabulary::count(types, &tokens, counted, unit, limits)?;
            tokens.renumber(&numbers);
            vocabulary
        };
        Self::split(tokens, vocabulary, report, train, valid, unit)
    }

    /// The same in a vocabulary that exists: of a model that is gone on with, or of a tokenizer.
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
        let (train_tokens, valid_tokens) = match valid {
            Some(path) => (tokens, read_tokens(path, unit, &vocabulary)?.0),
            None => {
                let lengths = vocabulary.lengths();
                let held_out = held_out_from(&tokens, unit, |id| {
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
        };
        let name = match train {
            TextSource::File(path) => path.display().to_string(),
            TextSource::Memory(_) => "the built-in corpus".to_owned(),
        };
        corpus.check(name, valid)?;
        Ok(corpus)
    }

    /// How often each type of the vocabulary occurs in what is trained on.
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
                "Give a text with at least a sentence",
            ));
        }
        if self.valid.known() == 0 {
            return Err(Error::invalid(
                valid.map_or_else(
                    || format!("the held-out tenth of {name}"),
                    |path| path.display().to_string(),
                ),
                "none of its words is in the vocabulary, so it measures nothing",
                "Give a --valid text like the training text, or a larger vocabulary",
            ));
        }
        Ok(())
    }
}

/// Where the last tenth begins: at 90 % of the tokens, each counted by its length, and where a line
/// is a sentence after the end of that.
///
/// The length of a subword is its bytes, so that the cut is the same line's end however the text is
/// split.
fn held_out_from(tokens: &Tokens, unit: Unit, length: impl Fn(u32) -> usize) -> usize {
    let total: usize = tokens.iter().map(&length).sum();
    let cut = total / 10 * 9 + total % 10 * 9 / 10;
    let (mut before, mut first) = (0, None);
    for position in 0..tokens.len() {
        if before >= cut {
            first.get_or_insert(position);
            if !unit.has_sentences() || (position > 0 && tokens.get(position - 1) == 0) {
                return position;
            }
        }
        before += length(tokens.get(position));
    }
    first.unwrap_or(tokens.len())
}
