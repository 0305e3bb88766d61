//! Reads the notation of grammars, line by line; what the names mean is checked afterwards.

use super::GrammarError;

/// The smallest weight of an alternative; its inverse is the largest. Between them no probability
/// can underflow.
const SMALLEST_WEIGHT: f64 = 1e-6;

/// A rule as it stands in the text.
pub(super) struct RuleText<'a> {
    pub(super) line: usize,
    pub(super) name: &'a str,
    pub(super) alternatives: Vec<AlternativeText<'a>>,
}

/// An alternative as it stands in the text.
pub(super) struct AlternativeText<'a> {
    pub(super) line: usize,
    pub(super) symbols: Vec<&'a str>,
    pub(super) weight: f64,
}

/// Whether a symbol is a category's name by its spelling.
pub(super) fn is_category(symbol: &str) -> bool {
    symbol.starts_with(char::is_uppercase)
}

pub(super) fn read_rules(text: &str) -> Result<Vec<RuleText<'_>>, GrammarError> {
    let mut rules: Vec<RuleText<'_>> = Vec::new();
    for (index, full_line) in text.lines().enumerate() {
        let line = index + 1;
        let content = full_line.split('#').next().unwrap_or_default().trim();
        if content.is_empty() {
            continue;
        }
        let alternatives = match (content.strip_prefix('|'), content.split_once("->")) {
            (Some(more), _) if !rules.is_empty() => more,
            (None, Some((name, alternatives))) => {
                let name = name.trim();
                if !is_category(name) || name.contains(|c: char| c.is_whitespace() || c == '|') {
                    return Err(GrammarError::CategoryName {
                        line,
                        name: name.to_owned(),
                    });
                }
                rules.push(RuleText {
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
        // Two rules on one line, most likely.
        if alternatives.contains("->") {
            return Err(GrammarError::NotARule {
                line,
                text: content.to_owned(),
            });
        }
        if let Some(rule) = rules.last_mut() {
            for alternative in alternatives.split('|') {
                rule.alternatives
                    .push(read_alternative(alternative, line, rule.name)?);
            }
        }
    }
    Ok(rules)
}

fn read_alternative<'a>(
    text: &'a str,
    line: usize,
    category: &str,
) -> Result<AlternativeText<'a>, GrammarError> {
    let mut symbols: Vec<&str> = text.split_whitespace().collect();
    let mut weight = 1.0;
    if let Some(last) = symbols.pop_if(|last| last.starts_with('[')) {
        let number = last
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let usable = SMALLEST_WEIGHT..=1.0 / SMALLEST_WEIGHT;
        weight = match number.and_then(|number| number.parse::<f64>().ok()) {
            Some(number) if usable.contains(&number) => number,
            _ => {
                let (value, category) = (last.to_owned(), category.to_owned());
                return Err(GrammarError::Weight {
                    line,
                    value,
                    category,
                });
            }
        };
    }
    // A bracket anywhere else is a weight that strayed, or one with a space in it.
    if let Some(stray) = symbols.iter().find(|symbol| symbol.contains(['[', ']'])) {
        let (value, category) = ((*stray).to_owned(), category.to_owned());
        return Err(GrammarError::Weight {
            line,
            value,
            category,
        });
    }
    if symbols.is_empty() {
        return Err(GrammarError::EmptyAlternative {
            line,
            category: category.to_owned(),
        });
    }
    Ok(AlternativeText {
        line,
        symbols,
        weight,
    })
}
