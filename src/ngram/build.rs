//! Building a model from n-grams that come order by order, and within an order as they like.
//!
//! In: the n-grams of a file. Out: an [`NgramModel`], in which every n-gram has its context.

use super::NgramModel;
use super::trie::{Level, Trie};
use super::words::TypeTable;

/// The two numbers of an n-gram.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    /// log10 of the probability.
    pub(super) probability: f32,
    /// log10 of the back-off weight.
    pub(super) backoff: f32,
}

/// A context that is no n-gram itself.
const PUT_IN: Numbers = Numbers {
    probability: f32::NAN,
    backoff: 0.0,
};

/// An n-gram whose context is there.
#[derive(Debug, Clone, Copy)]
struct Entry {
    context: u32,
    word: u32,
    numbers: Numbers,
    /// The line, counted from the first of the order.
    line: u32,
}

/// An n-gram whose context is not.
#[derive(Debug)]
struct Orphan {
    words: Vec<u32>,
    numbers: Numbers,
    line: u32,
}

/// A model on the way.
#[derive(Debug, Default)]
pub(super) struct Builder {
    words: TypeTable,
    trie: Trie,
    probabilities: Vec<Vec<f32>>,
    backoffs: Vec<Vec<f32>>,
    /// The n-grams of the order that is being read.
    entries: Vec<Entry>,
    orphans: Vec<Orphan>,
}

/// Two lines of an order, counted from its first, that have the same n-gram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Twice {
    pub(super) first: u32,
    pub(super) second: u32,
}

impl Builder {
    /// The number of a word that is among the unigrams.
    pub(super) fn id(&self, token: &str) -> Option<u32> {
        self.words.id(token)
    }

    /// Adds a unigram; false if it is there already.
    pub(super) fn add_unigram(&mut self, token: &str, numbers: Numbers) -> bool {
        let Some(word) = self.words.add(token) else {
            return false;
        };
        self.entries.push(Entry {
            context: 0,
            word,
            numbers,
            line: 0,
        });
        true
    }

    /// Adds an n-gram of the order after the last that was finished; there must be two words or
    /// more.
    pub(super) fn add(&mut self, words: &[u32], numbers: Numbers, line: u32) {
        let (context, word) = words.split_at(words.len() - 1);
        match self.trie.find(context) {
            Some(context) => self.entries.push(Entry {
                context,
                word: word[0],
                numbers,
                line,
            }),
            None => self.orphans.push(Orphan {
                words: words.to_vec(),
                numbers,
                line,
            }),
        }
    }

    /// Sorts the n-grams of an order into the trie.
    pub(super) fn finish_order(&mut self) -> Result<(), Twice> {
        if !self.orphans.is_empty() {
            self.adopt();
        }
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_unstable_by_key(|entry| (entry.context, entry.word, entry.line));
        let twice = entries
            .windows(2)
            .find(|pair| (pair[0].context, pair[0].word) == (pair[1].context, pair[1].word));
        if let Some(pair) = twice {
            return Err(Twice {
                first: pair[0].line,
                second: pair[1].line,
            });
        }
        if let Some(below) = self.trie.levels.last_mut() {
            let mut begin = 0;
            for context in 0..below.words.len() as u32 {
                below.children.push(begin as u32);
                begin += entries[begin..]
                    .iter()
                    .take_while(|entry| entry.context == context)
                    .count();
            }
            below.children.push(begin as u32);
        }
        self.trie.levels.push(Level {
            words: entries.iter().map(|entry| entry.word).collect(),
            children: Vec::new(),
        });
        self.probabilities.push(
            entries
                .iter()
                .map(|entry| entry.numbers.probability)
                .collect(),
        );
        self.backoffs
            .push(entries.iter().map(|entry| entry.numbers.backoff).collect());
        Ok(())
    }

    /// The model.
    pub(super) fn finish(mut self) -> NgramModel {
        // The highest order has no weights.
        self.backoffs.pop();
        NgramModel::new(self.words, self.trie, self.probabilities, self.backoffs)
    }

    /// Puts in the contexts that are not there, from the shortest to the longest, and makes entries
    /// of the orphans.
    fn adopt(&mut self) {
        let orphans = std::mem::take(&mut self.orphans);
        for order in 2..=self.trie.order() {
            let places = orphans.iter().filter_map(|orphan| {
                let context = self.trie.find(&orphan.words[..order - 1])?;
                let word = orphan.words[order - 1];
                self.trie
                    .child(order - 1, context, word)
                    .is_none()
                    .then_some((context, word))
            });
            let mut places: Vec<(u32, u32)> = places.collect();
            places.sort_unstable();
            places.dedup();
            let moved = self.insert(order, &places);
            if order == self.trie.order() {
                self.entries
                    .iter_mut()
                    .for_each(|entry| entry.context = moved[entry.context as usize]);
            }
        }
        for Orphan {
            words,
            numbers,
            line,
        } in orphans
        {
            self.add(&words, numbers, line);
        }
    }

    /// Inserts nodes, given by context and word in rising order, that are not there, and tells
    /// where each old node of the order is now.
    fn insert(&mut self, order: usize, places: &[(u32, u32)]) -> Vec<u32> {
        let starts = std::mem::take(&mut self.trie.levels[order - 2].children);
        let old = std::mem::take(&mut self.trie.levels[order - 1]);
        let probabilities = std::mem::take(&mut self.probabilities[order - 1]);
        let backoffs = std::mem::take(&mut self.backoffs[order - 1]);
        let mut moved = Vec::with_capacity(old.words.len());
        let mut new_starts = Vec::with_capacity(starts.len());
        let mut places = places.iter().copied().peekable();
        for (context, range) in (0..).zip(starts.windows(2)) {
            new_starts.push(self.trie.level(order).words.len() as u32);
            for node in range[0] as usize..range[1] as usize {
                while let Some((_, word)) =
                    places.next_if(|&place| place < (context, old.words[node]))
                {
                    self.push(order, word, old.children.get(node), PUT_IN);
                }
                moved.push(self.trie.level(order).words.len() as u32);
                let numbers = Numbers {
                    probability: probabilities[node],
                    backoff: backoffs[node],
                };
                self.push(order, old.words[node], old.children.get(node), numbers);
            }
            while let Some((_, word)) = places.next_if(|place| place.0 == context) {
                self.push(order, word, old.children.get(range[1] as usize), PUT_IN);
            }
        }
        new_starts.push(self.trie.level(order).words.len() as u32);
        self.trie.levels[order - 2].children = new_starts;
        self.trie.levels[order - 1]
            .children
            .extend(old.children.last());
        moved
    }

    fn push(&mut self, order: usize, word: u32, begin: Option<&u32>, numbers: Numbers) {
        let level = &mut self.trie.levels[order - 1];
        level.words.push(word);
        level.children.extend(begin);
        self.probabilities[order - 1].push(numbers.probability);
        self.backoffs[order - 1].push(numbers.backoff);
    }
}
