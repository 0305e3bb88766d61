//! A model as a directory: parameters, configuration, vocabulary, and the training state.
//!
//! Inputs and outputs: [`Config`], parameters in the layout of the file, [`Vocabulary`],
//! [`Snapshot`](crate::train::Snapshot). A checkpoint knows no device. All its files are replaced
//! together, so it is never half written. One process at a time writes into a directory;
//! [`CheckpointFiles`] are read at any time.

mod generations;
pub mod import;
mod lock;
mod log;
mod manifest;
mod reader;
mod tensors;
mod training;
mod transaction;
pub mod vectors;
mod vocabulary_file;

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use generations::{GENERATIONS, Generation, Restored, generations};
pub use lock::{LockedDirectory, is_leftover};
pub use log::TrainingLog;
pub(crate) use manifest::Manifest;
pub use reader::CheckpointFiles;
pub use training::{CorpusRecord, TrainingRecord, TrainingState, save};
pub(crate) use transaction::sync_directory;
pub use vocabulary_file::escape;
pub(crate) use vocabulary_file::{read as read_types, write as write_types};

use crate::corpus::{Subwords, Unit, Vocabulary};
use crate::error::{Error, Result};
use crate::model::{Config, ParameterSpec, ParameterValues, cell_kind, parameter_specs};
use tensors::{Metadata, NamedTensor, TensorFile};
use transaction::Transaction;

/// The version of the format. Files with a larger version are rejected.
pub const FORMAT: u32 = 1;

const MODEL: &str = "model.safetensors";
const CONFIG: &str = "config.json";
/// The types, one on each line, with escapes.
pub const VOCABULARY: &str = "vocab.txt";
/// The tokenizer of a subword model, in Hugging Face's format.
pub const TOKENIZER: &str = "tokenizer.json";
const TRAINING_TENSORS: &str = "training.safetensors";
const TRAINING: &str = "training.json";
/// The training log: one record per logging interval and one per epoch.
pub const LOG: &str = "log.jsonl";

/// Length and SHA-256 of the other files.
pub const MANIFEST: &str = "manifest.json";

/// The files of a checkpoint, which are replaced together.
const FILES: &[&str] = &[
    MODEL,
    CONFIG,
    VOCABULARY,
    TOKENIZER,
    TRAINING_TENSORS,
    TRAINING,
    MANIFEST,
];

const RESTORE_ALL: &str = "The files of a model belong together: restore them from one copy";

/// `config.json`: everything needed to rebuild the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The [`FORMAT`] of the program that wrote the file.
    pub version: u32,
    /// What a token is.
    pub unit: Unit,
    /// Whether words outside the vocabulary are skipped even if the vocabulary has `<unk>`, as in
    /// rnnlm's models.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_unknown: bool,
    /// The configuration of the model.
    #[serde(flatten)]
    pub config: Config,
}

/// A model as it is stored on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Unit and configuration.
    pub description: Description,
    /// The vocabulary.
    pub vocabulary: Vocabulary,
    /// The parameters in the order and layout of the file.
    pub parameters: ParameterValues,
    /// The initial state of a text, one vector for each carried state; `None` if every unit starts
    /// from [`Config::initial_state`].
    pub initial_states: Option<Vec<Vec<f32>>>,
}

impl Checkpoint {
    /// Reads a model.
    ///
    /// # Errors
    /// If a file is missing, truncated or from a newer version, or the files do not match.
    pub fn read(directory: &Path) -> Result<Self> {
        CheckpointFiles::open(directory)?.checkpoint()
    }

    /// Writes the model without a training state. A training state in the directory is removed,
    /// because it belongs to another model.
    ///
    /// # Errors
    /// If the directory cannot be written, or another process writes into it; its previous content
    /// is unchanged.
    pub fn write(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
        let directory = LockedDirectory::lock(directory)?;
        let mut transaction = start_transaction(
            &directory,
            &self.description,
            &self.vocabulary,
            &self.parameters,
            self.initial_states.as_deref(),
        )?;
        for name in [TRAINING_TENSORS, TRAINING, LOG] {
            transaction.remove(name);
        }
        // Older checkpoints are those of the model that is replaced.
        directory.remove_generations()?;
        transaction.commit()
    }
}

impl CheckpointFiles {
    /// The model.
    ///
    /// # Errors
    /// If a file is missing, truncated or from a newer version, or the files do not match.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        let description = self.description()?;
        let vocabulary = read_vocabulary(self, &description)?;
        let mut file = TensorFile::parse(&self.bytes(MODEL)?, &self.path(MODEL))?;
        let parameters = parameter_specs(&description.config)
            .iter()
            .map(|spec| file.take(&spec.name, &spec.shape))
            .collect::<Result<_>>()?;
        let initial_states = file.take_indexed("initial_state");
        file.finish()?;
        Ok(Checkpoint {
            description,
            vocabulary,
            parameters,
            initial_states: (!initial_states.is_empty()).then_some(initial_states),
        })
    }

    /// Only the vocabulary.
    ///
    /// # Errors
    /// If a file is missing, invalid, or does not match the configuration.
    pub fn vocabulary(&self, description: &Description) -> Result<Vocabulary> {
        read_vocabulary(self, description)
    }

    /// Only the configuration.
    ///
    /// # Errors
    /// If it is missing, invalid, or from a newer version.
    pub fn description(&self) -> Result<Description> {
        let description: Description = self.json(CONFIG)?;
        let checked = description.config.validate();
        checked.map_err(|error| in_file(&self.path(CONFIG), error))?;
        Ok(description)
    }
}

/// An error about what was read from a file: no setting of a run changes it.
fn in_file(path: &Path, error: Error) -> Error {
    match error {
        Error::InvalidConfig {
            field, value, rule, ..
        } => Error::invalid(
            format!("{}: {field} = {value}", path.display()),
            // Without the quotes, names are those of the file.
            rule.replace('`', ""),
            "Restore the file from a copy, or train the model again",
        ),
        Error::Invalid { what, rule, hint } => {
            Error::invalid(format!("{}: {what}", path.display()), rule, hint)
        }
        error => error,
    }
}

/// Whether a path is a directory.
///
/// # Errors
/// If there is no permission to find out.
pub(crate) fn is_directory(path: &Path) -> Result<bool> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(Error::io("open", path)(error))
        }
        metadata => Ok(metadata.is_ok_and(|metadata| metadata.is_dir())),
    }
}

/// Checks that a checkpoint can be there.
fn check_is_directory(directory: &Path) -> Result<()> {
    if is_directory(directory)? {
        return Ok(());
    }
    Err(Error::invalid(
        format!("the model {}", directory.display()),
        "it is not a directory",
        "Give a directory that `elman train` wrote",
    ))
}

/// Reads the vocabulary and checks it against the configuration.
fn read_vocabulary(files: &CheckpointFiles, description: &Description) -> Result<Vocabulary> {
    let path = files.path(VOCABULARY);
    let types = vocabulary_file::read(&files.text(VOCABULARY)?, &path)?;
    let vocab_size = description.config.vocab_size;
    if types.len() != vocab_size {
        return Err(Error::invalid(
            path.display().to_string(),
            format!(
                "it has {} lines, and config.json says vocab_size {vocab_size}",
                types.len()
            ),
            RESTORE_ALL,
        ));
    }
    let vocabulary = match description.unit {
        Unit::Bpe => read_subwords(files, &types)?,
        Unit::Word | Unit::Char | Unit::Byte => {
            Vocabulary::new(types).map_err(|error| in_file(&path, error))?
        }
    };
    Ok(if description.skip_unknown {
        vocabulary.skipping_unknown()
    } else {
        vocabulary
    })
}

/// Reads the tokenizer of a subword model and checks it against the types of `vocab.txt`.
fn read_subwords(files: &CheckpointFiles, types: &[String]) -> Result<Vocabulary> {
    let name = files.path(TOKENIZER).display().to_string();
    if !files.contains(TOKENIZER) {
        return Err(Error::invalid(
            name,
            "it is missing, and text cannot be split into this model's subwords without it",
            "Restore it from a copy of the model",
        ));
    }
    let vocabulary = Vocabulary::from_subwords(Subwords::parse(files.text(TOKENIZER)?, &name)?)?;
    if vocabulary.types() == types {
        return Ok(vocabulary);
    }
    let mut pairs = vocabulary.types().iter().zip(types);
    let rule = match pairs.position(|(subword, token)| subword != token) {
        Some(id) => format!(
            "its subword {id} is {:?}, and vocab.txt has {:?} there",
            vocabulary.token(id as u32),
            types[id]
        ),
        None => format!(
            "it has {} subwords, and vocab.txt {}",
            vocabulary.len(),
            types.len()
        ),
    };
    Err(Error::invalid(name, rule, RESTORE_ALL))
}

/// Starts writing a checkpoint: adds the files of the model itself.
fn start_transaction<'a>(
    directory: &'a LockedDirectory,
    description: &Description,
    vocabulary: &Vocabulary,
    parameters: &ParameterValues,
    initial_states: Option<&[Vec<f32>]>,
) -> Result<Transaction<'a>> {
    let mut transaction = Transaction::new(directory);
    let mut tensors = named_tensors("", &parameter_specs(&description.config), parameters);
    tensors.extend(indexed_tensors(
        "initial_state",
        initial_states.unwrap_or_default(),
    ));
    transaction.add(MODEL, |path| {
        tensors::write(path, &tensors, &metadata(&description.config))
    })?;
    transaction.add_bytes(CONFIG, &json(description))?;
    transaction.add_bytes(
        VOCABULARY,
        vocabulary_file::write(vocabulary.types()).as_bytes(),
    )?;
    match vocabulary.subwords() {
        Some(subwords) => transaction.add_bytes(TOKENIZER, subwords.json().as_bytes())?,
        // The directory may hold the tokenizer of the model that is replaced.
        None => transaction.remove(TOKENIZER),
    }
    Ok(transaction)
}

/// The content of a JSON file.
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("plain structs have a JSON form");
    text.push(b'\n');
    text
}

/// What the shapes of the tensors do not say, so that the file alone can be
/// [imported](import::pytorch).
fn metadata(config: &Config) -> Metadata {
    let initial_state = ("initial_state".to_owned(), config.initial_state.to_string());
    let has_activation = cell_kind(config).has_activation;
    let activation =
        has_activation.then(|| ("activation".to_owned(), config.activation.to_string()));
    let stated = [
        ("residual", config.residual),
        ("cap_input_gate", config.cap_input_gate),
    ];
    let stated = stated.into_iter().filter(|(_, is_on)| *is_on);
    let stated = stated.map(|(key, _)| (key.to_owned(), true.to_string()));
    activation
        .into_iter()
        .chain([initial_state])
        .chain(stated)
        .collect()
}

/// One tensor for each parameter, named `{prefix}{parameter}`.
fn named_tensors<'a>(
    prefix: &str,
    parameter_specs: &[ParameterSpec],
    values: &'a ParameterValues,
) -> Vec<NamedTensor<'a>> {
    let pairs = parameter_specs.iter().zip(values);
    pairs
        .map(|(spec, values)| NamedTensor {
            name: format!("{prefix}{}", spec.name),
            shape: spec.shape.clone(),
            values,
        })
        .collect()
}

/// One vector for each element, named `{name}.{index}`.
fn indexed_tensors<'a>(
    name: &str,
    vectors: &'a [Vec<f32>],
) -> impl Iterator<Item = NamedTensor<'a>> {
    vectors
        .iter()
        .enumerate()
        .map(move |(index, values)| NamedTensor {
            name: format!("{name}.{index}"),
            shape: vec![values.len()],
            values,
        })
}
