//! An n-gram model as a component: its own numbers for the tokens of a text's vocabulary, its own
//! history.

use std::ops::Range;

use super::Component;
use crate::corpus::{Tokens, Vocabulary};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::ngram::{History, NgramModel, SENTENCE_END};
use crate::tensor::NONE;

/// Reads tokens of a vocabulary with an n-gram model; sentences begin after the boundary.
#[derive(Debug)]
pub struct NgramReader<'a> {
    model: &'a NgramModel,
    /// The model's number of every type of the vocabulary: that of `<unk>` for those it does not
    /// have, if it has `<unk>`.
    numbers: Vec<Option<u32>>,
    start: History,
}

impl<'a> NgramReader<'a> {
    /// Looks the vocabulary's types up.
    ///
    /// # Errors
    /// If the model does not know the end of a sentence, or none of the words.
    pub fn new(model: &'a NgramModel, vocabulary: &Vocabulary) -> Result<Self> {
        let numbers: Vec<_> = vocabulary
            .types()
            .iter()
            .map(|token| model.id(token).or(model.unknown()))
            .collect();
        if model.id(SENTENCE_END).is_none() || vocabulary.types()[0] != SENTENCE_END {
            return Err(Error::invalid(
                "--arpa",
                format!(
                    "the n-gram model and the network must both predict {SENTENCE_END} at the end \
                     of a sentence"
                ),
                "Give a model of words, and an n-gram model with sentence ends",
            ));
        }
        if vocabulary.types()[1..]
            .iter()
            .all(|token| model.id(token).is_none())
        {
            return Err(Error::invalid(
                "--arpa",
                "it has none of the network's words",
                "Give an n-gram model of the same text and vocabulary",
            ));
        }
        Ok(Self {
            model,
            numbers,
            start: model.sentence_start(),
        })
    }

    /// The history at the beginning of a sentence.
    pub fn start(&self) -> History {
        self.start.clone()
    }

    /// The model's number of a word as it is written: that of `<unk>` for one that it does not
    /// have, if it has `<unk>`.
    pub fn number(&self, word: &str) -> Option<u32> {
        self.model.id(word).or(self.model.unknown())
    }

    /// ln P of the model's own word after a history, and the history with it; 0 and an empty
    /// history where there is no number.
    pub fn next_word(&self, history: &History, number: Option<u32>) -> (f64, History) {
        let log10 = number.map_or(f64::NEG_INFINITY, |number| {
            self.model.log10_prob(history, number)
        });
        (
            log10 * std::f64::consts::LN_10,
            self.model.advance(history, number),
        )
    }

    /// ln P of a token after a history, and the history with it. An unknown token, or one that the
    /// model does not know, has the probability 0 and leaves an empty history.
    pub fn next(&self, history: &History, token: u32) -> (f64, History) {
        let number = if token == NONE {
            self.model.unknown()
        } else {
            self.numbers[token as usize]
        };
        let (log_probability, after) = self.next_word(history, number);
        (
            log_probability,
            if token == 0 { self.start() } else { after },
        )
    }
}

/// A reader that goes through a text.
#[derive(Debug)]
pub struct NgramComponent<'a> {
    reader: NgramReader<'a>,
    history: History,
}

impl<'a> NgramComponent<'a> {
    /// Begins a text.
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
        run: Range<usize>,
    ) -> Result<Vec<f64>> {
        let mut next = |position| {
            let (log_probability, history) = self.reader.next(&self.history, tokens.get(position));
            self.history = history;
            log_probability
        };
        Ok(run.map(&mut next).collect())
    }
}
