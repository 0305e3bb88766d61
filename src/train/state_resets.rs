//! Resets of the states of some streams at the start of a window (Melis 2020), so that a model also
//! learns to predict from the initial state, from which texts start in evaluation.

use std::ops::Range;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::recipe::Recipe;

/// Distinguishes these random numbers from those of window lengths.
const RANDOM_STREAM: u64 = 1 << 63;

impl Recipe {
    /// The streams whose states are reset before a window, as ranges of adjacent ones: each stream
    /// with the probability `reset_states`, in all layers. The same `draw` always gives the same
    /// streams.
    pub(super) fn reset_streams(&self, draw: u32) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        if self.reset_states == 0.0 {
            return ranges;
        }
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(RANDOM_STREAM | u64::from(draw));
        for stream in 0..self.batch {
            if random.random::<f64>() >= f64::from(self.reset_states) {
                continue;
            }
            match ranges.last_mut() {
                Some(last) if last.end == stream => last.end += 1,
                _ => ranges.push(stream..stream + 1),
            }
        }
        ranges
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

    #[test]
    fn the_fraction_of_reset_streams_is_the_probability() {
        for rate in [0.0, 0.01, 0.5, 0.99] {
            let recipe = recipe(rate);
            let count: usize = (0..1000)
                .flat_map(|draw| recipe.reset_streams(draw))
                .map(|range| range.len())
                .sum();
            let fraction = count as f32 / 50_000.0;
            assert!((fraction - rate).abs() < 0.01, "{fraction} for {rate}");
        }
        assert!(recipe(0.0).reset_streams(0).is_empty());
    }

    #[test]
    fn draws_differ_and_are_repeatable() {
        let recipe = recipe(0.5);
        assert_eq!(recipe.reset_streams(3), recipe.reset_streams(3));
        assert_ne!(recipe.reset_streams(3), recipe.reset_streams(4));
        let ranges = recipe.reset_streams(3);
        let apart = |pair: &[Range<usize>]| pair[0].end < pair[1].start;
        assert!(ranges.windows(2).all(apart), "{ranges:?} are separate");
    }
}
