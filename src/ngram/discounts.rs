//! The three discounts of modified Kneser-Ney smoothing (Chen and Goodman 1999, section 4.2).
//!
//! In: the counts of the n-grams of an order. Out: the values to subtract from counts of 1, of 2,
//! and of 3 or more.

/// The values that are subtracted from the counts of one order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Discounts {
    /// The discounts for counts of 1, of 2, and of 3 or more.
    pub values: [f64; 3],
    /// How the values were obtained.
    pub origin: DiscountOrigin,
}

/// How discounts were obtained. n1 is the number of n-grams with count 1, n2 with count 2, and so
/// on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscountOrigin {
    /// `D(k) = k - (k + 1) Y n(k+1) / n(k)` with `Y = n1 / (n1 + 2 n2)`: the estimate.
    Modified,
    /// Y for every count (Kneser and Ney 1995), because n3 or n4 is 0 or a `D(k)` is not positive.
    Single,
    /// 0.5 for every count, because n1 or n2 is 0.
    Fixed,
}

impl Discounts {
    /// Estimates the discounts from the numbers of n-grams with counts 1, 2, 3 and 4.
    pub(super) fn new(counts_of_counts: [u64; 4]) -> Self {
        let [n1, n2, n3, n4] = counts_of_counts.map(|count| count as f64);
        if n1 == 0.0 || n2 == 0.0 {
            return Self {
                values: [0.5; 3],
                origin: DiscountOrigin::Fixed,
            };
        }
        let y = n1 / (n1 + 2.0 * n2);
        let values = [
            1.0 - 2.0 * y * n2 / n1,
            2.0 - 3.0 * y * n3 / n2,
            3.0 - 4.0 * y * n4 / n3,
        ];
        // A discount of 0 would leave no probability for unseen words. A comparison with NaN
        // (n3 = n4 = 0) is false.
        let is_usable = n3 > 0.0 && n4 > 0.0 && values.iter().all(|&value| value > 0.0);
        if is_usable {
            Self {
                values,
                origin: DiscountOrigin::Modified,
            }
        } else {
            Self {
                values: [y; 3],
                origin: DiscountOrigin::Single,
            }
        }
    }

    /// The discount of a count.
    pub(super) fn of(&self, count: u32) -> f64 {
        match count {
            0 => 0.0,
            1 => self.values[0],
            2 => self.values[1],
            _ => self.values[2],
        }
    }
}

/// The numbers of counts that are 1, 2, 3 and 4.
pub(super) fn counts_of_counts(counts: &[u32]) -> [u64; 4] {
    let mut result = [0; 4];
    counts
        .iter()
        .filter(|count| (1..=4).contains(*count))
        .for_each(|&count| result[count as usize - 1] += 1);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discounts_follow_the_formulas() {
        // Y = 100 / (100 + 2 · 50) = 0.5.
        let discounts = Discounts::new([100, 50, 25, 10]);
        assert_eq!(
            discounts,
            Discounts {
                values: [0.5, 2.0 - 3.0 * 0.5 * 0.5, 3.0 - 4.0 * 0.5 * 0.4],
                origin: DiscountOrigin::Modified
            }
        );
        assert_eq!(
            [0, 1, 2, 3, 9].map(|count| discounts.of(count)),
            [0.0, 0.5, 1.25, 2.2, 2.2]
        );
        assert_eq!(counts_of_counts(&[4, 1, 0, 2, 1, 5, 3, 1]), [3, 1, 1, 1]);
    }

    #[test]
    fn discounts_that_cannot_be_estimated() {
        for (counts_of_counts, origin, value) in [
            ([4, 2, 0, 0], DiscountOrigin::Single, 0.5),
            ([4, 2, 1, 0], DiscountOrigin::Single, 0.5),
            ([4, 2, 0, 1], DiscountOrigin::Single, 0.5),
            // D(2) = 2 - 3 · 0.5 · 3 < 0, and = 0.
            ([4, 2, 6, 1], DiscountOrigin::Single, 0.5),
            ([30, 15, 20, 1], DiscountOrigin::Single, 0.5),
            ([0, 2, 1, 1], DiscountOrigin::Fixed, 0.5),
            ([3, 0, 0, 0], DiscountOrigin::Fixed, 0.5),
            ([2, 3, 0, 0], DiscountOrigin::Single, 0.25),
        ] {
            assert_eq!(
                Discounts::new(counts_of_counts),
                Discounts {
                    values: [value; 3],
                    origin
                },
                "{counts_of_counts:?}"
            );
        }
    }
}
