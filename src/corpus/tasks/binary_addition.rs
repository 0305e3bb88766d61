//! The binary addition task: the bits of a sum, which depend on the carry.

use rand::{RngExt, rngs::ChaCha8Rng};

use super::Task;

pub(super) const TASK: Task = Task {
    name: "binary-addition",
    description: "two numbers of the given number of bits, pair by pair from the least \
        significant bit, the bit of the sum after each pair, the carry at the end",
    size_field: "bits",
    min_size: 1,
    default_size: 8,
    words,
    entropy: |bits| bits as f64 * (PAIRS.len() as f64).ln(),
    recalled: |bits| (0..bits).map(|bit| 2 * bit + 1).chain([2 * bits]).collect(),
    nats_without_memory: carry_entropy,
    draw,
};

const PAIRS: [&str; 4] = ["00", "01", "10", "11"];
const BITS: [&str; 2] = ["0", "1"];

pub(super) fn words(bits: usize) -> usize {
    2 * bits + 1
}

fn draw(bits: usize, random: &mut ChaCha8Rng) -> Vec<&'static str> {
    let mut words = Vec::with_capacity(words(bits));
    let mut carry = 0;
    for _ in 0..bits {
        let pair = random.random_range(0..PAIRS.len());
        let sum = (pair >> 1) + (pair & 1) + carry;
        words.extend([PAIRS[pair], BITS[sum & 1]]);
        carry = sum >> 1;
    }
    words.push(BITS[carry]);
    words
}

/// The entropy of the recalled words for a model that knows only the current word, in nats. Let p
/// be the probability of a carry. Given a pair, the uncertainty about the bit of the sum is exactly
/// that about the carry. After the last bit, the next carry has probability (1 + p) / 2 if that bit
/// is 0, and p / 2 if it is 1.
fn carry_entropy(bits: usize) -> f64 {
    let mut nats = 0.0;
    let mut carry = 0.0;
    for bit in 0..bits {
        nats += binary_entropy(carry);
        if bit + 1 == bits {
            nats += (binary_entropy((1.0 + carry) / 2.0) + binary_entropy(carry / 2.0)) / 2.0;
        }
        carry = 0.25 + carry / 2.0;
    }
    nats
}

/// The entropy of a binary variable, in nats.
fn binary_entropy(probability: f64) -> f64 {
    [probability, 1.0 - probability]
        .into_iter()
        .filter(|probability| *probability > 0.0)
        .map(|probability| -probability * probability.ln())
        .sum()
}
