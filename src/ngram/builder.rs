//! Builds a model from n-grams that are given order by order, in any order within each.
//!
//! In: the n-grams of a file. Out: an [`NgramModel`] that contains the context of every n-gram.

use super::NgramModel;
use super::trie::{Trie, TrieLevel};
use super::type_table::TypeTable;

/// The probability and back-off weight of an n-gram.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProbBackoff {
    /// log10 of the probability.
    pub(super) probability: f32,
    /// log10 of the back-off weight.
    pub(super) backoff: f32,
}

/// The values of an implicit context: a context that is not an n-gram of the file.
const IMPLICIT: ProbBackoff = ProbBackoff {
    probability: f32::NAN,
    backoff: 0.0,
};

/// An n-gram whose context is in the trie.
#[derive(Debug, Clone, Copy)]
struct Entry {
    context: u32,
    word: u32,
    values: ProbBackoff,
    /// The line, counted from the first line of the order.
    line: u32,
}

/// An n-gram whose context is not in the trie.
#[derive(Debug)]
struct Orphan {
    words: Vec<u32>,
    values: ProbBackoff,
    line: u32,
}

/// A model under construction.
#[derive(Debug, Default)]
pub(super) struct NgramBuilder {
    types: TypeTable,
    trie: Trie,
    probabilities: Vec<Vec<f32>>,
    backoffs: Vec<Vec<f32>>,
    /// The n-grams of the current order.
    entries: Vec<Entry>,
    orphans: Vec<Orphan>,
}

/// Two lines with the same n-gram, counted from the first line of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DuplicateNgram {
    pub(super) first: u32,
    pub(super) second: u32,
}

impl NgramBuilder {
    /// The id of a word that has a unigram.
    pub(super) fn id(&self, token: &str) -> Option<u32> {
        self.types.id(token)
    }

    /// Adds a unigram. Returns false if it is already present.
    pub(super) fn add_unigram(&mut self, token: &str, values: ProbBackoff) -> bool {
        let Some(word) = self.types.add(token) else {
            return false;
        };
        self.entries.push(Entry {
            context: 0,
            word,
            values,
            line: 0,
        });
        true
    }

    /// Adds an n-gram of the current order, which must be at least 2.
    pub(super) fn add(&mut self, words: &[u32], values: ProbBackoff, line: u32) {
        let (context, word) = words.split_at(words.len() - 1);
        match self.trie.find(context) {
            Some(context) => self.entries.push(Entry {
                context,
                word: word[0],
                values,
                line,
            }),
            None => self.orphans.push(Orphan {
                words: words.to_vec(),
                values,
                line,
            }),
        }
    }

    /// Sorts the n-grams of the current order into the trie, and starts the next order.
    pub(super) fn finish_order(&mut self) -> Result<(), DuplicateNgram> {
        if !self.orphans.is_empty() {
            self.insert_missing_contexts();
        }
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_unstable_by_key(|entry| (entry.context, entry.word, entry.line));
        let duplicate = entries
            .windows(2)
            .find(|pair| (pair[0].context, pair[0].word) == (pair[1].context, pair[1].word));
        if let Some(pair) = duplicate {
            return Err(DuplicateNgram {
                first: pair[0].line,
                second: pair[1].line,
            });
        }
        if let Some(contexts) = self.trie.levels.last_mut() {
            let mut start = 0;
            for context in 0..contexts.words.len() as u32 {
                contexts.children.push(start as u32);
                start += entries[start..]
                    .iter()
                    .take_while(|entry| entry.context == context)
                    .count();
            }
            contexts.children.push(start as u32);
        }
        self.trie.levels.push(TrieLevel {
            words: entries.iter().map(|entry| entry.word).collect(),
            children: Vec::new(),
        });
        self.probabilities.push(
            entries
                .iter()
                .map(|entry| entry.values.probability)
                .collect(),
        );
        self.backoffs
            .push(entries.iter().map(|entry| entry.values.backoff).collect());
        Ok(())
    }

    /// Returns the model.
    pub(super) fn finish(mut self) -> NgramModel {
        // The highest order has no back-off weights.
        self.backoffs.pop();
        NgramModel::new(self.types, self.trie, self.probabilities, self.backoffs)
    }

    /// Inserts the contexts that are missing, from the shortest to the longest, and converts the
    /// orphans to entries.
    fn insert_missing_contexts(&mut self) {
        let orphans = std::mem::take(&mut self.orphans);
        for order in 2..=self.trie.order() {
            let missing = orphans.iter().filter_map(|orphan| {
                let context = self.trie.find(&orphan.words[..order - 1])?;
                let word = orphan.words[order - 1];
                self.trie
                    .child(order - 1, context, word)
                    .is_none()
                    .then_some((context, word))
            });
            let mut missing: Vec<(u32, u32)> = missing.collect();
            missing.sort_unstable();
            missing.dedup();
            let new_nodes = self.insert(order, &missing);
            if order == self.trie.order() {
                self.entries
                    .iter_mut()
                    .for_each(|entry| entry.context = new_nodes[entry.context as usize]);
            }
        }
        for Orphan {
            words,
            values,
            line,
        } in orphans
        {
            self.add(&words, values, line);
        }
    }

    /// Inserts new nodes, given as sorted pairs of context and word, into an order. Returns the new
    /// index of each old node of the order.
    fn insert(&mut self, order: usize, missing: &[(u32, u32)]) -> Vec<u32> {
        let starts = std::mem::take(&mut self.trie.levels[order - 2].children);
        let old = std::mem::take(&mut self.trie.levels[order - 1]);
        let probabilities = std::mem::take(&mut self.probabilities[order - 1]);
        let backoffs = std::mem::take(&mut self.backoffs[order - 1]);
        let mut new_nodes = Vec::with_capacity(old.words.len());
        let mut new_starts = Vec::with_capacity(starts.len());
        let mut missing = missing.iter().copied().peekable();
        for (context, range) in (0..).zip(starts.windows(2)) {
            new_starts.push(self.trie.level(order).words.len() as u32);
            for node in range[0] as usize..range[1] as usize {
                while let Some((_, word)) =
                    missing.next_if(|&pair| pair < (context, old.words[node]))
                {
                    self.push(order, word, old.children.get(node), IMPLICIT);
                }
                new_nodes.push(self.trie.level(order).words.len() as u32);
                let values = ProbBackoff {
                    probability: probabilities[node],
                    backoff: backoffs[node],
                };
                self.push(order, old.words[node], old.children.get(node), values);
            }
            while let Some((_, word)) = missing.next_if(|pair| pair.0 == context) {
                self.push(order, word, old.children.get(range[1] as usize), IMPLICIT);
            }
        }
        new_starts.push(self.trie.level(order).words.len() as u32);
        self.trie.levels[order - 2].children = new_starts;
        self.trie.levels[order - 1]
            .children
            .extend(old.children.last());
        new_nodes
    }

    fn push(&mut self, order: usize, word: u32, first_child: Option<&u32>, values: ProbBackoff) {
        let level = &mut self.trie.levels[order - 1];
        level.words.push(word);
        level.children.extend(first_child);
        self.probabilities[order - 1].push(values.probability);
        self.backoffs[order - 1].push(values.backoff);
    }
}
