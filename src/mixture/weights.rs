//! Weights of a linear mixture, and the ones that fit best.

use crate::error::{Error, Result};

/// Non-negative weights whose sum is 1, one a component.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights(Vec<f64>);

/// Changes of weights below which they are as good as found.
const SMALLEST_CHANGE: f64 = 1e-6;
/// Rounds after which weights are taken as they are.
const MOST_ROUNDS: usize = 1000;

impl Weights {
    /// The same for all.
    ///
    /// # Panics
    /// If there is no component.
    pub fn even(count: usize) -> Self {
        assert!(count > 0, "a mixture of nothing");
        Self(vec![1.0 / count as f64; count])
    }

    /// Weights in these proportions.
    ///
    /// # Errors
    /// If one is negative or not finite, or all are 0.
    pub fn new(proportions: &[f64]) -> Result<Self> {
        let sum: f64 = proportions.iter().sum();
        let fits = sum > 0.0
            && proportions
                .iter()
                .all(|weight| weight.is_finite() && *weight >= 0.0);
        if fits {
            return Ok(Self(
                proportions.iter().map(|weight| weight / sum).collect(),
            ));
        }
        let list = proportions
            .iter()
            .map(f64::to_string)
            .collect::<Vec<_>>()
            .join(",");
        Err(Error::usage(
            format!("--weights {list}"),
            "weights are numbers from 0 on, of which one is above 0",
            "Give one for each --model",
        ))
    }

    /// These with `lambda` in all, and one component more with the rest.
    ///
    /// # Errors
    /// If lambda is outside 0 to 1.
    pub fn with_other(self, lambda: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&lambda) {
            let rule = "the network's weight beside the other model must be from 0 to 1";
            return Err(Error::usage(
                format!("--lambda {lambda}"),
                rule,
                "0.5 is a good one to begin with; --tune FILE finds the best",
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

    /// One after the other.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// ln of the weighted mean of probabilities that are given by their ln. The largest is taken
    /// out before it vanishes.
    pub fn mean(&self, parts: &[f64]) -> f64 {
        if let [part] = parts {
            return *part;
        }
        let top = self
            .0
            .iter()
            .zip(parts)
            .filter(|(weight, _)| **weight > 0.0)
            .map(|(_, part)| *part)
            .fold(f64::NEG_INFINITY, f64::max);
        if top == f64::NEG_INFINITY {
            return if parts.iter().any(|part| part.is_nan()) {
                f64::NAN
            } else {
                top
            };
        }
        // NaN must not be lost here, as it is in `max`.
        let sum: f64 = self
            .0
            .iter()
            .zip(parts)
            .filter(|(weight, _)| **weight > 0.0)
            .map(|(weight, part)| weight * (part - top).exp())
            .sum();
        top + sum.ln()
    }
}

/// The weights under which tokens are likeliest whose ln P are given, a row of `count` numbers a
/// token: expectation maximisation from even weights on, which never makes a text less likely.
pub fn estimate(count: usize, log_probabilities: &[f32]) -> Weights {
    let mut weights = Weights::even(count);
    let tokens = log_probabilities.len() / count;
    if count == 1 || tokens == 0 {
        return weights;
    }
    for _ in 0..MOST_ROUNDS {
        let mut shares = vec![0.0; count];
        for row in log_probabilities.chunks_exact(count) {
            let top = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let joint = |(weight, part): (&f64, &f32)| weight * (f64::from(*part) - top).exp();
            let sum: f64 = weights.0.iter().zip(row).map(joint).sum();
            // A token that none of them can predict says nothing.
            if sum > 0.0 && sum.is_finite() {
                shares
                    .iter_mut()
                    .zip(weights.0.iter().zip(row))
                    .for_each(|(share, pair)| *share += joint(pair) / sum);
            }
        }
        let whole: f64 = shares.iter().sum();
        if whole == 0.0 {
            break;
        }
        shares.iter_mut().for_each(|share| *share /= whole);
        let change = shares
            .iter()
            .zip(&weights.0)
            .map(|(new, old)| (new - old).abs())
            .fold(0.0, f64::max);
        weights = Weights(shares);
        if change < SMALLEST_CHANGE {
            break;
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_probabilities() {
        let of =
            |weights: &[f64], parts: &[f64]| Weights::new(weights).expect("weights").mean(parts);
        assert!((of(&[1.0, 1.0], &[0.25_f64.ln(), 0.75_f64.ln()]) - 0.5_f64.ln()).abs() < 1e-15);
        assert!(
            (of(&[3.0, 1.0], &[0.5_f64.ln(), f64::NEG_INFINITY]) - 0.375_f64.ln()).abs() < 1e-15
        );
        assert_eq!(of(&[1.0, 0.0], &[-2.0, f64::NEG_INFINITY]), -2.0);
        assert_eq!(of(&[1.0, 1.0], &[f64::NEG_INFINITY; 2]), f64::NEG_INFINITY);
        // Both probabilities are 0 in f64.
        assert!(
            (of(&[1.0, 1.0], &[-1000.0, -1001.0])
                - (-1000.0 - 2.0_f64.ln() + (1.0 + (-1.0_f64).exp()).ln()))
            .abs()
                < 1e-12
        );
        assert!(
            of(&[1.0, 1.0], &[f64::NAN, -1.0]).is_nan()
                && of(&[1.0, 1.0], &[-1.0, f64::NAN]).is_nan()
        );
        assert!(of(&[1.0, 1.0], &[f64::NAN, f64::NEG_INFINITY]).is_nan());
    }

    #[test]
    fn wrong_weights_are_refused() {
        for wrong in [
            &[-1.0, 2.0][..],
            &[0.0, 0.0],
            &[f64::NAN],
            &[f64::INFINITY, 1.0],
            &[],
        ] {
            assert!(Weights::new(wrong).is_err(), "{wrong:?}");
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

    /// Tokens that a mixture of known weights draws give the weights back; a component that is
    /// always worse gets none.
    #[test]
    fn estimated_weights_fit_best() {
        let log = |p: f64| p.ln() as f32;
        // Of 10 tokens 7 are likely under the first, 3 under the second.
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
        // The likelihood of the mixture w is (0.1 + 0.8 w)^7 (0.9 - 0.8 w)^3, largest at w = 0.75.
        assert!((found.values()[0] - 0.75).abs() < 1e-4, "{found:?}");
        let worse: Vec<f32> = (0..10).flat_map(|_| [log(0.5), log(0.25)]).collect();
        assert!(estimate(2, &worse).values()[0] > 0.999);
        assert_eq!(estimate(1, &[log(0.5)]).values(), [1.0]);
        let helpless = estimate(
            2,
            &[
                f32::NEG_INFINITY,
                f32::NEG_INFINITY,
                log(0.5),
                f32::NEG_INFINITY,
            ],
        );
        assert!(helpless.values()[0] > 0.999, "{helpless:?}");
    }
}
