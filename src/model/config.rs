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
    /// L.
    pub num_layers: usize,
    /// Whether the recurrent layers have PyTorch's two biases.
    pub bias: bool,
    /// Whether the output layer has a bias.
    pub decoder_bias: bool,
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
            num_layers: 1,
            bias: false,
            decoder_bias: false,
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
        named(&self.cell, "--cell", CELLS.iter().map(|row| row.name))?;
        named(&self.output, "--output", OUTPUTS.iter().map(|row| row.name))
    }

    /// Columns of layer `layer`'s input.
    pub fn input_size(&self, layer: usize) -> usize {
        match (layer, self.embedding_size) {
            (0, 0) => self.vocab_size,
            (0, size) => size,
            _ => self.hidden_size,
        }
    }
}

fn named(name: &str, flag: &str, mut names: impl Iterator<Item = &'static str> + Clone) -> Result<()> {
    let list = names.clone().collect::<Vec<_>>().join(", ");
    if names.any(|row| row == name) {
        return Ok(());
    }
    Err(Error::usage(format!("{flag} {name}"), "there is no such thing", format!("It is one of: {list}")))
}
