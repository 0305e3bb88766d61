//! N-grams as a trie of sorted arrays: an n-gram is a node, its context the node above it.
//!
//! A node of order n is its place among the n-grams of that order. The n-grams that share a context
//! stand together, sorted by their last word, and contexts stand in their own order: so a node
//! needs its last word and the place where its continuations begin, 8 bytes.

use std::ops::Range;

/// The n-grams of one order.
#[derive(Debug, Clone, Default)]
pub(super) struct Level {
    /// The last word of each n-gram.
    pub(super) words: Vec<u32>,
    /// Where the continuations of each n-gram begin in the level above, and the end of the last;
    /// empty for the highest order.
    pub(super) children: Vec<u32>,
}

/// All orders, the unigrams first. Unigrams are complete: a word's node is its number.
#[derive(Debug, Clone, Default)]
pub(super) struct Trie {
    pub(super) levels: Vec<Level>,
}

impl Trie {
    /// The highest order.
    pub(super) fn order(&self) -> usize {
        self.levels.len()
    }

    /// The n-grams of an order from 1 on.
    pub(super) fn level(&self, order: usize) -> &Level {
        &self.levels[order - 1]
    }

    /// The continuations of a node of an order from 1 on, as places in the next order; none in the
    /// highest order.
    pub(super) fn children(&self, order: usize, node: u32) -> Range<usize> {
        let children = &self.level(order).children;
        match children.get(node as usize + 1) {
            Some(&end) => children[node as usize] as usize..end as usize,
            None => 0..0,
        }
    }

    /// The node that continues a node of an order from 1 on with a word.
    pub(super) fn child(&self, order: usize, node: u32, word: u32) -> Option<u32> {
        let range = self.children(order, node);
        if range.is_empty() {
            return None;
        }
        let begin = range.start;
        self.level(order + 1).words[range]
            .binary_search(&word)
            .ok()
            .map(|place| (begin + place) as u32)
    }

    /// The node of an n-gram of at least one word.
    pub(super) fn find(&self, words: &[u32]) -> Option<u32> {
        let (&first, rest) = words.split_first()?;
        let known = self
            .levels
            .first()
            .is_some_and(|level| (first as usize) < level.words.len());
        let first = known.then_some(first)?;
        rest.iter()
            .zip(1..)
            .try_fold(first, |node, (&word, order)| self.child(order, node, word))
    }

    /// Keeps the nodes marked in `keep`, one list an order. The context of a node that is kept must
    /// be kept.
    pub(super) fn retain(&mut self, keep: &[Vec<bool>]) {
        for (number, marks) in keep.iter().enumerate() {
            let level = &mut self.levels[number];
            retain(&mut level.words, marks);
            if let Some(above) = keep.get(number + 1) {
                let ranks = ranks(above);
                let kept = level
                    .children
                    .iter()
                    .zip(marks)
                    .filter(|&(_, &mark)| mark)
                    .map(|(&start, _)| ranks[start as usize]);
                level.children = kept.chain([ranks[above.len()]]).collect();
            }
        }
    }

    /// Bytes taken.
    pub(super) fn bytes(&self) -> usize {
        self.levels
            .iter()
            .map(|level| (level.words.capacity() + level.children.capacity()) * size_of::<u32>())
            .sum()
    }
}

/// Keeps the values whose mark is set.
pub(super) fn retain<T>(values: &mut Vec<T>, marks: &[bool]) {
    let mut marks = marks.iter();
    values.retain(|_| marks.next() == Some(&true));
    values.shrink_to_fit();
}

/// How many marks are set before each place, and in all.
fn ranks(marks: &[bool]) -> Vec<u32> {
    let mut rank = 0;
    let before = marks.iter().map(|&mark| {
        let before = rank;
        rank += u32::from(mark);
        before
    });
    let mut ranks: Vec<u32> = before.collect();
    ranks.push(rank);
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words 0 and 1; 0 0, 0 1, 1 0; 0 0 1, 1 0 0, 1 0 1.
    fn trie() -> Trie {
        let levels = [
            Level {
                words: vec![0, 1],
                children: vec![0, 2, 3],
            },
            Level {
                words: vec![0, 1, 0],
                children: vec![0, 1, 1, 3],
            },
            Level {
                words: vec![1, 0, 1],
                children: Vec::new(),
            },
        ];
        Trie {
            levels: levels.into(),
        }
    }

    #[test]
    fn finding() {
        let trie = trie();
        assert_eq!(trie.find(&[1, 0, 1]), Some(2));
        assert_eq!(trie.find(&[0, 1]), Some(1));
        for missing in [&[][..], &[2], &[1, 1], &[0, 1, 0], &[0, 0, 1, 0]] {
            assert_eq!(trie.find(missing), None, "{missing:?}");
        }
    }

    #[test]
    fn retaining() {
        let mut trie = trie();
        trie.retain(&[
            vec![true, true],
            vec![false, true, true],
            vec![false, false, true],
        ]);
        assert_eq!(trie.find(&[0, 0]), None);
        assert_eq!(trie.find(&[0, 1]), Some(0));
        assert_eq!(trie.find(&[1, 0]), Some(1));
        assert_eq!(
            (trie.find(&[1, 0, 1]), trie.find(&[1, 0, 0])),
            (Some(0), None)
        );
    }
}
