//! The configuration of a model: enough to rebuild it from the file of its parameters.

use serde::{Deserialize, Serialize};

use super::classes::Classes;
use super::clusters::Clusters;
use super::noise::Noise;
use crate::kernels::Activation;

/// The largest [`Config::direct_order`].
pub(super) const MAX_DIRECT_ORDER: usize = 20;
/// The largest [`Config::mixture`].
pub const MAX_MIXTURE: usize = 16;
/// The largest [`Config::mogrifier_rounds`].
pub const MAX_ROUNDS: usize = 20;
/// The largest number of words before the predicted one that an output layer reads beside the
/// hidden state.
pub const LONGEST_HISTORY: usize = MAX_DIRECT_ORDER - 1;

/// Sizes and kinds of a model's parts, under the names of `config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The name of a row of [`CELLS`](super::CELLS).
    pub cell: String,
    /// The activation function of hidden units.
    pub activation: Activation,
    /// V.
    pub vocab_size: usize,
    /// D; 0 for one-hot input.
    pub embedding_size: usize,
    /// H.
    pub hidden_size: usize,
    /// H of each layer, if they differ; otherwise empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden_sizes: Vec<usize>,
    /// L.
    pub num_layers: usize,
    /// N, the words that a feed-forward network reads; 0 for a recurrent one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub context: usize,
    /// Whether the output layer reads the embedded words of a feed-forward network beside its
    /// hidden units.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_connection: bool,
    /// The rounds in which the input and the state of a mogrifier gate each other before every
    /// step, from 1 to [`MAX_ROUNDS`]; 0 for other cells.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mogrifier_rounds: usize,
    /// The rank of the matrices of these rounds, each the product of two; 0 for one matrix.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mogrifier_rank: usize,
    /// Whether recurrent layers add their input to what they pass on, where the sizes are equal:
    /// [`Config::has_residual`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub residual: bool,
    /// Whether the input gate of an LSTM or a mogrifier is at most 1 minus the forget gate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cap_input_gate: bool,
    /// Whether an LSTM normalizes its products and its memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub layer_norm: bool,
    /// Whether the recurrent layers have PyTorch's two biases, or the layer of a feed-forward
    /// network has one.
    pub bias: bool,
    /// Whether the output layer has a bias.
    pub decoder_bias: bool,
    /// Whether the output layer's weight is the embedding.
    #[serde(default)]
    pub tied: bool,
    /// Whether a matrix without bias projects the last layer's H values to D before the output
    /// layer.
    #[serde(default)]
    pub projection: bool,
    /// The size of a layer of sigmoid units without bias between the last layer and the output
    /// layer; 0 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub compression_size: usize,
    /// The name of a row of [`OUTPUTS`](super::OUTPUTS).
    pub output: String,
    /// K, the number of softmaxes that are mixed, from 2 to [`MAX_MIXTURE`]; 0 for a single one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mixture: usize,
    /// Whether the model has the parameters of past decode regularization, which only training
    /// needs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub past_decode: bool,
    /// The word classes, for an output layer that has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Classes>,
    /// The clusters of rare words, for an output layer that has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clusters: Option<Clusters>,
    /// How words are sampled, for an output layer that is trained on samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<Noise>,
    /// Number of values in the table of direct connections from the last words to the output
    /// layer's classes and words; 0 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub direct_size: usize,
    /// The length of the longest n-grams of direct connections in words, including the predicted
    /// word.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub direct_order: usize,
    /// The value of every hidden unit before the first token: 0.1 in rnnlm.
    pub initial_state: f32,
    /// The probability with which units kept their memory in training; otherwise, what they add to
    /// it has the factor 1 minus this.
    #[serde(default, skip_serializing_if = "is_zero_rate")]
    pub zoneout: f32,
    /// Whether the model was trained on sentences that each start from the initial state; it is
    /// then evaluated so too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub independent: bool,
}

/// Mikolov's network: sigmoid units, one-hot input, no biases, initial state 0.1.
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
            context: 0,
            skip_connection: false,
            mogrifier_rounds: 0,
            mogrifier_rank: 0,
            residual: false,
            cap_input_gate: false,
            layer_norm: false,
            bias: false,
            decoder_bias: false,
            tied: false,
            projection: false,
            compression_size: 0,
            output: "softmax".into(),
            mixture: 0,
            past_decode: false,
            classes: None,
            clusters: None,
            noise: None,
            direct_size: 0,
            direct_order: 0,
            initial_state: 0.1,
            zoneout: 0.0,
            independent: false,
        }
    }
}

impl Config {
    /// The same network with the full softmax in place of one that is trained on samples. The
    /// parameters are the same, and so are all losses and distributions outside of training; what
    /// adapts to a text needs the full softmax's gradients too.
    #[must_use]
    pub fn with_full_softmax(mut self) -> Self {
        if self.noise.take().is_some() {
            "softmax".clone_into(&mut self.output);
        }
        self
    }

    /// Whether a recurrent layer adds its input to what it passes on: with [`Config::residual`]
    /// every layer above the first, and the first where embedded words have as many values as it
    /// has units. Such a word is the input even where the layer reads the word before, too.
    pub fn has_residual(&self, layer: usize) -> bool {
        let inputs = match layer {
            0 => self.embedding_size,
            _ => self.layer_size(layer - 1),
        };
        self.residual && inputs == self.layer_size(layer)
    }

    /// The number of words in each class; empty without classes.
    pub fn class_sizes(&self) -> &[usize] {
        self.classes.as_ref().map_or(&[], |classes| &classes.sizes)
    }

    /// H of a layer.
    pub fn layer_size(&self, layer: usize) -> usize {
        self.hidden_sizes
            .get(layer)
            .copied()
            .unwrap_or(self.hidden_size)
    }

    /// H of the last layer, and with [`Config::skip_connection`] the size of what the layer reads.
    pub fn output_size(&self) -> usize {
        let skipped = match self.skip_connection {
            true => self.input_size(0),
            false => 0,
        };
        self.layer_size(self.num_layers.saturating_sub(1))
            .saturating_add(skipped)
    }

    /// The number of columns of the output layer's weight: of the values that it reads or, in a
    /// mixture, of each latent.
    pub fn decoder_input_size(&self) -> usize {
        match self.compression_size {
            _ if self.mixture > 0 && self.tied => self.embedding_size,
            0 if self.projection => self.embedding_size,
            0 => self.output_size(),
            size => size,
        }
    }

    /// The number of values of the words that are embedded at a position.
    pub fn embedded_size(&self) -> usize {
        self.embedding_size.saturating_mul(self.context.max(1))
    }

    /// The number of columns of a layer's input.
    pub fn input_size(&self, layer: usize) -> usize {
        match (layer, self.embedding_size) {
            (0, 0) => self.vocab_size,
            (0, _) if self.reads_previous_input() => self.embedded_size().saturating_mul(2),
            (0, _) => self.embedded_size(),
            _ => self.layer_size(layer - 1),
        }
    }
}

fn is_zero_rate(value: &f32) -> bool {
    *value == 0.0
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}
