//! The built-in corpus: sentences drawn from the built-in grammar, whose exact probability is
//! known.

use rand::{SeedableRng, rngs::ChaCha8Rng};

use super::grammar::Grammar;
use crate::error::{Error, Result};

/// Sentences of the training part and of the validation part, in this order in the text.
pub const SENTENCES: usize = 150_000;
/// The seed of the text.
pub const SEED: u64 = 1991;

/// Text drawn from a known process, one sentence a line, with its exact probability.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// The sentences.
    pub text: String,
    /// The log10 probability of each.
    pub log10_probabilities: Vec<f64>,
}

/// Draws sentences from the built-in grammar.
///
/// # Errors
/// Never, as long as the grammar's own test passes.
pub fn draw(sentences: usize, seed: u64) -> Result<Drawn> {
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
    for _ in 0..sentences {
        let sentence = grammar.sample(&mut random);
        text.push_str(&sentence.words.join(" "));
        text.push('\n');
        log10_probabilities.push(sentence.log10_probability);
    }
    Ok(Drawn {
        text,
        log10_probabilities,
    })
}

impl Drawn {
    /// Words of the text, and an end for every sentence.
    pub fn tokens(&self) -> usize {
        self.text
            .lines()
            .map(|line| line.split(' ').count() + 1)
            .sum()
    }

    /// The perplexity a token, ends counted, of the last `sentences` sentences under the process
    /// itself: no model can be expected to do better.
    pub fn perplexity_of_last(&self, sentences: usize) -> f64 {
        let first = self.log10_probabilities.len() - sentences.min(self.log10_probabilities.len());
        let words: usize = self
            .text
            .lines()
            .skip(first)
            .map(|line| line.split(' ').count() + 1)
            .sum();
        let log10_probability: f64 = self.log10_probabilities[first..].iter().sum();
        10_f64.powf(-log10_probability / words.max(1) as f64)
    }
}
