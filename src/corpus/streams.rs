//! A text as B parallel streams, read in windows of T time steps.

use std::ops::Range;

use super::tokens::Tokens;
use crate::error::{Error, Result};
use crate::tensor::NONE;

/// B contiguous segments of a text, as equal in length as possible: if the length of the text is
/// not a multiple of B, the first segments are one token longer. Every token is predicted once,
/// from the tokens before it. The first token is predicted from the boundary.
///
/// For evaluation, the segments overlap: each but the first starts with a warm-up, the last tokens
/// of the segment before it, whose predictions do not count.
#[derive(Debug, Clone)]
pub struct Streams<'a> {
    tokens: &'a Tokens,
    batch: usize,
    /// The streams that are read here; all of them, unless other processes read the others.
    part: Range<usize>,
    time_steps: usize,
    /// Number of steps by which a segment overlaps with the one before it.
    warm_up: usize,
    /// The first step of each window, and the end of the last one; `None` if all windows but the
    /// last have `time_steps` steps.
    bounds: Option<Vec<usize>>,
}

impl<'a> Streams<'a> {
    /// Divides a text into `batch` streams, to be read in windows of `time_steps` steps.
    ///
    /// # Errors
    /// If a size is 0, or the text is too short for one full window in every stream.
    pub fn new(tokens: &'a Tokens, batch: usize, time_steps: usize) -> Result<Self> {
        for (field, value) in [("batch", batch), ("bptt", time_steps)] {
            if value == 0 {
                return Err(Error::config(
                    field,
                    0,
                    "it must be at least 1",
                    "Use 1 or more",
                ));
            }
        }
        if tokens.len() < batch.saturating_mul(time_steps) {
            let largest_batch = tokens.len() / time_steps;
            let hint = match largest_batch {
                0 => format!(
                    "Use a `bptt` or `bptt_block` of {} or less with `batch = 1`, or more text",
                    tokens.len()
                ),
                _ => format!(
                    "At most `batch = {largest_batch}` fits; or use a smaller `bptt` or \
                     `bptt_block`, or more text"
                ),
            };
            return Err(Error::invalid(
                format!("a text of {} tokens", tokens.len()),
                format!(
                    "`batch = {batch}` streams of one window of {time_steps} steps need {} tokens",
                    batch.saturating_mul(time_steps)
                ),
                hint,
            ));
        }
        Ok(Self {
            tokens,
            batch,
            part: 0..batch,
            time_steps,
            warm_up: 0,
            bounds: None,
        })
    }

    /// Only some of the streams. They are the same segments of the text, in the same windows.
    ///
    /// # Panics
    /// If there are no such streams.
    pub fn part(self, part: Range<usize>) -> Self {
        assert!(
            part.start < part.end && part.end <= self.batch,
            "a part of the streams"
        );
        Self { part, ..self }
    }

    /// All streams of the text.
    pub fn whole(&self) -> Self {
        self.clone().part(0..self.batch)
    }

    /// A single stream with windows of up to `time_steps` steps, for evaluation. The text may be of
    /// any length.
    pub fn single(tokens: &'a Tokens, time_steps: usize) -> Self {
        Self::overlapping(tokens, 1, 0, time_steps)
    }

    /// `batch` streams with windows of up to `time_steps` steps, for evaluation. All but the first
    /// read `warm_up` tokens, or the whole text if it is shorter, before those they predict. The
    /// text may be of any length.
    pub fn overlapping(
        tokens: &'a Tokens,
        batch: usize,
        warm_up: usize,
        time_steps: usize,
    ) -> Self {
        Self {
            tokens,
            batch,
            part: 0..batch,
            time_steps,
            warm_up: warm_up.min(tokens.len()),
            bounds: None,
        }
    }

    /// Divides the streams into windows of the given lengths, each clamped to the range from 1 to
    /// `time_steps`.
    pub fn resegment(&mut self, lengths: impl Iterator<Item = usize>) {
        let mut bounds = vec![0];
        let mut end = 0;
        for length in lengths {
            if end == self.steps() {
                break;
            }
            end = (end + length.clamp(1, self.time_steps)).min(self.steps());
            bounds.push(end);
        }
        self.bounds = Some(bounds);
    }

    /// B, the number of streams that are read here.
    pub fn batch(&self) -> usize {
        self.part.len()
    }

    /// The number of all streams.
    pub fn all(&self) -> usize {
        self.batch
    }

    /// T, the maximum number of steps of a window.
    pub fn time_steps(&self) -> usize {
        self.time_steps
    }

    /// Number of steps of the longest stream.
    pub fn steps(&self) -> usize {
        self.warm_up + self.divided().div_ceil(self.batch)
    }

    /// Number of tokens that are divided between the streams: all but the first stream's first
    /// ones, which it predicts while the others warm up.
    fn divided(&self) -> usize {
        self.tokens.len() - self.warm_up
    }

    /// The position in the text of the first step of the stream with this index here.
    fn start(&self, stream: usize) -> usize {
        let stream = self.part.start + stream;
        stream * (self.divided() / self.batch) + stream.min(self.divided() % self.batch)
    }

    /// The position in the text of the token that a step of a stream predicts; none while the
    /// stream warms up and after its end.
    pub fn predicted_position(&self, stream: usize, step: usize) -> Option<usize> {
        let counts = self.part.start + stream == 0 || step >= self.warm_up;
        let is_inside = self.start(stream) + step < self.start(stream + 1) + self.warm_up;
        (counts && is_inside).then(|| self.start(stream) + step)
    }

    /// The positions of the tokens that the streams here predict.
    pub fn predicted_positions(&self) -> Range<usize> {
        let warm_up = match self.part.start {
            0 => 0,
            _ => self.warm_up,
        };
        self.start(0) + warm_up..self.start(self.batch()) + self.warm_up
    }

    /// Number of windows. The last may be shorter than the others.
    pub fn windows(&self) -> usize {
        self.bounds.as_ref().map_or_else(
            || self.steps().div_ceil(self.time_steps),
            |bounds| bounds.len() - 1,
        )
    }

    /// The first step of a window. For `window = windows()`, the number of steps.
    pub fn window_start(&self, window: usize) -> usize {
        self.bounds.as_ref().map_or_else(
            || (window * self.time_steps).min(self.steps()),
            |bounds| bounds[window],
        )
    }

    /// The steps of a range of windows.
    pub fn steps_of_windows(&self, windows: Range<usize>) -> Range<usize> {
        self.window_start(windows.start)..self.window_start(windows.end)
    }

    /// The tokens of a range of steps, `[steps + 1, B]`: row i is the input of the range's step i
    /// and the target of its step i - 1. [`NONE`] where a stream has ended.
    pub fn rows(&self, steps: Range<usize>) -> Vec<u32> {
        let mut rows = vec![NONE; (steps.len() + 1) * self.batch()];
        let mut tokens = vec![NONE; steps.len() + 1];
        for stream in 0..self.batch() {
            let first = self.start(stream) + steps.start;
            let end = self.start(stream + 1) + self.warm_up + 1;
            let count = tokens.len().min(end.saturating_sub(first));
            self.copy_before(first, &mut tokens[..count]);
            let column = rows[stream..].iter_mut().step_by(self.batch());
            column
                .zip(&tokens[..count])
                .for_each(|(row, token)| *row = *token);
        }
        rows
    }

    /// Copies the tokens before the positions from `first` on; before the first token of the text,
    /// the boundary.
    fn copy_before(&self, first: usize, mut tokens: &mut [u32]) {
        if first == 0
            && let Some(boundary) = tokens.split_off_first_mut()
        {
            *boundary = 0;
        }
        self.tokens.copy(first.saturating_sub(1), tokens);
    }

    /// Checks that all tokens so far could be read, as [`Tokens::check`] does.
    ///
    /// # Errors
    /// If one could not.
    pub fn check(&self) -> Result<()> {
        self.tokens.check()
    }

    /// The token `back` positions before the input token of a step of a stream, which must have
    /// this step. It may lie in the previous stream; before the start of the text, it is the
    /// boundary.
    pub fn history(&self, stream: usize, step: usize, back: usize) -> u32 {
        self.before((self.start(stream) + step).saturating_sub(back))
    }

    /// The token before a position in the text; before its first token, the boundary.
    fn before(&self, position: usize) -> u32 {
        match position {
            0 => 0,
            position => self.tokens.get(position - 1),
        }
    }
}

/// The positions of `tokens`, sorted by token and then by position.
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
    fn every_token_is_predicted_once_from_the_previous_one() {
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
    fn overlapping_streams_predict_every_token_once_after_a_warm_up() {
        for (length, batch, warm_up) in [
            (23, 4, 3),
            (24, 4, 0),
            (7, 7, 2),
            (5, 3, 5),
            (5, 9, 2),
            (4, 3, 100),
            (40, 1, 6),
            (1, 2, 1),
        ] {
            let context = format!("{length} {batch} {warm_up}");
            let tokens: Tokens = (1..=length).collect();
            let streams = Streams::overlapping(&tokens, batch, warm_up, 3);
            let rows = streams.rows(0..streams.steps());
            let mut predicted = Vec::new();
            for step in 0..streams.steps() {
                for stream in 0..batch {
                    let Some(position) = streams.predicted_position(stream, step) else {
                        continue;
                    };
                    let row = step * batch + stream;
                    // The token at position i is i + 1, and is predicted from i.
                    assert_eq!(rows[row], position as u32, "{context}");
                    assert_eq!(rows[row + batch], position as u32 + 1, "{context}");
                    let read = if stream == 0 { position } else { step };
                    assert!(position.min(warm_up) <= read, "{context}");
                    predicted.push(position as u32);
                }
            }
            predicted.sort_unstable();
            assert_eq!(predicted, (0..length).collect::<Vec<_>>(), "{context}");
            let parts = (0..batch).map(|stream| streams.clone().part(stream..stream + 1));
            let positions = parts.flat_map(|part| part.predicted_positions());
            assert!(positions.eq(0..length as usize), "{context}");
        }
    }

    #[test]
    fn resegmented_windows_are_contiguous() {
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
    fn rows_of_several_windows_contain_those_of_each_window() {
        let tokens: Tokens = (1..=50).collect();
        let streams = Streams::new(&tokens, 4, 3).expect("it fits");
        let [several, one] =
            [1..4, 2..3].map(|windows| streams.rows(streams.steps_of_windows(windows)));
        assert_eq!(several[12..12 + one.len()], one);
    }

    #[test]
    fn the_error_of_a_short_text_names_the_largest_batch() {
        let tokens: Tokens = (1..=50).collect();
        let message = Streams::new(&tokens, 8, 7)
            .expect_err("too short")
            .to_string();
        assert!(message.contains("`batch = 7`"), "{message}");
    }

    #[test]
    fn order_by_token_is_stable() {
        assert_eq!(order_by_token(&[5, NONE, 2, 5, 2, 0]), [5, 2, 4, 0, 3, 1]);
    }
}
