//! Random window lengths (Merity 2017), so that windows start at different tokens in every epoch.

use std::f64::consts::TAU;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::recipe::Recipe;

/// Probability that the mean length is half of `bptt`.
const HALF_PROBABILITY: f64 = 0.05;
/// Minimum length, unless `bptt` is smaller.
const MIN_LENGTH: usize = 5;

impl Recipe {
    /// Steps of the longest window, including its history.
    pub fn longest_window(&self) -> usize {
        self.bptt.saturating_add(self.bptt_jitter.saturating_mul(2))
    }

    /// Steps of the shortest window, except the last one of an epoch.
    pub(super) fn shortest_window(&self) -> usize {
        if self.bptt_jitter == 0 {
            self.block()
        } else {
            self.bptt.min(MIN_LENGTH)
        }
    }

    /// The lengths of the windows of an epoch: normally distributed around `bptt` or half of it,
    /// with a standard deviation of `bptt_jitter`. The same epoch always has the same lengths; they
    /// are independent of those of other epochs and of the initial weights.
    pub(super) fn lengths(&self, epoch: usize) -> impl Iterator<Item = usize> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(epoch as u64 + 1);
        let bptt = self.bptt as f64;
        let jitter = self.bptt_jitter as f64;
        let min = self.shortest_window();
        let max = self.longest_window();
        std::iter::from_fn(move || {
            let mean = if random.random_bool(HALF_PROBABILITY) {
                bptt / 2.0
            } else {
                bptt
            };
            // The Box-Muller transform, written out because the algorithm of a library may change
            // between versions.
            let radius = 1.0 - random.random::<f64>();
            let angle = random.random::<f64>();
            let normal = (-2.0 * radius.ln()).sqrt() * (TAU * angle).cos();
            Some(((mean + jitter * normal).round() as usize).clamp(min, max))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_the_requested_mean_and_deviation() {
        let recipe = Recipe {
            bptt: 70,
            bptt_jitter: 5,
            ..Recipe::default()
        };
        let lengths: Vec<_> = recipe.lengths(3).take(20_000).collect();
        assert!(lengths.iter().all(|length| (5..=80).contains(length)));
        let whole: Vec<_> = lengths
            .iter()
            .filter(|&&length| length > 52)
            .map(|&length| length as f64)
            .collect();
        let halves = 1.0 - whole.len() as f64 / lengths.len() as f64;
        assert!((halves - 0.05).abs() < 0.01, "{halves} are around the half");
        let mean = whole.iter().sum::<f64>() / whole.len() as f64;
        let variance = whole
            .iter()
            .map(|length| (length - mean).powi(2))
            .sum::<f64>()
            / whole.len() as f64;
        // Clamping at two standard deviations reduces the spread.
        assert!(
            (mean - 70.0).abs() < 0.2 && (4.5..5.1).contains(&variance.sqrt()),
            "mean {mean}, deviation {}",
            variance.sqrt()
        );
    }

    #[test]
    fn epochs_differ_and_are_repeatable() {
        let recipe = Recipe {
            bptt: 20,
            bptt_jitter: 3,
            ..Recipe::default()
        };
        let of = |epoch: usize| recipe.lengths(epoch).take(50).collect::<Vec<_>>();
        assert_eq!(of(4), of(4));
        assert_ne!(of(4), of(5));
    }

    #[test]
    fn the_shortest_windows_have_a_step() {
        let recipe = Recipe {
            bptt: 1,
            bptt_jitter: 1,
            ..Recipe::default()
        };
        assert!(
            recipe
                .lengths(0)
                .take(100)
                .all(|length| (1..=3).contains(&length))
        );
    }
}
