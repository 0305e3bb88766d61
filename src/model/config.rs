//! What a model is made of: enough to rebuild it from its parameters' file.

use serde::{Deserialize, Serialize};

use super::cell::CELLS;
use super::output::OUTPUTS;
use crate::error::{Error, Result};
use crate::kernels::Activation;

/// Sizes and kinds of a model's parts, under the names of `config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// A row of [`CELLS`].
    pub cell: String,
    /// The function of a hidden unit.
    pub activation: Activation,
    /// V.
    pub vocab_size: usize,
    /// D; 0 where the first layer takes one-hot vectors.
    pub embedding_size: usize,
    /// H.
    pub hidden_size: usize,
    /// H of every layer, where they differ; else empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden_sizes: Vec<usize>,
    /// L.
    pub num_layers: usize,
    /// Whether the recurrent layers have PyTorch's two biases.
    pub bias: bool,
    /// Whether the output layer has a bias.
    pub decoder_bias: bool,
    /// Whether the output layer's weight is the embedding.
    #[serde(default)]
    pub tied: bool,
    /// Whether a matrix without bias turns the last layer's H numbers into D before the output layer.
    #[serde(default)]
    pub projection: bool,
    /// A row of [`OUTPUTS`].
    pub output: String,
    /// What every hidden unit is before the first token: 0.1 in rnnlm.
    pub initial_state: f32,
}

/// Mikolov's network: sigmoid units, one-hot input, no biases, every unit 0.1 at the start.
impl Default for Config {
    fn default() -> Self {
        Self {
            cell: "elman".into(),
            activation: Activation::Sigmoid,
            vocab_size: 2,
            embedding_size: 0,
            hidden_size: 100,
            hidden_sizes: Vec::new(),
            num_layers: 1,
            bias: false,
            decoder_bias: false,
            tied: false,
            projection: false,
            output: "softmax".into(),
            initial_state: 0.1,
        }
    }
}

impl Config {
    /// Checks that the sizes make a model.
    ///
    /// # Errors
    /// If a size is 0 where it may not be, or a cell or output layer is unknown.
    pub fn validate(&self) -> Result<()> {
        for (flag, value, least) in
            [("--hidden", self.hidden_size, 1), ("--layers", self.num_layers, 1), ("vocabulary of", self.vocab_size, 2)]
        {
            if value < least {
                return Err(Error::usage(
                    format!("{flag} {value}"),
                    format!("it must be at least {least}"),
                    format!("Take {least} or more"),
                ));
            }
        }
        if !self.hidden_sizes.is_empty() && (self.hidden_sizes.len() != self.num_layers || self.hidden_sizes.contains(&0)) {
            return Err(Error::usage(
                format!("--hidden {}", list(&self.hidden_sizes)),
                format!("--layers {} need one size of at least 1 each", self.num_layers),
                "Give one size for all layers, or as many as there are layers",
            ));
        }
        self.validate_table()?;
        named(&self.cell, "--cell", CELLS.iter().map(|row| row.name))?;
        named(&self.output, "--output", OUTPUTS.iter().map(|row| row.name))
    }

    /// What tying and projecting ask of the sizes.
    fn validate_table(&self) -> Result<()> {
        let (size, last) = (self.embedding_size, self.output_size());
        for (flag, is_on) in [("--tied", self.tied), ("--projection", self.projection)] {
            if is_on && size == 0 {
                return Err(Error::usage(flag, "there is no embedding", "Give --embedding D too"));
            }
        }
        if self.tied && !self.projection && size != last {
            return Err(Error::usage(
                "--tied",
                format!("the output layer reads the last layer's {last} numbers, and the embedding has {size}"),
                format!("Take --embedding {last}, or let --projection turn {last} into {size}"),
            ));
        }
        Ok(())
    }

    /// H of a layer.
    pub fn layer_size(&self, layer: usize) -> usize {
        self.hidden_sizes.get(layer).copied().unwrap_or(self.hidden_size)
    }

    /// H of the last layer.
    pub fn output_size(&self) -> usize {
        self.layer_size(self.num_layers.saturating_sub(1))
    }

    /// Numbers that the output layer reads.
    pub fn decoder_input_size(&self) -> usize {
        if self.projection { self.embedding_size } else { self.output_size() }
    }

    /// Columns of layer `layer`'s input.
    pub fn input_size(&self, layer: usize) -> usize {
        match (layer, self.embedding_size) {
            (0, 0) => self.vocab_size,
            (0, size) => size,
            _ => self.layer_size(layer - 1),
        }
    }
}

/// Sizes as flags have them.
pub(crate) fn list(sizes: &[usize]) -> String {
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

fn named(name: &str, flag: &str, mut names: impl Iterator<Item = &'static str> + Clone) -> Result<()> {
    let list = names.clone().collect::<Vec<_>>().join(", ");
    if names.any(|row| row == name) {
        return Ok(());
    }
    Err(Error::usage(format!("{flag} {name}"), "there is no such thing", format!("It is one of: {list}")))
}
