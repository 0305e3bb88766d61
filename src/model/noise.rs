//! The words that a target is told apart from, where not all of the vocabulary is looked at: how
//! many, how they are drawn, and the draw.

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::kernels::SampledObjective;

/// How an output layer samples in training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// K, words that are drawn for a window.
    pub samples: usize,
    /// Words are drawn in proportion to their frequency to this power: 1 is the text's
    /// distribution, 0 makes all equally likely.
    pub power: f64,
    /// What is asked of a target among them.
    pub objective: SampledObjective,
    /// What is subtracted from every logit under [`SampledObjective::Nce`]: ln Z, which the network
    /// is to hold constant.
    pub ln_z: f32,
}

impl Noise {
    /// K where the user does not say.
    pub const USUAL_SAMPLES: usize = 1_000;
    /// The power where the user does not say (Mikolov 2013).
    pub const USUAL_POWER: f64 = 0.75;

    /// Checks that words can be drawn so.
    ///
    /// # Errors
    /// If they cannot.
    pub(super) fn validate(&self) -> Result<()> {
        if self.samples == 0 {
            return Err(Error::usage(
                "--samples 0",
                "there must be at least 1",
                format!("{} are usual", Self::USUAL_SAMPLES),
            ));
        }
        if !(0.0..=2.0).contains(&self.power) {
            return Err(Error::usage(
                format!("--noise-power {}", self.power),
                "it must be a number from 0 to 2",
                "0.75 is usual, 1 draws words as often as the text has them",
            ));
        }
        if !self.ln_z.is_finite()
            || (self.ln_z != 0.0 && self.objective == SampledObjective::Softmax)
        {
            return Err(Error::usage(
                format!("--nce-lnz {}", self.ln_z),
                "it must be a number, and a softmax has no use for it",
                "Leave it out, or take --loss nce",
            ));
        }
        Ok(())
    }
}

/// Draws words, by Walker's aliases in Vose's form: a word in constant time, whatever the
/// vocabulary's size.
#[derive(Debug)]
pub struct Draws {
    seed: u32,
    /// For each word, the chance that it stays itself where it was picked, and what it becomes
    /// else.
    columns: Vec<(f32, u32)>,
    /// ln P of every word.
    log_probabilities: Vec<f32>,
}

impl Draws {
    /// From words' numbers of occurrences; those that do not occur count as occurring once.
    ///
    /// # Panics
    /// If there is no word.
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
        // In units of an equal share: words with less than one, and those that have something left
        // to give.
        let mut shares: Vec<f64> = weights
            .iter()
            .map(|weight| weight / sum * counts.len() as f64)
            .collect();
        let (mut poor, mut rich): (Vec<usize>, Vec<usize>) =
            (0..shares.len()).partition(|&word| shares[word] < 1.0);
        let mut columns: Vec<(f32, u32)> =
            (0..counts.len()).map(|word| (1.0, word as u32)).collect();
        while let (Some(small), Some(large)) = (poor.pop(), rich.pop()) {
            columns[small] = (shares[small] as f32, large as u32);
            shares[large] -= 1.0 - shares[small];
            if shares[large] < 1.0 {
                poor.push(large);
            } else {
                rich.push(large);
            }
        }
        Self {
            seed,
            columns,
            log_probabilities,
        }
    }

    /// The `count` words of draw number `draw`, the same for the same seed on every machine; a word
    /// may be among them more than once.
    pub fn sample(&self, draw: u32, count: usize) -> Vec<u32> {
        let mut random = ChaCha8Rng::seed_from_u64(u64::from(self.seed) << 32 | u64::from(draw));
        let words = self.columns.len() as u32;
        let pick = |_| {
            let word = random.random_range(0..words);
            let (stays, other) = self.columns[word as usize];
            if random.random::<f32>() < stays {
                word
            } else {
                other
            }
        };
        (0..count).map(pick).collect()
    }

    /// ln of how often a word is expected among `count` that are drawn.
    pub(super) fn log_expected(&self, word: u32, count: usize) -> f32 {
        self.log_probabilities[word as usize] + (count as f32).ln()
    }

    /// ln of the probability that a word is among `count` that are drawn: how often it is expected
    /// where equal ones count once.
    pub(super) fn log_included(&self, word: u32, count: usize) -> f32 {
        let probability = f64::from(self.log_probabilities[word as usize]).exp();
        (-(count as f64 * (-probability).ln_1p()).exp_m1()).ln() as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_drawn_as_often_as_the_power_says() {
        let counts = [40, 0, 7, 1, 1000, 3, 3, 90];
        for power in [0.0, 0.75, 1.0] {
            let draws = Draws::new(&counts, power, 3);
            let weight = |count: u64| (count.max(1) as f64).powf(power);
            let sum: f64 = counts.iter().map(|&count| weight(count)).sum();
            let mut found = [0.0; 8];
            (0..200).for_each(|draw| {
                draws
                    .sample(draw, 1_000)
                    .iter()
                    .for_each(|&word| found[word as usize] += 1.0);
            });
            let mut chi_square = 0.0;
            for (word, &count) in counts.iter().enumerate() {
                let share = weight(count) / sum;
                assert!(
                    (f64::from(draws.log_expected(word as u32, 10)) - (10.0 * share).ln()).abs()
                        < 1e-5
                );
                assert!(
                    (f64::from(draws.log_included(word as u32, 10))
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
    fn aliases_add_up_to_the_distribution() {
        let counts: Vec<u64> = (1..=1001).map(|rank| 100_000 / rank).collect();
        let draws = Draws::new(&counts, 0.75, 1);
        let mut shares = vec![0.0; counts.len()];
        for (word, &(stays, other)) in draws.columns.iter().enumerate() {
            shares[word] += f64::from(stays);
            shares[other as usize] += 1.0 - f64::from(stays);
        }
        for (word, share) in shares.iter().enumerate() {
            let want = f64::from(draws.log_probabilities[word]).exp() * counts.len() as f64;
            assert!(
                (share / want - 1.0).abs() < 1e-4,
                "word {word}: {share} for {want}"
            );
        }
    }

    #[test]
    fn a_draw_is_its_seed_and_its_number() {
        let draws = |seed| Draws::new(&[1; 1_000], 1.0, seed);
        assert_eq!(draws(1).sample(5, 50), draws(1).sample(5, 50));
        assert_eq!(draws(1).sample(5, 50)[..20], draws(1).sample(5, 20));
        assert_ne!(draws(1).sample(5, 50), draws(1).sample(6, 50));
        assert_ne!(draws(1).sample(5, 50), draws(2).sample(5, 50));
    }

    #[test]
    fn settings_that_cannot_be_are_refused() {
        let usual = Noise {
            samples: 5,
            power: 0.75,
            objective: SampledObjective::Nce,
            ln_z: 9.0,
        };
        usual.validate().expect("it can be");
        let wrong = [
            Noise {
                samples: 0,
                ..usual
            },
            Noise {
                power: -0.1,
                ..usual
            },
            Noise {
                power: f64::NAN,
                ..usual
            },
            Noise {
                ln_z: f32::INFINITY,
                ..usual
            },
            Noise {
                objective: SampledObjective::Softmax,
                ..usual
            },
        ];
        wrong
            .iter()
            .for_each(|noise| assert!(noise.validate().is_err(), "{noise:?}"));
    }
}
