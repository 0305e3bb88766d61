//! What a model is made of: enough to rebuild it from its parameters' file.

use serde::{Deserialize, Serialize};

use super::cell::CELLS;
use super::classes::Classes;
use super::clusters::Clusters;
use super::direct::MOST_ORDER;
use super::noise::Noise;
use super::output::OUTPUTS;
use crate::error::{Error, Result};
use crate::kernels::{Activation, BLOCK};

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
    /// Whether a matrix without bias turns the last layer's H numbers into D before the output
    /// layer.
    #[serde(default)]
    pub projection: bool,
    /// Whether and how wide a layer of sigmoid units without bias stands between the last layer and
    /// the output layer; 0 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub compression_size: usize,
    /// A row of [`OUTPUTS`].
    pub output: String,
    /// The classes of the output layer that has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Classes>,
    /// How the output layer that has clusters cuts the vocabulary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clusters: Option<Clusters>,
    /// How the output layer that is trained on a sample draws it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<Noise>,
    /// Numbers of the table of direct connections from the last words to the output layer's classes
    /// and words; 0 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub direct_size: usize,
    /// Words of the longest n-grams that direct connections know, the predicted one among them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub direct_order: usize,
    /// What every hidden unit is before the first token: 0.1 in rnnlm.
    pub initial_state: f32,
    /// Whether the model was trained on sentences that each begin with the initial state; it is
    /// measured so too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub independent: bool,
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
            compression_size: 0,
            output: "softmax".into(),
            classes: None,
            clusters: None,
            noise: None,
            direct_size: 0,
            direct_order: 0,
            initial_state: 0.1,
            independent: false,
        }
    }
}

impl Config {
    /// Checks that the sizes make a model.
    ///
    /// # Errors
    /// If a size is 0 where it may not be, or a cell or output layer is unknown.
    pub fn validate(&self) -> Result<()> {
        for (flag, value, least) in [
            ("--hidden", self.hidden_size, 1),
            ("--layers", self.num_layers, 1),
            ("vocabulary of", self.vocab_size, 2),
        ] {
            if value < least {
                return Err(Error::usage(
                    format!("{flag} {value}"),
                    format!("it must be at least {least}"),
                    format!("Take {least} or more"),
                ));
            }
        }
        if !self.hidden_sizes.is_empty()
            && (self.hidden_sizes.len() != self.num_layers || self.hidden_sizes.contains(&0))
        {
            return Err(Error::usage(
                format!("--hidden {}", list(&self.hidden_sizes)),
                format!(
                    "--layers {} need one size of at least 1 each",
                    self.num_layers
                ),
                "Give one size for all layers, or as many as there are layers",
            ));
        }
        self.validate_table()?;
        named(&self.cell, "--cell", CELLS.iter().map(|row| row.name))?;
        named(&self.output, "--output", OUTPUTS.iter().map(|row| row.name))?;
        self.validate_output()
    }

    /// What the output layers ask of the rest.
    fn validate_output(&self) -> Result<()> {
        let has_classes = self.output == "class";
        self.validate_clusters()?;
        self.validate_noise()?;
        match &self.classes {
            Some(classes) if has_classes => classes.validate(self.vocab_size)?,
            None if !has_classes => {}
            Some(_) => {
                let rule = format!("--output {} has none", self.output);
                return Err(Error::usage(
                    "--classes",
                    rule,
                    "Take --output class, or leave --classes out",
                ));
            }
            None => return Err(lacks("class", "classes")),
        }
        if self.tied && self.output != "softmax" {
            let rule = "the output layer's weight can be the embedding with --output softmax alone";
            return Err(Error::usage(
                format!("--tied with --output {}", self.output),
                rule,
                "Leave one of them out",
            ));
        }
        if self.direct_size == 0 {
            return Ok(());
        }
        let (size, order) = (self.direct_size, self.direct_order);
        if !has_classes {
            let rule = format!("--output {} has no direct connections", self.output);
            return Err(Error::usage(
                format!("--direct {size}"),
                rule,
                "Take --output class; with --classes 1 it is the full softmax",
            ));
        }
        if !size.is_multiple_of(BLOCK) || u32::try_from(size).is_err() {
            let rule = format!("it must be a multiple of {BLOCK} below 2^32");
            return Err(Error::usage(
                format!("--direct {size}"),
                rule,
                format!("Take {}", size.next_multiple_of(BLOCK).min(1 << 31)),
            ));
        }
        if !(1..=MOST_ORDER).contains(&order) {
            let rule = format!("n-grams have from 1 to {MOST_ORDER} words");
            return Err(Error::usage(
                format!("--direct-order {order}"),
                rule,
                "3 is the usual one",
            ));
        }
        Ok(())
    }

    /// The layer with clusters has them, and no other.
    fn validate_clusters(&self) -> Result<()> {
        match (&self.clusters, self.output == "adaptive") {
            (Some(clusters), true) => clusters.validate(self.vocab_size),
            (None, false) => Ok(()),
            (Some(_), false) => {
                let rule = format!("--output {} has no clusters", self.output);
                Err(Error::usage(
                    "--cutoffs",
                    rule,
                    "Take --output adaptive, or leave --cutoffs out",
                ))
            }
            (None, true) => Err(lacks("adaptive", "clusters")),
        }
    }

    /// The layer that is trained on a sample knows how to draw it, and no other.
    fn validate_noise(&self) -> Result<()> {
        match (&self.noise, self.output == "sampled") {
            (Some(noise), true) => noise.validate(),
            (None, false) => Ok(()),
            (Some(_), false) => {
                let rule = format!("--output {} has no sample", self.output);
                Err(Error::usage(
                    "--samples",
                    rule,
                    "Take --output sampled, or leave --samples out",
                ))
            }
            (None, true) => Err(lacks("sampled", "noise")),
        }
    }

    /// Words of each class; none where there are no classes.
    pub fn class_sizes(&self) -> &[usize] {
        self.classes.as_ref().map_or(&[], |classes| &classes.sizes)
    }

    /// What tying and projecting ask of the sizes.
    fn validate_table(&self) -> Result<()> {
        let (size, last) = (self.embedding_size, self.output_size());
        for (flag, is_on) in [("--tied", self.tied), ("--projection", self.projection)] {
            if is_on && size == 0 {
                return Err(Error::usage(
                    flag,
                    "there is no embedding",
                    "Give --embedding D too",
                ));
            }
        }
        if self.compression_size > 0 && (self.projection || self.tied) {
            return Err(Error::usage(
                format!("--compression {}", self.compression_size),
                "the output layer reads either it or what --projection and --tied ask for",
                "Leave one of them out",
            ));
        }
        if self.tied && !self.projection && size != last {
            return Err(Error::usage(
                "--tied",
                format!(
                    "the output layer reads the last layer's {last} numbers, and the embedding has \
                     {size}"
                ),
                format!("Take --embedding {last}, or let --projection turn {last} into {size}"),
            ));
        }
        Ok(())
    }

    /// H of a layer.
    pub fn layer_size(&self, layer: usize) -> usize {
        self.hidden_sizes
            .get(layer)
            .copied()
            .unwrap_or(self.hidden_size)
    }

    /// H of the last layer.
    pub fn output_size(&self) -> usize {
        self.layer_size(self.num_layers.saturating_sub(1))
    }

    /// Numbers that the output layer reads.
    pub fn decoder_input_size(&self) -> usize {
        match self.compression_size {
            0 if self.projection => self.embedding_size,
            0 => self.output_size(),
            size => size,
        }
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

/// What is said of a configuration without what its output layer is made of.
fn lacks(output: &str, what: &str) -> Error {
    let rule = format!("its configuration lists no {what}");
    Error::invalid(
        format!("a model of --output {output}"),
        rule,
        "Restore config.json, or train the model again",
    )
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}

/// Sizes as flags have them.
pub(crate) fn list(sizes: &[usize]) -> String {
    sizes
        .iter()
        .map(usize::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

fn named(
    name: &str,
    flag: &str,
    mut names: impl Iterator<Item = &'static str> + Clone,
) -> Result<()> {
    let list = names.clone().collect::<Vec<_>>().join(", ");
    if names.any(|row| row == name) {
        return Ok(());
    }
    Err(Error::usage(
        format!("{flag} {name}"),
        "there is no such thing",
        format!("It is one of: {list}"),
    ))
}
