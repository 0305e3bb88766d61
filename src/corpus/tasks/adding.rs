//! The adding task: the sum of two marked digits.

use rand::{RngExt, rngs::ChaCha8Rng};

use super::Task;

pub(super) const TASK: Task = Task {
    name: "adding",
    description: "digits for the length of the delay, one marked per half, the sum of these two",
    size_field: "delay",
    min_size: 2,
    default_size: 20,
    words,
    entropy: |delay| {
        delay as f64 * (DIGITS.len() as f64).ln()
            + ((delay / 2) as f64).ln()
            + (delay.div_ceil(2) as f64).ln()
    },
    recalled: |delay| vec![words(delay) - 1],
    nats_without_memory: |_| sum_entropy(),
    draw,
};

const DIGITS: [&str; 5] = ["0", "1", "2", "3", "4"];
const MARKED: [&str; 5] = ["+0", "+1", "+2", "+3", "+4"];
const EQUALS: &str = "=";
const SUMS: [&str; 9] = ["0", "1", "2", "3", "4", "5", "6", "7", "8"];

fn words(delay: usize) -> usize {
    delay + 2
}

fn draw(delay: usize, random: &mut ChaCha8Rng) -> Vec<&'static str> {
    let marks = [
        random.random_range(0..delay / 2),
        random.random_range(delay / 2..delay),
    ];
    let mut sum = 0;
    let mut words = Vec::with_capacity(words(delay));
    for position in 0..delay {
        let digit = random.random_range(0..DIGITS.len());
        if marks.contains(&position) {
            sum += digit;
            words.push(MARKED[digit]);
        } else {
            words.push(DIGITS[digit]);
        }
    }
    words.extend([EQUALS, SUMS[sum]]);
    words
}

/// The entropy of the sum of two digits, in nats. All pairs of digits are equally likely; the
/// number of pairs with sum s is s + 1 for s < 5, else 9 - s.
fn sum_entropy() -> f64 {
    let digits = DIGITS.len();
    let pairs = (digits * digits) as f64;
    (0..SUMS.len())
        .map(|sum| (sum + 1).min(SUMS.len() - sum) as f64 / pairs)
        .map(|probability| -probability * probability.ln())
        .sum()
}
