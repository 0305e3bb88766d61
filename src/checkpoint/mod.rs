//! A model as a directory: parameters, configuration, vocabulary, and what resuming needs.
//!
//! In and out: [`Config`], parameters in the file's layout, [`Vocabulary`], [`Snapshot`]. A
//! checkpoint knows no device and is never half written.

pub mod import;
mod tensors;
mod transaction;
pub mod vectors;
mod vocabulary_file;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use transaction::replace_file;
pub use vocabulary_file::escape;

use crate::corpus::{Limits, Subwords, Unit, Vocabulary};
use crate::error::{Error, Result};
use crate::hash::Hash;
use crate::model::{Config, ParameterSpec, parameter_specs};
use crate::train::{OPTIMIZERS, Progress, Recipe, Snapshot};
use tensors::{Named, TensorFile};
use transaction::{Transaction, recover};

/// The format's number: files of a larger one are refused.
pub const FORMAT: u32 = 1;

const MODEL: &str = "model.safetensors";
const CONFIG: &str = "config.json";
const VOCABULARY: &str = "vocab.txt";
/// The file of a model of subwords that says how they are made of a text, in Hugging Face's format.
pub const TOKENIZER: &str = "tokenizer.json";
const TRAINING_TENSORS: &str = "training.safetensors";
const TRAINING: &str = "training.json";
/// The file of one record an interval and one an epoch.
pub const LOG: &str = "log.jsonl";

/// `config.json`: everything needed to rebuild the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// [`FORMAT`] of the writer.
    pub version: u32,
    /// What a token is.
    pub unit: Unit,
    /// Whether words outside the vocabulary are skipped even where it has `<unk>`, as in models of
    /// rnnlm.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_unknown: bool,
    /// The model.
    #[serde(flatten)]
    pub config: Config,
}

/// The corpus that a run was trained on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorpusRecord {
    /// The training file as it was given; none for the built-in corpus.
    pub train: Option<PathBuf>,
    /// The validation file; none where a part was held out.
    pub valid: Option<PathBuf>,
    /// Bytes of the training file.
    pub bytes: u64,
    /// SHA-256 of the training file.
    pub sha256: String,
    /// Which types the vocabulary kept, or how many subwords were learnt.
    #[serde(default)]
    pub limits: Limits,
    /// The tokenizer's file where none was learnt from the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<PathBuf>,
    /// Texts whose words are the vocabulary, where it is not the training text's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vocab: Vec<PathBuf>,
    /// The model that the run began with, where it did not begin anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// The word vectors that the embedding began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<PathBuf>,
}

/// `training.json`: what resuming needs besides tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingRecord {
    /// [`FORMAT`] of the writer.
    pub version: u32,
    /// Elman's version.
    pub elman: String,
    /// How it is trained.
    pub recipe: Recipe,
    /// Where it stands.
    pub progress: Progress,
    /// What it is trained on.
    pub corpus: CorpusRecord,
    /// SHA-256 of the files that belong to this state.
    pub files: BTreeMap<String, String>,
}

/// A model as it lies on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Unit and configuration.
    pub description: Description,
    /// The types.
    pub vocabulary: Vocabulary,
    /// The parameters in the file's order and layout.
    pub parameters: Vec<Vec<f32>>,
    /// The states that a text begins with, a carried state's each, where they are not one number in
    /// every unit.
    pub initial_states: Option<Vec<Vec<f32>>>,
}

impl Checkpoint {
    /// Reads a model.
    ///
    /// # Errors
    /// If a file is missing, truncated, from a newer version, or does not fit the others.
    pub fn read(directory: &Path) -> Result<Self> {
        let description = Self::describe(directory)?;
        let path = directory.join(VOCABULARY);
        let types = vocabulary_file::read(&read_text(&path)?)?;
        let vocab_size = description.config.vocab_size;
        if types.len() != vocab_size {
            return Err(Error::invalid(
                path.display().to_string(),
                format!(
                    "it has {} lines, and config.json says vocab_size {vocab_size}",
                    types.len()
                ),
                "The files of a model belong together: restore them from one copy",
            ));
        }
        let vocabulary = match description.unit {
            Unit::Bpe => subwords(directory, &types)?,
            _ => Vocabulary::new(types)?,
        };
        let vocabulary = if description.skip_unknown {
            vocabulary.skipping_unknown()
        } else {
            vocabulary
        };
        let mut file = TensorFile::read(&directory.join(MODEL))?;
        let parameter_specs = parameter_specs(&description.config);
        let parameters = parameter_specs
            .iter()
            .map(|one| file.take(&one.name, &one.shape))
            .collect::<Result<_>>()?;
        let initial_states = match file.contains(&state_name(0)) {
            false => None,
            true => {
                let mut states = Vec::new();
                while file.contains(&state_name(states.len())) {
                    states.push(file.take_any(&state_name(states.len()))?);
                }
                Some(states)
            }
        };
        file.finish()?;
        Ok(Self {
            description,
            vocabulary,
            parameters,
            initial_states,
        })
    }

    /// Reads the configuration alone.
    ///
    /// # Errors
    /// If it is missing, not valid, or from a newer version.
    pub fn describe(directory: &Path) -> Result<Description> {
        if !directory.is_dir() {
            return Err(Error::invalid(
                format!("the model {}", directory.display()),
                "it is no directory",
                "Give the directory that `elman train --out` wrote",
            ));
        }
        recover(directory)?;
        let path = directory.join(CONFIG);
        let description: Description = read_json(&path)?;
        description.config.validate()?;
        Ok(description)
    }
}

/// The vocabulary of a model of subwords, whose types are also in `vocab.txt`.
fn subwords(directory: &Path, types: &[String]) -> Result<Vocabulary> {
    let path = directory.join(TOKENIZER);
    let name = path.display().to_string();
    if !path.exists() {
        let rule = "it is not there, and without it no text can be made into this model's subwords";
        return Err(Error::invalid(
            name,
            rule,
            "Restore it from a copy of the model",
        ));
    }
    let vocabulary = Vocabulary::from_subwords(Subwords::read(&path)?)?;
    if vocabulary.types() == types {
        return Ok(vocabulary);
    }
    let (found, other) = (vocabulary.len(), types.len());
    let rule = match vocabulary
        .types()
        .iter()
        .zip(types)
        .position(|(a, b)| a != b)
    {
        Some(id) => format!(
            "its subword {id} is {:?}, and vocab.txt has {:?} there",
            vocabulary.token(id as u32),
            types[id]
        ),
        None => format!("it has {found} subwords, and vocab.txt {other}"),
    };
    Err(Error::invalid(
        name,
        rule,
        "The files of a model belong together: restore them from one copy",
    ))
}

impl Checkpoint {
    /// Writes the model alone. What was in the directory of another model's training is removed:
    /// nothing would fit.
    ///
    /// # Errors
    /// If the directory cannot be written; what was there before is there still.
    pub fn write(&self, directory: &Path) -> Result<()> {
        let mut transaction = begin(
            directory,
            &self.description,
            &self.vocabulary,
            &self.parameters,
            self.initial_states.as_deref(),
        )?;
        [TRAINING_TENSORS, TRAINING, LOG]
            .into_iter()
            .for_each(|name| transaction.remove(name));
        transaction.commit()
    }
}

impl TrainingRecord {
    /// Reads the record of the run that made a model.
    ///
    /// # Errors
    /// If it is missing, damaged or from a newer version.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(TRAINING);
        if !path.exists() {
            return Err(Error::invalid(
                path.display().to_string(),
                "it is not there, so there is no training to resume or to repeat: the model came \
                 without",
                "Use the model as it is, or start a new run",
            ));
        }
        let record: Self = read_json(&path)?;
        record.recipe.validate()?;
        Ok(record)
    }
}

/// What resuming needs: tensors and record.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    /// Tensors.
    pub snapshot: Snapshot,
    /// Everything else.
    pub record: TrainingRecord,
}

impl Training {
    /// Reads the training state that belongs to a model.
    ///
    /// # Errors
    /// If a file is missing, damaged, newer, or was changed since the state was written.
    pub fn read(directory: &Path, checkpoint: &Checkpoint) -> Result<Self> {
        let record = TrainingRecord::read(directory)?;
        for (name, hash) in &record.files {
            let path = directory.join(name);
            if sha256(&path)? != *hash {
                return Err(Error::invalid(
                    path.display().to_string(),
                    "it was changed since the training state was written",
                    "Resuming needs the files as they were: restore them, or start a new run",
                ));
            }
        }
        let mut file = TensorFile::read(&directory.join(TRAINING_TENSORS))?;
        let parameter_specs = parameter_specs(&checkpoint.description.config);
        let [has_best, has_last, has_average] = ["best", "last", "average"]
            .map(|group| file.contains(&format!("{group}.{}", parameter_specs[0].name)));
        let mut group = |prefix: &str| -> Result<Vec<Vec<f32>>> {
            parameter_specs
                .iter()
                .map(|one| file.take(&format!("{prefix}.{}", one.name), &one.shape))
                .collect()
        };
        let states = OPTIMIZERS
            .iter()
            .find(|row| row.name == record.recipe.optimizer)
            .map_or(&[][..], |row| row.state);
        let optimizer = states
            .iter()
            .map(|name| group(&format!("optimizer.{name}")))
            .collect::<Result<_>>()?;
        let best = if has_best {
            Some(Arc::new(group("best")?))
        } else {
            None
        };
        let last = if has_last {
            Some(Arc::new(group("last")?))
        } else {
            None
        };
        let average = if has_average {
            Some(group("average")?)
        } else {
            None
        };
        let mut carried = Vec::new();
        while file.contains(&format!("carried.{}", carried.len())) {
            carried.push(file.take_any(&format!("carried.{}", carried.len()))?);
        }
        file.finish()?;
        Ok(Self {
            snapshot: Snapshot {
                parameters: Arc::new(checkpoint.parameters.clone()),
                best,
                last,
                average,
                optimizer,
                carried,
            },
            record,
        })
    }
}

/// Writes a model with its training state, all files together.
///
/// # Errors
/// If the directory cannot be written; what was there before is there still.
pub fn save(
    directory: &Path,
    description: &Description,
    vocabulary: &Vocabulary,
    snapshot: &Snapshot,
    recipe: &Recipe,
    progress: &Progress,
    corpus: &CorpusRecord,
) -> Result<()> {
    let parameter_specs = parameter_specs(&description.config);
    let mut transaction = begin(
        directory,
        description,
        vocabulary,
        &snapshot.parameters,
        None,
    )?;
    let mut state = Vec::new();
    let names = OPTIMIZERS
        .iter()
        .find(|row| row.name == recipe.optimizer)
        .map_or(&[][..], |row| row.state);
    for (name, values) in names.iter().zip(&snapshot.optimizer) {
        state.extend(named(
            &format!("optimizer.{name}."),
            &parameter_specs,
            values,
        ));
    }
    let groups = [
        ("best.", snapshot.best.as_deref()),
        ("last.", snapshot.last.as_deref()),
        ("average.", snapshot.average.as_ref()),
    ];
    for (prefix, values) in groups {
        if let Some(values) = values {
            state.extend(named(prefix, &parameter_specs, values));
        }
    }
    state.extend(snapshot.carried.iter().enumerate().map(|(number, values)| {
        (
            format!("carried.{number}"),
            vec![values.len()],
            values.as_slice(),
        )
    }));
    transaction.add(TRAINING_TENSORS, |path| tensors::write(path, &state))?;
    let mut files = BTreeMap::new();
    for name in [MODEL, VOCABULARY, TRAINING_TENSORS]
        .into_iter()
        .chain(vocabulary.subwords().map(|_| TOKENIZER))
    {
        files.insert(
            name.to_owned(),
            sha256(&directory.join(format!(".{name}.new")))?,
        );
    }
    let record = TrainingRecord {
        version: FORMAT,
        elman: env!("CARGO_PKG_VERSION").to_owned(),
        recipe: recipe.clone(),
        progress: progress.clone(),
        corpus: corpus.clone(),
        files,
    };
    transaction.add_bytes(TRAINING, &json(&record))?;
    transaction.commit()
}

/// Begins to write a model: what using it needs.
fn begin<'a>(
    directory: &'a Path,
    description: &Description,
    vocabulary: &Vocabulary,
    parameters: &[Vec<f32>],
    initial_states: Option<&[Vec<f32>]>,
) -> Result<Transaction<'a>> {
    fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
    let mut transaction = Transaction::new(directory);
    let mut tensors = named("", &parameter_specs(&description.config), parameters);
    for (number, state) in initial_states.unwrap_or_default().iter().enumerate() {
        tensors.push((state_name(number), vec![state.len()], state.as_slice()));
    }
    transaction.add(MODEL, |path| tensors::write(path, &tensors))?;
    transaction.add_bytes(CONFIG, &json(description))?;
    transaction.add_bytes(
        VOCABULARY,
        vocabulary_file::write(vocabulary.types()).as_bytes(),
    )?;
    match vocabulary.subwords() {
        Some(subwords) => transaction.add_bytes(TOKENIZER, subwords.json().as_bytes())?,
        // Of a model that was here before.
        None => transaction.remove(TOKENIZER),
    }
    Ok(transaction)
}

/// The name of a state that a text begins with.
fn state_name(number: usize) -> String {
    format!("initial_state.{number}")
}

fn named<'a>(
    prefix: &str,
    parameter_specs: &[ParameterSpec],
    values: &'a [Vec<f32>],
) -> Vec<Named<'a>> {
    parameter_specs
        .iter()
        .zip(values)
        .map(|(one, values)| {
            (
                format!("{prefix}{}", one.name),
                one.shape.clone(),
                values.as_slice(),
            )
        })
        .collect()
}

fn json(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("plain structs have a JSON form");
    text.push(b'\n');
    text
}

fn sha256(path: &Path) -> Result<String> {
    let mut hash = Hash::default();
    let mut file = fs::File::open(path).map_err(Error::io("open", path))?;
    std::io::copy(&mut file, &mut hash).map_err(Error::io("read", path))?;
    Ok(hash.hexadecimal())
}

fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Error::io("read", path))
}

/// Reads a JSON file whose `version` must not be newer than this program's.
fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T> {
    let name = path.display().to_string();
    let damaged = |error: serde_json::Error| {
        Error::invalid(
            name.clone(),
            format!("it is not as Elman writes it ({error})"),
            "Restore it from a copy, or train again",
        )
    };
    let value: serde_json::Value = serde_json::from_str(&read_text(path)?).map_err(damaged)?;
    let version = value
        .get("version")
        .and_then(serde_json::Value::as_u64)
        .unwrap_or(0);
    if version > u64::from(FORMAT) {
        return Err(Error::invalid(
            name.clone(),
            format!("its version is {version}, and this program reads up to {FORMAT}"),
            "Take a newer Elman",
        ));
    }
    serde_json::from_value(value).map_err(damaged)
}
