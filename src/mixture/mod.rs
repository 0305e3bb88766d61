//! Several sources of a text's probabilities as one: networks, an n-gram model, a list made by
//! another program.
//!
//! In: the tokens of a text, and [`Component`]s that say what they think of each. Out: the weighted
//! mean of their probabilities, token by token, and weights that fit a text best. Above `model` and
//! `ngram`, below the command line.

mod cache;
mod listed;
mod network;
mod ngram;
mod weights;

use std::fmt::Debug;
use std::ops::Range;

pub use cache::CacheOptions;
pub use listed::ExternalProbs;
pub use network::{Dynamic, Network, NetworkOptions};
pub use ngram::{NgramComponent, NgramReader};
pub use weights::{Weights, estimate};

use crate::corpus::Tokens;
use crate::device::Device;
use crate::error::Result;
use crate::evaluate::Evaluation;
use crate::tensor::NONE;

/// Tokens that components are asked for at a time.
pub const RUN: usize = 512;

/// A source of probabilities that reads a text from its beginning to its end.
pub trait Component: Debug {
    /// ln P of each token of the next run, which begins where the last one ended. What it says of
    /// an unknown token, [`NONE`], is not looked at.
    ///
    /// # Errors
    /// If the device failed, or the source ends before the text.
    fn read(&mut self, device: &mut Device, tokens: &Tokens, run: Range<usize>)
    -> Result<Vec<f64>>;

    /// Hears that the text has ended.
    ///
    /// # Errors
    /// If the source has something to say of further tokens.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// What was found of one token.
#[derive(Debug)]
pub struct TokenScore<'a> {
    /// The token; [`NONE`] is an unknown one, which is skipped.
    pub token: u32,
    /// ln of the mean of the probabilities.
    pub log_probability: f64,
    /// ln P of each component.
    pub parts: &'a [f64],
}

/// Reads a text with all components at once and hands every token to `take`.
///
/// # Errors
/// As [`Component::read`]; if nothing could be predicted; or what `take` says.
pub fn read(
    device: &mut Device,
    components: &mut [Box<dyn Component + '_>],
    weights: &Weights,
    tokens: &Tokens,
    take: &mut dyn FnMut(&TokenScore<'_>) -> Result<()>,
) -> Result<Evaluation> {
    let mut nats = 0.0;
    each(device, components, tokens, &mut |token, parts| {
        let log_probability = weights.mean(parts);
        if token != NONE {
            nats -= log_probability;
        }
        take(&TokenScore {
            token,
            log_probability,
            parts,
        })
    })?;
    Evaluation::new(nats, tokens.known(), tokens.len() - tokens.known())
}

/// Finds the weights under which a text is likeliest.
///
/// # Errors
/// As [`read`].
pub fn tune(
    device: &mut Device,
    components: &mut [Box<dyn Component + '_>],
    tokens: &Tokens,
) -> Result<Weights> {
    let mut all = Vec::new();
    let count = components.len();
    each(device, components, tokens, &mut |token, parts| {
        if token != NONE {
            all.extend(parts.iter().map(|&part| part as f32));
        }
        Ok(())
    })?;
    Ok(estimate(count, &all))
}

/// Calls `take` with every token and what the components say of it.
fn each(
    device: &mut Device,
    components: &mut [Box<dyn Component + '_>],
    tokens: &Tokens,
    take: &mut dyn FnMut(u32, &[f64]) -> Result<()>,
) -> Result<()> {
    let mut parts = vec![0.0; components.len()];
    for first in (0..tokens.len()).step_by(RUN) {
        let run = first..(first + RUN).min(tokens.len());
        let found = components
            .iter_mut()
            .map(|component| component.read(device, tokens, run.clone()))
            .collect::<Result<Vec<_>>>()?;
        for (place, position) in run.enumerate() {
            parts
                .iter_mut()
                .zip(&found)
                .for_each(|(part, of_component)| *part = of_component[place]);
            take(tokens.get(position), &parts)?;
        }
    }
    components
        .iter_mut()
        .try_for_each(|component| component.finish())
}
