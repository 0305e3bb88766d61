//! Resets of the states of some streams at the start of a window (Melis 2020), so that a model also
//! learns to predict from the initial state, from which texts start in evaluation, and where models
//! of other recipes cannot.

use std::ops::Range;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::recipe::Recipe;
use crate::evaluate::nearly_exact_streams;
use crate::model::Config;

/// Distinguishes these random numbers from those of window lengths.
const RANDOM_STREAM: u64 = 1 << 63;

impl Recipe {
    /// The streams whose states are reset before a window, as ranges of adjacent ones: each stream
    /// with the probability `reset_states`, in all layers. The same `draw` always gives the same
    /// streams. They are counted from the first of the streams `own`, to which the others do not
    /// belong.
    pub(super) fn reset_streams(&self, draw: u32, own: Range<usize>) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        if self.reset_states == 0.0 {
            return ranges;
        }
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(RANDOM_STREAM | u64::from(draw));
        for stream in 0..self.batch {
            let is_kept = random.random::<f64>() >= f64::from(self.reset_states);
            if is_kept || !own.contains(&stream) {
                continue;
            }
            let stream = stream - own.start;
            match ranges.last_mut() {
                Some(last) if last.end == stream => last.end += 1,
                _ => ranges.push(stream..stream + 1),
            }
        }
        ranges
    }

    /// Whether a model may never leave a state to which training has not led, such as the initial
    /// one in the middle of a text: the rounds of a mogrifier can gate all of its input to 0.
    pub fn may_get_stuck(&self, config: &Config) -> bool {
        config.mogrifier_rounds > 0 && self.reset_states == 0.0 && !self.independent
    }

    /// The number of streams that read a validation text: as many as training has, or fewer where
    /// the result would not be nearly exact.
    pub(super) fn validation_streams(&self, config: &Config, tokens: usize) -> usize {
        match self.may_get_stuck(config) {
            true => 1,
            false => nearly_exact_streams(tokens, self.batch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(reset_states: f32) -> Recipe {
        Recipe {
            batch: 50,
            reset_states,
            ..Recipe::default()
        }
    }

    /// Streams start in the middle of the text, from the initial state.
    #[test]
    fn a_model_that_may_get_stuck_validates_in_one_stream() {
        let config = |mogrifier_rounds| Config {
            mogrifier_rounds,
            ..Config::default()
        };
        let streams = |recipe: Recipe, rounds| recipe.validation_streams(&config(rounds), 1 << 20);
        assert_eq!(streams(recipe(0.0), 5), 1);
        assert_eq!(streams(recipe(0.01), 5), 50);
        assert_eq!(streams(recipe(0.0), 0), 50);
        let independent = Recipe {
            independent: true,
            ..recipe(0.0)
        };
        assert_eq!(streams(independent, 5), 50);
    }

    #[test]
    fn the_fraction_of_reset_streams_is_the_probability() {
        for rate in [0.0, 0.01, 0.5, 0.99] {
            let recipe = recipe(rate);
            let count: usize = (0..1000)
                .flat_map(|draw| recipe.reset_streams(draw, 0..50))
                .map(|range| range.len())
                .sum();
            let fraction = count as f32 / 50_000.0;
            assert!((fraction - rate).abs() < 0.01, "{fraction} for {rate}");
        }
        assert!(recipe(0.0).reset_streams(0, 0..50).is_empty());
    }

    #[test]
    fn parts_reset_the_streams_of_the_whole() {
        let recipe = recipe(0.5);
        let flat = |own: Range<usize>| -> Vec<usize> {
            let ranges = recipe.reset_streams(7, own.clone()).into_iter();
            ranges.flatten().map(|stream| stream + own.start).collect()
        };
        assert_eq!([flat(0..20), flat(20..50)].concat(), flat(0..50));
    }

    #[test]
    fn draws_differ_and_are_repeatable() {
        let recipe = recipe(0.5);
        assert_eq!(
            recipe.reset_streams(3, 0..50),
            recipe.reset_streams(3, 0..50)
        );
        assert_ne!(
            recipe.reset_streams(3, 0..50),
            recipe.reset_streams(4, 0..50)
        );
        let ranges = recipe.reset_streams(3, 0..50);
        let apart = |pair: &[Range<usize>]| pair[0].end < pair[1].start;
        assert!(ranges.windows(2).all(apart), "{ranges:?} are separate");
    }
}
