//! Models of other programs. Input: their files. Output: a [`Checkpoint`] without training state.
//! No device is needed.
//!
//! The reader of a program's files returns an [`Imported`]: the shape of the network
//! ([`ImportedShape`]) and its parameters under Elman's names. Only this module turns the shape
//! into a [`Config`].

mod names;
pub mod pytorch;
pub mod rnnlm;
mod tensors;
mod vocabulary;

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::{Checkpoint, Description, FORMAT, in_file};
use crate::activity::read_to_end;
use crate::corpus::{Unit, Vocabulary};
use crate::error::{Error, Result};
use crate::kernels::Activation;
use crate::model::{Config, parameter_specs};

/// Names of the tables in [`Imported::values`] and in Elman's files.
const EMBEDDING: &str = "embedding.weight";
const PROJECTION: &str = "projection.weight";
const DECODER: &str = "decoder.weight";
const DECODER_BIAS: &str = "decoder.bias";
const CLASS_WEIGHT: &str = "decoder.class_weight";
const COMPRESSION: &str = "compression.weight";
const DIRECT: &str = "direct.weight";

/// Reads a file of a model.
fn read_file(path: &Path) -> Result<Vec<u8>> {
    File::open(path)
        .and_then(|file| read_to_end(&file, path))
        .map_err(Error::io("read", path))
}

/// The shape of a network, as far as its tensors determine it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedShape {
    /// "elman", "gru" or "lstm".
    pub cell: &'static str,
    /// G.
    pub gates: usize,
    /// V.
    pub vocab_size: usize,
    /// D; 0 if the input of the first layer is one-hot.
    pub embedding_size: usize,
    /// H of each layer, starting with the first.
    pub hidden_sizes: Vec<usize>,
    /// Whether the recurrent layers have PyTorch's two biases.
    pub bias: bool,
    /// Whether the output layer has a bias.
    pub decoder_bias: bool,
    /// Whether the weight of the output layer is the embedding.
    pub tied: bool,
    /// Whether there is a projection `[D, H]` between the last layer and the output layer.
    pub projection: bool,
    /// Whether layers add their input to what they pass on, as files of Elman state it.
    pub residual: bool,
    /// Whether input gates are at most 1 minus the forget gate, as files of Elman state it.
    pub cap_input_gate: bool,
}

impl ImportedShape {
    /// The configuration of a network with this shape. `defaults` supplies the fields that tensors
    /// do not determine, such as activation, initial state and output layer.
    ///
    /// # Errors
    /// If Elman does not support the cell or the shape.
    pub fn config(&self, defaults: Config) -> Result<Config> {
        let hidden_size = self.hidden_sizes.first().copied().unwrap_or(0);
        let sizes_differ = self.hidden_sizes.iter().any(|&size| size != hidden_size);
        let config = Config {
            cell: self.cell.to_owned(),
            vocab_size: self.vocab_size,
            embedding_size: self.embedding_size,
            hidden_size,
            hidden_sizes: if sizes_differ {
                self.hidden_sizes.clone()
            } else {
                Vec::new()
            },
            tied: self.tied,
            projection: self.projection,
            residual: self.residual,
            cap_input_gate: self.cap_input_gate,
            num_layers: self.hidden_sizes.len(),
            bias: self.bias,
            decoder_bias: self.decoder_bias,
            ..defaults
        };
        config.validate()?;
        Ok(config)
    }
}

/// A model of another program, read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The file, for messages.
    pub file: PathBuf,
    /// The shape of the network.
    pub shape: ImportedShape,
    /// What a token is.
    pub unit: Unit,
    /// The vocabulary; the boundary is its first type.
    pub vocabulary: Vocabulary,
    /// The parameters in the layout and under the names of Elman's files. There is no output weight
    /// if the output layer is tied.
    pub values: HashMap<String, Vec<f32>>,
    /// Whether the program skips words outside the vocabulary even if the vocabulary has `<unk>`.
    pub skip_unknown: bool,
    /// The initial state of a text, if it is not the same number in every unit.
    pub initial_states: Option<Vec<Vec<f32>>>,
    /// The activation function of the hidden units that the file states; not checked.
    pub activation: Option<String>,
    /// The initial state of every hidden unit that the file states; not checked.
    pub initial_state: Option<String>,
    /// A sentence for each change that the import made.
    pub notes: Vec<String>,
}

impl Imported {
    /// The activation function that the file states, if it does.
    ///
    /// # Errors
    /// If Elman does not have it.
    pub fn stated_activation(&self) -> Result<Option<Activation>> {
        let stated = self.activation.as_deref().map(str::parse).transpose();
        stated.map_err(|error| in_file(&self.file, error))
    }

    /// The initial state that the file states, if it does.
    ///
    /// # Errors
    /// If it is not a finite number.
    pub fn stated_initial_state(&self) -> Result<Option<f32>> {
        let Some(text) = &self.initial_state else {
            return Ok(None);
        };
        match text.parse::<f32>() {
            Ok(state) if state.is_finite() => Ok(Some(state)),
            _ => Err(Error::invalid(
                format!("{}: initial_state = {text}", self.file.display()),
                "it is not a finite number",
                "Give `initial_state` a value such as 0",
            )),
        }
    }

    /// Converts the model into a checkpoint. `defaults` is passed to [`ImportedShape::config`].
    ///
    /// # Errors
    /// If Elman does not support the network.
    pub fn into_checkpoint(mut self, defaults: Config) -> Result<Checkpoint> {
        let config = self.shape.config(defaults)?;
        let parameters = parameter_specs(&config)
            .into_iter()
            .map(|spec| {
                self.values.remove(&spec.name).ok_or_else(|| {
                    Error::invalid(
                        spec.name,
                        "the import did not find its values",
                        "This is a bug in Elman",
                    )
                })
            })
            .collect::<Result<_>>()?;
        let description = Description {
            version: FORMAT,
            unit: self.unit,
            skip_unknown: self.skip_unknown,
            config,
        };
        Ok(Checkpoint {
            description,
            vocabulary: self.vocabulary,
            parameters,
            initial_states: self.initial_states,
        })
    }
}
