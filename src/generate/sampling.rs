//! The choice of a token from a distribution.
//!
//! In: log-probabilities and a random number. Out: a token id.

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
        let is_allowed = |&id: &usize| self.excluded.is_none_or(|excluded| id != excluded as usize);
        let candidates = (0..log_probabilities.len()).filter(is_allowed).collect();
        let mut ranking = Ranking::new(log_probabilities, candidates);
        let top = ranking.get(0);
        if self.temperature == 0.0 {
            return top;
        }
        if let Some(count) = self.top_k {
            ranking.truncate(count);
        }
        let highest = f64::from(log_probabilities[top]);
        let weight =
            |id: usize| ((f64::from(log_probabilities[id]) - highest) / self.temperature).exp();
        let mut sum = ranking.ids.iter().map(|&id| weight(id)).sum::<f64>();
        let mut count = ranking.ids.len();
        if self.top_p < 1.0 {
            (count, sum) = ranking.nucleus(self.top_p * sum, weight);
        }
        let mut remaining = uniform * sum;
        for rank in 0..count {
            let id = ranking.get(rank);
            remaining -= weight(id);
            if remaining < 0.0 {
                return id;
            }
        }
        ranking.get(count - 1)
    }
}

/// The number of ranks that are sorted first. Most tokens are drawn from the most likely ones.
const FIRST_RANKS: usize = 64;

/// Tokens in the order of their probability, sorted only as far as they are asked for: a vocabulary
/// is large, and sorting all of it for every token would take longer than the network.
struct Ranking<'a> {
    log_probabilities: &'a [f32],
    ids: Vec<usize>,
    /// The number of ids at the start that are sorted.
    sorted: usize,
}

impl<'a> Ranking<'a> {
    fn new(log_probabilities: &'a [f32], ids: Vec<usize>) -> Self {
        Self {
            log_probabilities,
            ids,
            sorted: 0,
        }
    }

    /// The id with this rank; 0 is the most likely. Ties are broken by the id, so that a seed
    /// always gives the same text.
    fn get(&mut self, rank: usize) -> usize {
        if rank >= self.sorted {
            let ranks = (rank + 1).max(FIRST_RANKS).max(4 * self.sorted);
            self.sort(ranks.min(self.ids.len()));
        }
        self.ids[rank]
    }

    /// Sorts the first `ranks` ids.
    fn sort(&mut self, ranks: usize) {
        let more_likely = |&a: &usize, &b: &usize| {
            self.log_probabilities[b]
                .total_cmp(&self.log_probabilities[a])
                .then(a.cmp(&b))
        };
        let rest = &mut self.ids[self.sorted..];
        let count = ranks - self.sorted;
        if count < rest.len() {
            rest.select_nth_unstable_by(count - 1, more_likely);
        }
        rest[..count].sort_unstable_by(more_likely);
        self.sorted = ranks;
    }

    /// Keeps the `count` most likely ids.
    fn truncate(&mut self, count: usize) {
        if count < self.ids.len() {
            self.get(count - 1);
            self.ids.truncate(count);
            self.sorted = count;
        }
    }

    /// The fewest most likely ids whose weights reach the threshold: their number, at least 1, and
    /// the sum of their weights.
    fn nucleus(&mut self, threshold: f64, weight: impl Fn(usize) -> f64) -> (usize, f64) {
        let mut sum = 0.0;
        for rank in 0..self.ids.len() {
            sum += weight(self.get(rank));
            if sum >= threshold {
                return (rank + 1, sum);
            }
        }
        (self.ids.len(), sum)
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
            // Few distinct values, which gives ties.
            let log_probabilities: Vec<f32> = (0..size)
                .map(|_| f32::from(random.random_range(0..40_u8)) / -8.0)
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
