//! The training state of a checkpoint: what resuming needs and using the model does not.
//!
//! Inputs and outputs: [`Snapshot`], [`Recipe`], [`Progress`] and the record of the corpus.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::tensors::{self, TensorFile};
use super::{
    Checkpoint, CheckpointFiles, Description, FORMAT, LockedDirectory, TRAINING, TRAINING_TENSORS,
    in_file, indexed_tensors, json, named_tensors, start_transaction,
};
use crate::corpus::{Limits, Vocabulary};
use crate::error::{Error, Result};
use crate::model::{ParameterSpec, ParameterValues, parameter_specs};
use crate::train::{OPTIMIZERS, Progress, Recipe, Snapshot};

/// The corpus that a run was trained on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorpusRecord {
    /// The path of the training file as it was given; `None` for the built-in corpus.
    pub train: Option<PathBuf>,
    /// The validation file; `None` if a part of the training text was held out.
    pub valid: Option<PathBuf>,
    /// Size of the training file in bytes.
    pub bytes: u64,
    /// SHA-256 of the training file.
    pub sha256: String,
    /// The limits on the vocabulary: which types it kept, or how many subwords were learned.
    #[serde(default)]
    pub limits: Limits,
    /// The tokenizer's file; `None` if the tokenizer was learned from the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<PathBuf>,
    /// The texts whose words are the vocabulary; empty if it comes from the training text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vocab: Vec<PathBuf>,
    /// The model that the run started from; `None` if it started from random parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// The word vectors that initialized the embedding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<PathBuf>,
}

/// `training.json`: what resuming needs besides tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingRecord {
    /// The [`FORMAT`] of the program that wrote the file.
    pub version: u32,
    /// Elman's version.
    pub elman: String,
    /// The training options.
    pub recipe: Recipe,
    /// The position of the run and its history.
    pub progress: Progress,
    /// The corpus.
    pub corpus: CorpusRecord,
    /// SHA-256 of each file that belongs to this state, in files of version 0.1.0. Later ones have
    /// a manifest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

/// What resuming needs: tensors and record.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingState {
    /// The tensors.
    pub snapshot: Snapshot,
    /// Everything else.
    pub record: TrainingRecord,
}

impl CheckpointFiles {
    /// Whether there is a training state.
    pub fn has_training(&self) -> bool {
        self.contains(TRAINING)
    }

    /// The record of the run that trained the model.
    ///
    /// # Errors
    /// If it is missing, damaged or from a newer version.
    pub fn training_record(&self) -> Result<TrainingRecord> {
        if !self.has_training() {
            return Err(Error::invalid(
                self.path(TRAINING).display().to_string(),
                "it is missing, so there is no training to resume or repeat: this model has no \
                 training state",
                "Use the model as it is, or start a new run",
            ));
        }
        let record: TrainingRecord = self.json(TRAINING)?;
        let checked = record.recipe.validate();
        checked.map_err(|error| in_file(&self.path(TRAINING), error))?;
        Ok(record)
    }

    /// The training state that belongs to the model.
    ///
    /// # Errors
    /// If a file is missing, damaged, from a newer version, or was changed after the state was
    /// written.
    pub fn training_state(&self, checkpoint: &Checkpoint) -> Result<TrainingState> {
        let record = self.training_record()?;
        self.check_hashes(&record)?;
        let path = self.path(TRAINING_TENSORS);
        let mut file = TensorFile::parse(&self.bytes(TRAINING_TENSORS)?, &path)?;
        let specs = parameter_specs(&checkpoint.description.config);
        let optimizer = optimizer_states(&record.recipe)
            .iter()
            .map(|name| {
                let values = take_group(&mut file, &specs, &format!("optimizer.{name}"))?;
                Ok((*name, values))
            })
            .collect::<Result<_>>()?;
        let best = take_group_if_present(&mut file, &specs, "best")?;
        let last = take_group_if_present(&mut file, &specs, "last")?;
        let average = take_group_if_present(&mut file, &specs, "average")?;
        let carried = file.take_indexed("carried");
        file.finish()?;
        Ok(TrainingState {
            snapshot: Snapshot {
                parameters: Arc::new(checkpoint.parameters.clone()),
                best: best.map(Arc::new),
                last: last.map(Arc::new),
                average,
                optimizer,
                carried,
            },
            record,
        })
    }

    /// Checks that the files are the ones that were written with this record.
    fn check_hashes(&self, record: &TrainingRecord) -> Result<()> {
        for (name, hash) in &record.files {
            if self.sha256(name)? != *hash {
                return Err(Error::invalid(
                    self.path(name).display().to_string(),
                    "it was changed after the training state was written",
                    "Resuming needs the original files: restore them, or start a new run",
                ));
            }
        }
        Ok(())
    }
}

/// The names of an optimizer's states, such as `momentum`; each has the shapes of all parameters.
fn optimizer_states(recipe: &Recipe) -> &'static [&'static str] {
    OPTIMIZERS
        .iter()
        .find(|row| row.name == recipe.optimizer)
        .map_or(&[], |row| row.state)
}

/// Takes one tensor for each parameter, named `{prefix}.{parameter}`.
fn take_group(
    file: &mut TensorFile,
    specs: &[ParameterSpec],
    prefix: &str,
) -> Result<ParameterValues> {
    specs
        .iter()
        .map(|spec| file.take(&format!("{prefix}.{}", spec.name), &spec.shape))
        .collect()
}

fn take_group_if_present(
    file: &mut TensorFile,
    specs: &[ParameterSpec],
    prefix: &str,
) -> Result<Option<ParameterValues>> {
    if !file.contains(&format!("{prefix}.{}", specs[0].name)) {
        return Ok(None);
    }
    take_group(file, specs, prefix).map(Some)
}

/// The number of updates before the checkpoint in a directory; `None` if it has no training state,
/// or a damaged one.
fn present_updates(directory: &Path) -> Option<u32> {
    let files = CheckpointFiles::open(directory).ok()?;
    Some(files.training_record().ok()?.progress.step)
}

/// Writes a model with its training state, replacing all files together. The replaced checkpoint
/// becomes a generation if the directory [keeps](LockedDirectory::keep_last) some.
///
/// # Errors
/// If the directory cannot be written; its previous content is unchanged.
pub fn save(
    directory: &LockedDirectory,
    description: &Description,
    vocabulary: &Vocabulary,
    snapshot: &Snapshot,
    recipe: &Recipe,
    progress: &Progress,
    corpus: &CorpusRecord,
) -> Result<()> {
    let specs = parameter_specs(&description.config);
    let parameters = &snapshot.parameters;
    let mut transaction = start_transaction(directory, description, vocabulary, parameters, None)?;
    let mut state = Vec::new();
    for (name, values) in &snapshot.optimizer {
        state.extend(named_tensors(&format!("optimizer.{name}."), &specs, values));
    }
    let groups = [
        ("best.", snapshot.best.as_deref()),
        ("last.", snapshot.last.as_deref()),
        ("average.", snapshot.average.as_ref()),
    ];
    for (prefix, values) in groups {
        if let Some(values) = values {
            state.extend(named_tensors(prefix, &specs, values));
        }
    }
    state.extend(indexed_tensors("carried", &snapshot.carried));
    transaction.add(TRAINING_TENSORS, |path| {
        tensors::write(path, &state, &tensors::Metadata::new())
    })?;

    let record = TrainingRecord {
        version: FORMAT,
        elman: env!("CARGO_PKG_VERSION").to_owned(),
        recipe: recipe.clone(),
        progress: progress.clone(),
        corpus: corpus.clone(),
        files: BTreeMap::new(),
    };
    transaction.add_bytes(TRAINING, &json(&record))?;
    if directory.kept_generations() == 0 {
        return transaction.commit();
    }
    // A second checkpoint of the same updates says more than the first about how the run ended.
    let present = present_updates(directory).filter(|updates| *updates != progress.step);
    if let Some(updates) = present {
        directory.keep_generation(updates)?;
    }
    transaction.commit()?;
    directory.prune_generations(progress.window == 0)
}
