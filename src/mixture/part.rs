//! The part of a text that one of several ranks evaluates with a network, and the probabilities of
//! all parts together as a [`Component`].

use std::ops::Range;

use super::Component;
use crate::corpus::Tokens;
use crate::device::Device;
use crate::error::Result;

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
