//! The flags that describe a run: to repeat it, and to find what a resumed run may not change.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::table_flags::flags_of;
use super::train::model_conditions;
use crate::checkpoint::{CheckpointFiles, CorpusRecord, Description, TOKENIZER, TrainingRecord};
use crate::corpus::Unit;
use crate::error::{Error, Result};
use crate::field::Choice;
use crate::model::ModelOptions;
use crate::prepared::Selection;
use crate::train::Recipe;

pub(super) use super::table_flags::Flag;

/// The flags of the run whose model is in `directory`, with its files.
pub(super) fn saved_flags(directory: &Path) -> Result<Vec<Flag>> {
    let files = CheckpointFiles::open(directory)?;
    Ok(flags_of_saved(
        &files.description()?,
        files.training_record()?,
    ))
}

fn flags_of_saved(description: &Description, record: TrainingRecord) -> Vec<Flag> {
    let mut flags = run_flags(description, &record.corpus, &record.recipe);
    let files = [
        ("train", record.corpus.train),
        ("valid", record.corpus.valid),
    ];
    for (name, path) in files {
        flags.extend(path.map(|path| (name.to_owned(), path.into_os_string())));
    }
    flags
}

/// The flags that repeat the run whose model is in `directory`, with that model's subwords.
pub(super) fn flags_to_repeat(directory: &Path) -> Result<Vec<Flag>> {
    let files = CheckpointFiles::open(directory)?;
    let (description, record) = (files.description()?, files.training_record()?);
    if let Some(init) = &record.corpus.init {
        return Err(Error::invalid(
            format!("--config {}", directory.display()),
            format!(
                "its run started from the model {}, which may have changed since",
                init.display()
            ),
            "Give --init and the flags of the run on the command line",
        ));
    }
    let mut flags = flags_of_saved(&description, record);
    model_conditions::retain_effective(&mut flags, &description.config);
    let is_subwords = |(name, value): &Flag| name == "unit" && value == Unit::Bpe.name();
    if flags.iter().any(is_subwords) {
        flags
            .retain(|(name, _)| !["vocab-size", "min-count", "tokenizer"].contains(&name.as_str()));
        let tokenizer = directory.join(TOKENIZER).into_os_string();
        flags.push(("tokenizer".to_owned(), tokenizer));
    }
    Ok(flags)
}

/// The flags that make this model and train it in this way. Of the corpus, they say what its tokens
/// are, but not where its files are.
pub(super) fn run_flags(
    description: &Description,
    corpus: &CorpusRecord,
    recipe: &Recipe,
) -> Vec<Flag> {
    let mut flags = vocabulary_flags(description.unit, corpus);
    flags.extend(flags_of(&ModelOptions::of(&description.config)));
    flags.extend(flags_of(recipe));
    if description.config.embedding_size == 0 {
        flags.retain(|(name, _)| name != "dropout-input");
    }
    flags
}

/// The flags that say what the tokens are.
fn vocabulary_flags(unit: Unit, corpus: &CorpusRecord) -> Vec<Flag> {
    let selection = Selection {
        limits: corpus.limits,
        tokenizer: corpus.tokenizer.clone(),
        vocab: corpus.vocab.clone(),
        model: None,
    };
    let mut flags = selection_flags(unit, &selection);
    let vectors = corpus.vectors.clone().map(PathBuf::into_os_string);
    flags.extend(vectors.map(|path| ("vectors".to_owned(), path)));
    flags
}

/// The flags that select the types.
pub(super) fn selection_flags(unit: Unit, selection: &Selection) -> Vec<Flag> {
    let mut flags = vec![("unit".to_owned(), OsString::from(unit.name()))];
    if selection.model.is_some() {
        return flags;
    }
    if let Some(path) = &selection.tokenizer {
        flags.push(("tokenizer".to_owned(), path.clone().into_os_string()));
    } else if !selection.vocab.is_empty() {
        let list: Vec<_> = selection
            .vocab
            .iter()
            .map(|path| path.as_os_str())
            .collect();
        flags.push(("vocab".to_owned(), list.join(OsStr::new(","))));
    } else {
        let limits = selection.limits;
        let size = limits.vocab_size.map(|size| size.to_string().into());
        flags.extend(size.map(|size| ("vocab-size".to_owned(), size)));
        flags.push(("min-count".to_owned(), limits.min_count.to_string().into()));
    }
    flags
}

/// The first flag of `given` whose value differs in `saved`, with the value there, if any.
pub(super) fn first_difference(
    given: Vec<Flag>,
    saved: &[Flag],
) -> Option<(Flag, Option<OsString>)> {
    given.into_iter().find_map(|(name, value)| {
        let other = saved.iter().find(|(one, _)| *one == name);
        let other = other.map(|(_, value)| value.clone());
        (other.as_ref() != Some(&value)).then_some(((name, value), other))
    })
}

#[cfg(test)]
mod tests;
