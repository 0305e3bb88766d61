//! Windows of drawn lengths (Merity 2017), so that a text is not cut at the same places in every
//! epoch.

use std::f64::consts::TAU;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::recipe::Recipe;

/// How often the mean is half of `bptt`.
const HALVES: f64 = 0.05;
/// The shortest window, where `bptt` is no shorter.
const SHORTEST: usize = 5;

impl Recipe {
    /// Steps of the longest window, history and all.
    pub fn longest_window(&self) -> usize {
        self.bptt.saturating_add(self.bptt_jitter.saturating_mul(2))
    }

    /// Steps of the shortest window but an epoch's last.
    pub(super) fn shortest_window(&self) -> usize {
        if self.bptt_jitter == 0 {
            self.block()
        } else {
            self.bptt.min(SHORTEST)
        }
    }

    /// The lengths of an epoch's windows, the same whenever they are asked for: normal around
    /// `bptt` or its half, with a standard deviation of `bptt_jitter`. The generator is not the one
    /// that drew the weights, nor that of another epoch.
    pub(super) fn lengths(&self, epoch: usize) -> impl Iterator<Item = usize> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(epoch as u64 + 1);
        let (bptt, jitter, range) = (
            self.bptt as f64,
            self.bptt_jitter as f64,
            self.shortest_window()..=self.longest_window(),
        );
        std::iter::from_fn(move || {
            let mean = if random.random_bool(HALVES) {
                bptt / 2.0
            } else {
                bptt
            };
            // Box and Muller's way from two uniform numbers to a normal one; that of a library may
            // change with its version.
            let [radius, angle] = [1.0 - random.random::<f64>(), random.random::<f64>()];
            let normal = (-2.0 * radius.ln()).sqrt() * (TAU * angle).cos();
            Some(((mean + jitter * normal).round() as usize).clamp(*range.start(), *range.end()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_the_mean_and_the_spread_that_was_asked_for() {
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
        // Cutting at two standard deviations takes some of the spread.
        assert!(
            (mean - 70.0).abs() < 0.2 && (4.5..5.1).contains(&variance.sqrt()),
            "mean {mean}, deviation {}",
            variance.sqrt()
        );
    }

    #[test]
    fn epochs_differ_and_repeat() {
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
    fn the_smallest_windows_have_a_step() {
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
