//! The inside algorithm (J. K. Baker 1979): probabilities and numbers of derivations.
//!
//! In: the rules of a grammar and a sentence. Out: the sum over all derivations of the sentence,
//! computed bottom-up over its spans.

use super::{Category, Grammar, GrammarError, Symbol};

impl Grammar {
    /// Sums, over all derivations of a sentence, the products of the weights of their rules. `None`
    /// if there is no derivation.
    pub(super) fn inside<T: Semiring>(&self, sentence: &[&str]) -> Option<T> {
        let find = |word: &&str| {
            self.words
                .binary_search_by(|known| known.as_str().cmp(word))
                .ok()
        };
        let sentence: Vec<usize> = sentence.iter().map(find).collect::<Option<_>>()?;
        let chart = &self.chart;
        let count = sentence.len();
        // The cells of the chart: the items of each span with their values, by length and start.
        // Most spans are not constituents of any category, so a cell lists only the items it has.
        let mut cells: Vec<Vec<(usize, T)>> = Vec::with_capacity(count * count);
        let mut cell = ChartCell::new(chart.items);
        for length in 1..=count {
            for first in 0..count {
                if length == 1 {
                    cell.add(chart.first_word + sentence[first], T::ONE);
                }
                // A span that extends beyond the sentence has an empty cell, so that the index of a
                // cell is a simple product.
                let splits = if first + length <= count { length } else { 0 };
                for split in 1..splits {
                    let left = &cells[(split - 1) * count + first];
                    let right = &cells[(length - split - 1) * count + first + split];
                    cell.add_pairs(chart, left, right);
                }
                cell.add_unary(chart);
                cells.push(cell.take());
            }
        }
        let sentence_cell = cells.get(count.checked_sub(1)? * count)?;
        sentence_cell
            .iter()
            .find(|(item, _)| *item == 0)
            .map(|&(_, value)| value)
    }
}

/// The items of one span with their values, while they are being summed.
struct ChartCell<T> {
    /// The value of each item of the chart.
    values: Vec<Option<T>>,
    /// The items that have a value, in the order of their first occurrence.
    items: Vec<usize>,
}

impl<T: Semiring> ChartCell<T> {
    fn new(items: usize) -> Self {
        Self {
            values: vec![None; items],
            items: Vec::new(),
        }
    }

    /// Adds a derivation of an item.
    fn add(&mut self, item: usize, value: T) {
        let sum = self.values[item].map(|sum| sum.plus(value));
        if sum.is_none() {
            self.items.push(item);
        }
        self.values[item] = sum.or(Some(value));
    }

    /// Applies the rules with two children to all pairs of items of two adjacent spans.
    fn add_pairs(&mut self, chart: &ChartRules, left: &[(usize, T)], right: &[(usize, T)]) {
        for &(left_item, left_value) in left {
            for rule in &chart.binary[left_item] {
                let right_match = right.iter().find(|(item, _)| *item == rule.right);
                if let Some(&(_, right_value)) = right_match {
                    let value = left_value.times(right_value).scale(rule.probability);
                    self.add(rule.parent, value);
                }
            }
        }
    }

    /// Applies the rules with one child.
    fn add_unary(&mut self, chart: &ChartRules) {
        for rule in &chart.unary {
            if let Some(value) = self.values[rule.child] {
                self.add(rule.parent, value.scale(rule.probability));
            }
        }
    }

    /// Removes and returns all items with their values.
    fn take(&mut self) -> Vec<(usize, T)> {
        let values = &mut self.values;
        self.items
            .drain(..)
            .filter_map(|item| values[item].take().map(|value| (item, value)))
            .collect()
    }
}

/// The values that the inside algorithm adds and multiplies.
pub(super) trait Semiring: Copy {
    /// The value of a word, which uses no rule.
    const ONE: Self;
    /// Applies a rule of the given probability.
    fn scale(self, probability: f64) -> Self;
    /// Combines two parts of one derivation.
    fn times(self, other: Self) -> Self;
    /// Adds two alternative derivations.
    fn plus(self, other: Self) -> Self;
}

/// A probability, stored as log10 so that long sentences do not underflow.
#[derive(Clone, Copy)]
pub(super) struct Log10(pub(super) f64);

impl Semiring for Log10 {
    const ONE: Self = Log10(0.0);

    fn scale(self, probability: f64) -> Self {
        Log10(self.0 + probability.log10())
    }

    fn times(self, other: Self) -> Self {
        Log10(self.0 + other.0)
    }

    fn plus(self, other: Self) -> Self {
        let low = self.0.min(other.0);
        let high = self.0.max(other.0);
        Log10(high + 10f64.powf(low - high).ln_1p() / std::f64::consts::LN_10)
    }
}

/// A number of derivations.
#[derive(Clone, Copy)]
pub(super) struct Count(pub(super) u64);

impl Semiring for Count {
    const ONE: Self = Count(1);

    fn scale(self, _: f64) -> Self {
        self
    }

    fn times(self, other: Self) -> Self {
        Count(self.0.saturating_mul(other.0))
    }

    fn plus(self, other: Self) -> Self {
        Count(self.0.saturating_add(other.0))
    }
}

/// The rules in the form required by the inside algorithm, with at most two children each. An item
/// is a category, a word, or a prefix of an alternative with more than two symbols.
#[derive(Debug, Clone)]
pub(super) struct ChartRules {
    items: usize,
    /// The item of word 0. Items are ordered: categories, words, prefixes.
    first_word: usize,
    /// Rules with one child, ordered so that children precede parents: one pass over a cell applies
    /// every chain of them.
    unary: Vec<UnaryRule>,
    /// Rules with two children, by the left child.
    binary: Vec<Vec<BinaryRule>>,
}

#[derive(Debug, Clone)]
struct UnaryRule {
    parent: usize,
    child: usize,
    probability: f64,
}

#[derive(Debug, Clone)]
struct BinaryRule {
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
        let mut binary: Vec<Vec<BinaryRule>> = Vec::new();
        binary.resize_with(first_word + words, Vec::new);
        let mut rules: Vec<Vec<UnaryRule>> = vec![Vec::new(); first_word];
        for (parent, category) in categories.iter().enumerate() {
            for alternative in &category.alternatives {
                let probability = alternative.probability;
                let Some((&last, before)) = alternative.symbols.split_last() else {
                    continue;
                };
                let Some((&head, middle)) = before.split_first() else {
                    rules[parent].push(UnaryRule {
                        parent,
                        child: item(last),
                        probability,
                    });
                    continue;
                };
                let mut left = item(head);
                for &symbol in middle {
                    let prefix = binary.len();
                    let right = item(symbol);
                    binary[left].push(BinaryRule {
                        parent: prefix,
                        right,
                        probability: 1.0,
                    });
                    binary.push(Vec::new());
                    left = prefix;
                }
                binary[left].push(BinaryRule {
                    parent,
                    right: item(last),
                    probability,
                });
            }
        }
        let unary = order_unary(rules, categories)?;
        Ok(ChartRules {
            items: binary.len(),
            first_word,
            unary,
            binary,
        })
    }
}

/// Orders the rules with one child so that the rules of a category precede those that use it.
fn order_unary(
    mut rules: Vec<Vec<UnaryRule>>,
    categories: &[Category],
) -> Result<Vec<UnaryRule>, GrammarError> {
    let mut unary: Vec<UnaryRule> = Vec::new();
    let mut placed = vec![false; categories.len()];
    let mut waiting: Vec<usize> = (0..categories.len()).collect();
    while let Some(&stuck) = waiting.first() {
        let before = waiting.len();
        waiting.retain(|&category| {
            let is_ready = rules[category]
                .iter()
                .all(|rule| placed.get(rule.child).is_none_or(|&is_placed| is_placed));
            if is_ready {
                placed[category] = true;
                unary.append(&mut rules[category]);
            }
            !is_ready
        });
        if waiting.len() == before {
            // Every waiting category depends on another one, so following the dependencies leads to
            // a cycle.
            let mut category = stuck;
            let mut is_visited = vec![false; categories.len()];
            while !is_visited[category] {
                is_visited[category] = true;
                let next = rules[category].iter().map(|rule| rule.child);
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
    Ok(unary)
}
