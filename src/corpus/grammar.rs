//! A probabilistic context-free grammar: the source of the built-in corpus.
//!
//! Text from a known grammar has a known best perplexity, so a model trained on it can be judged
//! against the truth and not only against other models. The grammar of English-like sentences in
//! `corpora/english.grammar` follows J. L. Elman (1991), "Distributed representations, simple
//! recurrent networks, and grammatical structure", Machine Learning 7, 195-225; that file's head
//! explains the notation that [`Grammar::parse`] reads.
//!
//! Probabilities of sentences follow the inside algorithm: J. K. Baker (1979), "Trainable grammars
//! for speech recognition". When sampling stops with probability one, and after how many words on
//! average, follows from the matrix of mean offspring: T. L. Booth and R. A. Thompson (1973),
//! "Applying probability measures to abstract languages".

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
use notation::{is_category, read_rules};

/// The text of the built-in grammar, as [`Grammar::builtin`] reads it.
pub const ENGLISH: &str = include_str!("../../corpora/english.grammar");

/// What an alternative is made of: indices into `Grammar::categories` and `Grammar::words`.
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
    /// The sum of the probabilities up to this alternative and with it; for sampling.
    cumulative: f64,
}

#[derive(Debug, Clone)]
struct Category {
    name: String,
    line: usize,
    alternatives: Vec<Alternative>,
}

/// A checked probabilistic context-free grammar: every category is defined and can be reached, and
/// sentences end with probability one after a finite mean number of words.
#[derive(Debug, Clone)]
pub struct Grammar {
    /// In the order of the text; the first is the start.
    categories: Vec<Category>,
    /// Sorted, without repetition.
    words: Vec<String>,
    expectations: Expectations,
    chart: ChartRules,
}

/// A sentence drawn from a grammar, with the probability of the derivation that made it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sentence<'a> {
    /// The words in order, without a boundary token.
    pub words: Vec<&'a str>,
    /// The logarithm to base 10 of the derivation's probability, which is the sentence's own where
    /// the grammar is unambiguous. The end of the sentence is in it, since the derivation ends.
    pub log10_probability: f64,
}

impl fmt::Display for Sentence<'_> {
    /// The words with one space between them.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.words.join(" "))
    }
}

impl Grammar {
    /// The built-in grammar of English-like sentences, which is unambiguous.
    ///
    /// # Errors
    /// Those of [`Grammar::parse`], if the built-in text were at fault; a test keeps it sound.
    pub fn builtin() -> Result<Grammar, GrammarError> {
        Grammar::parse(ENGLISH)
    }

    /// Reads and checks a grammar in the notation that `corpora/english.grammar` explains.
    ///
    /// # Errors
    /// A [`GrammarError`] that names the line, what stands there and what would be right.
    pub fn parse(text: &str) -> Result<Grammar, GrammarError> {
        let rules = read_rules(text)?;
        let Some(start) = rules.first() else {
            return Err(GrammarError::Empty);
        };
        let start = start.name;

        let mut index_of: HashMap<&str, usize> = HashMap::new();
        for (index, rule) in rules.iter().enumerate() {
            if let Some(first) = index_of.insert(rule.name, index) {
                return Err(GrammarError::DuplicateCategory {
                    line: rule.line,
                    name: rule.name.to_owned(),
                    first_line: rules[first].line,
                });
            }
        }
        let used = rules
            .iter()
            .flat_map(|rule| &rule.alternatives)
            .flat_map(|one| &one.symbols);
        let mut words: Vec<&str> = used.copied().filter(|name| !is_category(name)).collect();
        words.sort_unstable();
        words.dedup();
        let word_of: HashMap<&str, usize> = words
            .iter()
            .enumerate()
            .map(|(index, &word)| (word, index))
            .collect();

        let mut categories = Vec::with_capacity(rules.len());
        for rule in &rules {
            let total: f64 = rule.alternatives.iter().map(|one| one.weight).sum();
            let mut sum = 0.0;
            let mut alternatives = Vec::with_capacity(rule.alternatives.len());
            for one in &rule.alternatives {
                let mut symbols = Vec::with_capacity(one.symbols.len());
                for &name in &one.symbols {
                    symbols.push(match (index_of.get(name), word_of.get(name)) {
                        (Some(&index), _) => Symbol::Category(index),
                        (None, Some(&index)) => Symbol::Word(index),
                        (None, None) => {
                            let (line, name) = (one.line, name.to_owned());
                            return Err(GrammarError::UndefinedCategory { line, name });
                        }
                    });
                }
                let probability = one.weight / total;
                sum += probability;
                alternatives.push(Alternative {
                    symbols,
                    probability,
                    cumulative: sum,
                });
            }
            let (name, line) = (rule.name.to_owned(), rule.line);
            categories.push(Category {
                name,
                line,
                alternatives,
            });
        }

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

    /// Every word that the grammar has, sorted, each once.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The mean number of words in a sentence, without the boundary token; exact.
    #[must_use]
    pub fn expected_length(&self) -> f64 {
        self.expectations.length
    }

    /// The perplexity per token that an endless text has under the grammar itself, one boundary
    /// token counted for each sentence: the lowest that any model can reach on it. Exact where the
    /// grammar is unambiguous. A finite sample's own differs a little; the sum of its sentences'
    /// [`Sentence::log10_probability`] gives that.
    #[must_use]
    pub fn perplexity(&self) -> f64 {
        10f64.powf(-self.expectations.log10_probability / (self.expectations.length + 1.0))
    }

    /// Draws a sentence. The same state of the generator gives the same sentence.
    pub fn sample<R: Rng + ?Sized>(&self, random: &mut R) -> Sentence<'_> {
        let mut words = Vec::new();
        let mut log10_probability = 0.0;
        // A stack of its own and not recursion: no derivation can overflow the thread's stack.
        let mut open = vec![Symbol::Category(0)];
        while let Some(symbol) = open.pop() {
            match symbol {
                Symbol::Word(word) => words.push(self.words[word].as_str()),
                Symbol::Category(category) => {
                    let alternatives = &self.categories[category].alternatives;
                    let draw: f64 = random.random();
                    // Rounding may leave the last sum just below 1, and the draw above it.
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

    /// The logarithm to base 10 of the probability that the grammar makes exactly this sentence,
    /// its end included: the sum over all its derivations. `None` where there is none.
    ///
    /// Takes time proportional to the cube of the number of words, and memory to its square.
    #[must_use]
    pub fn log10_probability(&self, sentence: &[&str]) -> Option<f64> {
        let Log10(total) = self.inside(sentence)?;
        Some(total)
    }

    /// The number of derivations of a sentence, 0 where the grammar cannot make it. Stops at
    /// `u64::MAX`. Costs as much as [`Grammar::log10_probability`].
    #[must_use]
    pub fn derivations(&self, sentence: &[&str]) -> u64 {
        self.inside(sentence).map_or(0, |Count(total)| total)
    }
}

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
    /// In words, without the boundary token.
    length: f64,
    /// Of a derivation.
    log10_probability: f64,
}

/// The means over what the first category becomes.
///
/// With `M[a][b]` the mean number of categories b in an alternative of a and `w[a]` that of words,
/// the mean lengths m solve (I - M) m = w; with the mean log-probability of a's own alternatives in
/// the place of `w[a]`, the solution is that of whole derivations. Elimination without exchange of
/// rows meets only positive pivots exactly when the spectral radius of M is below 1 (I - M is then
/// an M-matrix), and that is when sentences end after a finite mean number of words. The pivot of
/// category k is 1 minus the mean number of further k that one k leads to by way of the categories
/// before it.
fn expectations(categories: &[Category]) -> Result<Expectations, GrammarError> {
    let size = categories.len();
    // Two right-hand sides, words and log-probability, follow the matrix in each row.
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
        // Rounding leaves a pivot that should be 0 at about 1e-16.
        if pivot < 1e-12 {
            let Category { line, name, .. } = &categories[index];
            let (line, name) = (*line, name.clone());
            return Err(GrammarError::Endless {
                line,
                name,
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
