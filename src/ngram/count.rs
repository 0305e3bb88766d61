//! Counts n-grams by sorting the positions of the text by the words that follow.
//!
//! In: the text as a list of word ids. Out: the trie of all n-grams up to an order, with the number
//! of occurrences of each. The positions are sorted one word at a time: positions that share n
//! words are sorted by the next word, as 64-bit integers of word and position, and each run of
//! equal words is a node of the trie. So sorting needs only fast integer comparisons for any order
//! and any vocabulary, and the nodes are generated in the order of the trie.

use super::trie::{Trie, TrieLevel};
use crate::activity::Activity;

/// Bytes per n-gram during counting: its last word, its count, and the start of its continuations.
pub(super) const BYTES_PER_NGRAM: usize = 3 * size_of::<u32>();

/// The n-grams of a text.
#[derive(Debug)]
pub(super) struct NgramCounts {
    pub(super) trie: Trie,
    /// The number of occurrences of each n-gram, one list per order.
    pub(super) counts: Vec<Vec<u32>>,
}

/// Counts all n-grams of a text up to `order`. Word ids are below `types`, and every type has a
/// unigram; `end` is the id of `</s>`, which must be the last word of the text. No n-gram extends
/// beyond `</s>`.
///
/// # Errors
/// The number of n-grams so far, if there are more than `max_ngrams`.
pub(super) fn count_ngrams(
    text: &[u32],
    order: usize,
    types: usize,
    end: u32,
    max_ngrams: usize,
) -> Result<NgramCounts, usize> {
    let mut counter = NgramCounter {
        activity: Activity::start("counting n-grams", Some(text.len() as u64)),
        text,
        end,
        levels: vec![TrieLevel::default(); order],
        counts: vec![Vec::new(); order],
        ngrams: 0,
        max_ngrams,
    };
    let mut positions: Vec<u64> = (0..text.len() as u64).collect();
    counter.count_shared(&mut positions, 0)?;
    counter.push_unseen(types);
    Ok(counter.finish())
}

struct NgramCounter<'a> {
    activity: Activity,
    text: &'a [u32],
    /// The id of `</s>`.
    end: u32,
    levels: Vec<TrieLevel>,
    counts: Vec<Vec<u32>>,
    ngrams: usize,
    max_ngrams: usize,
}

impl NgramCounter<'_> {
    /// Counts the n-grams that start at the given positions, which share their first `depth` words.
    /// The lower half of each integer is a position; the upper half is scratch space.
    fn count_shared(&mut self, positions: &mut [u64], depth: usize) -> Result<(), usize> {
        for position in &mut *positions {
            let start = *position as u32;
            *position = u64::from(self.text[start as usize + depth]) << 32 | u64::from(start);
        }
        positions.sort_unstable();
        for run in positions.chunk_by_mut(|one, other| one >> 32 == other >> 32) {
            if depth == 0 {
                self.activity.advance(run.len() as u64);
            }
            if self.ngrams > self.max_ngrams {
                return Err(self.ngrams);
            }
            let word = (run[0] >> 32) as u32;
            self.push(depth, word, run.len() as u32);
            if depth + 1 == self.levels.len() || word == self.end {
                continue;
            }
            if let &mut [only] = run {
                self.count_single(only as u32, depth + 1);
            } else {
                self.count_shared(run, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Counts the n-grams of more than `depth` words that start at `position`, if no other position
    /// shares its first `depth` words.
    fn count_single(&mut self, position: u32, depth: usize) {
        for depth in depth..self.levels.len() {
            let word = self.text[position as usize + depth];
            self.push(depth, word, 1);
            if word == self.end {
                break;
            }
        }
    }

    fn push(&mut self, depth: usize, word: u32, count: u32) {
        if depth == 0 {
            self.push_unseen(word as usize);
        }
        if let Some(next) = self.levels.get(depth + 1) {
            let start = next.words.len() as u32;
            self.levels[depth].children.push(start);
        }
        self.levels[depth].words.push(word);
        self.counts[depth].push(count);
        self.ngrams += 1;
    }

    /// Adds the types below `end` that do not occur, so that the node of a unigram is its word id.
    fn push_unseen(&mut self, end: usize) {
        for word in self.levels[0].words.len()..end {
            self.levels[0].words.push(word as u32);
            self.counts[0].push(0);
            if let Some(next) = self.levels.get(1) {
                let start = next.words.len() as u32;
                self.levels[0].children.push(start);
            }
        }
    }

    fn finish(mut self) -> NgramCounts {
        for depth in 1..self.levels.len() {
            let end = self.levels[depth].words.len() as u32;
            self.levels[depth - 1].children.push(end);
        }
        NgramCounts {
            trie: Trie {
                levels: self.levels,
            },
            counts: self.counts,
        }
    }
}

/// The n-grams of sentences whose word ids are below `types`. The id of `<s>` is `types`, and that
/// of `</s>` is `types + 1`.
#[cfg(test)]
pub(super) fn count_sentences<'a>(
    sentences: impl IntoIterator<Item = &'a [u32]>,
    order: usize,
    types: u32,
) -> NgramCounts {
    let end = types + 1;
    let mut text = Vec::new();
    for sentence in sentences {
        text.push(types);
        text.extend_from_slice(sentence);
        text.push(end);
    }
    count_ngrams(&text, order, types as usize + 2, end, usize::MAX).expect("no limit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_a_small_text() {
        // 2 does not occur; `<s>` is 3 and `</s>` is 4.
        let counted = count_sentences([&[0, 1, 0, 1][..], &[], &[0, 1]], 3, 3);
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
