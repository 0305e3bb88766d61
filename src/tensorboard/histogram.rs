//! Histograms of values in buckets of equal width.

use super::messages::Histogram;

/// The number of buckets; TensorBoard shows about 30.
const BUCKETS: usize = 64;

/// The histogram of the finite values; none if there are none.
pub(super) fn of(values: &[f32]) -> Option<Histogram> {
    let finite = || {
        let finite = values.iter().filter(|value| value.is_finite());
        finite.map(|&value| f64::from(value))
    };
    let min = finite().reduce(f64::min)?;
    let max = finite().reduce(f64::max)?;
    // Equal values have one bucket, which has to end above them.
    let buckets = if min < max { BUCKETS } else { 1 };
    let width = if min < max {
        (max - min) / BUCKETS as f64
    } else {
        min.abs().max(1.0) * 1e-6
    };
    let mut histogram = Histogram {
        min,
        max,
        bucket_limits: (1..=buckets).map(|k| min + k as f64 * width).collect(),
        buckets: vec![0.0; buckets],
        ..Histogram::default()
    };
    for value in finite() {
        let bucket = ((value - min) / width) as usize;
        histogram.buckets[bucket.min(buckets - 1)] += 1.0;
        histogram.number += 1.0;
        histogram.sum += value;
        histogram.sum_of_squares += value * value;
    }
    Some(histogram)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted() {
        let histogram = of(&[0.0, 1.0, 63.5, 64.0, f32::INFINITY]).expect("finite values");
        assert_eq!((histogram.min, histogram.max), (0.0, 64.0));
        assert_eq!((histogram.number, histogram.sum), (4.0, 128.5));
        assert_eq!(histogram.sum_of_squares, 1.0 + 63.5 * 63.5 + 64.0 * 64.0);
        assert_eq!(histogram.bucket_limits.len(), BUCKETS);
        assert_eq!(histogram.bucket_limits[0], 1.0);
        assert_eq!(histogram.buckets[0], 1.0);
        assert_eq!(histogram.buckets[1], 1.0);
        assert_eq!(histogram.buckets[63], 2.0);
    }

    #[test]
    fn equal_values_have_one_bucket() {
        for value in [-3.0, 0.0, f32::MAX] {
            let histogram = of(&[value; 5]).expect("finite values");
            assert_eq!(histogram.buckets, [5.0]);
            assert!(histogram.bucket_limits[0] > f64::from(value));
        }
        assert_eq!(of(&[f32::NAN]), None);
        assert_eq!(of(&[]), None);
    }
}
