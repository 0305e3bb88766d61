//! Errors about flags that were not typed: they say where the flags come from.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use super::message::with_flags;
use crate::error::Error;

/// A flag that was not typed.
#[derive(Debug, Clone)]
struct Origin {
    /// The flag with its dashes.
    flag: String,
    is_on: bool,
    source: String,
}

/// The flags that were not typed.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct FlagOrigins(Vec<Origin>);

impl FlagOrigins {
    /// Adds a flag, without its dashes, from a source.
    pub(super) fn add(&mut self, name: &str, value: &OsStr, source: &str) {
        self.0.push(Origin {
            flag: format!("--{name}"),
            is_on: value == "true",
            source: source.to_owned(),
        });
    }

    /// The error, with a sentence about the sources of the flags that it is about.
    pub(in crate::cli) fn explain(&self, error: Error) -> Error {
        match error {
            Error::Usage { what, rule, hint } => {
                let hint = self.with_sources(&format!("{what}: {rule}"), hint, false);
                Error::Usage { what, rule, hint }
            }
            Error::InvalidConfig {
                field,
                value,
                rule,
                hint,
            } => {
                let hint = self.with_sources(&format!("`{field}` {value}: {rule}"), hint, true);
                Error::InvalidConfig {
                    field,
                    value,
                    rule,
                    hint,
                }
            }
            error => error,
        }
    }

    /// A hint, followed by the sources of the flags in a text. `is_value` says that another value
    /// of a flag may be valid.
    fn with_sources(&self, text: &str, mut hint: String, is_value: bool) -> String {
        let text = with_flags(text);
        let is_part = |character: char| character.is_alphanumeric() || character == '-';
        let words: BTreeSet<&str> = text.split(|character| !is_part(character)).collect();
        for origin in &self.0 {
            let Origin {
                flag,
                is_on,
                source,
            } = origin;
            if words.contains(flag.as_str()) {
                let change = match is_value && *is_on {
                    true => format!(", and {flag} false on the command line takes it back"),
                    false => String::new(),
                };
                hint.push_str(&format!(". {flag} comes from {source}{change}"));
            }
        }
        hint
    }
}
