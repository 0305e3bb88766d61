//! A text as B parallel streams, walked in windows of T steps.

use std::ops::Range;

use super::tokens::Tokens;
use crate::error::{Error, Result};
use crate::tensor::NONE;

/// B contiguous pieces of a text, as even as they can be: the first pieces are a token longer where
/// the text does not divide. Every token is predicted once, from the one before it; before the text
/// stands the boundary.
#[derive(Debug, Clone)]
pub struct Streams<'a> {
    tokens: &'a Tokens,
    batch: usize,
    time_steps: usize,
    /// Where windows begin, and where the last one ends; none where all but the last are equally
    /// long.
    cuts: Option<Vec<usize>>,
}

impl<'a> Streams<'a> {
    /// Cuts the text for windows of `time_steps` steps.
    ///
    /// # Errors
    /// If it is too short for one whole window of every stream.
    pub fn new(tokens: &'a Tokens, batch: usize, time_steps: usize) -> Result<Self> {
        for (flag, value) in [("--batch", batch), ("--bptt", time_steps)] {
            if value == 0 {
                return Err(Error::usage(
                    format!("{flag} 0"),
                    "it must be at least 1",
                    "Take 1 or more",
                ));
            }
        }
        if tokens.len() < batch.saturating_mul(time_steps) {
            let fitting = tokens.len() / time_steps;
            let hint = match fitting {
                0 => format!(
                    "Take a --bptt or --bptt-block of {} or less with --batch 1, or more text",
                    tokens.len()
                ),
                _ => format!(
                    "At most --batch {fitting} fits, or take a smaller --bptt or --bptt-block, or \
                     more text"
                ),
            };
            return Err(Error::invalid(
                format!("a text of {} tokens", tokens.len()),
                format!(
                    "--batch {batch} streams of one window of {time_steps} steps need {} tokens",
                    batch.saturating_mul(time_steps)
                ),
                hint,
            ));
        }
        Ok(Self {
            tokens,
            batch,
            time_steps,
            cuts: None,
        })
    }

    /// One stream, with windows of up to `time_steps` steps, whatever the text's length: for
    /// evaluation.
    pub fn single(tokens: &'a Tokens, time_steps: usize) -> Self {
        Self {
            tokens,
            batch: 1,
            time_steps,
            cuts: None,
        }
    }

    /// Cuts the text anew, into windows of these lengths; those longer than the longest are cut
    /// down to it, those of none have one step.
    pub fn resegment(&mut self, lengths: impl Iterator<Item = usize>) {
        let mut cuts = vec![0];
        let mut end = 0;
        for length in lengths {
            if end == self.steps() {
                break;
            }
            end = (end + length.clamp(1, self.time_steps)).min(self.steps());
            cuts.push(end);
        }
        self.cuts = Some(cuts);
    }

    /// B.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// T of the longest window.
    pub fn time_steps(&self) -> usize {
        self.time_steps
    }

    /// Steps of the longest stream.
    pub fn steps(&self) -> usize {
        self.tokens.len().div_ceil(self.batch)
    }

    /// Number of windows; the last may be shorter.
    pub fn windows(&self) -> usize {
        self.cuts.as_ref().map_or_else(
            || self.steps().div_ceil(self.time_steps),
            |cuts| cuts.len() - 1,
        )
    }

    /// The first step of a window; that of the one behind the last is the text's end.
    pub fn begin(&self, window: usize) -> usize {
        self.cuts.as_ref().map_or_else(
            || (window * self.time_steps).min(self.steps()),
            |cuts| cuts[window],
        )
    }

    /// The steps of windows `windows`.
    pub fn steps_of_windows(&self, windows: Range<usize>) -> Range<usize> {
        self.begin(windows.start)..self.begin(windows.end)
    }

    /// Tokens of a run of steps, time first: row i is what is read at the run's step i and what is
    /// predicted at its step i-1, so there is one row more than steps. [`NONE`] where a stream has
    /// ended.
    pub fn rows(&self, steps: Range<usize>) -> Vec<u32> {
        let mut rows = Vec::with_capacity((steps.len() + 1) * self.batch);
        for step in steps.start..=steps.end {
            rows.extend((0..self.batch).map(|stream| self.before(stream, step)));
        }
        rows
    }

    /// The token before step `step` of a stream.
    fn before(&self, stream: usize, step: usize) -> u32 {
        let longer = stream < self.tokens.len() % self.batch;
        if step > self.tokens.len() / self.batch + usize::from(longer) {
            return NONE;
        }
        self.history(stream, step, 0)
    }

    /// The token `back` tokens before the one that is read at step `step` of a stream, which has
    /// such a step: from the stream before where it is not in this one, and the boundary before the
    /// text begins.
    pub fn history(&self, stream: usize, step: usize, back: usize) -> u32 {
        let (length, longer) = (
            self.tokens.len() / self.batch,
            self.tokens.len() % self.batch,
        );
        match (stream * length + stream.min(longer) + step).saturating_sub(back) {
            0 => 0,
            position => self.tokens.get(position - 1),
        }
    }
}

/// The positions of `tokens` sorted by token, equal ones by position.
pub fn order_by_token(tokens: &[u32]) -> Vec<u32> {
    let mut keys: Vec<u64> = tokens
        .iter()
        .zip(0_u64..)
        .map(|(&token, position)| u64::from(token) << 32 | position)
        .collect();
    keys.sort_unstable();
    keys.into_iter().map(|key| key as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_predicted_once_from_the_one_before_it() {
        for (length, batch, time_steps) in [
            (23, 4, 3),
            (24, 4, 3),
            (7, 7, 1),
            (11, 1, 11),
            (12, 5, 2),
            (100, 1, 7),
        ] {
            let tokens: Tokens = (1..=length).collect();
            let streams = Streams::new(&tokens, batch, time_steps).expect("it fits");
            let mut pairs = Vec::new();
            for window in 0..streams.windows() {
                let rows = streams.rows(streams.steps_of_windows(window..window + 1));
                let inputs = streams.steps_of_windows(window..window + 1).len() * batch;
                assert_eq!(rows.len(), inputs + batch);
                pairs.extend(
                    (0..inputs)
                        .map(|i| (rows[i], rows[i + batch]))
                        .filter(|pair| pair.1 != NONE),
                );
            }
            pairs.sort_unstable();
            assert_eq!(
                pairs,
                (0..length)
                    .map(|token| (token, token + 1))
                    .collect::<Vec<_>>(),
                "{length} {batch} {time_steps}"
            );
        }
    }

    #[test]
    fn windows_of_any_lengths_lie_side_by_side() {
        let tokens: Tokens = (1..=50).collect();
        let mut streams = Streams::new(&tokens, 4, 5).expect("it fits");
        for (lengths, want) in [
            (&[5, 1, 0, 9, 2][..], &[0..5, 5..6, 6..7, 7..12, 12..13][..]),
            (&[4, 4, 4, 4, 4], &[0..4, 4..8, 8..12, 12..13]),
            (&[4, 5, 4, 3], &[0..4, 4..9, 9..13]),
        ] {
            streams.resegment(lengths.iter().copied());
            let windows: Vec<_> = (0..streams.windows())
                .map(|window| streams.steps_of_windows(window..window + 1))
                .collect();
            assert_eq!(windows, want, "{lengths:?}");
        }
    }

    #[test]
    fn windows_together_are_the_windows_one_by_one() {
        let tokens: Tokens = (1..=50).collect();
        let streams = Streams::new(&tokens, 4, 3).expect("it fits");
        let [together, alone] =
            [1..4, 2..3].map(|windows| streams.rows(streams.steps_of_windows(windows)));
        assert_eq!(together[12..12 + alone.len()], alone);
    }

    #[test]
    fn a_text_too_short_names_the_largest_batch() {
        let tokens: Tokens = (1..=50).collect();
        let message = Streams::new(&tokens, 8, 7)
            .expect_err("too short")
            .to_string();
        assert!(message.contains("--batch 7"), "{message}");
    }

    #[test]
    fn the_order_is_sorted_and_stable() {
        assert_eq!(order_by_token(&[5, NONE, 2, 5, 2, 0]), [5, 2, 4, 0, 3, 1]);
    }
}
