//! Test cases of [`ContextForward`] and [`ContextBackward`].

use std::fmt;

use super::{ContextBackward, ContextForward, MAX_CONTEXT};
use crate::error::Result;
use crate::kernels::cases::{
    Cases, Harness, KernelCase, MANY, Place, TokenDraw, TokenPattern, Tolerance, list, option,
};
use crate::tensor::NONE;

/// Sizes of [`ContextForward`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ContextForwardCase {
    /// T and B.
    pub window: [usize; 2],
    /// N.
    pub words: usize,
    /// V.
    pub vocabulary: usize,
    /// Whether words before a boundary are that boundary.
    pub independent: bool,
    /// Steps to the next window.
    pub advance: usize,
}

/// Sizes of [`ContextBackward`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ContextBackwardCase {
    /// T and B.
    pub window: [usize; 2],
    /// N.
    pub words: usize,
    /// Columns of the sums.
    pub columns: usize,
    /// Whether words before a boundary are that boundary.
    pub independent: bool,
}

const VOCABULARY: usize = 11;

/// Windows shorter and longer than contexts; next windows that start before, within and after the
/// steps of this one; more streams than a dispatch has workgroups in one dimension.
pub(in crate::kernels) fn all() -> Cases {
    let forward = [
        ([1, 1], 2, [0, 1]),
        ([1, 3], 4, [1, 0]),
        ([5, 3], 3, [5, 2]),
        ([7, 2], 4, [7, 1]),
        ([2, 5], 7, [2, 1]),
        ([67, 9], 5, [67, 64]),
        ([3, 1], MAX_CONTEXT, [3, 2]),
        ([1, MANY], 3, [1, 0]),
    ];
    let backward = [
        ([1, 1], 2, 1),
        ([1, 3], 4, 3),
        ([5, 3], 3, 5),
        ([7, 2], 4, 67),
        ([2, 5], 7, 2),
        ([67, 9], 5, 33),
        ([300, 1], MAX_CONTEXT, 2),
        ([2, MANY], 3, 1),
    ];
    let mut cases = Cases::new();
    for independent in [false, true] {
        let forward = forward.into_iter().flat_map(|(window, words, advances)| {
            advances.map(|advance| ContextForwardCase {
                window,
                words,
                vocabulary: VOCABULARY,
                independent,
                advance,
            })
        });
        cases.extend(list(forward));
        cases.extend(list(backward.map(|(window, words, columns)| {
            ContextBackwardCase {
                window,
                words,
                columns,
                independent,
            }
        })));
    }
    cases
}

/// T*B tokens, among them boundaries and missing words.
fn draw(harness: &mut Harness<'_>, count: usize) -> Vec<u32> {
    let pattern = TokenPattern::Mixed;
    harness.draw(TokenDraw { pattern, count }, VOCABULARY)
}

impl KernelCase for ContextForwardCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let [time_steps, batch] = self.window;
        let drawn = draw(harness, time_steps * batch);
        let tokens = harness.tokens("tokens", drawn)?;
        let shape = [batch, self.words - 1];
        let before = draw(harness, shape[0] * shape[1]).into_iter();
        let numbers = before.map(|token| if token == NONE { -1.0 } else { token as f32 });
        let carried = harness.in_place("carried", Place::Part, shape, numbers.collect())?;
        let shape = [time_steps * batch, self.words];
        let contexts = harness.token_output("contexts", shape)?;
        harness.run(&ContextForward {
            tokens: tokens.reshape(time_steps, batch),
            carried,
            contexts,
            vocabulary: self.vocabulary,
            independent: self.independent,
            advance: self.advance,
        });
        Ok(())
    }
}

impl KernelCase for ContextBackwardCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let [time_steps, batch] = self.window;
        let rows = time_steps * batch;
        let shape = [rows, self.words * self.columns];
        let gradient = harness.random_input("gradient", Place::Part, shape)?;
        let drawn = draw(harness, rows);
        let tokens = harness.tokens("tokens", drawn)?;
        let output = harness.output("output", Place::Part, [rows, self.columns])?;
        harness.run(&ContextBackward {
            gradient,
            tokens: tokens.reshape(time_steps, batch),
            output,
            independent: self.independent,
            batch,
        });
        Ok(())
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance::sum_of(self.words * self.words)
    }
}

impl fmt::Display for ContextForwardCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [time_steps, batch] = self.window;
        write!(
            f,
            "forward {} words, T {time_steps}, B {batch}, advance {}{}",
            self.words,
            self.advance,
            option(self.independent, "independent")
        )
    }
}

impl fmt::Display for ContextBackwardCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [time_steps, batch] = self.window;
        write!(
            f,
            "backward {} words of {} columns, T {time_steps}, B {batch}{}",
            self.words,
            self.columns,
            option(self.independent, "independent")
        )
    }
}
