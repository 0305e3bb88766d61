//! Interpolated modified Kneser-Ney smoothing (Kneser and Ney 1995; Chen and Goodman 1999).
//!
//! In: the n-grams of a text with their counts. Out: an [`NgramModel`]. With a(g) the adjusted
//! count of an n-gram g, D its order's discounts, h' the history h less its first word, and V the
//! number of types but `<s>`:
//!
//! ```text
//! a(g)     = how often g occurs, if g is of the highest order or begins with <s>
//!            how many words stand before g, otherwise
//! p(w | h) = (a(h w) - D(a(h w))) / a(h •)  +  b(h) p(w | h')
//! b(h)     = Σ_w D(a(h w)) / a(h •),   a(h •) = Σ_w a(h w)
//! p(w)     = (a(w) - D(a(w))) / a(•)  +  b / V
//! ```
//!
//! An n-gram that is dropped because it is rare leaves the first term of its probability to b(h).
//! `<s>` is a context alone: it is no type, and its unigram has no count. A model in back-off form
//! has p for every n-gram that is kept, and b for every context.

use std::ops::Range;

use super::count::{Counted, KneserNeyOptions, over_budget};
use super::discounts::{Discounts, counts_of_counts};
use super::trie::{Trie, retain};
use super::words::TypeTable;
use super::{LOG10_ZERO, NgramModel};
use crate::error::Result;

/// A model, and what was taken off its counts.
#[derive(Debug, Clone)]
pub struct Estimate {
    /// The model. Its word numbers are places in the vocabulary that was given.
    pub model: NgramModel,
    /// The discounts, by order from 1 on. A small text may have forced other ones than the rule's:
    /// see their origin.
    pub discounts: Vec<Discounts>,
}

/// The probabilities and weights of one order.
#[derive(Debug)]
struct Interpolated {
    /// p of each n-gram of the order, in f64.
    probabilities: Vec<f64>,
    /// b of each n-gram of the order below.
    weights: Vec<f64>,
    discounts: Discounts,
}

/// Bytes of an n-gram while its order is made: adjusted count, link and probability, and those of
/// the order below.
const BYTES_PER_NGRAM_AT_WORK: usize = 2 * (2 * size_of::<u32>() + size_of::<f64>());
/// Bytes of every n-gram meanwhile: last word, count, where its continuations begin, and the
/// model's two numbers.
const BYTES_PER_NGRAM: usize = 5 * size_of::<u32>();

/// Estimates the model; `start` is the number of `<s>`.
pub(super) fn estimate(
    words: TypeTable,
    counted: Counted,
    start: u32,
    options: &KneserNeyOptions,
) -> Result<Estimate> {
    let sizes = counted.counts.iter().map(Vec::len);
    let (all, largest) = (sizes.clone().sum::<usize>(), sizes.max().unwrap_or(0));
    if all * BYTES_PER_NGRAM + largest * BYTES_PER_NGRAM_AT_WORK > options.memory {
        return Err(over_budget(options, &format!("a text with {all} n-grams")));
    }
    let order = counted.trie.order();
    let (mut probabilities, mut backoffs, mut discounts) = (Vec::new(), Vec::new(), Vec::new());
    let mut estimator = Estimator::new(counted, start, options);
    for number in 1..=order {
        let interpolated = estimator.next();
        if number > 1 {
            backoffs.push(logarithms(&interpolated.weights));
        }
        probabilities.push(logarithms(&interpolated.probabilities));
        discounts.push(interpolated.discounts);
        estimator.lower = interpolated.probabilities;
    }
    probabilities[0][start as usize] = LOG10_ZERO;
    let Counted { mut trie, counts } = estimator.counted;
    if (1..=order).any(|order| options.min_count(order) > 1) {
        let keep: Vec<Vec<bool>> = (1..)
            .zip(&counts)
            .map(|(order, counts)| {
                counts
                    .iter()
                    .map(|&count| order == 1 || count >= options.min_count(order))
                    .collect()
            })
            .collect();
        trie.retain(&keep);
        probabilities
            .iter_mut()
            .chain(&mut backoffs)
            .zip(keep.iter().chain(&keep))
            .for_each(|(values, marks)| retain(values, marks));
    }
    Ok(Estimate {
        model: NgramModel::new(words, trie, probabilities, backoffs),
        discounts,
    })
}

fn logarithms(values: &[f64]) -> Vec<f32> {
    values.iter().map(|value| value.log10() as f32).collect()
}

/// Makes one order after the other.
struct Estimator<'a> {
    counted: Counted,
    options: &'a KneserNeyOptions,
    /// The number of types but `<s>`.
    types: usize,
    start: u32,
    /// The order that was made last.
    order: usize,
    /// p of its n-grams.
    lower: Vec<f64>,
    /// For each n-gram of the order to be made, the node of the n-gram less its first word.
    links: Vec<u32>,
    /// The n-grams of the order to be made that begin with `<s>`.
    after_start: Range<usize>,
}

impl<'a> Estimator<'a> {
    fn new(counted: Counted, start: u32, options: &'a KneserNeyOptions) -> Self {
        let types = counted.counts[0].len() - 1;
        let after_start = start as usize..start as usize + 1;
        Self {
            counted,
            options,
            types,
            start,
            order: 0,
            lower: Vec::new(),
            links: Vec::new(),
            after_start,
        }
    }

    /// Makes the next order; `lower` must be what the one before gave.
    fn next(&mut self) -> Interpolated {
        self.order += 1;
        let next_links = if self.order < self.counted.trie.order() {
            links(&self.counted.trie, self.order + 1, &self.links)
        } else {
            Vec::new()
        };
        let adjusted = self.adjusted(&next_links);
        let discounts = Discounts::new(counts_of_counts(&adjusted));
        let interpolated = if self.order == 1 {
            self.unigrams(&adjusted, discounts)
        } else {
            self.interpolate(&adjusted, discounts)
        };
        let children = &self.counted.trie.level(self.order).children;
        if !children.is_empty() {
            self.after_start =
                children[self.after_start.start] as usize..children[self.after_start.end] as usize;
        }
        self.links = next_links;
        interpolated
    }

    /// The adjusted counts of the order, given the links of the next.
    fn adjusted(&self, next_links: &[u32]) -> Vec<u32> {
        let counts = &self.counted.counts[self.order - 1];
        let mut adjusted = if self.order == self.counted.trie.order() {
            counts.clone()
        } else {
            let mut preceding = vec![0; counts.len()];
            next_links
                .iter()
                .for_each(|&node| preceding[node as usize] += 1);
            preceding[self.after_start.clone()].copy_from_slice(&counts[self.after_start.clone()]);
            preceding
        };
        if self.order == 1 {
            adjusted[self.start as usize] = 0;
        }
        adjusted
    }

    fn unigrams(&self, adjusted: &[u32], discounts: Discounts) -> Interpolated {
        let total: u64 = adjusted.iter().map(|&count| u64::from(count)).sum();
        let weight = adjusted
            .iter()
            .map(|&count| discounts.of(count))
            .sum::<f64>()
            / total as f64;
        let uniform = 1.0 / self.types as f64;
        let probability = |&count: &u32| {
            (f64::from(count) - discounts.of(count)) / total as f64 + weight * uniform
        };
        Interpolated {
            probabilities: adjusted.iter().map(probability).collect(),
            weights: vec![weight],
            discounts,
        }
    }

    fn interpolate(&self, adjusted: &[u32], discounts: Discounts) -> Interpolated {
        let trie = &self.counted.trie;
        let counts = &self.counted.counts[self.order - 1];
        let least = self.options.min_count(self.order);
        let mut probabilities = Vec::with_capacity(adjusted.len());
        let mut weights = Vec::with_capacity(self.lower.len());
        for context in 0..self.lower.len() as u32 {
            let children = trie.children(self.order - 1, context);
            if children.is_empty() {
                weights.push(1.0);
                continue;
            }
            let total = adjusted[children.clone()]
                .iter()
                .map(|&count| u64::from(count))
                .sum::<u64>() as f64;
            let taken = |node: usize| {
                if counts[node] < least {
                    f64::from(adjusted[node])
                } else {
                    discounts.of(adjusted[node])
                }
            };
            let weight = children.clone().map(taken).sum::<f64>() / total;
            weights.push(weight);
            for node in children {
                let own = (f64::from(adjusted[node]) - taken(node)) / total;
                probabilities.push(own + weight * self.lower[self.links[node] as usize]);
            }
        }
        Interpolated {
            probabilities,
            weights,
            discounts,
        }
    }
}

/// For each n-gram of an order from 2 on, the node of the n-gram less its first word; `lower` are
/// those of the order below.
fn links(trie: &Trie, order: usize, lower: &[u32]) -> Vec<u32> {
    if order == 2 {
        return trie.level(2).words.clone();
    }
    let mut links = Vec::with_capacity(trie.level(order).words.len());
    for (context, &suffix) in (0..).zip(lower) {
        // What follows a context also follows its suffix, so the words are found in one way through
        // both lists.
        let mut candidates = trie.children(order - 2, suffix);
        for &word in &trie.level(order).words[trie.children(order - 1, context)] {
            candidates.start += trie.level(order - 1).words[candidates.clone()]
                .partition_point(|&candidate| candidate < word);
            links.push(candidates.start as u32);
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::super::KneserNey;
    use super::*;

    /// A text of 200 sentences over 12 words, the last of which never occurs, with repetitions
    /// enough for all discounts.
    fn counted(order: usize) -> (Counted, u32) {
        let mut text = KneserNey::new(KneserNeyOptions {
            order,
            ..KneserNeyOptions::default()
        })
        .expect("an order");
        let mut state = 1_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16
        };
        for _ in 0..200 {
            let sentence: Vec<u32> = (0..random() % 9)
                .map(|_| (random() % 11).min(random() % 11))
                .collect();
            text.add_sentence(&sentence).expect("there is room");
        }
        text.counted_with_boundaries(12)
    }

    /// After every history the probabilities of all types but `<s>` sum to 1 before they are
    /// rounded: those of the words that followed it, and the weight times the lower order's of the
    /// others.
    #[test]
    fn every_distribution_sums_to_one() {
        for min_counts in [Vec::new(), vec![2, 3]] {
            let (counted, start) = counted(5);
            let options = KneserNeyOptions {
                order: 5,
                min_counts,
                ..KneserNeyOptions::default()
            };
            let mut estimator = Estimator::new(counted, start, &options);
            let unigrams = estimator.next().probabilities;
            let sum: f64 = unigrams
                .iter()
                .enumerate()
                .filter(|&(word, _)| word != start as usize)
                .map(|(_, value)| value)
                .sum();
            assert!((sum - 1.0).abs() < 1e-12, "{sum}");
            estimator.lower = unigrams;
            for order in 2..=5 {
                let links = estimator.links.clone();
                let Interpolated {
                    probabilities,
                    weights,
                    ..
                } = estimator.next();
                let least = options.min_count(order);
                for (context, weight) in (0..).zip(weights) {
                    let (mut own, mut below) = (0.0, 0.0);
                    for node in estimator.counted.trie.children(order - 1, context) {
                        if estimator.counted.counts[order - 1][node] >= least {
                            own += probabilities[node];
                            below += estimator.lower[links[node] as usize];
                        }
                    }
                    // The lower order's distribution sums to 1, as was shown before.
                    let sum = own + weight * (1.0 - below);
                    assert!(
                        (sum - 1.0).abs() < 1e-12,
                        "order {order}, context {context}: {sum}"
                    );
                }
                estimator.lower = probabilities;
            }
        }
    }
}
