//! Linear mixtures of several sources of probabilities: networks, an n-gram model, and
//! probabilities from another program.
//!
//! In: the tokens of a text, and [`Component`]s that return a probability for each token. Out: the
//! weighted mean of the probabilities of each token, and the weights that maximize the likelihood
//! of a text. This module depends on `model` and `ngram`; the command line depends on it.

mod cache;
mod dynamic;
mod external_probs;
mod network_component;
mod ngram_component;
mod part;
mod weights;

use std::fmt::Debug;
use std::ops::Range;

pub use cache::CacheOptions;
pub use dynamic::DynamicOptions;
pub use external_probs::ExternalProbs;
pub use network_component::{NetworkComponent, NetworkOptions, read_part};
pub use ngram_component::{NgramComponent, NgramReader, VocabularyDifference};
pub use part::{Computed, TextPart};
pub use weights::{Weights, estimate};

use crate::activity::Activity;
use crate::corpus::{Tokens, Vocabulary};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::evaluate::Evaluation;
use crate::tensor::NONE;

/// Number of tokens that components evaluate at a time.
pub const CHUNK: usize = 512;

/// A source of probabilities that evaluates a text from start to end.
pub trait Component: Debug {
    /// ln P of each token of the next chunk, which starts where the previous one ended. The values
    /// of unknown tokens ([`NONE`]) are ignored.
    ///
    /// # Errors
    /// If the device fails, or the source ends before the text.
    fn read(
        &mut self,
        device: &mut Device,
        tokens: &Tokens,
        chunk: Range<usize>,
    ) -> Result<Vec<f64>>;

    /// Ends the text.
    ///
    /// # Errors
    /// If the source has probabilities for further tokens.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The log-probability of one token.
#[derive(Debug)]
pub struct TokenScore<'a> {
    /// The token; [`NONE`] for an unknown token, which is not counted.
    pub token: u32,
    /// ln of the weighted mean of the probabilities.
    pub log_probability: f64,
    /// ln P of each component.
    pub components: &'a [f64],
}

/// Evaluates a text with all components and calls `take` with the score of every token.
///
/// # Errors
/// As [`Component::read`]; if the text has no known token, or has the probability 0; or the error
/// of `take`.
pub fn read(
    device: &mut Device,
    components: &mut [Box<dyn Component + '_>],
    weights: &Weights,
    tokens: &Tokens,
    vocabulary: &Vocabulary,
    take: &mut dyn FnMut(&TokenScore<'_>) -> Result<()>,
) -> Result<Evaluation> {
    let mut nats = 0.0;
    let mut position = 0;
    let mut impossible = None;
    score(device, components, weights, tokens, &mut |score| {
        position += 1;
        if score.token != NONE {
            nats -= score.log_probability;
            if score.is_impossible() {
                impossible.get_or_insert((position, score.token));
            }
        }
        take(score)
    })?;
    if let Some((position, token)) = impossible {
        return Err(impossible_text(position, vocabulary.token(token)));
    }
    Evaluation::new(nats, tokens.known(), tokens.len() - tokens.known())
}

/// Calls `take` with the score of every token of a text, as [`read`] does, without evaluating the
/// text, whose probability may be 0.
///
/// # Errors
/// As [`Component::read`], or the error of `take`.
pub fn score(
    device: &mut Device,
    components: &mut [Box<dyn Component + '_>],
    weights: &Weights,
    tokens: &Tokens,
    take: &mut dyn FnMut(&TokenScore<'_>) -> Result<()>,
) -> Result<()> {
    for_each_token(device, components, tokens, &mut |token, values| {
        take(&TokenScore {
            token,
            log_probability: weights.mean(values),
            components: values,
        })
    })
}

impl TokenScore<'_> {
    /// Whether the token has the probability 0 because the components with a positive weight give
    /// it none, although another one does.
    fn is_impossible(&self) -> bool {
        self.log_probability == f64::NEG_INFINITY
            && self.components.iter().any(|value| value.is_finite())
    }
}

/// The error for a text in which a token has the probability 0.
fn impossible_text(position: usize, token: &str) -> Error {
    Error::invalid(
        format!("the probability 0 of {token:?}, token {position} of the text"),
        "the other model gives it none, and the networks have the weight 0, so the \
         perplexity is infinite; it must be finite",
        "Increase `lambda`, or use an n-gram model of the network's vocabulary",
    )
}

/// Finds the weights that maximize the likelihood of a text.
///
/// # Errors
/// As [`read`].
pub fn tune(
    device: &mut Device,
    components: &mut [Box<dyn Component + '_>],
    tokens: &Tokens,
) -> Result<Weights> {
    let mut log_probabilities = Vec::new();
    let count = components.len();
    for_each_token(device, components, tokens, &mut |token, values| {
        if token != NONE {
            log_probabilities.extend(values.iter().map(|&value| value as f32));
        }
        Ok(())
    })?;
    Ok(estimate(count, &log_probabilities))
}

/// Calls `take` with every token and its ln P by each component.
fn for_each_token(
    device: &mut Device,
    components: &mut [Box<dyn Component + '_>],
    tokens: &Tokens,
    take: &mut dyn FnMut(u32, &[f64]) -> Result<()>,
) -> Result<()> {
    let activity = Activity::start("evaluating", Some(tokens.len() as u64));
    let mut values = vec![0.0; components.len()];
    for first in (0..tokens.len()).step_by(CHUNK) {
        let chunk = first..(first + CHUNK).min(tokens.len());
        let log_probabilities = components
            .iter_mut()
            .map(|component| component.read(device, tokens, chunk.clone()))
            .collect::<Result<Vec<_>>>()?;
        let length = chunk.len() as u64;
        for (offset, position) in chunk.enumerate() {
            for (index, value) in values.iter_mut().enumerate() {
                *value = log_probabilities[index][offset];
            }
            take(tokens.get(position), &values)?;
        }
        activity.advance(length);
    }
    components
        .iter_mut()
        .try_for_each(|component| component.finish())
}
