//! The choice of a token from a distribution.
//!
//! In: log-probabilities and a random number. Out: a token id.

use super::ranking::{Ranking, Weights};
use crate::error::{Error, Result};

/// How a token is sampled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Divides the log-probabilities. Values below 1 make likely tokens likelier; 0 always takes
    /// the most likely token.
    pub temperature: f64,
    /// Restricts sampling to this number of most likely tokens; none for all.
    pub top_k: Option<usize>,
    /// Restricts sampling to the most likely tokens that together have at least this probability;
    /// 1 for all.
    pub top_p: f64,
    /// A token that is never sampled, such as the unknown token.
    pub excluded: Option<u32>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: None,
            top_p: 1.0,
            excluded: None,
        }
    }
}

impl Sampling {
    /// Checks that every value is in its range.
    ///
    /// # Errors
    /// If a value is outside its range.
    pub fn validate(&self) -> Result<()> {
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return Err(Error::config(
                "temperature",
                self.temperature,
                "it must be at least 0",
                "1 samples from the model's distribution, 0 takes the most likely token",
            ));
        }
        if self.top_k == Some(0) {
            return Err(Error::config(
                "top_k",
                0,
                "it must be at least 1",
                "Omit it to sample from all tokens",
            ));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(Error::config(
                "top_p",
                self.top_p,
                "it must be above 0 and at most 1",
                "1 samples from all tokens",
            ));
        }
        Ok(())
    }

    /// Samples from a distribution given as natural logarithms. `uniform` is a random number in
    /// [0, 1). Returns an index into `log_probabilities`, of which one at least is not excluded.
    pub fn sample(&self, log_probabilities: &[f32], uniform: f64) -> usize {
        let excluded = self.excluded.map(|id| id as usize);
        let mut ranking = Ranking::new(log_probabilities, excluded);
        if self.temperature == 0.0 {
            return ranking.top();
        }
        let weights = Weights {
            highest: f64::from(log_probabilities[ranking.top()]),
            temperature: self.temperature,
        };
        let mut sum = if let Some(count) = self.top_k {
            ranking.truncate(count);
            ranking.reach(f64::INFINITY, weights).1
        } else {
            // Both sides of the excluded token.
            let excluded = excluded.unwrap_or(usize::MAX).min(log_probabilities.len());
            let (before, rest) = log_probabilities.split_at(excluded);
            weights.sum(before) + weights.sum(rest.get(1..).unwrap_or_default())
        };
        if self.top_p < 1.0 {
            // The fewest tokens that have at least this probability.
            let threshold = (self.top_p * sum).next_down();
            let (count, sum_of_nucleus) = ranking.reach(threshold, weights);
            ranking.truncate(count);
            sum = sum_of_nucleus;
        }
        let (count, _) = ranking.reach(uniform * sum, weights);
        ranking.get(count - 1)
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

    use super::*;

    fn counts(sampling: Sampling) -> [usize; 4] {
        let log_probabilities = [0.1_f32, 0.4, 0.2, 0.3].map(f32::ln);
        let mut counts = [0; 4];
        for i in 0..1000 {
            counts[sampling.sample(&log_probabilities, (f64::from(i) + 0.5) / 1000.0)] += 1;
        }
        counts
    }

    #[test]
    fn samples_follow_the_truncated_distribution() {
        let near = |got: [usize; 4], want: [usize; 4]| {
            got.iter()
                .zip(want)
                .all(|(&got, want)| got.abs_diff(want) <= 1)
        };
        let all = Sampling::default();
        assert!(near(counts(all), [100, 400, 200, 300]));
        assert!(near(
            counts(Sampling {
                top_k: Some(2),
                ..all
            }),
            [0, 571, 0, 429]
        ));
        assert!(near(
            counts(Sampling { top_p: 0.65, ..all }),
            [0, 571, 0, 429]
        ));
        assert!(near(
            counts(Sampling { top_p: 0.75, ..all }),
            [0, 444, 222, 333]
        ));
        assert_eq!(
            counts(Sampling {
                temperature: 0.0,
                ..all
            }),
            [0, 1000, 0, 0]
        );
        // At temperature 1/2 probabilities are squared: 1, 16, 4, 9 of 30.
        assert!(near(
            counts(Sampling {
                temperature: 0.5,
                ..all
            }),
            [33, 533, 133, 300]
        ));
        assert_eq!(counts(Sampling { top_p: 1e-9, ..all }), [0, 1000, 0, 0]);
        // The others share the probability of an excluded token.
        let excluded = Some(1);
        assert!(near(
            counts(Sampling { excluded, ..all }),
            [167, 0, 333, 500]
        ));
        let coldest = Sampling {
            excluded,
            temperature: 0.0,
            ..all
        };
        assert_eq!(counts(coldest), [0, 0, 0, 1000]);
    }

    /// The sampled token, with all tokens sorted.
    fn sample_of_sorted(sampling: Sampling, log_probabilities: &[f32], uniform: f64) -> usize {
        let mut order: Vec<usize> = (0..log_probabilities.len())
            .filter(|&id| {
                sampling
                    .excluded
                    .is_none_or(|excluded| id != excluded as usize)
            })
            .collect();
        order.sort_by(|&a, &b| log_probabilities[b].total_cmp(&log_probabilities[a]));
        order.truncate(sampling.top_k.unwrap_or(usize::MAX));
        let weight = |id: usize| (f64::from(log_probabilities[id]) / sampling.temperature).exp();
        let total: f64 = order.iter().map(|&id| weight(id)).sum();
        let mut count = 0;
        let mut nucleus = 0.0;
        while count < order.len() && nucleus < sampling.top_p * total {
            nucleus += weight(order[count]);
            count += 1;
        }
        let mut remaining = uniform * nucleus;
        let drawn = order[..count].iter().find(|&&id| {
            remaining -= weight(id);
            remaining < 0.0
        });
        *drawn.unwrap_or(&order[count - 1])
    }

    #[test]
    fn sampling_does_not_depend_on_how_many_ranks_are_sorted() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        for case in 0..2000 {
            let size = random.random_range(2..700);
            // Few distinct values, which gives ties, near each other or far from each other.
            let step = [-0.125, -3.0][case / 3 % 2];
            let log_probabilities: Vec<f32> = (0..size)
                .map(|_| f32::from(random.random_range(0..40_u8)) * step)
                .collect();
            let sampling = Sampling {
                temperature: [0.5, 1.0, 3.0][case % 3],
                top_k: [None, Some(1), Some(3), Some(90)][case % 4],
                top_p: [1.0, 0.9, 0.2][case / 4 % 3],
                excluded: (case % 2 == 0).then_some(0),
            };
            let uniform = random.random();
            assert_eq!(
                sampling.sample(&log_probabilities, uniform),
                sample_of_sorted(sampling, &log_probabilities, uniform),
                "case {case}: {size} tokens, {sampling:?}, {uniform}"
            );
        }
    }

    #[test]
    fn invalid_options_are_rejected() {
        let all = Sampling::default();
        for wrong in [
            Sampling {
                temperature: -1.0,
                ..all
            },
            Sampling {
                temperature: f64::NAN,
                ..all
            },
            Sampling {
                top_k: Some(0),
                ..all
            },
            Sampling { top_p: 0.0, ..all },
            Sampling { top_p: 1.1, ..all },
        ] {
            assert!(wrong.validate().is_err(), "{wrong:?}");
        }
    }
}
