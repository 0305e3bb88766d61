//! Tokens in the order of their probability, sorted only where they are asked for: a vocabulary is
//! large, and sorting all of it for every token would take longer than the network.
//!
//! In: log-probabilities. Out: the token of each rank, and the rank that a sum of weights reaches.

use std::ops::Range;

use crate::kernels::exponential_sum;

/// The distances from the likeliest token, in log-probability, within which tokens are collected,
/// one after another. Most tokens are drawn from the first.
const DISTANCES: [f32; 4] = [4.0, 16.0, 64.0, f32::INFINITY];
/// Tokens in a group, on average, if their log-probabilities are spread evenly.
const GROUP: usize = 32;

/// The weights with which tokens are drawn: `exp((ln p - highest) / temperature)`.
#[derive(Clone, Copy)]
pub(super) struct Weights {
    /// The log-probability of the likeliest token.
    pub(super) highest: f64,
    pub(super) temperature: f64,
}

impl Weights {
    /// The weight of a token with this log-probability.
    fn weight(&self, log_probability: f32) -> f64 {
        ((f64::from(log_probability) - self.highest) / self.temperature).exp()
    }

    /// The sum of the weights of tokens with these log-probabilities.
    pub(super) fn sum(&self, log_probabilities: &[f32]) -> f64 {
        exponential_sum(log_probabilities, self.highest, self.temperature)
    }
}

/// The tokens that may be drawn, the most likely first.
pub(super) struct Ranking<'a> {
    log_probabilities: &'a [f32],
    excluded: Option<usize>,
    /// The token of rank 0.
    top: usize,
    /// The number of ranks.
    len: usize,
    /// The tokens within the first `collected` distances, in groups: those of a group are likelier
    /// than those of the next.
    ids: Vec<usize>,
    collected: usize,
    groups: Vec<Group>,
}

/// Adjacent tokens.
struct Group {
    /// The number of ids in this group and those before it.
    end: usize,
    is_sorted: bool,
}

impl<'a> Ranking<'a> {
    /// The ranking of all tokens but the excluded one. One token at least is not excluded.
    pub(super) fn new(log_probabilities: &'a [f32], excluded: Option<usize>) -> Self {
        let excluded = excluded.filter(|&id| id < log_probabilities.len());
        let mut top = usize::from(excluded == Some(0));
        for (id, value) in log_probabilities.iter().enumerate() {
            if value.total_cmp(&log_probabilities[top]).is_gt() && Some(id) != excluded {
                top = id;
            }
        }
        Self {
            log_probabilities,
            excluded,
            top,
            len: log_probabilities.len() - usize::from(excluded.is_some()),
            ids: Vec::new(),
            collected: 0,
            groups: Vec::new(),
        }
    }

    /// The most likely token.
    pub(super) fn top(&self) -> usize {
        self.top
    }

    /// Keeps the `count` most likely tokens, one at least.
    pub(super) fn truncate(&mut self, count: usize) {
        self.len = self.len.min(count);
    }

    /// The token with this rank. Ties are broken by the id, so that a seed always gives the same
    /// text.
    pub(super) fn get(&mut self, rank: usize) -> usize {
        while self.ids.len() <= rank {
            self.collect();
        }
        let index = self.groups.partition_point(|group| group.end <= rank);
        if !self.groups[index].is_sorted {
            let ids = self.group(index);
            self.ids[ids].sort_unstable_by(|&a, &b| {
                self.log_probabilities[b]
                    .total_cmp(&self.log_probabilities[a])
                    .then(a.cmp(&b))
            });
            self.groups[index].is_sorted = true;
        }
        self.ids[rank]
    }

    /// The smallest number of most likely tokens whose weights together are more than `threshold`,
    /// or all tokens if there is none; and the sum of their weights.
    pub(super) fn reach(&mut self, threshold: f64, weights: Weights) -> (usize, f64) {
        let mut sum = 0.0;
        let mut of_group = Vec::new();
        let mut index = 0;
        while let Some(ranks) = self.ranks_of_group(index) {
            let ids = self.ids[ranks.clone()].iter();
            of_group.clear();
            of_group.extend(ids.map(|&id| self.log_probabilities[id]));
            let sum_of_group = weights.sum(&of_group);
            if ranks.end < self.len && sum + sum_of_group <= threshold {
                sum += sum_of_group;
            } else {
                for rank in ranks {
                    let id = self.get(rank);
                    sum += weights.weight(self.log_probabilities[id]);
                    if sum > threshold {
                        return (rank + 1, sum);
                    }
                }
            }
            index += 1;
        }
        (self.len, sum)
    }

    /// The ids of a group.
    fn group(&self, index: usize) -> Range<usize> {
        let start = index.checked_sub(1).map_or(0, |last| self.groups[last].end);
        start..self.groups[index].end
    }

    /// The ranks of a group, which is collected if necessary; none after the last rank.
    fn ranks_of_group(&mut self, index: usize) -> Option<Range<usize>> {
        while self.groups.len() <= index && self.ids.len() < self.len {
            self.collect();
        }
        let ids = self.groups.get(index).map(|_| self.group(index))?;
        (ids.start < self.len).then(|| ids.start..ids.end.min(self.len))
    }

    /// Collects the tokens within the next distance.
    fn collect(&mut self) {
        let top = self.log_probabilities[self.top];
        // A comparison with NaN is false, so NaN is within the last distance.
        let is_within = |count: usize, value: f32| match count.checked_sub(1) {
            None => false,
            Some(last) => last + 1 == DISTANCES.len() || value >= top - DISTANCES[last],
        };
        let before = self.collected;
        self.collected += 1;
        let found: Vec<usize> = self
            .log_probabilities
            .iter()
            .enumerate()
            .filter(|&(_, &value)| is_within(self.collected, value) && !is_within(before, value))
            .map(|(id, _)| id)
            .filter(|&id| Some(id) != self.excluded)
            .collect();
        if self.collected == DISTANCES.len() || found.len() <= GROUP {
            self.ids.extend(found);
            self.end_group(self.ids.len());
        } else {
            self.divide(&found);
        }
    }

    /// Appends tokens in groups of equal ranges of log-probability, which are finite.
    fn divide(&mut self, found: &[usize]) {
        let values = found.iter().map(|&id| self.log_probabilities[id]);
        let highest = values.clone().fold(f32::NEG_INFINITY, f32::max);
        let lowest = values.fold(f32::INFINITY, f32::min);
        let count = found.len().div_ceil(GROUP);
        let scale = (count - 1) as f32 / (highest - lowest).max(f32::MIN_POSITIVE);
        // At most `count - 1` but for rounding, and not smaller for a smaller value.
        let group_of = |id: usize| {
            let group = (highest - self.log_probabilities[id]) * scale;
            (group as usize).min(count - 1)
        };
        let mut ends = vec![0; count];
        for &id in found {
            ends[group_of(id)] += 1;
        }
        let first = self.ids.len();
        let mut end = first;
        for size in &mut ends {
            end += *size;
            *size = end;
        }
        let mut ids = vec![0; found.len()];
        let mut places = ends.clone();
        for &id in found.iter().rev() {
            let place = &mut places[group_of(id)];
            *place -= 1;
            ids[*place - first] = id;
        }
        self.ids.extend(ids);
        for end in ends {
            self.end_group(end);
        }
    }

    /// Adds a group up to this end, unless it is empty.
    fn end_group(&mut self, end: usize) {
        if self.groups.last().map_or(0, |last| last.end) < end {
            self.groups.push(Group {
                end,
                is_sorted: false,
            });
        }
    }
}
