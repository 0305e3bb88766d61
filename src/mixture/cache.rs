//! The continuous cache (Grave, Joulin and Usunier 2017): words that followed similar states are
//! likely to occur again.
//!
//! ```text
//! p_cache(w | h_t) ∝ Σ_i [x_(i+1) = w] e^(θ h_t · h_i)          over the last N states
//! p(w)             = (1 - λ) p_network(w) + λ p_cache(w)
//! ```

use std::collections::VecDeque;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::tensor::NONE;

/// Options of a continuous cache.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CacheOptions {
    /// N, the number of states in the cache.
    pub size: usize,
    /// θ, the flatness of the distribution: how strongly it depends on the similarity of states.
    pub flatness: f64,
    /// λ, the weight of the cache.
    pub weight: f64,
}

impl CacheOptions {
    /// Checks the ranges of the options.
    ///
    /// # Errors
    /// If an option is out of range.
    pub fn validate(&self) -> Result<()> {
        if self.size == 0 {
            return Err(Error::config(
                "cache",
                0,
                "the cache must hold at least one state",
                "Omit it to disable the cache; 500 is a common size",
            ));
        }
        if !(self.flatness.is_finite() && self.flatness >= 0.0) {
            return Err(Error::config(
                "cache_flatness",
                self.flatness,
                "it must be a number greater than or equal to 0",
                "0.3 is a common value; 0 ignores the similarity of states",
            ));
        }
        if !(0.0..1.0).contains(&self.weight) {
            return Err(Error::config(
                "cache_weight",
                self.weight,
                "it must be greater than or equal to 0 and less than 1",
                "0.1 is a common value",
            ));
        }
        Ok(())
    }
}

/// The states of the last words, each with the word that followed it.
#[derive(Debug)]
pub(super) struct Cache {
    options: CacheOptions,
    entries: VecDeque<(Vec<f32>, u32)>,
}

impl Cache {
    pub(super) fn new(options: CacheOptions) -> Self {
        Self {
            options,
            entries: VecDeque::new(),
        }
    }

    /// Mixes the cache into the ln P of the targets of a window, given the window's states, `[rows,
    /// size]`. Then adds the states and targets to the cache.
    pub(super) fn mix(&mut self, states: &[f32], targets: &[u32], log_probabilities: &mut [f64]) {
        let size = states.len() / targets.len();
        let before = self.entries.len();
        self.entries.extend(
            states
                .chunks_exact(size)
                .map(<[f32]>::to_vec)
                .zip(targets.iter().copied()),
        );
        let entries = self.entries.make_contiguous();
        let options = self.options;
        log_probabilities
            .par_iter_mut()
            .enumerate()
            .for_each(|(row, log_probability)| {
                // The last `size` entries before this row.
                let end = before + row;
                let cached = &entries[end.saturating_sub(options.size)..end];
                let (state, target) = &entries[end];
                if let Some(probability) = options.probability(cached, state, *target) {
                    *log_probability = options.mixed(*log_probability, probability);
                }
            });
        let surplus = self.entries.len().saturating_sub(self.options.size);
        self.entries.drain(..surplus);
    }
}

impl CacheOptions {
    /// ln p of a word, from ln p_network and p_cache. The probabilities are added relative to the
    /// larger one: that of the network may be below the smallest number.
    fn mixed(&self, log_network: f64, cached: f64) -> f64 {
        let network = (1.0 - self.weight).ln() + log_network;
        let cached = (self.weight * cached).ln();
        let top = network.max(cached);
        if top == f64::NEG_INFINITY || log_network.is_nan() {
            return network;
        }
        top + ((network - top).exp() + (cached - top).exp()).ln()
    }

    /// p_cache of a word after a state; `None` if the cache has no known words.
    fn probability(&self, cached: &[(Vec<f32>, u32)], state: &[f32], target: u32) -> Option<f64> {
        let similarity =
            |other: &[f32]| f64::from(state.iter().zip(other).map(|(a, b)| a * b).sum::<f32>());
        let scores: Vec<(f64, u32)> = cached
            .iter()
            .filter(|(_, word)| *word != NONE)
            .map(|(other, word)| (self.flatness * similarity(other), *word))
            .collect();
        let max = scores
            .iter()
            .map(|(score, _)| *score)
            .fold(f64::NEG_INFINITY, f64::max);
        let weight = |score: f64| (score - max).exp();
        let total: f64 = scores.iter().map(|(score, _)| weight(*score)).sum();
        let target_weight: f64 = scores
            .iter()
            .filter(|(_, word)| *word == target)
            .map(|(score, _)| weight(*score))
            .sum();
        (!scores.is_empty()).then(|| target_weight / total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three rows computed by hand. The cache is empty before the first row. Before the third, it
    /// holds a word that followed the same state and one that followed a different state.
    #[test]
    fn a_cache_computed_by_hand() {
        let options = CacheOptions {
            size: 2,
            flatness: 0.5,
            weight: 0.25,
        };
        let states = [1.0, 0.0, 0.0, 2.0, 1.0, 0.0];
        let mut found = [0.5_f64.ln(), 0.1_f64.ln(), 0.2_f64.ln()];
        let mut cache = Cache::new(options);
        cache.mix(&states, &[7, 8, 7], &mut found);
        let same_state = (0.5_f64).exp();
        let want = [
            0.5,
            0.75 * 0.1,
            0.75 * 0.2 + 0.25 * same_state / (same_state + 1.0),
        ];
        for (got, want) in found.iter().zip(want) {
            assert!((got.exp() - want).abs() < 1e-12, "{found:?}");
        }
        // The first row has been dropped: the cache holds 8 after [0, 2] and 7 after [1, 0].
        let mut next = [0.3_f64.ln()];
        cache.mix(&[0.0, 1.0], &[8], &mut next);
        let weight_of_8 = (0.5 * 2.0_f64).exp();
        let weight_of_7 = 1.0;
        let cached = weight_of_8 / (weight_of_8 + weight_of_7);
        assert!((next[0].exp() - (0.75 * 0.3 + 0.25 * cached)).abs() < 1e-12);
    }

    #[test]
    fn probabilities_below_the_smallest_number_stay_positive() {
        let options = CacheOptions {
            size: 1,
            flatness: 1.0,
            weight: 0.5,
        };
        let half = 0.5_f64.ln();
        assert!((options.mixed(-1000.0, 0.0) - (-1000.0 + half)).abs() < 1e-12);
        assert!((options.mixed(-1000.0, 0.5) - 0.25_f64.ln()).abs() < 1e-12);
        assert!((options.mixed(half, 0.25) - 0.375_f64.ln()).abs() < 1e-12);
        assert_eq!(options.mixed(f64::NEG_INFINITY, 0.0), f64::NEG_INFINITY);
        assert!(options.mixed(f64::NAN, 0.5).is_nan());
    }

    #[test]
    fn options_out_of_range_are_rejected() {
        let valid = CacheOptions {
            size: 500,
            flatness: 0.3,
            weight: 0.1,
        };
        valid.validate().expect("common values");
        let invalid = [
            CacheOptions { size: 0, ..valid },
            CacheOptions {
                flatness: -1.0,
                ..valid
            },
            CacheOptions {
                weight: 1.0,
                ..valid
            },
        ];
        assert!(invalid.iter().all(|options| options.validate().is_err()));
    }
}
