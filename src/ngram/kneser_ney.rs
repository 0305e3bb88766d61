//! Interpolated modified Kneser-Ney models from text.
//!
//! In: sentences of word ids. Out: an [`Estimate`]. The n-grams are counted in `count` and
//! their probabilities are computed in `estimate`.

use super::count::{BYTES_PER_NGRAM, count_ngrams};
use super::estimate::{Estimate, estimate};
use super::options::KneserNeyOptions;
use super::type_table::TypeTable;
use super::{SENTENCE_END, SENTENCE_START};
use crate::error::{Error, Result};

/// Placeholders for `<s>` and `</s>` in the text until the vocabulary is known.
const START: u32 = u32::MAX - 1;
const END: u32 = u32::MAX;

/// Bytes per word of the text: its id, and its position during sorting.
const BYTES_PER_WORD: usize = size_of::<u32>() + size_of::<u64>();

/// Collects sentences and estimates an interpolated modified Kneser-Ney model from them.
#[derive(Debug, Clone)]
pub struct KneserNey {
    options: KneserNeyOptions,
    text: Vec<u32>,
}

impl KneserNey {
    /// Creates an estimator without text.
    ///
    /// # Errors
    /// If an option is out of range.
    pub fn new(options: KneserNeyOptions) -> Result<Self> {
        options.validate()?;
        Ok(Self {
            options,
            text: Vec::new(),
        })
    }

    /// Adds a sentence of word ids, which may be empty. The sentence must not contain `<s>` and
    /// `</s>`; they are added to both ends.
    ///
    /// # Errors
    /// If the text exceeds the memory limit or 2^32 - 2 words, or a word id exceeds 2^32 - 3. The
    /// sentence is then not added.
    pub fn add_sentence(&mut self, words: &[u32]) -> Result<()> {
        let length = self.text.len() + words.len() + 2;
        if length > u32::MAX as usize - 1 {
            return Err(Error::invalid(
                format!("a text of {length} words"),
                "positions in the text are 32-bit numbers",
                "Estimate models from parts of the text and interpolate them",
            ));
        }
        if length.saturating_mul(BYTES_PER_WORD) > self.options.memory {
            return Err(self.memory_error(length, 0));
        }
        if let Some(&word) = words.iter().find(|&&word| word >= START) {
            return Err(invalid_word(word, START as usize));
        }
        self.text.push(START);
        self.text.extend_from_slice(words);
        self.text.push(END);
        Ok(())
    }

    /// Estimates the model of the added sentences. The id of a word is its index in `vocabulary`,
    /// and remains its id in the model; `<s>` and `</s>` are appended if the vocabulary does not
    /// contain them. Every type except `<s>` has a nonzero probability after every history, whether
    /// or not it occurs in the text. The result is deterministic, down to the bit.
    ///
    /// # Errors
    /// If there is no sentence, a word is not in the vocabulary or is `<s>` or `</s>`, a type
    /// occurs twice in the vocabulary, or the memory limit is exceeded.
    pub fn estimate(mut self, vocabulary: &[String]) -> Result<Estimate> {
        if self.text.is_empty() {
            return Err(Error::invalid(
                "the text",
                "it has no sentence",
                "Give at least one",
            ));
        }
        let types = type_table(vocabulary)?;
        let [start, end] =
            [SENTENCE_START, SENTENCE_END].map(|token| types.id(token).unwrap_or_default());
        self.replace_placeholders(vocabulary, start, end)?;
        let text = std::mem::take(&mut self.text);
        let memory_left = self
            .options
            .memory
            .saturating_sub(text.len() * BYTES_PER_WORD);
        let max_ngrams = memory_left / BYTES_PER_NGRAM;
        let counts = count_ngrams(&text, self.options.order, types.len(), end, max_ngrams)
            .map_err(|ngrams| self.memory_error(text.len(), ngrams))?;
        drop(text);
        estimate(types, counts, start, &self.options)
    }

    /// Replaces the placeholders by the ids of `<s>` and `</s>`, and checks all other ids.
    fn replace_placeholders(&mut self, vocabulary: &[String], start: u32, end: u32) -> Result<()> {
        for word in &mut self.text {
            match *word {
                START => *word = start,
                END => *word = end,
                id if id as usize >= vocabulary.len() => {
                    return Err(invalid_word(id, vocabulary.len()));
                }
                id if id == start || id == end => {
                    return Err(Error::invalid(
                        format!("the token {:?} inside a sentence", vocabulary[id as usize]),
                        "<s> and </s> are added around each sentence and must not occur inside one",
                        "Remove them from the text, or rename them",
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn memory_error(&self, words: usize, ngrams: usize) -> Error {
        self.options.memory_error(&format!(
            "a text of {words} words with {ngrams} n-grams so far"
        ))
    }
}

fn invalid_word(id: u32, types: usize) -> Error {
    Error::invalid(
        format!("the word id {id}"),
        format!("a vocabulary of {types} types has no such word"),
        "Give the vocabulary with which the text was encoded, and drop or replace words outside it",
    )
}

/// The types of the vocabulary, followed by `<s>` and `</s>` if it does not contain them.
fn type_table(vocabulary: &[String]) -> Result<TypeTable> {
    let mut types = TypeTable::default();
    if vocabulary.len() > START as usize - 2 {
        return Err(Error::invalid(
            format!("a vocabulary of {} types", vocabulary.len()),
            "type ids are 32-bit numbers",
            "Use a smaller vocabulary",
        ));
    }
    for token in vocabulary {
        if types.add(token).is_none() {
            return Err(Error::invalid(
                format!("the vocabulary's type {token:?}"),
                "it occurs twice",
                "Remove one of them",
            ));
        }
    }
    for token in [SENTENCE_START, SENTENCE_END] {
        types.add(token);
    }
    Ok(types)
}
