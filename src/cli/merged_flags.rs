//! Flags of several sources in one list: the command line, a configuration, a preset.
//!
//! In: the names of the flags on the command line, and sources in the order of their priority. Out:
//! the flags of the sources that count, notes about them, and where each comes from, for errors.

use std::collections::BTreeSet;
use std::ffi::OsString;

use super::flag_origins::FlagOrigins;
use super::message::flag_name;
use super::table_flags::Flag;
use crate::field::Fields;
use crate::model::ModelOptions;
use crate::train::Recipe;

/// Flags outside the tables of fields that are void where others come from a source of higher
/// priority.
const VOIDED: [(&str, &[&str]); 3] = [
    ("vocab-size", &["tokenizer"]),
    ("min-count", &["tokenizer"]),
    ("tokenizer", &["vocab-size", "min-count", "unit"]),
];

/// The flags so far.
pub(super) struct MergedFlags {
    /// The names of the flags that count.
    given: BTreeSet<String>,
    /// What is used of each source and what is not.
    pub(super) notes: Vec<String>,
    pub(super) origins: FlagOrigins,
}

impl MergedFlags {
    /// From the names of the flags on the command line.
    pub(super) fn new(given: BTreeSet<String>) -> Self {
        Self {
            given,
            notes: Vec::new(),
            origins: FlagOrigins::default(),
        }
    }

    /// Adds the flags of a source. Returns them as arguments, except those that are given already
    /// or made void.
    pub(super) fn add(&mut self, source: &str, flags: &[Flag]) -> Vec<OsString> {
        let mut arguments = Vec::new();
        let mut used = Vec::new();
        let mut voided = Vec::new();
        for (name, value) in flags {
            if self.given.contains(name) || name == "preset" {
                continue;
            }
            let mut voiding = voided_by(name).into_iter();
            if let Some(by) = voiding.find(|by| self.given.contains(by)) {
                voided.push(format!("--{name}, as --{by} is given"));
                continue;
            }
            let mut argument = OsString::from(format!("--{name}="));
            argument.push(value);
            used.push(argument.to_string_lossy().into_owned());
            arguments.push(argument);
            self.origins.add(name, value, source);
        }
        self.notes.push(format!("{source}: {}", used.join(" ")));
        if !voided.is_empty() {
            let note = format!("{source}: without {}", voided.join(", "));
            self.notes.push(note);
        }
        self.given
            .extend(flags.iter().map(|(name, _)| name.clone()));
        arguments
    }
}

/// The flags that make `flag` void where they come from a source of higher priority.
fn voided_by(flag: &str) -> Vec<String> {
    let field = flag.replace('-', "_");
    let of_recipe = Recipe::field(&field).map(|row| row.voided_by);
    let of_model = ModelOptions::field(&field).map(|row| row.voided_by);
    let of_others = VOIDED.iter().find(|(name, _)| *name == flag);
    let names = of_recipe
        .or(of_model)
        .or(of_others.map(|(_, names)| *names))
        .unwrap_or_default();
    names.iter().map(|name| flag_name(name)).collect()
}
