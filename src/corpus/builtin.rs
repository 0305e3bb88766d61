//! The built-in corpus: sentences sampled from the built-in grammar, whose exact probabilities are
//! known.

use rand::{SeedableRng, rngs::ChaCha8Rng};

use super::grammar::Grammar;
use crate::activity::Activity;
use crate::error::{Error, Result};

/// Number of sentences of the corpus: the training part followed by the validation part.
pub const SENTENCES: usize = 150_000;
/// The seed of the corpus.
pub const SEED: u64 = 1991;

/// A text sampled from a known distribution, one sentence per line, with exact probabilities.
#[derive(Debug, Clone, PartialEq)]
pub struct SampledText {
    /// The sentences.
    pub text: String,
    /// The log10 probability of each sentence.
    pub log10_probabilities: Vec<f64>,
}

/// Samples sentences from the built-in grammar.
///
/// # Errors
/// Never: a test checks that the grammar is valid.
pub fn draw(sentences: usize, seed: u64) -> Result<SampledText> {
    let grammar = Grammar::builtin().map_err(|error| {
        Error::invalid(
            "the built-in grammar",
            error.to_string(),
            "This is a bug in Elman",
        )
    })?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut text = String::new();
    let mut log10_probabilities = Vec::with_capacity(sentences);
    let activity = Activity::start("drawing sentences", Some(sentences as u64));
    for _ in 0..sentences {
        activity.advance(1);
        let sentence = grammar.sample(&mut random);
        text.push_str(&sentence.words.join(" "));
        text.push('\n');
        log10_probabilities.push(sentence.log10_probability);
    }
    Ok(SampledText {
        text,
        log10_probabilities,
    })
}

impl SampledText {
    /// Number of tokens: words, and one end per sentence.
    pub fn tokens(&self) -> usize {
        self.text
            .lines()
            .map(|line| line.split(' ').count() + 1)
            .sum()
    }

    /// The perplexity per token, sentence ends included, of the last `sentences` sentences under
    /// the distribution itself: the lowest perplexity that a model can be expected to reach.
    pub fn perplexity_of_last(&self, sentences: usize) -> f64 {
        let first = self.log10_probabilities.len() - sentences.min(self.log10_probabilities.len());
        let tokens: usize = self
            .text
            .lines()
            .skip(first)
            .map(|line| line.split(' ').count() + 1)
            .sum();
        let log10_probability: f64 = self.log10_probabilities[first..].iter().sum();
        10_f64.powf(-log10_probability / tokens.max(1) as f64)
    }
}
