//! Parses the notation of grammars line by line.
//!
//! In: the text of a grammar. Out: its rules with unresolved names, which the
//! [grammar](super::Grammar) resolves and validates.

use super::GrammarError;
use crate::corpus::is_separator;

/// The minimum weight of an alternative; its inverse is the maximum. Within this range, no
/// probability underflows.
const MIN_WEIGHT: f64 = 1e-6;

/// A parsed rule.
pub(super) struct ParsedRule<'a> {
    pub(super) line: usize,
    pub(super) name: &'a str,
    pub(super) alternatives: Vec<ParsedAlternative<'a>>,
}

/// A parsed alternative.
pub(super) struct ParsedAlternative<'a> {
    pub(super) line: usize,
    pub(super) symbols: Vec<&'a str>,
    pub(super) weight: f64,
}

/// Whether a symbol is the name of a category: these start with an upper-case letter.
pub(super) fn is_category(symbol: &str) -> bool {
    symbol.starts_with(char::is_uppercase)
}

/// Parses all rules of a grammar.
pub(super) fn parse_rules(text: &str) -> Result<Vec<ParsedRule<'_>>, GrammarError> {
    let mut rules: Vec<ParsedRule<'_>> = Vec::new();
    for (index, full_line) in text.lines().enumerate() {
        let line = index + 1;
        let content = full_line.split('#').next().unwrap_or_default();
        let content = content.trim_matches(is_separator);
        if content.is_empty() {
            continue;
        }
        let alternatives = match (content.strip_prefix('|'), content.split_once("->")) {
            (Some(more), _) if !rules.is_empty() => more,
            (None, Some((name, alternatives))) => {
                let name = name.trim_matches(is_separator);
                if !is_category(name) || name.contains(|c: char| is_separator(c) || c == '|') {
                    return Err(GrammarError::CategoryName {
                        line,
                        name: name.to_owned(),
                    });
                }
                rules.push(ParsedRule {
                    line,
                    name,
                    alternatives: Vec::new(),
                });
                alternatives
            }
            _ => {
                return Err(GrammarError::NotARule {
                    line,
                    text: content.to_owned(),
                });
            }
        };
        // Probably two rules on one line.
        if alternatives.contains("->") {
            return Err(GrammarError::NotARule {
                line,
                text: content.to_owned(),
            });
        }
        if let Some(rule) = rules.last_mut() {
            for alternative in alternatives.split('|') {
                rule.alternatives
                    .push(parse_alternative(alternative, line, rule.name)?);
            }
        }
    }
    Ok(rules)
}

/// Parses one alternative of a category.
fn parse_alternative<'a>(
    text: &'a str,
    line: usize,
    category: &str,
) -> Result<ParsedAlternative<'a>, GrammarError> {
    let weight_error = |value: &str| GrammarError::Weight {
        line,
        value: value.to_owned(),
        category: category.to_owned(),
    };
    let mut symbols: Vec<&str> = text
        .split(is_separator)
        .filter(|symbol| !symbol.is_empty())
        .collect();
    let mut weight = 1.0;
    if let Some(last) = symbols.pop_if(|last| last.starts_with('[')) {
        let number = last
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let valid = MIN_WEIGHT..=1.0 / MIN_WEIGHT;
        weight = match number.and_then(|number| number.parse::<f64>().ok()) {
            Some(number) if valid.contains(&number) => number,
            _ => return Err(weight_error(last)),
        };
    }
    // A bracket anywhere else belongs to a misplaced weight, or to one that contains a space.
    if let Some(stray) = symbols.iter().find(|symbol| symbol.contains(['[', ']'])) {
        return Err(weight_error(stray));
    }
    if symbols.is_empty() {
        return Err(GrammarError::EmptyAlternative {
            line,
            category: category.to_owned(),
        });
    }
    Ok(ParsedAlternative {
        line,
        symbols,
        weight,
    })
}
