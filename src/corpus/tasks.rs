//! Memory tasks: texts in which the last words of each example follow from words long before them.
//! Each line is one example.
//!
//! In: an entry of [`TASKS`], its size, a number of examples, and a seed. Out: a text, with the
//! exact probability of every line. All examples of a task and size are equally likely, so the
//! probability of a line is e to the power of minus the task's entropy, and the perplexity of a
//! text under its own distribution is known. The excess of a model is its loss, in nats per
//! example, above that entropy.
//!
//! - `copy`, for example `b h a a e _ _ _ ? b h a a e`: 5 letters of 8, `delay` blanks, a mark, and
//!   the same letters. Entropy: 5 ln 8 nats. The last 5 words are recalled.
//! - `adding`, for example `4 +1 0 2 +3 0 = 4`: `delay` digits from 0 to 4, one marked in each
//!   half, and the sum of the two marked digits. Entropy: delay ln 5 + ln(h k) nats, where h and k
//!   are the lengths of the halves. The last word is recalled.
//! - `binary-addition`, for example `11 0 01 0 00 1 0`: the bits of two numbers, least significant
//!   bit first, the bit of the sum after each pair, and the carry at the end. Entropy: bits ln 4
//!   nats. Every second word and the last word are recalled.
//!
//! If `delay` is odd, the second half of `adding` is the longer one. A pair of `binary-addition` is
//! one word, with the bit of the first number first; the example is 3 + 1 = 4 with 3 bits. A
//! network that remembers everything predicts each recalled word with certainty. A network without
//! memory knows only the current word and its position in the example. At the recalled words, it
//! loses
//!
//! - copy: 5 ln 8 = 10.397 nats per example, for every delay;
//! - adding: the entropy of the sum of two digits, 2.079 nats, for every delay;
//! - binary-addition: for every bit, the entropy of the carry, whose probability before bit i is p
//!   = (1 - 2^-i) / 2, and at the end the entropy of the carry given the last bit of the sum: 5.242
//!   nats for 8 bits.
//!
//! The total excess of a model may be larger, because the other words also require some memory. A
//! model that cannot count the blanks of `copy` loses about 1 + ln(delay + 1) nats because it
//! cannot predict where they end; a model that forgets whether a half of `adding` already contains
//! a mark loses about 1 nat per half.
//!
//! `copy` and `adding` follow S. Hochreiter and J. Schmidhuber (1997), "Long short-term memory",
//! Neural Computation 9, 1735-1780, and M. Arjovsky, A. Shah and Y. Bengio (2016), "Unitary
//! evolution recurrent neural networks"; `binary-addition` follows A. Trask (2015), "Anyone can
//! learn to code an LSTM-RNN in Python". Here each task is a text, and the network predicts every
//! word of it.

mod adding;
mod binary_addition;
mod copy;
#[cfg(test)]
mod tests;

use std::f64::consts::LN_10;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::builtin::SampledText;
use crate::error::{Error, Result};

/// A memory task with its exact properties. Functions take the size of the task.
#[derive(Debug)]
pub struct Task {
    /// The name on the command line.
    pub name: &'static str,
    /// Description of an example, for help texts.
    pub description: &'static str,
    /// The name of the size in a configuration, such as `delay`.
    pub size_field: &'static str,
    /// The minimum size.
    pub min_size: usize,
    /// The default size.
    pub default_size: usize,
    /// Number of words of an example, without `</s>`. Multiplied by the number of examples, it is
    /// at most [`MAX_WORDS`].
    pub words: fn(usize) -> usize,
    /// The entropy of an example, in nats.
    pub entropy: fn(usize) -> f64,
    /// The positions of the recalled words in an example, counted from 0.
    pub recalled: fn(usize) -> Vec<usize>,
    /// The loss at the recalled words, in nats per example, of a model that knows only the current
    /// word and its position in the example.
    pub nats_without_memory: fn(usize) -> f64,
    draw: fn(usize, &mut ChaCha8Rng) -> Vec<&'static str>,
}

/// All memory tasks.
pub const TASKS: &[Task] = &[copy::TASK, adding::TASK, binary_addition::TASK];

/// Maximum number of words of a text, which is generated in memory.
pub const MAX_WORDS: usize = 100_000_000;

impl Task {
    /// Draws a text of `examples` examples, one per line. The same seed draws the same text.
    ///
    /// # Errors
    /// If the size is too small, there are no examples, or the text is too large.
    pub fn draw(&self, size: usize, examples: usize, seed: u64) -> Result<SampledText> {
        for (field, value, min) in [
            (self.size_field, size, self.min_size),
            ("examples", examples, 1),
        ] {
            if value < min {
                return Err(Error::config(
                    field,
                    value,
                    format!("{} requires at least {min}", self.name),
                    format!("Use {min} or more"),
                ));
            }
        }
        // The check of `size` prevents an overflow of `words`.
        if size > MAX_WORDS || (self.words)(size).saturating_mul(examples) > MAX_WORDS {
            return Err(Error::config(
                self.size_field,
                format!("{size} with `examples = {examples}`"),
                format!("a text has at most {MAX_WORDS} words"),
                "Use fewer or shorter examples; different seeds give different texts",
            ));
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut text = String::new();
        for _ in 0..examples {
            text.push_str(&(self.draw)(size, &mut random).join(" "));
            text.push('\n');
        }
        Ok(SampledText {
            text,
            log10_probabilities: vec![-(self.entropy)(size) / LN_10; examples],
        })
    }
}

/// A random element of `words`.
fn choose<'a>(words: &[&'a str], random: &mut ChaCha8Rng) -> &'a str {
    words[random.random_range(0..words.len())]
}
