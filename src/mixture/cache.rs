//! The continuous cache (Grave, Joulin and Usunier 2017): words that followed states like this one
//! are likely to follow again.
//!
//! ```text
//! p_cache(w | h_t) ∝ Σ_i [x_(i+1) = w] e^(θ h_t · h_i)          over the last N states
//! p(w)             = (1 - λ) p_network(w) + λ p_cache(w)
//! ```

use std::collections::VecDeque;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::tensor::NONE;

/// How much a cache remembers and how much it is believed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CacheOptions {
    /// N, the states that are remembered.
    pub size: usize,
    /// θ, how much states must be alike.
    pub flatness: f64,
    /// λ, the cache's weight.
    pub weight: f64,
}

impl CacheOptions {
    /// Checks the ranges.
    ///
    /// # Errors
    /// If a number is outside its range.
    pub fn validate(&self) -> Result<()> {
        if self.size == 0 {
            return Err(Error::usage(
                "--cache 0",
                "it must remember at least one state",
                "Leave it out to do without; 500 is a usual size",
            ));
        }
        if !(self.flatness.is_finite() && self.flatness >= 0.0) {
            let rule = "it must be a number from 0 on";
            return Err(Error::usage(
                format!("--cache-flatness {}", self.flatness),
                rule,
                "0.3 is a usual one; 0 counts words alone",
            ));
        }
        if !(0.0..1.0).contains(&self.weight) {
            let rule = "it must be from 0 to below 1";
            return Err(Error::usage(
                format!("--cache-weight {}", self.weight),
                rule,
                "0.1 is a usual one",
            ));
        }
        Ok(())
    }
}

/// The states of the last words, each with the word that followed it.
#[derive(Debug)]
pub(super) struct Cache {
    options: CacheOptions,
    remembered: VecDeque<(Vec<f32>, u32)>,
}

impl Cache {
    pub(super) fn new(options: CacheOptions) -> Self {
        Self {
            options,
            remembered: VecDeque::new(),
        }
    }

    /// Mixes the cache into the ln P of a window's targets, given its states, `[rows, size]`; then
    /// remembers them.
    pub(super) fn mix(&mut self, states: &[f32], targets: &[u32], log_probabilities: &mut [f64]) {
        let size = states.len() / targets.len();
        let before = self.remembered.len();
        self.remembered.extend(
            states
                .chunks_exact(size)
                .map(<[f32]>::to_vec)
                .zip(targets.iter().copied()),
        );
        let all = self.remembered.make_contiguous();
        let options = self.options;
        log_probabilities
            .par_iter_mut()
            .enumerate()
            .for_each(|(row, log_probability)| {
                // What came before this row, as far as the cache reaches.
                let known = &all[(before + row).saturating_sub(options.size)..before + row];
                let (state, target) = &all[before + row];
                if let Some(cached) = options.probability(known, state, *target) {
                    *log_probability = ((1.0 - options.weight) * log_probability.exp()
                        + options.weight * cached)
                        .ln();
                }
            });
        let surplus = self.remembered.len().saturating_sub(self.options.size);
        self.remembered.drain(..surplus);
    }
}

impl CacheOptions {
    /// p_cache of a word after a state; none where the cache knows nothing.
    fn probability(&self, known: &[(Vec<f32>, u32)], state: &[f32], target: u32) -> Option<f64> {
        let likeness =
            |other: &[f32]| f64::from(state.iter().zip(other).map(|(a, b)| a * b).sum::<f32>());
        let scores: Vec<(f64, u32)> = known
            .iter()
            .filter(|(_, word)| *word != NONE)
            .map(|(other, word)| (self.flatness * likeness(other), *word))
            .collect();
        let top = scores
            .iter()
            .map(|(score, _)| *score)
            .fold(f64::NEG_INFINITY, f64::max);
        let weight = |score: f64| (score - top).exp();
        let whole: f64 = scores.iter().map(|(score, _)| weight(*score)).sum();
        let own: f64 = scores
            .iter()
            .filter(|(_, word)| *word == target)
            .map(|(score, _)| weight(*score))
            .sum();
        (!scores.is_empty()).then(|| own / whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three rows by hand: nothing is known before the first; a word that followed the same state,
    /// beside one that followed another.
    #[test]
    fn a_cache_by_hand() {
        let options = CacheOptions {
            size: 2,
            flatness: 0.5,
            weight: 0.25,
        };
        let states = [1.0, 0.0, 0.0, 2.0, 1.0, 0.0];
        let mut found = [0.5_f64.ln(), 0.1_f64.ln(), 0.2_f64.ln()];
        let mut cache = Cache::new(options);
        cache.mix(&states, &[7, 8, 7], &mut found);
        let like = (0.5_f64).exp();
        let want = [0.5, 0.75 * 0.1, 0.75 * 0.2 + 0.25 * like / (like + 1.0)];
        for (got, want) in found.iter().zip(want) {
            assert!((got.exp() - want).abs() < 1e-12, "{found:?}");
        }
        // The first row is forgotten: the words before are 8 after [0, 2] and 7 after [1, 0].
        let mut next = [0.3_f64.ln()];
        cache.mix(&[0.0, 1.0], &[8], &mut next);
        let (of_8, of_7) = ((0.5 * 2.0_f64).exp(), 1.0);
        assert!((next[0].exp() - (0.75 * 0.3 + 0.25 * of_8 / (of_8 + of_7))).abs() < 1e-12);
    }

    #[test]
    fn wrong_numbers_are_refused() {
        let right = CacheOptions {
            size: 500,
            flatness: 0.3,
            weight: 0.1,
        };
        right.validate().expect("usual numbers");
        let wrong = [
            CacheOptions { size: 0, ..right },
            CacheOptions {
                flatness: -1.0,
                ..right
            },
            CacheOptions {
                weight: 1.0,
                ..right
            },
        ];
        assert!(wrong.iter().all(|one| one.validate().is_err()));
    }
}
