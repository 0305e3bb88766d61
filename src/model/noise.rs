//! Sampled words, from which a target is distinguished where not the whole vocabulary is used: how
//! many, their distribution, and the sampler.

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::kernels::SampledObjective;

/// How an output layer samples words in training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// K, the number of words drawn for a window.
    pub samples: usize,
    /// Words are drawn in proportion to their frequency to this power: 1 is the distribution of the
    /// text, 0 is uniform.
    pub power: f64,
    /// The training objective.
    pub objective: SampledObjective,
    /// ln Z, subtracted from every logit with [`SampledObjective::Nce`]: the normalizer that the
    /// network learns to keep constant.
    pub ln_z: f32,
}

impl Noise {
    /// The default K.
    pub const DEFAULT_SAMPLES: usize = 1_000;
    /// The default power (Mikolov 2013).
    pub const DEFAULT_POWER: f64 = 0.75;

    /// Checks the settings.
    ///
    /// # Errors
    /// If one is out of its range.
    pub(super) fn validate(&self) -> Result<()> {
        if self.samples == 0 {
            return Err(Error::config(
                "samples",
                0,
                "there must be at least 1",
                format!("The default is {}", Self::DEFAULT_SAMPLES),
            ));
        }
        if !(0.0..=2.0).contains(&self.power) {
            return Err(Error::config(
                "noise_power",
                self.power,
                "it must be a number from 0 to 2",
                "The default is 0.75; 1 draws words in proportion to their frequency",
            ));
        }
        if !self.ln_z.is_finite()
            || (self.ln_z != 0.0 && self.objective == SampledObjective::Softmax)
        {
            return Err(Error::config(
                "ln_z",
                self.ln_z,
                "it must be a finite number, and 0 with `loss = softmax`, which does not use it",
                "Remove it, or use `loss = nce`",
            ));
        }
        Ok(())
    }
}

/// Draws words by Walker's alias method in Vose's form: in constant time per word for all sizes of
/// the vocabulary.
#[derive(Debug)]
pub struct NoiseSampler {
    seed: u32,
    /// For each word, the probability of keeping it once picked, and the word that replaces it
    /// otherwise.
    columns: Vec<(f32, u32)>,
    /// ln P of every word.
    log_probabilities: Vec<f32>,
}

impl NoiseSampler {
    /// A sampler for words with these numbers of occurrences; 0 counts as 1.
    ///
    /// # Panics
    /// If there are no words.
    pub fn new(counts: &[u64], power: f64, seed: u32) -> Self {
        assert!(!counts.is_empty(), "a vocabulary without words");
        let weights: Vec<f64> = counts
            .iter()
            .map(|&count| (count.max(1) as f64).powf(power))
            .collect();
        let sum: f64 = weights.iter().sum();
        let log_probabilities = weights
            .iter()
            .map(|weight| (weight / sum).ln() as f32)
            .collect();
        // Relative to a uniform distribution. Words below 1 are filled up by words above it.
        let mut shares: Vec<f64> = weights
            .iter()
            .map(|weight| weight / sum * counts.len() as f64)
            .collect();
        let (mut below, mut above): (Vec<usize>, Vec<usize>) =
            (0..shares.len()).partition(|&word| shares[word] < 1.0);
        let mut columns: Vec<(f32, u32)> =
            (0..counts.len()).map(|word| (1.0, word as u32)).collect();
        while let (Some(small), Some(large)) = (below.pop(), above.pop()) {
            columns[small] = (shares[small] as f32, large as u32);
            shares[large] -= 1.0 - shares[small];
            if shares[large] < 1.0 {
                below.push(large);
            } else {
                above.push(large);
            }
        }
        Self {
            seed,
            columns,
            log_probabilities,
        }
    }

    /// The `count` words of a draw, the same for the same seed and index of the draw on every
    /// machine. A word may occur more than once.
    pub fn sample(&self, draw: u32, count: usize) -> Vec<u32> {
        let mut random = ChaCha8Rng::seed_from_u64(u64::from(self.seed) << 32 | u64::from(draw));
        let words = self.columns.len() as u32;
        let pick = |_| {
            let word = random.random_range(0..words);
            let (keep, other) = self.columns[word as usize];
            if random.random::<f32>() < keep {
                word
            } else {
                other
            }
        };
        (0..count).map(pick).collect()
    }

    /// ln of the expected number of occurrences of a word in a sample of `count` words.
    pub(super) fn log_expected(&self, word: u32, count: usize) -> f32 {
        self.log_probabilities[word as usize] + (count as f32).ln()
    }

    /// ln of the probability that a word occurs in a sample of `count` words: its expected number
    /// of occurrences after repeated words are removed.
    pub(super) fn log_included(&self, word: u32, count: usize) -> f32 {
        let probability = f64::from(self.log_probabilities[word as usize]).exp();
        (-(count as f64 * (-probability).ln_1p()).exp_m1()).ln() as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_drawn_in_proportion_to_counts_to_the_power() {
        let counts = [40, 0, 7, 1, 1000, 3, 3, 90];
        for power in [0.0, 0.75, 1.0] {
            let sampler = NoiseSampler::new(&counts, power, 3);
            let weight = |count: u64| (count.max(1) as f64).powf(power);
            let sum: f64 = counts.iter().map(|&count| weight(count)).sum();
            let mut found = [0.0; 8];
            (0..200).for_each(|draw| {
                sampler
                    .sample(draw, 1_000)
                    .iter()
                    .for_each(|&word| found[word as usize] += 1.0);
            });
            let mut chi_square = 0.0;
            for (word, &count) in counts.iter().enumerate() {
                let share = weight(count) / sum;
                assert!(
                    (f64::from(sampler.log_expected(word as u32, 10)) - (10.0 * share).ln()).abs()
                        < 1e-5
                );
                assert!(
                    (f64::from(sampler.log_included(word as u32, 10))
                        - (1.0 - (1.0 - share).powi(10)).ln())
                    .abs()
                        < 1e-5
                );
                chi_square += (found[word] - 200_000.0 * share).powi(2) / (200_000.0 * share);
            }
            // Seven degrees of freedom: beyond 24.3 once in a thousand.
            assert!(chi_square < 24.3, "power {power}: {chi_square}");
        }
    }

    #[test]
    fn aliases_sum_to_the_distribution() {
        let counts: Vec<u64> = (1..=1001).map(|rank| 100_000 / rank).collect();
        let sampler = NoiseSampler::new(&counts, 0.75, 1);
        let mut shares = vec![0.0; counts.len()];
        for (word, &(keep, other)) in sampler.columns.iter().enumerate() {
            shares[word] += f64::from(keep);
            shares[other as usize] += 1.0 - f64::from(keep);
        }
        for (word, share) in shares.iter().enumerate() {
            let expected = f64::from(sampler.log_probabilities[word]).exp() * counts.len() as f64;
            assert!(
                (share / expected - 1.0).abs() < 1e-4,
                "word {word}: {share} instead of {expected}"
            );
        }
    }

    #[test]
    fn a_sample_depends_on_seed_and_draw() {
        let sampler = |seed| NoiseSampler::new(&[1; 1_000], 1.0, seed);
        assert_eq!(sampler(1).sample(5, 50), sampler(1).sample(5, 50));
        assert_eq!(sampler(1).sample(5, 50)[..20], sampler(1).sample(5, 20));
        assert_ne!(sampler(1).sample(5, 50), sampler(1).sample(6, 50));
        assert_ne!(sampler(1).sample(5, 50), sampler(2).sample(5, 50));
    }

    #[test]
    fn invalid_settings_are_rejected() {
        let valid = Noise {
            samples: 5,
            power: 0.75,
            objective: SampledObjective::Nce,
            ln_z: 9.0,
        };
        valid.validate().expect("valid settings");
        let wrong = [
            Noise {
                samples: 0,
                ..valid
            },
            Noise {
                power: -0.1,
                ..valid
            },
            Noise {
                power: f64::NAN,
                ..valid
            },
            Noise {
                ln_z: f32::INFINITY,
                ..valid
            },
            Noise {
                objective: SampledObjective::Softmax,
                ..valid
            },
        ];
        wrong
            .iter()
            .for_each(|noise| assert!(noise.validate().is_err(), "{noise:?}"));
    }
}
