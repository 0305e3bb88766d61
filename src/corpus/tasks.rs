//! Tasks that show whether a network remembers: texts whose last words follow from words long
//! before them, one example a line.
//!
//! In: a row of [`TASKS`], its size, a number of examples, a seed. Out: a text, with the exact
//! probability of every line. All examples of a task and a size are equally likely, so a line's
//! probability is e to minus the task's entropy, and the perplexity of a text under the process
//! that drew it is known: the excess of a model is its nats an example above that entropy.
//!
//! - `copy`, such as `b h a a e _ _ _ ? b h a a e`: 5 letters of 8, `delay` blanks, a mark, the
//!   letters again. Entropy 5 ln 8 nats; the last 5 words are recalled.
//! - `adding`, such as `4 +1 0 2 +3 0 = 4`: `delay` digits from 0 to 4, one marked in each half,
//!   their sum. Entropy delay ln 5 + ln(h k) nats, where h and k are the lengths of the halves; the
//!   last word is recalled.
//! - `binary-addition`, such as `11 0 01 0 00 1 0`: the bits of two numbers, least significant
//!   first, after each pair the bit of the sum, at the end the carry. Entropy bits ln 4 nats; every
//!   second word and the last are recalled.
//!
//! An odd `delay` makes the second half of `adding` the longer one. A pair of `binary-addition` is
//! one word, the first number's bit first; the example is 3 + 1 = 4 with 3 bits. No recalled word
//! is a surprise to a network that remembers. One that remembers nothing, and knows only the
//! present word and its place in the example, loses at the recalled words:
//!
//! - copy: 5 ln 8 = 10.397 nats an example, whatever the delay;
//! - adding: the entropy of the sum of two digits, 2.079 nats, whatever the delay;
//! - binary-addition: for every bit the entropy of the carry, of probability p = (1 - 2^-i) / 2
//!   before bit i, and at the end the carry's given the sum's last bit: 5.242 nats for 8 bits.
//!
//! A model's whole excess may be larger, since the other words want memory too, if less: one that
//! cannot count the blanks of `copy` pays about 1 + ln(delay + 1) nats for not knowing their end,
//! and one that forgets whether a half of `adding` has had its mark about 1 nat a half.
//!
//! `copy` and `adding` follow S. Hochreiter and J. Schmidhuber (1997), "Long short-term memory",
//! Neural Computation 9, 1735-1780, and M. Arjovsky, A. Shah and Y. Bengio (2016), "Unitary
//! evolution recurrent neural networks"; `binary-addition` follows A. Trask (2015), "Anyone can
//! learn to code an LSTM-RNN in Python". Here each is a text, and the network predicts every word
//! of it.

use std::f64::consts::LN_10;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::builtin::Drawn;
use crate::error::{Error, Result};

/// A task, with what is known of it exactly. Sizes are those of its flag.
#[derive(Debug)]
pub struct Task {
    /// The name on the command line.
    pub name: &'static str,
    /// What an example is, for help texts.
    pub description: &'static str,
    /// The flag that gives the size.
    pub flag: &'static str,
    /// The smallest size.
    pub least: usize,
    /// The size where none is given.
    pub default: usize,
    /// Words of an example, its `</s>` left out; its product with the number of examples is at most
    /// [`MOST_WORDS`].
    pub words: fn(usize) -> usize,
    /// The entropy of an example in nats.
    pub nats: fn(usize) -> f64,
    /// Where in an example the recalled words stand, from 0 on.
    pub recalled: fn(usize) -> Vec<usize>,
    /// Nats an example lost at the recalled words by knowing only the present word and its place in
    /// the example.
    pub nats_without_memory: fn(usize) -> f64,
    draw: fn(usize, &mut ChaCha8Rng) -> Vec<&'static str>,
}

/// Every task.
pub const TASKS: &[Task] = &[
    Task {
        name: "copy",
        description: "5 letters of 8, --delay blanks, a mark, the same letters",
        flag: "--delay",
        least: 1,
        default: 20,
        words: copy_words,
        nats: |_| COPIED as f64 * (LETTERS.len() as f64).ln(),
        recalled: |delay| (copy_words(delay) - COPIED..copy_words(delay)).collect(),
        nats_without_memory: |_| COPIED as f64 * (LETTERS.len() as f64).ln(),
        draw: draw_copy,
    },
    Task {
        name: "adding",
        description: "--delay digits, one of each half marked, the sum of these two",
        flag: "--delay",
        least: 2,
        default: 20,
        words: adding_words,
        nats: |delay| {
            delay as f64 * (DIGITS.len() as f64).ln()
                + ((delay / 2) as f64).ln()
                + (delay.div_ceil(2) as f64).ln()
        },
        recalled: |delay| vec![adding_words(delay) - 1],
        nats_without_memory: |_| entropy_of_a_sum(),
        draw: draw_adding,
    },
    Task {
        name: "binary-addition",
        description: "two numbers of --bits bits, pair by pair from the least significant on, \
            after each pair the sum's bit, at last the carry",
        flag: "--bits",
        least: 1,
        default: 8,
        words: addition_words,
        nats: |bits| bits as f64 * (PAIRS.len() as f64).ln(),
        recalled: |bits| (0..bits).map(|bit| 2 * bit + 1).chain([2 * bits]).collect(),
        nats_without_memory: carries_without_memory,
        draw: draw_addition,
    },
];

/// The most words of a text: it is made in memory.
pub const MOST_WORDS: usize = 100_000_000;

const COPIED: usize = 5;
const LETTERS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
const BLANK: &str = "_";
const RECALL: &str = "?";
const DIGITS: [&str; 5] = ["0", "1", "2", "3", "4"];
const MARKED: [&str; 5] = ["+0", "+1", "+2", "+3", "+4"];
const EQUALS: &str = "=";
const SUMS: [&str; 9] = ["0", "1", "2", "3", "4", "5", "6", "7", "8"];
const PAIRS: [&str; 4] = ["00", "01", "10", "11"];
const BITS: [&str; 2] = ["0", "1"];

impl Task {
    /// Draws a text of `examples` examples, one a line; the same seed draws the same text.
    ///
    /// # Errors
    /// If the size is too small, there are no examples, or the text would be too large.
    pub fn draw(&self, size: usize, examples: usize, seed: u64) -> Result<Drawn> {
        for (flag, value, least) in [(self.flag, size, self.least), ("--examples", examples, 1)] {
            if value < least {
                return Err(Error::usage(
                    format!("{flag} {value}"),
                    format!("{} needs at least {least}", self.name),
                    format!("Take {least} or more"),
                ));
            }
        }
        // A size within the bound keeps `words` from overflowing.
        if size > MOST_WORDS || (self.words)(size).saturating_mul(examples) > MOST_WORDS {
            return Err(Error::usage(
                format!("{} {size} with --examples {examples}", self.flag),
                format!("a text has at most {MOST_WORDS} words"),
                "Take fewer or shorter examples; several seeds give several texts",
            ));
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut text = String::new();
        for _ in 0..examples {
            text.push_str(&(self.draw)(size, &mut random).join(" "));
            text.push('\n');
        }
        Ok(Drawn {
            text,
            log10_probabilities: vec![-(self.nats)(size) / LN_10; examples],
        })
    }
}

fn one_of<'a>(words: &[&'a str], random: &mut ChaCha8Rng) -> &'a str {
    words[random.random_range(0..words.len())]
}

fn copy_words(delay: usize) -> usize {
    2 * COPIED + delay + 1
}

fn draw_copy(delay: usize, random: &mut ChaCha8Rng) -> Vec<&'static str> {
    let letters: [&str; COPIED] = std::array::from_fn(|_| one_of(&LETTERS, random));
    let mut words = letters.to_vec();
    words.resize(COPIED + delay, BLANK);
    words.push(RECALL);
    words.extend(letters);
    words
}

fn adding_words(delay: usize) -> usize {
    delay + 2
}

fn draw_adding(delay: usize, random: &mut ChaCha8Rng) -> Vec<&'static str> {
    let marks = [
        random.random_range(0..delay / 2),
        random.random_range(delay / 2..delay),
    ];
    let mut sum = 0;
    let mut words = Vec::with_capacity(adding_words(delay));
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

/// In nats; sum s of two digits comes of as many of the equally likely pairs as there are digits
/// within reach of it.
fn entropy_of_a_sum() -> f64 {
    let digits = DIGITS.len();
    let pairs = (digits * digits) as f64;
    (0..SUMS.len())
        .map(|sum| (sum + 1).min(SUMS.len() - sum) as f64 / pairs)
        .map(|share| -share * share.ln())
        .sum()
}

fn addition_words(bits: usize) -> usize {
    2 * bits + 1
}

fn draw_addition(bits: usize, random: &mut ChaCha8Rng) -> Vec<&'static str> {
    let mut words = Vec::with_capacity(addition_words(bits));
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

/// With p the probability of a carry: a pair hides which of two bits follows as far as it hides the
/// carry. After the last bit the next carry has probability (1 + p) / 2 where that bit is 0, and p
/// / 2 where it is 1.
fn carries_without_memory(bits: usize) -> f64 {
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

/// In nats.
fn binary_entropy(probability: f64) -> f64 {
    [probability, 1.0 - probability]
        .into_iter()
        .filter(|share| *share > 0.0)
        .map(|share| -share * share.ln())
        .sum()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn task(name: &str) -> &'static Task {
        TASKS
            .iter()
            .find(|task| task.name == name)
            .expect("a row of the table")
    }

    fn lines(task: &Task, size: usize, examples: usize) -> Vec<Vec<String>> {
        let drawn = task.draw(size, examples, 5).expect("drawn");
        assert_eq!(drawn.text.lines().count(), examples);
        drawn
            .text
            .lines()
            .map(|line| line.split(' ').map(str::to_owned).collect())
            .collect()
    }

    #[test]
    fn a_seed_means_one_text() {
        for (name, size, first) in [
            ("copy", 3, "e d h a b _ _ _ ? e d h a b"),
            ("adding", 7, "4 +0 1 2 +1 1 4 = 1"),
            ("binary-addition", 4, "10 1 01 1 11 0 00 1 0"),
        ] {
            let text = task(name).draw(size, 3, 1).expect("drawn").text;
            assert_eq!(text.lines().next(), Some(first), "{name}");
            assert_eq!(text, task(name).draw(size, 3, 1).expect("drawn").text);
            assert!(
                task(name)
                    .draw(size, 5, 1)
                    .expect("drawn")
                    .text
                    .starts_with(&text),
                "{name}: more examples go on from fewer"
            );
            assert_ne!(text, task(name).draw(size, 3, 2).expect("drawn").text);
        }
    }

    #[test]
    fn a_copy_is_a_copy() {
        for delay in [1, 2, 7, 53] {
            for words in lines(task("copy"), delay, 200) {
                assert_eq!(words.len(), copy_words(delay));
                let (letters, rest) = words.split_at(5);
                assert!(
                    letters
                        .iter()
                        .all(|letter| ("a"..="h").contains(&letter.as_str()) && letter.len() == 1)
                );
                assert_eq!(rest[..delay], vec!["_"; delay]);
                assert_eq!(rest[delay], "?");
                assert_eq!(rest[delay + 1..], *letters);
            }
        }
    }

    #[test]
    fn a_sum_is_that_of_the_marked_digits() {
        for delay in [2, 3, 7, 20, 53] {
            for words in lines(task("adding"), delay, 200) {
                let (digits, answer) = words.split_at(delay);
                let marked = |half: &[String]| -> Vec<u32> {
                    half.iter()
                        .filter_map(|word| word.strip_prefix('+'))
                        .map(|digit| digit.parse().expect("a digit"))
                        .collect()
                };
                let (first, second) = digits.split_at(delay / 2);
                let [[first], [second]] = [marked(first), marked(second)]
                    .map(|marked| <[u32; 1]>::try_from(marked).expect("one mark"));
                assert_eq!(answer, ["=".to_owned(), (first + second).to_string()]);
                assert!(
                    digits
                        .iter()
                        .all(|digit| digit.parse::<u32>().is_ok_and(|digit| digit < 5)),
                    "{digits:?}"
                );
            }
        }
    }

    #[test]
    fn a_binary_sum_is_the_sum() {
        for bits in [1, 2, 8, 53] {
            for words in lines(task("binary-addition"), bits, 200) {
                assert_eq!(words.len(), addition_words(bits));
                let number = |bit: &dyn Fn(usize) -> u8, bits: usize| -> u64 {
                    (0..bits).map(|i| u64::from(bit(i) == b'1') << i).sum()
                };
                let first = number(&|i| words[2 * i].as_bytes()[0], bits);
                let second = number(&|i| words[2 * i].as_bytes()[1], bits);
                let sum = number(
                    &|i| words[(2 * i + 1).min(2 * bits)].as_bytes()[0],
                    bits + 1,
                );
                assert_eq!(first + second, sum, "{words:?}");
            }
        }
    }

    /// Everything that a task can draw, found by drawing: how many examples there are, whether they
    /// are equally likely, and what the words at recalled places tell given all words before them,
    /// and given the one before them.
    #[test]
    fn entropies_are_those_of_all_examples() {
        for (name, size) in [
            ("copy", 1),
            ("adding", 2),
            ("adding", 3),
            ("adding", 4),
            ("binary-addition", 1),
            ("binary-addition", 2),
            ("binary-addition", 3),
            ("binary-addition", 5),
        ] {
            let task = task(name);
            let number = (task.nats)(size).exp();
            let text = task
                .draw(size, 20 * number.round() as usize, 3)
                .expect("drawn")
                .text;
            let mut counts = BTreeMap::<Vec<&str>, f64>::new();
            text.lines()
                .for_each(|line| *counts.entry(line.split(' ').collect()).or_default() += 1.0);
            let found = counts.len() as f64;
            assert!(
                (found - number).abs() < 1e-6 * number,
                "{name} {size}: {found} examples, not {number}"
            );
            let chi_square: f64 = counts
                .values()
                .map(|count| (count - 20.0).powi(2) / 20.0)
                .sum();
            assert!(
                (chi_square - found).abs() < 6.0 * (2.0 * found).sqrt(),
                "{name} {size}: not equally likely, {chi_square} of {found}"
            );

            let mut nats = 0.0;
            for place in (task.recalled)(size) {
                let distinct = |length: usize| {
                    counts
                        .keys()
                        .map(|words| &words[..length])
                        .collect::<BTreeSet<_>>()
                        .len()
                };
                assert_eq!(
                    distinct(place),
                    distinct(place + 1),
                    "{name} {size}: word {place} does not follow from those before it"
                );
                let (mut alone, mut together) = (BTreeMap::new(), BTreeMap::new());
                for words in counts.keys() {
                    *alone.entry(words[place - 1]).or_insert(0.0) += 1.0 / found;
                    *together
                        .entry([words[place - 1], words[place]])
                        .or_insert(0.0) += 1.0 / found;
                }
                nats += together
                    .iter()
                    .map(|(pair, share)| share * f64::ln(alone[pair[0]] / share))
                    .sum::<f64>();
            }
            let claimed = (task.nats_without_memory)(size);
            assert!(
                (nats - claimed).abs() < 1e-9,
                "{name} {size}: {nats} nats without memory, not {claimed}"
            );
        }
    }

    #[test]
    fn probabilities_are_those_of_the_entropy() {
        for task in TASKS {
            let drawn = task.draw(task.default, 6, 1).expect("drawn");
            let exact = -(task.nats)(task.default) / LN_10;
            assert_eq!(drawn.log10_probabilities, [exact; 6]);
            let perplexity =
                ((task.nats)(task.default) / ((task.words)(task.default) + 1) as f64).exp();
            assert!(
                (drawn.perplexity_of_last(6) - perplexity).abs() < 1e-12 * perplexity,
                "{}",
                task.name
            );
        }
    }

    #[test]
    fn the_figures_of_the_documentation() {
        for (name, figure) in [
            ("copy", 10.397),
            ("adding", 2.079),
            ("binary-addition", 5.242),
        ] {
            let exact = (task(name).nats_without_memory)(task(name).default);
            assert!((exact - figure).abs() < 5e-4, "{name}: {exact}");
        }
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        for task in TASKS {
            for (size, examples) in [
                (task.least - 1, 1),
                (task.least, 0),
                (usize::MAX, 1),
                (usize::MAX, usize::MAX),
                (5, MOST_WORDS),
            ] {
                let error = task.draw(size, examples, 1).expect_err("refused");
                assert!(matches!(error, Error::Usage { .. }), "{error}");
            }
            task.draw(task.least, 1, 1)
                .expect("the least size is drawn");
        }
    }
}
