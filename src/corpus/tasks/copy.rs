//! The copy task: repeat letters after a delay.

use rand::rngs::ChaCha8Rng;

use super::{Task, choose};

pub(super) const TASK: Task = Task {
    name: "copy",
    description: "5 letters of 8, blanks for the length of the delay, a mark, the same letters",
    size_field: "delay",
    min_size: 1,
    default_size: 20,
    words,
    entropy: |_| COPIED as f64 * (LETTERS.len() as f64).ln(),
    recalled: |delay| (words(delay) - COPIED..words(delay)).collect(),
    nats_without_memory: |_| COPIED as f64 * (LETTERS.len() as f64).ln(),
    draw,
};

const COPIED: usize = 5;
const LETTERS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
const BLANK: &str = "_";
const RECALL: &str = "?";

pub(super) fn words(delay: usize) -> usize {
    2 * COPIED + delay + 1
}

fn draw(delay: usize, random: &mut ChaCha8Rng) -> Vec<&'static str> {
    let letters: [&str; COPIED] = std::array::from_fn(|_| choose(&LETTERS, random));
    let mut words = letters.to_vec();
    words.resize(COPIED + delay, BLANK);
    words.push(RECALL);
    words.extend(letters);
    words
}
