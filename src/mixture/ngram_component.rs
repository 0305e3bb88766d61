//! An n-gram model as a [`Component`], which maps the ids of the text's vocabulary to those of the
//! model.

use std::collections::HashSet;
use std::ops::Range;

use super::Component;
use crate::corpus::{Tokens, UNKNOWN, Vocabulary};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::ngram::{History, NgramModel, SENTENCE_END, SENTENCE_START};
use crate::tensor::NONE;

/// Evaluates tokens of a vocabulary with an n-gram model. Sentences start after the boundary.
#[derive(Debug)]
pub struct NgramReader<'a> {
    model: &'a NgramModel,
    /// The model's id of every type of the vocabulary, or that of `<unk>` for types outside the
    /// model if the model contains `<unk>`.
    ids: Vec<Option<u32>>,
    start: History,
}

impl<'a> NgramReader<'a> {
    /// Maps the types of a vocabulary to those of a model.
    ///
    /// # Errors
    /// If the model does not contain the sentence end, or none of the words.
    pub fn new(model: &'a NgramModel, vocabulary: &Vocabulary) -> Result<Self> {
        let ids: Vec<_> = vocabulary
            .types()
            .iter()
            .map(|token| model.id(token).or(model.unknown()))
            .collect();
        if model.id(SENTENCE_END).is_none() || vocabulary.types()[0] != SENTENCE_END {
            return Err(Error::invalid(
                "`arpa`",
                format!(
                    "the n-gram model and the network must both predict {SENTENCE_END} at the end \
                     of a sentence"
                ),
                "Give a network trained on words, and an n-gram model with sentence ends",
            ));
        }
        if vocabulary.types()[1..]
            .iter()
            .all(|token| own_id(model, token).is_none())
        {
            return Err(Error::invalid(
                "`arpa`",
                "it contains none of the network's words",
                "Give an n-gram model of the same text and vocabulary",
            ));
        }
        Ok(Self {
            model,
            ids,
            start: model.sentence_start(),
        })
    }

    /// The history at the start of a sentence.
    pub fn start(&self) -> History {
        self.start.clone()
    }

    /// The model's id of a word, or that of `<unk>` for a word outside the model if the model
    /// contains `<unk>`.
    pub fn id(&self, word: &str) -> Option<u32> {
        self.model.id(word).or(self.model.unknown())
    }

    /// ln P of a word, given by the model's id, after a history, and the history extended by the
    /// word. Without an id, the probability is 0 and the new history is empty.
    pub fn next_word(&self, history: &History, id: Option<u32>) -> (f64, History) {
        let log10 = id.map_or(f64::NEG_INFINITY, |id| self.model.log10_prob(history, id));
        (
            log10 * std::f64::consts::LN_10,
            self.model.advance(history, id),
        )
    }

    /// ln P of a token of the vocabulary after a history, and the history extended by the token. A
    /// token without an id in the model has probability 0, and the new history is empty.
    pub fn next(&self, history: &History, token: u32) -> (f64, History) {
        let id = if token == NONE {
            self.model.unknown()
        } else {
            self.ids[token as usize]
        };
        let (log_probability, extended) = self.next_word(history, id);
        let next = if token == 0 { self.start() } else { extended };
        (log_probability, next)
    }
}

/// The model's id of a word; `<unk>` may be in any letter case.
fn own_id(model: &NgramModel, token: &str) -> Option<u32> {
    let unknown = model.unknown().filter(|_| token == UNKNOWN);
    model.id(token).or(unknown)
}

/// How the words of an n-gram model differ from those of a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VocabularyDifference<'a> {
    /// The types of the vocabulary that the model does not have.
    pub missing: Vec<&'a str>,
    /// The words that the model has and the vocabulary does not, except `<s>`.
    pub extra: Vec<&'a str>,
}

impl<'a> VocabularyDifference<'a> {
    /// Compares a model with a vocabulary.
    pub fn new(model: &'a NgramModel, vocabulary: &'a Vocabulary) -> Self {
        let types = vocabulary.types().iter().map(String::as_str);
        let known: HashSet<&str> = types.clone().collect();
        let words = (0..model.vocab_size() as u32)
            .filter(|&id| model.unknown() != Some(id))
            .map(|id| model.token(id));
        Self {
            missing: types
                .filter(|token| own_id(model, token).is_none())
                .collect(),
            extra: words
                .filter(|&word| word != SENTENCE_START && !known.contains(word))
                .collect(),
        }
    }
}

/// An n-gram model that evaluates a text.
#[derive(Debug)]
pub struct NgramComponent<'a> {
    reader: NgramReader<'a>,
    history: History,
}

impl<'a> NgramComponent<'a> {
    /// Prepares to evaluate a text from its start.
    pub fn new(reader: NgramReader<'a>) -> Self {
        let history = reader.start();
        Self { reader, history }
    }
}

impl Component for NgramComponent<'_> {
    fn read(
        &mut self,
        _device: &mut Device,
        tokens: &Tokens,
        chunk: Range<usize>,
    ) -> Result<Vec<f64>> {
        let mut next = |position| {
            let (log_probability, history) = self.reader.next(&self.history, tokens.get(position));
            self.history = history;
            log_probability
        };
        Ok(chunk.map(&mut next).collect())
    }
}
