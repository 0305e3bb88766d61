//! The vocabulary that `--vocab` gives: the types of texts, and those of models.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::checkpoint::{CheckpointFiles, VOCABULARY};
use crate::corpus::{Unit, Vocabulary};
use crate::error::{Error, Result};

/// The types of texts, and of the models whose `vocab.txt` is given: the types in that file have
/// escapes. Those of models follow, in the order of text.
///
/// # Errors
/// If a file cannot be read, or a model has tokens of another unit.
pub(super) fn given_vocabulary(paths: &[PathBuf], unit: Unit) -> Result<Vocabulary> {
    let (models, texts): (Vec<_>, Vec<_>) = paths
        .iter()
        .partition(|path| model_directory(path).is_some());
    let mut types = match texts.as_slice() {
        [] => vec![unit.boundary().to_owned()],
        texts => {
            let texts: Vec<PathBuf> = texts.iter().map(|&path| path.clone()).collect();
            Vocabulary::from_texts(&texts, unit)?.types().to_vec()
        }
    };
    let mut seen: HashSet<String> = types.iter().cloned().collect();
    let mut others = Vec::new();
    for path in models {
        let vocabulary = read_types(path, unit)?;
        others.extend(
            vocabulary
                .into_iter()
                .filter(|token| seen.insert(token.clone())),
        );
    }
    others.sort();
    types.extend(others);
    Vocabulary::new(types)
}

/// The directory of the model whose vocabulary is in this file.
fn model_directory(path: &Path) -> Option<&Path> {
    let directory = match path.parent()? {
        parent if parent.as_os_str().is_empty() => Path::new("."),
        parent => parent,
    };
    let is_model = path.ends_with(VOCABULARY) && directory.join("model.safetensors").exists();
    is_model.then_some(directory)
}

/// The types of a model.
fn read_types(path: &Path, unit: Unit) -> Result<Vec<String>> {
    let directory = model_directory(path).unwrap_or(Path::new("."));
    let files = CheckpointFiles::open(directory)?;
    let description = files.description()?;
    if description.unit != unit {
        return Err(Error::invalid(
            format!("--vocab {}", path.display()),
            format!(
                "it has the types of a model of {}, and the tokens are {}",
                description.unit.plural(),
                unit.plural()
            ),
            "Give the vocab.txt of a model with the same --unit, or texts",
        ));
    }
    Ok(files.vocabulary(&description)?.types().to_vec())
}
