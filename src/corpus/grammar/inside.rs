//! The inside algorithm (J. K. Baker 1979): probabilities and numbers of derivations by spans.

use super::{Category, Grammar, GrammarError, Symbol};

impl Grammar {
    /// The inside algorithm: the sum over the derivations of a sentence of the products of their
    /// rules' values; `None` where there is no derivation.
    pub(super) fn inside<T: Tally>(&self, sentence: &[&str]) -> Option<T> {
        let find = |word: &&str| {
            self.words
                .binary_search_by(|known| known.as_str().cmp(word))
                .ok()
        };
        let sentence: Vec<usize> = sentence.iter().map(find).collect::<Option<_>>()?;
        let chart = &self.chart;
        let count = sentence.len();
        // Most spans are no constituent of any category, so a cell lists only what it has.
        let mut cells: Vec<Vec<(usize, T)>> = Vec::with_capacity(count * count);
        let mut totals: Vec<Option<T>> = vec![None; chart.items];
        for length in 1..=count {
            for first in 0..count {
                let mut found = Vec::new();
                let mut add = |totals: &mut [Option<T>], item: usize, value: T| {
                    let sum = totals[item].map(|sum| sum.plus(value));
                    if sum.is_none() {
                        found.push(item);
                    }
                    totals[item] = sum.or(Some(value));
                };
                if length == 1 {
                    add(&mut totals, chart.first_word + sentence[first], T::ONE);
                }
                // Spans that would pass the sentence's end keep an empty cell, for plain indexing.
                for split in 1..if first + length <= count { length } else { 0 } {
                    let left = &cells[(split - 1) * count + first];
                    let right = &cells[(length - split - 1) * count + first + split];
                    for &(left_item, left_value) in left {
                        for pair in &chart.pairs[left_item] {
                            let partner = right.iter().find(|(item, _)| *item == pair.right);
                            if let Some(&(_, right_value)) = partner {
                                let value = left_value.times(right_value).weigh(pair.probability);
                                add(&mut totals, pair.parent, value);
                            }
                        }
                    }
                }
                for single in &chart.singles {
                    if let Some(value) = totals[single.child] {
                        add(&mut totals, single.parent, value.weigh(single.probability));
                    }
                }
                let take = |item: usize| totals[item].take().map(|value| (item, value));
                cells.push(found.into_iter().filter_map(take).collect());
            }
        }
        let whole = cells.get(count.checked_sub(1)? * count)?;
        whole
            .iter()
            .find(|(item, _)| *item == 0)
            .map(|&(_, value)| value)
    }
}

/// What the inside algorithm adds and multiplies.
pub(super) trait Tally: Copy {
    /// The value of a word, which needs no rule.
    const ONE: Self;
    /// The value after a rule of this probability.
    fn weigh(self, probability: f64) -> Self;
    /// Both parts of one derivation.
    fn times(self, other: Self) -> Self;
    /// Either of two derivations.
    fn plus(self, other: Self) -> Self;
}

/// A probability as its logarithm to base 10, so that long sentences do not underflow.
#[derive(Clone, Copy)]
pub(super) struct Log10(pub(super) f64);

impl Tally for Log10 {
    const ONE: Self = Log10(0.0);

    fn weigh(self, probability: f64) -> Self {
        Log10(self.0 + probability.log10())
    }

    fn times(self, other: Self) -> Self {
        Log10(self.0 + other.0)
    }

    fn plus(self, other: Self) -> Self {
        let (low, high) = (self.0.min(other.0), self.0.max(other.0));
        Log10(high + 10f64.powf(low - high).ln_1p() / std::f64::consts::LN_10)
    }
}

/// A number of derivations.
#[derive(Clone, Copy)]
pub(super) struct Count(pub(super) u64);

impl Tally for Count {
    const ONE: Self = Count(1);

    fn weigh(self, _: f64) -> Self {
        self
    }

    fn times(self, other: Self) -> Self {
        Count(self.0.saturating_mul(other.0))
    }

    fn plus(self, other: Self) -> Self {
        Count(self.0.saturating_add(other.0))
    }
}

/// The rules in the form that the inside algorithm walks: at most two children each. An item is a
/// category, a word, or the beginning of a longer alternative.
#[derive(Debug, Clone)]
pub(super) struct ChartRules {
    items: usize,
    /// The item of word 0; categories come before the words, beginnings after them.
    first_word: usize,
    /// Children before parents, so that one pass over a cell follows every chain to its end.
    singles: Vec<Single>,
    /// By the left child.
    pairs: Vec<Vec<Pair>>,
}

#[derive(Debug, Clone)]
struct Single {
    parent: usize,
    child: usize,
    probability: f64,
}

#[derive(Debug, Clone)]
struct Pair {
    parent: usize,
    right: usize,
    probability: f64,
}

impl ChartRules {
    pub(super) fn new(categories: &[Category], words: usize) -> Result<ChartRules, GrammarError> {
        let first_word = categories.len();
        let item = |symbol: Symbol| match symbol {
            Symbol::Category(category) => category,
            Symbol::Word(word) => first_word + word,
        };
        let mut pairs: Vec<Vec<Pair>> = Vec::new();
        pairs.resize_with(first_word + words, Vec::new);
        let mut chains: Vec<Vec<Single>> = vec![Vec::new(); first_word];
        for (parent, category) in categories.iter().enumerate() {
            for alternative in &category.alternatives {
                let probability = alternative.probability;
                let Some((&last, before)) = alternative.symbols.split_last() else {
                    continue;
                };
                let Some((&head, middle)) = before.split_first() else {
                    chains[parent].push(Single {
                        parent,
                        child: item(last),
                        probability,
                    });
                    continue;
                };
                let mut left = item(head);
                for &symbol in middle {
                    let beginning = pairs.len();
                    let right = item(symbol);
                    pairs[left].push(Pair {
                        parent: beginning,
                        right,
                        probability: 1.0,
                    });
                    pairs.push(Vec::new());
                    left = beginning;
                }
                pairs[left].push(Pair {
                    parent,
                    right: item(last),
                    probability,
                });
            }
        }
        let singles = order_singles(chains, categories)?;
        Ok(ChartRules {
            items: pairs.len(),
            first_word,
            singles,
            pairs,
        })
    }
}

/// Puts the one-child rules in an order in which a category's own come before those that use it.
fn order_singles(
    mut chains: Vec<Vec<Single>>,
    categories: &[Category],
) -> Result<Vec<Single>, GrammarError> {
    let mut singles: Vec<Single> = Vec::new();
    let mut placed = vec![false; categories.len()];
    let mut waiting: Vec<usize> = (0..categories.len()).collect();
    while let Some(&stuck) = waiting.first() {
        let before = waiting.len();
        waiting.retain(|&category| {
            let is_ready = chains[category]
                .iter()
                .all(|single| placed.get(single.child).is_none_or(|&is| is));
            if is_ready {
                placed[category] = true;
                singles.append(&mut chains[category]);
            }
            !is_ready
        });
        if waiting.len() == before {
            // Each that waits waits for another one: following them must come to a cycle.
            let mut category = stuck;
            let mut is_visited = vec![false; categories.len()];
            while !is_visited[category] {
                is_visited[category] = true;
                let next = chains[category].iter().map(|single| single.child);
                category = next
                    .filter(|&child| placed.get(child) == Some(&false))
                    .min()
                    .unwrap_or(category);
            }
            let Category { line, name, .. } = &categories[category];
            return Err(GrammarError::Cycle {
                line: *line,
                name: name.clone(),
            });
        }
    }
    Ok(singles)
}
