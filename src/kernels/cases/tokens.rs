//! How the tokens of a case are drawn.

use std::fmt;

use rand::{RngExt, rngs::ChaCha8Rng};

use super::Harness;
use crate::error::Result;
use crate::kernels::SparseRows;
use crate::tensor::NONE;

/// Tokens below a vocabulary's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenDraw {
    /// How they are drawn.
    pub pattern: TokenPattern,
    /// Their count.
    pub count: usize,
}

/// How tokens are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenPattern {
    /// Independently; about an eighth are [`NONE`](crate::tensor::NONE), about a quarter the
    /// boundary 0.
    Mixed,
    /// At most three different tokens, so that each occurs in a long run once sorted.
    Few,
    /// One token, the last of the vocabulary.
    Same,
    /// [`NONE`](crate::tensor::NONE) only.
    Nothing,
}

/// Tokens on the device with their order, and the same on the host.
pub(in crate::kernels) struct DrawnRows {
    pub(in crate::kernels) rows: SparseRows,
    pub(in crate::kernels) tokens: Vec<u32>,
    pub(in crate::kernels) order: Vec<u32>,
}

impl TokenDraw {
    /// Draws the tokens and sorts their positions: the inputs `tokens` and `order`.
    pub(in crate::kernels) fn rows(
        self,
        harness: &mut Harness<'_>,
        vocabulary: usize,
    ) -> Result<DrawnRows> {
        let tokens = harness.draw(self, vocabulary);
        let mut order: Vec<u32> = (0..tokens.len() as u32).collect();
        order.sort_by_key(|&position| (tokens[position as usize], position));
        let rows = SparseRows {
            tokens: harness.tokens("tokens", tokens.clone())?,
            order: harness.tokens("order", order.clone())?,
        };
        Ok(DrawnRows {
            rows,
            tokens,
            order,
        })
    }
}

impl fmt::Display for TokenDraw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pattern = format!("{:?}", self.pattern).to_lowercase();
        write!(f, "{} {pattern}", self.count)
    }
}

impl Harness<'_> {
    /// Tokens below `vocabulary`.
    pub(in crate::kernels) fn draw(&mut self, tokens: TokenDraw, vocabulary: usize) -> Vec<u32> {
        let below = |random: &mut ChaCha8Rng, bound: usize| random.random_range(0..bound as u32);
        let random = &mut self.random;
        let few: Vec<u32> = (0..3).map(|_| below(random, vocabulary)).collect();
        (0..tokens.count)
            .map(|_| match tokens.pattern {
                TokenPattern::Mixed => match below(random, 8) {
                    0 => NONE,
                    1 | 2 => 0,
                    _ => below(random, vocabulary),
                },
                TokenPattern::Few => few[below(random, 3) as usize],
                TokenPattern::Same => vocabulary as u32 - 1,
                TokenPattern::Nothing => NONE,
            })
            .collect()
    }
}
