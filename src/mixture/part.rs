//! The part of a text that one of several ranks evaluates with a network.
//!
//! In: a text, and which part of it. Out: ln P of the tokens of the part, as the network gives them
//! when it reads the whole text, and, at the end, the parts of all ranks as a [`Component`].

use std::ops::Range;

use super::{Component, NetworkComponent, NetworkOptions};
use crate::corpus::Tokens;
use crate::device::Device;
use crate::error::Result;
use crate::model::Model;

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextPart {
    /// All of it.
    Whole,
    /// That of one of several ranks: as many streams as each of the others, or, of sentences that
    /// start from the initial state, as many windows.
    OfRank {
        /// The index of the rank.
        rank: usize,
        /// The number of ranks.
        ranks: usize,
    },
}

impl TextPart {
    /// The elements of the part, where the text has `count` of them.
    pub(super) fn range(self, count: usize) -> Range<usize> {
        match self {
            Self::Whole => 0..count,
            Self::OfRank { rank, ranks } => rank * count / ranks..(rank + 1) * count / ranks,
        }
    }
}

/// ln P of each token of a part of a text.
///
/// # Errors
/// As those of [`NetworkComponent::new`] and [`Component::read`].
pub fn read_part(
    device: &mut Device,
    model: &Model,
    tokens: &Tokens,
    options: NetworkOptions,
    statistics: Option<&Tokens>,
    part: TextPart,
) -> Result<Vec<f64>> {
    NetworkComponent::of_part(device, model, tokens, (options, part), statistics)?
        .read_all(device, tokens)
}

/// The probabilities of a text that were computed before.
#[derive(Debug)]
pub struct Computed(Vec<f64>);

impl Computed {
    /// ln P of each token of the text.
    pub fn new(log_probabilities: Vec<f64>) -> Self {
        Self(log_probabilities)
    }
}

impl Component for Computed {
    fn read(&mut self, _: &mut Device, _: &Tokens, chunk: Range<usize>) -> Result<Vec<f64>> {
        Ok(self.0[chunk].to_vec())
    }
}
