//! Counting n-grams: the text as one list of words, whose places are sorted by the words that
//! follow.
//!
//! In: sentences of word numbers. Out: the trie of all n-grams up to an order, with the number of
//! times each occurs. Sorting goes word by
//! word: the places that share n words are sorted by the next one, as 64-bit numbers of word and
//! place, and each run of equal words is a node. So any order and any vocabulary is sorted by fast
//! comparisons of integers, and the nodes come in the order of the trie.

use super::kneser_ney::{self, Estimate};
use super::trie::{Level, Trie};
use super::words::TypeTable;
use super::{SENTENCE_END, SENTENCE_START};
use crate::error::{Error, Result};

/// What stands in the text for `<s>` and `</s>` until the vocabulary is known.
const START: u32 = u32::MAX - 1;
const END: u32 = u32::MAX;

/// Bytes a word of the text takes: its number, and its place while sorting.
const BYTES_PER_WORD: usize = size_of::<u32>() + size_of::<u64>();
/// Bytes an n-gram takes while counting: its last word, its count, and where its continuations
/// begin.
const BYTES_PER_NGRAM: usize = 3 * size_of::<u32>();
const MOST_ORDERS: usize = 64;

/// What model to estimate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KneserNeyOptions {
    /// Words in the longest n-grams.
    pub order: usize,
    /// How often an n-gram must occur to be kept, for the orders 3, 4, … in turn; the last goes
    /// for all orders above. They must not fall.
    /// None: everything is kept. What is dropped still counts in discounts and in lower orders, and
    /// its share of the probability goes to the words that are reached by backing off.
    pub min_counts: Vec<u32>,
    /// Bytes of memory that counting and estimating may take, about.
    pub memory: usize,
}

impl Default for KneserNeyOptions {
    /// Order 5, every n-gram, 8 GiB.
    fn default() -> Self {
        Self {
            order: 5,
            min_counts: Vec::new(),
            memory: usize::try_from(8_u64 << 30).unwrap_or(usize::MAX),
        }
    }
}

impl KneserNeyOptions {
    /// How often an n-gram of an order must occur to be kept.
    pub(super) fn min_count(&self, order: usize) -> u32 {
        let of_order = order
            .checked_sub(3)
            .and_then(|place| self.min_counts.get(place).or(self.min_counts.last()));
        of_order.copied().unwrap_or(1)
    }

    fn validate(&self) -> Result<()> {
        if !(1..=MOST_ORDERS).contains(&self.order) {
            return Err(Error::usage(
                format!("the order {}", self.order),
                format!("it is the number of words in an n-gram, from 1 to {MOST_ORDERS}"),
                "5 serves most texts",
            ));
        }
        if let Some(pair) = self.min_counts.windows(2).find(|pair| pair[0] > pair[1]) {
            return Err(Error::usage(
                format!("the least counts {:?}", self.min_counts),
                format!(
                    "they must not fall from order to order, as {} to {} does: an n-gram needs its \
                     context",
                    pair[0], pair[1]
                ),
                "Give rising numbers",
            ));
        }
        Ok(())
    }
}

/// A text on its way to an interpolated modified Kneser-Ney model.
#[derive(Debug, Clone)]
pub struct KneserNey {
    options: KneserNeyOptions,
    text: Vec<u32>,
}

/// The n-grams of a text.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) trie: Trie,
    /// How often each n-gram occurs, one list an order.
    pub(super) counts: Vec<Vec<u32>>,
}

impl KneserNey {
    /// Begins without text.
    ///
    /// # Errors
    /// If an option is out of its range.
    pub fn new(options: KneserNeyOptions) -> Result<Self> {
        options.validate()?;
        Ok(Self {
            options,
            text: Vec::new(),
        })
    }

    /// Adds a sentence of word numbers without `<s>` and `</s>`, which are put around it; it may be
    /// empty.
    ///
    /// # Errors
    /// If the text takes more memory than was allowed or has more than 2^32 - 2 words, or a word's
    /// number is above 2^32 - 3. The sentence is not added then.
    pub fn add_sentence(&mut self, words: &[u32]) -> Result<()> {
        let length = self.text.len() + words.len() + 2;
        if length > u32::MAX as usize - 1 {
            return Err(Error::invalid(
                format!("a text of {length} words"),
                "places in it are counted in 32 bits",
                "Estimate models from parts of it and interpolate them",
            ));
        }
        if length.saturating_mul(BYTES_PER_WORD) > self.options.memory {
            return Err(self.over_budget(length, 0));
        }
        if let Some(&word) = words.iter().find(|&&word| word >= START) {
            return Err(no_such_word(word, START as usize));
        }
        self.text.push(START);
        self.text.extend_from_slice(words);
        self.text.push(END);
        Ok(())
    }

    /// Estimates the model of the sentences that were added. A word's number is its place in
    /// `vocabulary` and stays it in the model; `<s>` and `</s>` are appended where the vocabulary
    /// lacks them. Every type but `<s>` has a probability after every history, whether it occurs or
    /// not. One text gives one model, to the bit.
    ///
    /// # Errors
    /// If there is no sentence, a word has no place in the vocabulary or is `<s>` or `</s>`, a type
    /// stands twice in it, or the memory that was allowed does not suffice.
    pub fn estimate(mut self, vocabulary: &[String]) -> Result<Estimate> {
        if self.text.is_empty() {
            return Err(Error::invalid(
                "the text",
                "it has no sentence",
                "Give at least one",
            ));
        }
        let (words, [start, end]) = number(vocabulary)?;
        self.place_boundaries(vocabulary, start, end)?;
        let counted = self.count(words.len(), end)?;
        kneser_ney::estimate(words, counted, start, &self.options)
    }

    /// Replaces what stood in for `<s>` and `</s>` by their numbers.
    fn place_boundaries(&mut self, vocabulary: &[String], start: u32, end: u32) -> Result<()> {
        for word in &mut self.text {
            match *word {
                START => *word = start,
                END => *word = end,
                found if found as usize >= vocabulary.len() => {
                    return Err(no_such_word(found, vocabulary.len()));
                }
                found if found == start || found == end => {
                    return Err(Error::invalid(
                        format!(
                            "the token {:?} inside a sentence",
                            vocabulary[found as usize]
                        ),
                        "<s> and </s> are put around sentences, and no sentence has them inside",
                        "Take them out of the text, or give them other names",
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Counts all n-grams, and lets the text go.
    fn count(&mut self, types: usize, end: u32) -> Result<Counted> {
        let text = std::mem::take(&mut self.text);
        let order = self.options.order;
        let left = self
            .options
            .memory
            .saturating_sub(text.len() * BYTES_PER_WORD);
        let mut counter = Counter {
            text: &text,
            end,
            levels: vec![Level::default(); order],
            counts: vec![Vec::new(); order],
            ngrams: 0,
            most: left / BYTES_PER_NGRAM,
        };
        let mut places: Vec<u64> = (0..text.len() as u64).collect();
        counter
            .branch(&mut places, 0)
            .map_err(|TooMany(ngrams)| self.over_budget(text.len(), ngrams))?;
        counter.unseen(types);
        Ok(counter.finish())
    }

    fn over_budget(&self, words: usize, ngrams: usize) -> Error {
        over_budget(
            &self.options,
            &format!("a text of {words} words with {ngrams} n-grams so far"),
        )
    }
}

/// The refusal of what takes more memory than is allowed.
pub(super) fn over_budget(options: &KneserNeyOptions, what: &str) -> Error {
    Error::invalid(
        format!("{what} at order {}", options.order),
        format!(
            "it takes more than the {} bytes of memory that are allowed",
            options.memory
        ),
        "Allow more memory, or take a smaller order, higher least counts or less text",
    )
}

fn no_such_word(found: u32, types: usize) -> Error {
    Error::invalid(
        format!("the word number {found}"),
        format!("a vocabulary of {types} types has no such word"),
        "Give the vocabulary by which the text was numbered, and leave out or replace words that \
         it lacks",
    )
}

/// Numbers the vocabulary, and gives the numbers of `<s>` and `</s>`.
fn number(vocabulary: &[String]) -> Result<(TypeTable, [u32; 2])> {
    let mut words = TypeTable::default();
    if vocabulary.len() > START as usize - 2 {
        return Err(Error::invalid(
            format!("a vocabulary of {} types", vocabulary.len()),
            "types are numbered in 32 bits",
            "Cut it",
        ));
    }
    for token in vocabulary {
        if words.add(token).is_none() {
            return Err(Error::invalid(
                format!("the vocabulary's type {token:?}"),
                "it stands there twice",
                "Remove one of them",
            ));
        }
    }
    for token in [SENTENCE_START, SENTENCE_END] {
        words.add(token);
    }
    let boundaries =
        [SENTENCE_START, SENTENCE_END].map(|token| words.id(token).unwrap_or_default());
    Ok((words, boundaries))
}

/// There are more n-grams than memory allows.
#[derive(Debug)]
struct TooMany(usize);

struct Counter<'a> {
    text: &'a [u32],
    /// The number of `</s>`: no n-gram goes over it.
    end: u32,
    levels: Vec<Level>,
    counts: Vec<Vec<u32>>,
    ngrams: usize,
    most: usize,
}

impl Counter<'_> {
    /// Counts the n-grams that begin at the given places, which share their first `depth` words. A
    /// place is in the lower half of a number; its upper half is scratch.
    fn branch(&mut self, places: &mut [u64], depth: usize) -> std::result::Result<(), TooMany> {
        for place in &mut *places {
            let begin = *place as u32;
            *place = u64::from(self.text[begin as usize + depth]) << 32 | u64::from(begin);
        }
        places.sort_unstable();
        for run in places.chunk_by_mut(|one, other| one >> 32 == other >> 32) {
            if self.ngrams > self.most {
                return Err(TooMany(self.ngrams));
            }
            let word = (run[0] >> 32) as u32;
            self.push(depth, word, run.len() as u32);
            if depth + 1 == self.levels.len() || word == self.end {
                continue;
            }
            if let &mut [only] = run {
                self.chain(only as u32, depth + 1);
            } else {
                self.branch(run, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Counts the n-grams from `depth` words on that begin at a place no other shares so many words
    /// with.
    fn chain(&mut self, place: u32, depth: usize) {
        for depth in depth..self.levels.len() {
            let word = self.text[place as usize + depth];
            self.push(depth, word, 1);
            if word == self.end {
                break;
            }
        }
    }

    fn push(&mut self, depth: usize, word: u32, count: u32) {
        if depth == 0 {
            self.unseen(word as usize);
        }
        if let Some(next) = self.levels.get(depth + 1) {
            let begin = next.words.len() as u32;
            self.levels[depth].children.push(begin);
        }
        self.levels[depth].words.push(word);
        self.counts[depth].push(count);
        self.ngrams += 1;
    }

    /// Adds the types below `end` that do not occur, so that a unigram's node is its word.
    fn unseen(&mut self, end: usize) {
        for word in self.levels[0].words.len()..end {
            self.levels[0].words.push(word as u32);
            self.counts[0].push(0);
            if let Some(next) = self.levels.get(1) {
                let begin = next.words.len() as u32;
                self.levels[0].children.push(begin);
            }
        }
    }

    fn finish(mut self) -> Counted {
        for depth in 1..self.levels.len() {
            let end = self.levels[depth].words.len() as u32;
            self.levels[depth - 1].children.push(end);
        }
        Counted {
            trie: Trie {
                levels: self.levels,
            },
            counts: self.counts,
        }
    }
}

#[cfg(test)]
impl KneserNey {
    /// The n-grams of a text whose words are numbered below `types`, and the number of `<s>`.
    pub(super) fn counted_with_boundaries(mut self, types: u32) -> (Counted, u32) {
        let vocabulary: Vec<String> = (0..types).map(|word| word.to_string()).collect();
        self.place_boundaries(&vocabulary, types, types + 1)
            .expect("good words");
        (
            self.count(types as usize + 2, types + 1)
                .expect("there is room"),
            types,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_a_small_text() {
        let mut text = KneserNey::new(KneserNeyOptions {
            order: 3,
            ..KneserNeyOptions::default()
        })
        .expect("an order");
        for sentence in [&[0, 1, 0, 1][..], &[], &[0, 1]] {
            text.add_sentence(sentence).expect("there is room");
        }
        // 2 does not occur; `<s>` is 3 and `</s>` 4.
        let (counted, _) = text.counted_with_boundaries(3);
        assert_eq!(counted.counts[0], [3, 3, 0, 3, 3]);
        let count = |words: &[u32]| {
            counted
                .trie
                .find(words)
                .map(|node| counted.counts[words.len() - 1][node as usize])
        };
        for (words, expected) in [
            (&[0, 1][..], Some(3)),
            (&[1, 0], Some(1)),
            (&[1, 4], Some(2)),
            (&[3, 0], Some(2)),
            (&[3, 4], Some(1)),
            (&[0, 1, 4], Some(2)),
            (&[3, 0, 1], Some(2)),
            (&[4, 3], None),
            (&[2, 0], None),
        ] {
            assert_eq!(count(words), expected, "{words:?}");
        }
        assert_eq!(
            counted.counts.iter().map(Vec::len).collect::<Vec<_>>(),
            [5, 5, 4]
        );
    }
}
