//! Perplexities as text.

use std::f64::consts::LN_10;

/// Perplexities from here on are printed in scientific form.
const LARGE: f64 = 1e9;

/// A perplexity with a number of decimals. A large one is in scientific form, with the decimals in
/// the mantissa. `loss` is its logarithm, the nats per token, which is finite even where the
/// perplexity overflows.
pub(super) fn perplexity(value: f64, loss: f64, decimals: usize) -> String {
    if value.is_finite() && value >= LARGE {
        format!("{value:.decimals$e}")
    } else if value == f64::INFINITY && loss.is_finite() {
        let log10 = loss / LN_10;
        // The mantissa of a number that rounds to a power of 10 must not become 10.
        let half_digit = 0.5 * 10_f64.powi(-(decimals as i32));
        let exponent = (log10 + half_digit / 10.0 / LN_10).floor();
        let mantissa = 10_f64.powf(log10 - exponent).max(1.0);
        format!("{mantissa:.decimals$}e{exponent}")
    } else {
        format!("{value:.decimals$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_perplexities_are_in_scientific_form() {
        for (log10, decimals, want) in [
            (0.0, 4, "1.0000"),
            (2.0, 3, "100.000"),
            (8.5, 2, "316227766.02"),
            (9.5, 2, "3.16e9"),
            (99.25, 4, "1.7783e99"),
            (400.5, 4, "3.1623e400"),
            (400.0 - 1e-9, 4, "1.0000e400"),
            (400.0 - 1e-4, 4, "9.9977e399"),
        ] {
            let loss = log10 * LN_10;
            assert_eq!(perplexity(loss.exp(), loss, decimals), want, "10^{log10}");
        }
        assert_eq!(perplexity(f64::NAN, f64::NAN, 3), "NaN");
        assert_eq!(perplexity(f64::INFINITY, f64::INFINITY, 3), "inf");
    }
}
