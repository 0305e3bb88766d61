//! N-grams as a trie of sorted arrays. An n-gram is a node, and its context is the node's parent.
//!
//! A node of order n is an index into the n-grams of that order. N-grams that share a context are
//! contiguous and sorted by their last word; contexts are in the order of their nodes. So a node
//! stores only its last word and the start of its continuations: 8 bytes.

use std::ops::Range;

/// The n-grams of one order.
#[derive(Debug, Clone, Default)]
pub(super) struct TrieLevel {
    /// The last word of each n-gram.
    pub(super) words: Vec<u32>,
    /// The start of the continuations of each n-gram in the next order, and the end of the last;
    /// empty for the highest order.
    pub(super) children: Vec<u32>,
}

/// All orders, starting with the unigrams. Every word has a unigram, whose node is its id.
#[derive(Debug, Clone, Default)]
pub(super) struct Trie {
    pub(super) levels: Vec<TrieLevel>,
}

impl Trie {
    /// The highest order.
    pub(super) fn order(&self) -> usize {
        self.levels.len()
    }

    /// The n-grams of an order, counted from 1.
    pub(super) fn level(&self, order: usize) -> &TrieLevel {
        &self.levels[order - 1]
    }

    /// The continuations of a node, as a range of nodes of the next order; empty for the highest
    /// order.
    pub(super) fn children(&self, order: usize, node: u32) -> Range<usize> {
        let children = &self.level(order).children;
        match children.get(node as usize + 1) {
            Some(&end) => children[node as usize] as usize..end as usize,
            None => 0..0,
        }
    }

    /// The node of the n-gram that extends a node with a word.
    pub(super) fn child(&self, order: usize, node: u32, word: u32) -> Option<u32> {
        let range = self.children(order, node);
        if range.is_empty() {
            return None;
        }
        let start = range.start;
        self.level(order + 1).words[range]
            .binary_search(&word)
            .ok()
            .map(|index| (start + index) as u32)
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

    /// Keeps the nodes marked in `keep`, which has one list per order. If a node is kept, its
    /// context must be kept too.
    pub(super) fn retain(&mut self, keep: &[Vec<bool>]) {
        for (index, marks) in keep.iter().enumerate() {
            let level = &mut self.levels[index];
            retain(&mut level.words, marks);
            if let Some(next) = keep.get(index + 1) {
                let ranks = ranks(next);
                let kept = level
                    .children
                    .iter()
                    .zip(marks)
                    .filter(|&(_, &mark)| mark)
                    .map(|(&start, _)| ranks[start as usize]);
                level.children = kept.chain([ranks[next.len()]]).collect();
            }
        }
    }

    /// Size in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.levels
            .iter()
            .map(|level| (level.words.capacity() + level.children.capacity()) * size_of::<u32>())
            .sum()
    }
}

/// The nodes of an n-gram and of its prefixes, for a walk over the n-grams of an order.
#[derive(Debug)]
pub(super) struct Path {
    nodes: Vec<u32>,
}

impl Path {
    /// The first n-gram of an order.
    pub(super) fn new(order: usize) -> Self {
        Self {
            nodes: vec![0; order],
        }
    }

    /// Moves to a node of the order, which must not be before the current one.
    pub(super) fn advance_to(&mut self, trie: &Trie, node: u32) {
        let order = self.nodes.len();
        self.nodes[order - 1] = node;
        for prefix in (1..order).rev() {
            while trie.children(prefix, self.nodes[prefix - 1]).end <= self.nodes[prefix] as usize {
                self.nodes[prefix - 1] += 1;
            }
        }
    }

    /// The node of the n-gram without its last word; `None` for a unigram.
    pub(super) fn context(&self) -> Option<u32> {
        let context = self.nodes.len().checked_sub(2)?;
        Some(self.nodes[context])
    }

    /// The words of the n-gram.
    pub(super) fn words<'a>(&'a self, trie: &'a Trie) -> impl Iterator<Item = u32> + 'a {
        let nodes = self.nodes.iter().zip(1..);
        nodes.map(|(&node, order)| trie.level(order).words[node as usize])
    }
}

/// Keeps the values whose marks are set.
pub(super) fn retain<T>(values: &mut Vec<T>, marks: &[bool]) {
    let mut marks = marks.iter();
    values.retain(|_| marks.next() == Some(&true));
    values.shrink_to_fit();
}

/// The number of marks set before each index, followed by the total.
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

    /// The n-grams 0, 1; 0 0, 0 1, 1 0; 0 0 1, 1 0 0, 1 0 1.
    fn trie() -> Trie {
        let levels = [
            TrieLevel {
                words: vec![0, 1],
                children: vec![0, 2, 3],
            },
            TrieLevel {
                words: vec![0, 1, 0],
                children: vec![0, 1, 1, 3],
            },
            TrieLevel {
                words: vec![1, 0, 1],
                children: Vec::new(),
            },
        ];
        Trie {
            levels: levels.into(),
        }
    }

    #[test]
    fn find_returns_nodes() {
        let trie = trie();
        assert_eq!(trie.find(&[1, 0, 1]), Some(2));
        assert_eq!(trie.find(&[0, 1]), Some(1));
        for missing in [&[][..], &[2], &[1, 1], &[0, 1, 0], &[0, 0, 1, 0]] {
            assert_eq!(trie.find(missing), None, "{missing:?}");
        }
    }

    #[test]
    fn retain_drops_nodes() {
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
