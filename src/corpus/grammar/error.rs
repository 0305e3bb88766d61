//! Errors in the text of a grammar.

use thiserror::Error;

/// The reason why a text is not a valid grammar.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum GrammarError {
    /// The text has no rule.
    #[error("the grammar has no rule; write at least one line such as `Sentence -> hello`")]
    Empty,
    /// A line is neither a rule, nor the continuation of a rule, nor a comment.
    #[error(
        "line {line}: `{text}` is not a rule; write `Category -> symbol symbol [weight] | symbol`, \
         start a line that continues the rule above it with `|`, and a comment with `#`"
    )]
    NotARule {
        /// The line, counted from 1.
        line: usize,
        /// The text of the line.
        text: String,
    },
    /// The text before `->` is not the name of a category.
    #[error(
        "line {line}: `{name}` cannot be the name of a category; write one name before `->` that \
         starts with an upper-case letter"
    )]
    CategoryName {
        /// The line, counted from 1.
        line: usize,
        /// The text before `->`.
        name: String,
    },
    /// A category has two rules.
    #[error(
        "line {line}: `{name}` already has a rule, on line {first_line}; a category has one rule, \
         so add the alternatives there, after `|`"
    )]
    DuplicateCategory {
        /// The line, counted from 1.
        line: usize,
        /// The category.
        name: String,
        /// The line of the first rule.
        first_line: usize,
    },
    /// An alternative has no symbol.
    #[error(
        "line {line}: `{category}` has an empty alternative; every alternative needs at least one \
         symbol, so remove a `|` or add a symbol"
    )]
    EmptyAlternative {
        /// The line, counted from 1.
        line: usize,
        /// The category of the alternative.
        category: String,
    },
    /// A weight is not a number in the valid range, or not at the end of its alternative.
    #[error(
        "line {line}: `{value}` in `{category}` is not a weight; a weight is a number from \
         0.000001 to 1000000 in brackets at the end of an alternative, such as `[3]`"
    )]
    Weight {
        /// The line, counted from 1.
        line: usize,
        /// The text of the weight.
        value: String,
        /// The category of the alternative.
        category: String,
    },
    /// A category is used but has no rule.
    #[error(
        "line {line}: `{name}` has no rule; add `{name} -> …`, or start it with a lower-case \
         letter if it is a word"
    )]
    UndefinedCategory {
        /// The line, counted from 1.
        line: usize,
        /// The category.
        name: String,
    },
    /// No derivation contains a category.
    #[error(
        "line {line}: `{name}` cannot be reached from `{start}`, the first category; use it in an \
         alternative or remove its rule"
    )]
    UnreachableCategory {
        /// The line, counted from 1.
        line: usize,
        /// The category.
        name: String,
        /// The first category.
        start: String,
    },
    /// A category derives itself without any other symbol.
    #[error(
        "line {line}: `{name}` derives itself without adding a word, so its sentences have \
         infinitely many derivations; break the chain of one-symbol alternatives"
    )]
    Cycle {
        /// The line, counted from 1.
        line: usize,
        /// The category.
        name: String,
    },
    /// The mean length of sentences is infinite.
    #[error(
        "line {line}: one `{name}` generates {offspring:.3} further occurrences of itself on \
         average, which must be less than 1 for sentences to end; lower the weights of the \
         alternatives that contain it again, or add one that does not"
    )]
    Endless {
        /// The line, counted from 1.
        line: usize,
        /// The category.
        name: String,
        /// The mean number of further occurrences that one occurrence generates.
        offspring: f64,
    },
}
