//! Interpolated modified Kneser-Ney smoothing (Kneser and Ney 1995; Chen and Goodman 1999).
//!
//! In: the n-grams of a text with their counts. Out: an [`NgramModel`]. Let a(g) be the adjusted
//! count of an n-gram g, D the discounts of its order, h' the history h without its first word, and
//! V the number of types except `<s>`:
//!
//! ```text
//! a(g)     = the number of occurrences of g, if g is of the highest order or starts with <s>
//!            the number of distinct words that precede g, otherwise
//! p(w | h) = (a(h w) - D(a(h w))) / a(h •)  +  b(h) p(w | h')
//! b(h)     = Σ_w D(a(h w)) / a(h •),   a(h •) = Σ_w a(h w)
//! p(w)     = (a(w) - D(a(w))) / a(•)  +  b / V
//! ```
//!
//! If an n-gram is dropped because it is rare, the first term of its probability is added to b(h).
//! `<s>` is only a context: it is not predicted, and its unigram has no count. A model in back-off
//! form stores p for every n-gram that is kept, and b for every context.

use std::ops::Range;

use super::count::NgramCounts;
use super::discounts::{Discounts, counts_of_counts};
use super::options::KneserNeyOptions;
use super::trie::{Trie, retain};
use super::type_table::TypeTable;
use super::{LOG10_ZERO, NgramModel};
use crate::activity::Activity;
use crate::error::Result;

/// An estimated model and its discounts.
#[derive(Debug, Clone)]
pub struct Estimate {
    /// The model. Its word ids are indices into the given vocabulary.
    pub model: NgramModel,
    /// The discounts by order, starting at 1. A small text may require other discounts than the
    /// estimated ones; see [`Discounts::origin`].
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

/// Working memory in bytes per n-gram of the order being estimated: adjusted count, link and
/// probability, and the same for the order below.
const WORKING_BYTES_PER_NGRAM: usize = 2 * (2 * size_of::<u32>() + size_of::<f64>());
/// Memory in bytes per n-gram of any order: last word, count, start of its continuations, and the
/// probability and back-off weight of the model.
const BYTES_PER_NGRAM: usize = 5 * size_of::<u32>();

/// Estimates the model. `start` is the id of `<s>`.
///
/// # Errors
/// If the memory limit is exceeded.
pub(super) fn estimate(
    types: TypeTable,
    counted: NgramCounts,
    start: u32,
    options: &KneserNeyOptions,
) -> Result<Estimate> {
    let sizes = counted.counts.iter().map(Vec::len);
    let total: usize = sizes.clone().sum();
    let largest = sizes.max().unwrap_or(0);
    if total * BYTES_PER_NGRAM + largest * WORKING_BYTES_PER_NGRAM > options.memory {
        return Err(options.memory_error(&format!("a text with {total} n-grams")));
    }
    let order = counted.trie.order();
    let mut probabilities = Vec::new();
    let mut backoffs = Vec::new();
    let mut discounts = Vec::new();
    let activity = Activity::start("estimating the n-gram model", Some(total as u64));
    let mut estimator = Estimator::new(counted, start, options);
    for current in 1..=order {
        let interpolated = estimator.next();
        if current > 1 {
            backoffs.push(log10_values(&interpolated.weights));
        }
        activity.advance(interpolated.probabilities.len() as u64);
        probabilities.push(log10_values(&interpolated.probabilities));
        discounts.push(interpolated.discounts);
        estimator.lower = interpolated.probabilities;
    }
    probabilities[0][start as usize] = LOG10_ZERO;
    let NgramCounts { mut trie, counts } = estimator.counted;
    if (1..=order).any(|order| options.min_count(order) > 1) {
        let keep = frequent(&counts, options);
        trie.retain(&keep);
        for (index, values) in probabilities.iter_mut().enumerate() {
            retain(values, &keep[index]);
        }
        for (index, values) in backoffs.iter_mut().enumerate() {
            retain(values, &keep[index]);
        }
    }
    Ok(Estimate {
        model: NgramModel::new(types, trie, probabilities, backoffs),
        discounts,
    })
}

/// Marks the n-grams that reach the minimum count of their order. All unigrams are kept.
fn frequent(counts: &[Vec<u32>], options: &KneserNeyOptions) -> Vec<Vec<bool>> {
    let mut keep = vec![vec![true; counts[0].len()]];
    for (order, counts) in (2..).zip(&counts[1..]) {
        let min_count = options.min_count(order);
        keep.push(counts.iter().map(|&count| count >= min_count).collect());
    }
    keep
}

fn log10_values(values: &[f64]) -> Vec<f32> {
    values.iter().map(|value| value.log10() as f32).collect()
}

/// Estimates one order after the other, from the lowest to the highest.
struct Estimator<'a> {
    counted: NgramCounts,
    options: &'a KneserNeyOptions,
    /// The number of types except `<s>`.
    types: usize,
    start: u32,
    /// The order that was estimated last.
    order: usize,
    /// p of its n-grams.
    lower: Vec<f64>,
    /// For each n-gram of the next order, the node of the n-gram without its first word.
    links: Vec<u32>,
    /// The n-grams of the next order that start with `<s>`.
    after_start: Range<usize>,
}

impl<'a> Estimator<'a> {
    fn new(counted: NgramCounts, start: u32, options: &'a KneserNeyOptions) -> Self {
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

    /// Estimates the next order. `lower` must hold the probabilities of the previous one.
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

    /// The adjusted counts of the current order, given the links of the next.
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
        let min_count = self.options.min_count(self.order);
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
            let discount = |node: usize| {
                if counts[node] < min_count {
                    f64::from(adjusted[node])
                } else {
                    discounts.of(adjusted[node])
                }
            };
            let weight = children.clone().map(discount).sum::<f64>() / total;
            weights.push(weight);
            for node in children {
                let discounted = (f64::from(adjusted[node]) - discount(node)) / total;
                probabilities.push(discounted + weight * self.lower[self.links[node] as usize]);
            }
        }
        Interpolated {
            probabilities,
            weights,
            discounts,
        }
    }
}

/// For each n-gram of an order of at least 2, the node of the n-gram without its first word.
/// `lower` holds the links of the order below.
fn links(trie: &Trie, order: usize, lower: &[u32]) -> Vec<u32> {
    if order == 2 {
        return trie.level(2).words.clone();
    }
    let mut links = Vec::with_capacity(trie.level(order).words.len());
    for (context, &suffix) in (0..).zip(lower) {
        // Every word that follows a context also follows its suffix, so one pass through both
        // sorted lists finds all words.
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
    use super::super::count::count_sentences;
    use super::*;

    /// The n-grams of 200 sentences over 12 words, the last of which never occurs, with enough
    /// repetitions for all discounts; and the id of `<s>`.
    fn counted(order: usize) -> (NgramCounts, u32) {
        let mut state = 1_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16
        };
        let sentences: Vec<Vec<u32>> = (0..200)
            .map(|_| {
                (0..random() % 9)
                    .map(|_| (random() % 11).min(random() % 11))
                    .collect()
            })
            .collect();
        let counts = count_sentences(sentences.iter().map(Vec::as_slice), order, 12);
        (counts, 12)
    }

    /// After every history, the unrounded probabilities of all types except `<s>` sum to 1: those
    /// of the words that followed the history, plus the weight times the lower-order probabilities
    /// of all others.
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
                let min_count = options.min_count(order);
                for (context, weight) in (0..).zip(weights) {
                    let mut kept = 0.0;
                    let mut lower_order = 0.0;
                    for node in estimator.counted.trie.children(order - 1, context) {
                        if estimator.counted.counts[order - 1][node] >= min_count {
                            kept += probabilities[node];
                            lower_order += estimator.lower[links[node] as usize];
                        }
                    }
                    // The distribution of the lower order sums to 1, as checked in the previous
                    // iteration.
                    let sum = kept + weight * (1.0 - lower_order);
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
