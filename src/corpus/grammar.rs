//! Probabilistic context-free grammars: the source of the built-in corpus.
//!
//! In: the text of a grammar. Out: sampled sentences, and exact probabilities. The lowest possible
//! perplexity of text from a known grammar is known, so a model trained on it can be compared with
//! the true distribution and not only with other models. The grammar of English-like sentences in
//! `corpora/english.grammar` follows J. L. Elman (1991), "Distributed representations, simple
//! recurrent networks, and grammatical structure", Machine Learning 7, 195-225; the comment at
//! the top of that file explains the notation that [`Grammar::parse`] reads.
//!
//! The probability of a sentence is computed with the inside algorithm: J. K. Baker (1979),
//! "Trainable grammars for speech recognition". Whether sampling terminates with probability one,
//! and the mean sentence length, follow from the matrix of expected offspring: T. L. Booth and R.
//! A. Thompson (1973), "Applying probability measures to abstract languages".

mod error;
mod inside;
mod notation;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

use rand::{Rng, RngExt};

pub use error::GrammarError;
use inside::{ChartRules, Count, Log10};
use notation::{ParsedRule, is_category, parse_rules};

/// The text of the built-in grammar, which [`Grammar::builtin`] parses.
pub const ENGLISH: &str = include_str!("../../corpora/english.grammar");

/// A symbol of an alternative: an index into `Grammar::categories` or `Grammar::words`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Symbol {
    Category(usize),
    Word(usize),
}

/// One alternative of a category.
#[derive(Debug, Clone)]
struct Alternative {
    symbols: Vec<Symbol>,
    probability: f64,
    /// The sum of the probabilities of the alternatives up to and including this one, for sampling.
    cumulative: f64,
}

/// A category (nonterminal) and its alternatives.
#[derive(Debug, Clone)]
struct Category {
    name: String,
    line: usize,
    alternatives: Vec<Alternative>,
}

/// A valid probabilistic context-free grammar: every category is defined and reachable, and
/// sentences terminate with probability one and have a finite mean length.
#[derive(Debug, Clone)]
pub struct Grammar {
    /// In the order of the text; the first is the start symbol.
    categories: Vec<Category>,
    /// Sorted, without duplicates.
    words: Vec<String>,
    expectations: Expectations,
    chart: ChartRules,
}

/// A sentence sampled from a grammar, with the probability of its derivation.
#[derive(Debug, Clone, PartialEq)]
pub struct Sentence<'a> {
    /// The words in order, without a boundary token.
    pub words: Vec<&'a str>,
    /// The log10 probability of the derivation, which is that of the sentence if the grammar is
    /// unambiguous. It includes the end of the sentence, because the derivation is complete.
    pub log10_probability: f64,
}

impl fmt::Display for Sentence<'_> {
    /// The words, separated by single spaces.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.words.join(" "))
    }
}

impl Grammar {
    /// The built-in grammar of English-like sentences, which is unambiguous.
    ///
    /// # Errors
    /// As [`Grammar::parse`]. A test checks that the built-in grammar is valid.
    pub fn builtin() -> Result<Grammar, GrammarError> {
        Grammar::parse(ENGLISH)
    }

    /// Parses and validates a grammar in the notation that `corpora/english.grammar` explains.
    ///
    /// # Errors
    /// A [`GrammarError`] with the line, the text found there, and the expected form.
    pub fn parse(text: &str) -> Result<Grammar, GrammarError> {
        let rules = parse_rules(text)?;
        let Some(start) = rules.first() else {
            return Err(GrammarError::Empty);
        };
        let start = start.name;
        let category_ids = index_categories(&rules)?;
        let words = collect_words(&rules);
        let word_ids: HashMap<&str, usize> = words
            .iter()
            .enumerate()
            .map(|(index, &word)| (word, index))
            .collect();
        let categories = rules
            .iter()
            .map(|rule| resolve(rule, &category_ids, &word_ids))
            .collect::<Result<Vec<_>, _>>()?;
        check_reachable(&categories, start)?;
        let chart = ChartRules::new(&categories, words.len())?;
        let expectations = expectations(&categories)?;
        let words = words.into_iter().map(str::to_owned).collect();
        Ok(Grammar {
            categories,
            words,
            expectations,
            chart,
        })
    }

    /// All words of the grammar, sorted, without duplicates.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The exact mean number of words in a sentence, without the boundary token.
    #[must_use]
    pub fn expected_length(&self) -> f64 {
        self.expectations.length
    }

    /// The perplexity per token of an infinite text under the grammar itself, counting one boundary
    /// token per sentence. No model can reach a lower perplexity on such a text. Exact if the
    /// grammar is unambiguous. The perplexity of a finite sample differs slightly and follows from
    /// the sum of [`Sentence::log10_probability`].
    #[must_use]
    pub fn perplexity(&self) -> f64 {
        10f64.powf(-self.expectations.log10_probability / (self.expectations.length + 1.0))
    }

    /// Samples a sentence. The same state of the random generator gives the same sentence.
    pub fn sample<R: Rng + ?Sized>(&self, random: &mut R) -> Sentence<'_> {
        let mut words = Vec::new();
        let mut log10_probability = 0.0;
        // An explicit stack instead of recursion, so that no derivation overflows the thread's
        // stack.
        let mut open = vec![Symbol::Category(0)];
        while let Some(symbol) = open.pop() {
            match symbol {
                Symbol::Word(word) => words.push(self.words[word].as_str()),
                Symbol::Category(category) => {
                    let alternatives = &self.categories[category].alternatives;
                    let draw: f64 = random.random();
                    // Due to rounding, the last sum may be just below 1 and the draw above it.
                    let chosen = alternatives
                        .partition_point(|one| one.cumulative <= draw)
                        .min(alternatives.len() - 1);
                    log10_probability += alternatives[chosen].probability.log10();
                    open.extend(alternatives[chosen].symbols.iter().rev());
                }
            }
        }
        Sentence {
            words,
            log10_probability,
        }
    }

    /// The log10 probability that the grammar generates exactly this sentence, including its end:
    /// the sum over all derivations. `None` if there is no derivation.
    ///
    /// For n words, takes O(n³) time and O(n²) memory.
    #[must_use]
    pub fn log10_probability(&self, sentence: &[&str]) -> Option<f64> {
        let Log10(total) = self.inside(sentence)?;
        Some(total)
    }

    /// The number of derivations of a sentence, or 0 if the grammar does not generate it. Saturates
    /// at `u64::MAX`. Costs as much as [`Grammar::log10_probability`].
    #[must_use]
    pub fn derivations(&self, sentence: &[&str]) -> u64 {
        self.inside(sentence).map_or(0, |Count(total)| total)
    }
}

/// The index of each category by name.
fn index_categories<'a>(rules: &[ParsedRule<'a>]) -> Result<HashMap<&'a str, usize>, GrammarError> {
    let mut ids = HashMap::new();
    for (index, rule) in rules.iter().enumerate() {
        if let Some(first) = ids.insert(rule.name, index) {
            return Err(GrammarError::DuplicateCategory {
                line: rule.line,
                name: rule.name.to_owned(),
                first_line: rules[first].line,
            });
        }
    }
    Ok(ids)
}

/// All words of the rules, sorted, without duplicates.
fn collect_words<'a>(rules: &[ParsedRule<'a>]) -> Vec<&'a str> {
    let mut words: Vec<&str> = rules
        .iter()
        .flat_map(|rule| &rule.alternatives)
        .flat_map(|alternative| &alternative.symbols)
        .copied()
        .filter(|name| !is_category(name))
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// Resolves the names of a rule and normalizes the weights of its alternatives.
fn resolve(
    rule: &ParsedRule<'_>,
    category_ids: &HashMap<&str, usize>,
    word_ids: &HashMap<&str, usize>,
) -> Result<Category, GrammarError> {
    let total: f64 = rule.alternatives.iter().map(|one| one.weight).sum();
    let mut cumulative = 0.0;
    let mut alternatives = Vec::with_capacity(rule.alternatives.len());
    for alternative in &rule.alternatives {
        let mut symbols = Vec::with_capacity(alternative.symbols.len());
        for &name in &alternative.symbols {
            symbols.push(match (category_ids.get(name), word_ids.get(name)) {
                (Some(&index), _) => Symbol::Category(index),
                (None, Some(&index)) => Symbol::Word(index),
                (None, None) => {
                    return Err(GrammarError::UndefinedCategory {
                        line: alternative.line,
                        name: name.to_owned(),
                    });
                }
            });
        }
        let probability = alternative.weight / total;
        cumulative += probability;
        alternatives.push(Alternative {
            symbols,
            probability,
            cumulative,
        });
    }
    Ok(Category {
        name: rule.name.to_owned(),
        line: rule.line,
        alternatives,
    })
}

/// Checks that every category can be reached from the first.
fn check_reachable(categories: &[Category], start: &str) -> Result<(), GrammarError> {
    let mut is_reached = vec![false; categories.len()];
    let mut open = vec![0];
    while let Some(category) = open.pop() {
        if !std::mem::replace(&mut is_reached[category], true) {
            let alternatives = &categories[category].alternatives;
            for symbol in alternatives.iter().flat_map(|one| &one.symbols) {
                if let Symbol::Category(child) = symbol {
                    open.push(*child);
                }
            }
        }
    }
    match categories
        .iter()
        .zip(is_reached)
        .find(|(_, is_reached)| !is_reached)
    {
        None => Ok(()),
        Some((Category { line, name, .. }, _)) => Err(GrammarError::UnreachableCategory {
            line: *line,
            name: name.clone(),
            start: start.to_owned(),
        }),
    }
}

/// Means over the sentences of a grammar.
#[derive(Debug, Clone, Copy)]
struct Expectations {
    /// Number of words, without the boundary token.
    length: f64,
    /// log10 probability of a derivation.
    log10_probability: f64,
}

/// The means over the derivations of the first category.
///
/// Let `M[a][b]` be the mean number of categories b in an alternative of a, and `w[a]` the mean
/// number of words. The mean lengths m solve (I - M) m = w. With the mean log-probability of the
/// alternatives of a in place of `w[a]`, the solution is the mean log-probability of complete
/// derivations. Gaussian elimination without row exchanges has only positive pivots exactly if the
/// spectral radius of M is below 1 (I - M is then an M-matrix), which is the condition for a finite
/// mean sentence length. The pivot of category k is 1 minus the mean number of further occurrences
/// of k that one k generates through the categories before it.
fn expectations(categories: &[Category]) -> Result<Expectations, GrammarError> {
    let size = categories.len();
    // Each row holds the matrix, followed by two right-hand sides: words and log-probability.
    let mut rows = vec![vec![0.0; size + 2]; size];
    for (index, (row, category)) in rows.iter_mut().zip(categories).enumerate() {
        row[index] = 1.0;
        for Alternative {
            symbols,
            probability,
            ..
        } in &category.alternatives
        {
            row[size + 1] += probability * probability.log10();
            for symbol in symbols {
                match symbol {
                    Symbol::Category(child) => row[*child] -= probability,
                    Symbol::Word(_) => row[size] += probability,
                }
            }
        }
    }
    for index in 0..size {
        let (done, below) = rows.split_at_mut(index + 1);
        let row = &done[index];
        let pivot = row[index];
        // Due to rounding, a pivot that should be 0 may be about 1e-16.
        if pivot < 1e-12 {
            let Category { line, name, .. } = &categories[index];
            return Err(GrammarError::Endless {
                line: *line,
                name: name.clone(),
                offspring: 1.0 - pivot,
            });
        }
        for other in below.iter_mut().filter(|other| other[index] != 0.0) {
            let factor = other[index] / pivot;
            for (value, above) in other[index..].iter_mut().zip(&row[index..]) {
                *value -= factor * above;
            }
        }
    }
    let solve = |side: usize| {
        let mut means = vec![0.0; size];
        for index in (0..size).rev() {
            let known: f64 = (index + 1..size)
                .map(|other| rows[index][other] * means[other])
                .sum();
            means[index] = (rows[index][side] - known) / rows[index][index];
        }
        means[0]
    };
    Ok(Expectations {
        length: solve(size),
        log10_probability: solve(size + 1),
    })
}
