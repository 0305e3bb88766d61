//! Models of other programs: their files in, a [`Checkpoint`] without training state out. No device
//! is needed.
//!
//! A reader of one program's files gives an [`Imported`]: what the network is made of in words of
//! its own ([`ImportedShape`]), and its numbers under Elman's names. Only here a layout becomes a
//! [`Config`].

mod names;
pub mod pytorch;
pub mod rnnlm;
mod tensors;
mod vocabulary;

use std::collections::HashMap;

use super::{Checkpoint, Description, FORMAT};
use crate::corpus::{Unit, Vocabulary};
use crate::error::{Error, Result};
use crate::model::{Config, parameter_specs};

/// The names under which the tables are found in [`Imported::values`] and in Elman's own files.
const EMBEDDING: &str = "embedding.weight";
const PROJECTION: &str = "projection.weight";
const DECODER: &str = "decoder.weight";
const DECODER_BIAS: &str = "decoder.bias";
const CLASS_WEIGHT: &str = "decoder.class_weight";
const COMPRESSION: &str = "compression.weight";
const DIRECT: &str = "direct.weight";

/// What a network is made of, as far as its tensors tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedShape {
    /// "elman", "gru" or "lstm".
    pub cell: &'static str,
    /// G.
    pub gates: usize,
    /// V.
    pub vocab_size: usize,
    /// D; 0 where the first layer takes one-hot vectors.
    pub embedding_size: usize,
    /// H of each layer, from the input on.
    pub hidden_sizes: Vec<usize>,
    /// Whether the recurrent layers have PyTorch's two biases.
    pub bias: bool,
    /// Whether the output layer has a bias.
    pub decoder_bias: bool,
    /// Whether the output layer's weight is the embedding.
    pub tied: bool,
    /// Whether a matrix `[D, H]` stands between the last layer and the output layer.
    pub projection: bool,
}

impl ImportedShape {
    /// The configuration of such a network; what tensors do not tell (activation, initial state,
    /// output layer) is `defaults`'s.
    ///
    /// # Errors
    /// If Elman has no such cell or no such shape of network.
    pub fn config(&self, defaults: Config) -> Result<Config> {
        let hidden_size = self.hidden_sizes.first().copied().unwrap_or(0);
        let differ = self.hidden_sizes.iter().any(|&size| size != hidden_size);
        let config = Config {
            cell: self.cell.to_owned(),
            vocab_size: self.vocab_size,
            embedding_size: self.embedding_size,
            hidden_size,
            hidden_sizes: if differ {
                self.hidden_sizes.clone()
            } else {
                Vec::new()
            },
            tied: self.tied,
            projection: self.projection,
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
    /// What it is made of.
    pub layout: ImportedShape,
    /// What a token is.
    pub unit: Unit,
    /// The types, the boundary first.
    pub vocabulary: Vocabulary,
    /// The numbers in the layout of Elman's files, under its names; a tied output layer's weight is
    /// not among them.
    pub values: HashMap<String, Vec<f32>>,
    /// Whether the program skips words outside the vocabulary even where it has `<unk>`.
    pub skip_unknown: bool,
    /// The states that a text begins with, where they are not one number in every unit.
    pub initial_states: Option<Vec<Vec<f32>>>,
    /// What was changed on the way, a sentence each.
    pub notes: Vec<String>,
}

impl Imported {
    /// The model as Elman keeps it. `defaults` is as in [`ImportedShape::config`].
    ///
    /// # Errors
    /// If Elman has no such network.
    pub fn into_checkpoint(mut self, defaults: Config) -> Result<Checkpoint> {
        let config = self.layout.config(defaults)?;
        let parameter_specs = parameter_specs(&config);
        let take = |name: &str| {
            self.values.remove(name).ok_or_else(|| {
                Error::invalid(
                    name,
                    "the import did not find its numbers",
                    "This is a bug in Elman",
                )
            })
        };
        let parameters = parameter_specs
            .iter()
            .map(|one| one.name.as_str())
            .map(take)
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
