//! Weights of a linear mixture, and their estimation by expectation maximization.
//!
//! In: ln P of each token by each component. Out: ln of the weighted mean, and the weights that
//! maximize the likelihood of the tokens.

use crate::error::{Error, Result};

/// Non-negative weights that sum to 1, one per component.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights(Vec<f64>);

/// Estimation stops when no weight changes by more than this.
const MIN_CHANGE: f64 = 1e-6;
/// Maximum number of iterations of the estimation.
const MAX_ITERATIONS: usize = 1000;

impl Weights {
    /// Equal weights for `count` components.
    ///
    /// # Panics
    /// If `count` is 0.
    pub fn even(count: usize) -> Self {
        assert!(count > 0, "a mixture needs at least one component");
        Self(vec![1.0 / count as f64; count])
    }

    /// Weights proportional to the given numbers.
    ///
    /// # Errors
    /// If a number is negative or not finite, or all are 0.
    pub fn new(proportions: &[f64]) -> Result<Self> {
        let sum: f64 = proportions.iter().sum();
        let are_valid = sum > 0.0
            && proportions
                .iter()
                .all(|weight| weight.is_finite() && *weight >= 0.0);
        if are_valid {
            return Ok(Self(
                proportions.iter().map(|weight| weight / sum).collect(),
            ));
        }
        let list = proportions
            .iter()
            .map(f64::to_string)
            .collect::<Vec<_>>()
            .join(",");
        Err(Error::config(
            "weights",
            list,
            "weights must be non-negative numbers, at least one of them positive",
            "Give one for each `model`",
        ))
    }

    /// These weights multiplied by `lambda`, and one more component with weight `1 - lambda`.
    ///
    /// # Errors
    /// If `lambda` is not between 0 and 1.
    pub fn with_other(self, lambda: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&lambda) {
            return Err(Error::config(
                "lambda",
                lambda,
                "the weight of the network relative to the other model must be from 0 to 1",
                "Start with 0.5, or give `tune` a text to find the best value",
            ));
        }
        Ok(Self(
            self.0
                .into_iter()
                .map(|weight| weight * lambda)
                .chain([1.0 - lambda])
                .collect(),
        ))
    }

    /// The weights, in the order of the components.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// ln of the weighted mean of probabilities, given their ln. Computed relative to the largest,
    /// to avoid underflow.
    pub fn mean(&self, log_probabilities: &[f64]) -> f64 {
        if let [log_probability] = log_probabilities {
            return *log_probability;
        }
        let max = self
            .0
            .iter()
            .zip(log_probabilities)
            .filter(|(weight, _)| **weight > 0.0)
            .map(|(_, value)| *value)
            .fold(f64::NEG_INFINITY, f64::max);
        if max == f64::NEG_INFINITY {
            return if log_probabilities.iter().any(|value| value.is_nan()) {
                f64::NAN
            } else {
                max
            };
        }
        // Unlike `max` above, this sum propagates NaN.
        let sum: f64 = self
            .0
            .iter()
            .zip(log_probabilities)
            .filter(|(weight, _)| **weight > 0.0)
            .map(|(weight, value)| weight * (value - max).exp())
            .sum();
        max + sum.ln()
    }
}

/// Estimates the weights that maximize the likelihood of tokens by expectation maximization,
/// starting from equal weights. `log_probabilities` is `[tokens, count]`, the ln P of each token by
/// each of `count` components.
pub fn estimate(count: usize, log_probabilities: &[f32]) -> Weights {
    let mut weights = Weights::even(count);
    let tokens = log_probabilities.len() / count;
    if count == 1 || tokens == 0 {
        return weights;
    }
    for _ in 0..MAX_ITERATIONS {
        let mut posteriors = vec![0.0; count];
        for row in log_probabilities.chunks_exact(count) {
            let max = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let joint = |(weight, value): (&f64, &f32)| weight * (f64::from(*value) - max).exp();
            let sum: f64 = weights.0.iter().zip(row).map(joint).sum();
            // A token with probability 0 under all components carries no information.
            if sum > 0.0 && sum.is_finite() {
                for (index, posterior) in posteriors.iter_mut().enumerate() {
                    *posterior += joint((&weights.0[index], &row[index])) / sum;
                }
            }
        }
        let total: f64 = posteriors.iter().sum();
        if total == 0.0 {
            break;
        }
        posteriors
            .iter_mut()
            .for_each(|posterior| *posterior /= total);
        let change = posteriors
            .iter()
            .zip(&weights.0)
            .map(|(new, old)| (new - old).abs())
            .fold(0.0, f64::max);
        weights = Weights(posteriors);
        if change < MIN_CHANGE {
            break;
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_is_the_weighted_mean_of_probabilities() {
        let mean = |weights: &[f64], log_probabilities: &[f64]| {
            Weights::new(weights)
                .expect("weights")
                .mean(log_probabilities)
        };
        assert!((mean(&[1.0, 1.0], &[0.25_f64.ln(), 0.75_f64.ln()]) - 0.5_f64.ln()).abs() < 1e-15);
        assert!(
            (mean(&[3.0, 1.0], &[0.5_f64.ln(), f64::NEG_INFINITY]) - 0.375_f64.ln()).abs() < 1e-15
        );
        assert_eq!(mean(&[1.0, 0.0], &[-2.0, f64::NEG_INFINITY]), -2.0);
        assert_eq!(
            mean(&[1.0, 1.0], &[f64::NEG_INFINITY; 2]),
            f64::NEG_INFINITY
        );
        // Both probabilities underflow to 0 in f64.
        assert!(
            (mean(&[1.0, 1.0], &[-1000.0, -1001.0])
                - (-1000.0 - 2.0_f64.ln() + (1.0 + (-1.0_f64).exp()).ln()))
            .abs()
                < 1e-12
        );
        assert!(
            mean(&[1.0, 1.0], &[f64::NAN, -1.0]).is_nan()
                && mean(&[1.0, 1.0], &[-1.0, f64::NAN]).is_nan()
        );
        assert!(mean(&[1.0, 1.0], &[f64::NAN, f64::NEG_INFINITY]).is_nan());
    }

    #[test]
    fn invalid_weights_are_rejected() {
        for invalid in [
            &[-1.0, 2.0][..],
            &[0.0, 0.0],
            &[f64::NAN],
            &[f64::INFINITY, 1.0],
            &[],
        ] {
            assert!(Weights::new(invalid).is_err(), "{invalid:?}");
        }
        for lambda in [-0.01, 1.01, f64::NAN] {
            assert!(Weights::even(1).with_other(lambda).is_err(), "{lambda}");
        }
        assert_eq!(
            Weights::new(&[1.0, 3.0])
                .expect("weights")
                .with_other(0.5)
                .expect("a weight")
                .values(),
            [0.125, 0.375, 0.5]
        );
    }

    /// Estimation recovers the weights of a known mixture; a component that is always worse gets
    /// weight 0.
    #[test]
    fn estimated_weights_maximize_the_likelihood() {
        let log = |p: f64| p.ln() as f32;
        // 7 of 10 tokens are likely under the first component, 3 under the second.
        let rows: Vec<f32> = (0..10)
            .flat_map(|i| {
                if i < 7 {
                    [log(0.9), log(0.1)]
                } else {
                    [log(0.1), log(0.9)]
                }
            })
            .collect();
        let found = estimate(2, &rows);
        // The likelihood is (0.1 + 0.8 w)^7 (0.9 - 0.8 w)^3, with its maximum at w = 0.75.
        assert!((found.values()[0] - 0.75).abs() < 1e-4, "{found:?}");
        let worse: Vec<f32> = (0..10).flat_map(|_| [log(0.5), log(0.25)]).collect();
        assert!(estimate(2, &worse).values()[0] > 0.999);
        assert_eq!(estimate(1, &[log(0.5)]).values(), [1.0]);
        let unpredictable = estimate(
            2,
            &[
                f32::NEG_INFINITY,
                f32::NEG_INFINITY,
                log(0.5),
                f32::NEG_INFINITY,
            ],
        );
        assert!(unpredictable.values()[0] > 0.999, "{unpredictable:?}");
    }
}
