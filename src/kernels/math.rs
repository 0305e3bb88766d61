//! The exponential function and functions derived from it in f32, written so that loops over them
//! vectorize.
//!
//! The polynomial of the exponential function is that of Cephes (Moshier 1989: `expf.c`). The tests
//! below verify the stated errors, with and without fused multiplication and addition.

/// Functions of real numbers, compiled for the instructions of a vectorized loop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Math {
    /// Whether the processor multiplies and adds in one instruction. A constant after inlining.
    is_fused: bool,
}

impl Math {
    /// For a loop whose instructions include fused multiplication and addition, or not.
    #[inline(always)]
    pub(super) const fn new(is_fused: bool) -> Self {
        Self { is_fused }
    }

    /// `a * b + c`, rounded once if the processor has an instruction for it. Without one, a library
    /// function would round once, in a hundred times the time.
    #[inline(always)]
    fn multiply_add(self, a: f32, b: f32, c: f32) -> f32 {
        if self.is_fused {
            a.mul_add(b, c)
        } else {
            a * b + c
        }
    }

    /// The polynomial with these coefficients, the highest power's first.
    #[inline(always)]
    fn polynomial<const N: usize>(self, x: f32, coefficients: [f32; N]) -> f32 {
        let mut sum = coefficients[0];
        for &coefficient in &coefficients[1..] {
            sum = self.multiply_add(sum, x, coefficient);
        }
        sum
    }

    /// e^x with a relative error below 2e-7 for -87 ≤ x ≤ 88. The result is 0 below -87.7 and
    /// infinity above 88.4.
    #[inline(always)]
    pub(super) fn exp(self, x: f32) -> f32 {
        const LOG2_E: f32 = std::f32::consts::LOG2_E;
        // ln 2 as the sum of two constants, so that x - n ln 2 is accurate to the last bit.
        const LN2_HIGH: f32 = 0.693_359_4;
        const LN2_LOW: f32 = -2.121_944_4e-4;
        // Adding 1.5 * 2^23 rounds to an integer, which is then in the lowest bits.
        const ROUND: f32 = 12_582_912.0;
        const COEFFICIENTS: [f32; 6] = [
            1.987_569_1e-4,
            1.398_199_9e-3,
            8.333_452e-3,
            4.166_579_6e-2,
            1.666_666_5e-1,
            5e-1,
        ];
        let clamped = x.clamp(-88.0, 89.0);
        let rounded = self.multiply_add(clamped, LOG2_E, ROUND);
        let n = rounded - ROUND;
        let r = self.multiply_add(n, -LN2_HIGH, clamped);
        let r = self.multiply_add(n, -LN2_LOW, r);
        let p = self.polynomial(r, COEFFICIENTS);
        let value = self.multiply_add(p * r, r, r) + 1.0;
        // n + 127 in the exponent field is 2^n, or 0 for n = -127 and infinity for n = 128, the
        // limits of the clamp. If x is NaN, so is `value`.
        value * f32::from_bits(rounded.to_bits().wrapping_add(127) << 23)
    }

    /// e^x with a relative error below 4e-16 for -708 ≤ x ≤ 709. The result is 0 below -708.8,
    /// infinity above 709.5.
    #[inline(always)]
    pub(super) fn exp_f64(self, x: f64) -> f64 {
        const LN2_HIGH: f64 = 0.693_145_751_953_125;
        const LN2_LOW: f64 = 1.428_606_820_309_417_2e-6;
        // As in `exp`: 1.5 * 2^52.
        const ROUND: f64 = 6_755_399_441_055_744.0;
        // 1 / 13!, 1 / 12!, …, 1 / 2!: Taylor's series, whose next term is below 1e-17.
        const COEFFICIENTS: [f64; 12] = [
            1.605_904_383_682_161_3e-10,
            2.087_675_698_786_81e-9,
            2.505_210_838_544_172e-8,
            2.755_731_922_398_589e-7,
            2.755_731_922_398_589_3e-6,
            2.480_158_730_158_73e-5,
            1.984_126_984_126_984e-4,
            1.388_888_888_888_889e-3,
            8.333_333_333_333_333e-3,
            4.166_666_666_666_666_4e-2,
            1.666_666_666_666_666_6e-1,
            0.5,
        ];
        let multiply_add = |a: f64, b: f64, c: f64| {
            if self.is_fused {
                a.mul_add(b, c)
            } else {
                a * b + c
            }
        };
        let clamped = x.clamp(-709.0, 710.0);
        let rounded = multiply_add(clamped, std::f64::consts::LOG2_E, ROUND);
        let n = rounded - ROUND;
        let r = multiply_add(n, -LN2_HIGH, clamped);
        let r = multiply_add(n, -LN2_LOW, r);
        let mut p = COEFFICIENTS[0];
        for &coefficient in &COEFFICIENTS[1..] {
            p = multiply_add(p, r, coefficient);
        }
        let value = multiply_add(p * r, r, r) + 1.0;
        value * f64::from_bits(rounded.to_bits().wrapping_add(1023) << 52)
    }

    /// 1 / (1 + e^-x) with a relative error below 3e-7 for |x| ≤ 80.
    #[inline(always)]
    pub(super) fn sigmoid(self, x: f32) -> f32 {
        1.0 / (1.0 + self.exp(-x))
    }

    /// The hyperbolic tangent with a relative error below 4e-7: x times a quotient of polynomials
    /// of x².
    #[inline(always)]
    pub(super) fn tanh(self, x: f32) -> f32 {
        // From this x on, the tangent rounds to 1.
        const LARGEST: f32 = 9.02;
        // The quotient with the smallest relative error below `LARGEST`, 2.1e-8 before rounding,
        // found by iteratively reweighted least squares.
        const NUMERATOR: [f32; 5] = [
            1.331_931_5e-8,
            2.058_367_9e-5,
            3.494_047_6e-3,
            1.337_972_9e-1,
            1.0,
        ];
        const DENOMINATOR: [f32; 5] = [
            7.762_125e-7,
            3.283_113e-4,
            2.587_112_4e-2,
            4.671_304_5e-1,
            1.0,
        ];
        let x = x.clamp(-LARGEST, LARGEST);
        let square = x * x;
        let numerator = x * self.polynomial(square, NUMERATOR);
        (numerator / self.polynomial(square, DENOMINATOR)).clamp(-1.0, 1.0)
    }
}

/// rnnlm's approximation of e^x: integer powers of 2 with linear interpolation in between
/// (Schraudolph 1999). The relative error is between -3.9 % and +2.0 %. NaN stays NaN.
#[inline(always)]
pub(super) fn rnnlm_exp(x: f32) -> f32 {
    const BIAS: f32 = 126.942_695;
    const FRACTION: f32 = 8_388_608.0;
    let power = (x * std::f32::consts::LOG2_E).max(-126.0);
    // The largest value whose bits represent a finite number.
    let value = f32::from_bits(((power + BIAS) * FRACTION).min(2_139_094_912.0) as u32);
    if x.is_nan() { x } else { value }
}

/// 1 / (1 + e^-x) with [`rnnlm_exp`] and arguments clamped to ±50, as in rnnlm.
#[inline(always)]
pub(super) fn rnnlm_sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + rnnlm_exp(-x.clamp(-50.0, 50.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Math; 2] = [Math::new(false), Math::new(true)];

    fn max_relative_error(f: impl Fn(f32) -> f32, exact: fn(f64) -> f64, range: f32) -> f64 {
        let steps = 400_000;
        (0..=steps)
            .map(|i| (i as f32 / steps as f32 * 2.0 - 1.0) * range)
            .map(|x| {
                let want = exact(f64::from(x));
                let error = (f64::from(f(x)) - want).abs() / want.abs().max(1e-30);
                assert!(error.is_finite(), "f({x}) = {} for {want}", f(x));
                error
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn stated_errors_hold() {
        for math in BOTH {
            let exp = |x| math.exp(x);
            let tanh = |x| math.tanh(x);
            let sigmoid = |x| math.sigmoid(x);
            assert!(max_relative_error(exp, f64::exp, 87.0) < 2e-7);
            assert!((f64::from(exp(88.0)) / 88_f64.exp() - 1.0).abs() < 2e-7);
            for i in 0..=400_000 {
                let x = f64::from(i) / 400_000.0 * 1417.0 - 708.0;
                let error = (math.exp_f64(x) / x.exp() - 1.0).abs();
                assert!(error < 4e-16, "exp_f64({x}): {error}");
            }
            assert!(max_relative_error(sigmoid, |x| 1.0 / (1.0 + (-x).exp()), 80.0) < 3e-7);
            for range in [30.0, 10.0, 1.0, 1e-3] {
                assert!(max_relative_error(tanh, f64::tanh, range) < 4e-7);
            }
        }
    }

    #[test]
    fn error_of_rnnlm_exp() {
        let mut lowest = 0.0_f64;
        let mut highest = 0.0_f64;
        for i in 0..=172_000 {
            let x = i as f32 * 0.001 - 86.0;
            let error = f64::from(rnnlm_exp(x)) / f64::from(x).exp() - 1.0;
            lowest = lowest.min(error);
            highest = highest.max(error);
        }
        // With the fraction m of the power, (1 + m) / 2^(m + 0.057305) - 1: lowest at m = 0,
        // highest at m = 1 / ln 2 - 1.
        assert!((lowest + 0.0389).abs() < 1e-4, "lowest error {lowest}");
        assert!((highest - 0.0201).abs() < 1e-4, "highest error {highest}");
    }

    #[test]
    fn rnnlm_exp_interpolates() {
        // Linear interpolation: the value at 3.5 is the mean of those at 3 and 4.
        let at = |power: f32| rnnlm_exp(power * std::f32::consts::LN_2);
        assert!((at(3.5) - (at(3.0) + at(4.0)) / 2.0).abs() < 0.3);
        assert!(rnnlm_exp(1000.0).is_finite() && rnnlm_exp(-1000.0) > 0.0);
        assert!(
            (f64::from(rnnlm_sigmoid(0.0)) - 0.5).abs() < 0.02
                && rnnlm_sigmoid(1e9) == rnnlm_sigmoid(50.0)
        );
    }

    #[test]
    fn limits_of_the_range() {
        for math in BOTH {
            assert_eq!((math.exp(-200.0), math.exp(200.0)), (0.0, f32::INFINITY));
            for large in [800.0, f64::INFINITY] {
                assert_eq!(
                    (math.exp_f64(-large), math.exp_f64(large)),
                    (0.0, f64::INFINITY)
                );
            }
            assert!(math.exp_f64(f64::NAN).is_nan());
            assert_eq!((math.sigmoid(-1000.0), math.sigmoid(1000.0)), (0.0, 1.0));
            for large in [9.02, 9.1, 1000.0, f32::INFINITY] {
                assert_eq!((math.tanh(-large), math.tanh(large)), (-1.0, 1.0));
            }
            assert_eq!((math.tanh(0.0), math.tanh(1e-30)), (0.0, 1e-30));
            for value in [
                math.exp(f32::NAN),
                math.sigmoid(f32::NAN),
                math.tanh(f32::NAN),
            ] {
                assert!(value.is_nan());
            }
        }
        assert!(rnnlm_exp(f32::NAN).is_nan() && rnnlm_sigmoid(f32::NAN).is_nan());
    }
}
