//! What can be wrong with the text of a grammar.

use thiserror::Error;

/// Why a text is not a usable grammar.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum GrammarError {
    /// There is no rule at all.
    #[error("the grammar has no rule; write at least one line such as `Sentence -> hello`")]
    Empty,
    /// A line is no comment, no rule, and continues none.
    #[error(
        "line {line}: `{text}` is not a rule; write `Category -> symbol symbol [weight] | symbol`, \
         begin a line that continues the rule above it with `|`, and a comment with `#`"
    )]
    NotARule {
        /// The line, counted from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// What stands before `->` is not the name of a category.
    #[error(
        "line {line}: `{name}` cannot be the name of a category; put one name before `->` that \
         begins with an upper-case letter"
    )]
    CategoryName {
        /// The line, counted from 1.
        line: usize,
        /// What stands before `->`.
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
         symbol, so remove a `|` or write what stands there"
    )]
    EmptyAlternative {
        /// The line, counted from 1.
        line: usize,
        /// Whose alternative it is.
        category: String,
    },
    /// A weight is not a positive number of usable size, or not at the end of its alternative.
    #[error(
        "line {line}: `{value}` in `{category}` is not a weight; a weight is a number from \
         0.000001 \
         to 1000000 in brackets at the end of an alternative, such as `[3]`"
    )]
    Weight {
        /// The line, counted from 1.
        line: usize,
        /// What stands there.
        value: String,
        /// Whose alternative it is.
        category: String,
    },
    /// A category is used and has no rule.
    #[error(
        "line {line}: `{name}` has no rule; add `{name} -> …`, or begin it with a lower-case \
         letter \
         if it is a word"
    )]
    UndefinedCategory {
        /// The line, counted from 1.
        line: usize,
        /// The category.
        name: String,
    },
    /// No sentence can contain a category.
    #[error(
        "line {line}: `{name}` can never be reached from `{start}`, the first category; use it in \
         an alternative or remove its rule"
    )]
    UnreachableCategory {
        /// The line, counted from 1.
        line: usize,
        /// The category.
        name: String,
        /// The first category.
        start: String,
    },
    /// A category can be rewritten as itself and nothing else.
    #[error(
        "line {line}: `{name}` can become itself without a word added, so its sentences have \
         endlessly many derivations; break the chain of one-symbol alternatives"
    )]
    Cycle {
        /// The line, counted from 1.
        line: usize,
        /// The category.
        name: String,
    },
    /// Sentences have no finite mean length.
    #[error(
        "line {line}: one `{name}` leads to {offspring:.3} further ones on average, which must be \
         less than 1 for sentences to end; lower the weights of the alternatives that contain it \
         again, or add one that does not"
    )]
    Endless {
        /// The line, counted from 1.
        line: usize,
        /// The category.
        name: String,
        /// The mean number of further ones.
        offspring: f64,
    },
}
