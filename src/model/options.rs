//! A model as a caller asks for it, before its vocabulary is known.
//!
//! In: some choices. Out: a checked [`Config`] for a vocabulary, with the default values for
//! the rest; or, the other way round, the choices that lead to a configuration.

use super::cell::CellKind;
use super::cells::find_cell;
use super::classes::{Binning, Classes};
use super::clusters::Clusters;
use super::config::Config;
use super::noise::Noise;
use super::output::OutputKind;
use super::outputs::find_output;
use crate::error::Result;
use crate::field::Fields;
use crate::kernels::{Activation, SampledObjective};

/// N of a feed-forward network: contexts of four words, as in Bengio 2003.
pub const DEFAULT_CONTEXT: usize = 4;

/// The rounds of a mogrifier, those of Melis 2020.
pub const DEFAULT_ROUNDS: usize = 5;

/// Choices of a model; `None`, or an empty list, for the default, which may depend on other
/// choices. [`ModelOptions::FIELDS`](Fields::FIELDS) describes the fields.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelOptions {
    /// The name of a row of [`CELLS`](super::CELLS).
    pub cell: Option<String>,
    /// Activation of an Elman network's hidden units.
    pub activation: Option<Activation>,
    /// H: one size for all layers, or one for each.
    pub hidden: Vec<usize>,
    /// L.
    pub layers: Option<usize>,
    /// D; 0 for one-hot input.
    pub embedding: Option<usize>,
    /// N, the words that a feed-forward network reads.
    pub context: Option<usize>,
    /// Whether the output layer of a feed-forward network reads the embedded words too.
    pub skip_connection: Option<bool>,
    /// Rounds of a mogrifier.
    pub mogrifier_rounds: Option<usize>,
    /// Rank of the matrices of its rounds; 0 for full matrices.
    pub mogrifier_rank: Option<usize>,
    /// Whether recurrent layers add their input to what they pass on.
    pub residual: Option<bool>,
    /// Whether the input gate of an LSTM or a mogrifier is at most 1 minus the forget gate.
    pub cap_input_gate: Option<bool>,
    /// Whether an LSTM normalizes its products and its memory.
    pub layer_norm: Option<bool>,
    /// Whether the recurrent and output layers have biases.
    pub bias: Option<bool>,
    /// Whether the output layer's weight is the embedding.
    pub tied: Option<bool>,
    /// Whether the last layer's output is projected from H to D elements.
    pub projection: Option<bool>,
    /// Units of the compression layer before the output layer; 0 for none.
    pub compression: Option<usize>,
    /// The name of a row of [`OUTPUTS`](super::OUTPUTS).
    pub output: Option<String>,
    /// Number of softmaxes that are mixed.
    pub mixture: Option<usize>,
    /// Word classes.
    pub classes: Option<usize>,
    /// How words are assigned to classes.
    pub class_binning: Option<Binning>,
    /// Elements of the table of direct connections; 0 for none.
    pub direct: Option<usize>,
    /// Words of the longest n-grams of direct connections.
    pub direct_order: Option<usize>,
    /// The ends of the head and of every cluster except the last.
    pub cutoffs: Vec<usize>,
    /// What the size of the state is divided by from one cluster to the next.
    pub tail_divisor: Option<f64>,
    /// Words sampled for each window.
    pub samples: Option<usize>,
    /// Power of the words' frequencies in the sampling distribution.
    pub noise_power: Option<f64>,
    /// Training objective of the sampled softmax.
    pub loss: Option<SampledObjective>,
    /// ln of the sum that scores are normalized to.
    pub nce_lnz: Option<f32>,
}

impl ModelOptions {
    /// The choices that lead to a configuration.
    pub fn of(config: &Config) -> Self {
        let cell = find_cell(&config.cell);
        let has_activation = cell.is_some_and(|cell| cell.has_activation);
        let is_feed_forward = cell.is_some_and(CellKind::is_feed_forward);
        let has_rounds = cell.is_some_and(|cell| cell.rounds.is_some());
        let classes = config.classes.as_ref();
        let clusters = config.clusters.as_ref();
        let noise = config.noise.as_ref();
        let direct = Some(config.direct_size).filter(|&size| size > 0);
        Self {
            cell: Some(config.cell.clone()),
            activation: has_activation.then_some(config.activation),
            hidden: match config.hidden_sizes.as_slice() {
                [] => vec![config.hidden_size],
                sizes => sizes.to_vec(),
            },
            layers: Some(config.num_layers),
            embedding: Some(config.embedding_size),
            context: Some(config.context).filter(|_| is_feed_forward),
            skip_connection: Some(config.skip_connection).filter(|_| is_feed_forward),
            mogrifier_rounds: Some(config.mogrifier_rounds).filter(|_| has_rounds),
            mogrifier_rank: Some(config.mogrifier_rank).filter(|_| has_rounds),
            layer_norm: Some(config.layer_norm)
                .filter(|_| cell.is_some_and(|cell| cell.has_layer_norm)),
            cap_input_gate: Some(config.cap_input_gate)
                .filter(|_| cell.is_some_and(|cell| cell.has_capped_gate)),
            residual: Some(config.residual).filter(|_| !is_feed_forward),
            bias: Some(config.bias),
            tied: Some(config.tied),
            projection: Some(config.projection),
            compression: Some(config.compression_size),
            output: Some(config.output.clone()),
            mixture: Some(config.mixture).filter(|&count| count > 0),
            classes: classes.map(|classes| classes.asked),
            class_binning: classes.map(|classes| classes.binning),
            direct,
            direct_order: direct.map(|_| config.direct_order),
            cutoffs: clusters.map_or_else(Vec::new, |clusters| clusters.cutoffs.clone()),
            tail_divisor: clusters.map(|clusters| clusters.divisor),
            samples: noise.map(|noise| noise.samples),
            noise_power: noise.map(|noise| noise.power),
            loss: noise.map(|noise| noise.objective),
            nce_lnz: noise
                .filter(|noise| noise.objective == SampledObjective::Nce)
                .map(|noise| noise.ln_z),
        }
    }

    /// The configuration for a vocabulary of `vocab_size` types. `classes` assigns them to a number
    /// of classes, where the output layer has classes.
    ///
    /// # Errors
    /// If an option breaks its rule, has no effect, or contradicts another.
    pub fn resolve(
        &self,
        vocab_size: usize,
        classes: impl FnOnce(usize, Binning) -> Result<Classes>,
    ) -> Result<Config> {
        self.check_rules()?;
        for field in Self::FIELDS {
            if field.get(self).is_some() {
                field.check_effect(self)?;
            }
        }

        let base = Config::default();
        let cell = self.cell.as_ref().unwrap_or(&base.cell);
        let output = self.output.as_ref().unwrap_or(&base.output);
        let bias = find_cell(cell).map_or(base.bias, |cell| cell.bias);
        let bias = self.bias.unwrap_or(bias);
        let hidden_sizes = match self.hidden.as_slice() {
            [] | [_] => Vec::new(),
            sizes => sizes.to_vec(),
        };
        let classes = if self.output_has(|output| output.has_classes) {
            let default = || Classes::default_count(vocab_size);
            let count = self.classes.unwrap_or_else(default);
            Some(classes(count, self.class_binning.unwrap_or_default())?)
        } else {
            None
        };
        let has_clusters = self.output_has(|output| output.has_clusters);
        let has_noise = self.output_has(|output| output.has_noise);
        let direct_size = self.direct.unwrap_or(base.direct_size);
        let config = Config {
            activation: match self.is_feed_forward() {
                true => Activation::Tanh,
                false => self.activation.unwrap_or(base.activation),
            },
            vocab_size,
            embedding_size: self.embedding.unwrap_or(base.embedding_size),
            hidden_size: self.hidden.first().copied().unwrap_or(base.hidden_size),
            num_layers: self.layers.unwrap_or(hidden_sizes.len().max(1)),
            context: match self.is_feed_forward() {
                true => self.context.unwrap_or(DEFAULT_CONTEXT),
                false => base.context,
            },
            skip_connection: self.skip_connection.unwrap_or(base.skip_connection),
            mogrifier_rounds: match self.has_rounds() {
                true => self.mogrifier_rounds.unwrap_or(DEFAULT_ROUNDS),
                false => base.mogrifier_rounds,
            },
            mogrifier_rank: self.mogrifier_rank.unwrap_or(base.mogrifier_rank),
            layer_norm: self.layer_norm.unwrap_or(base.layer_norm),
            cap_input_gate: self.cap_input_gate.unwrap_or(base.cap_input_gate),
            residual: self.residual.unwrap_or(base.residual),
            zoneout: base.zoneout,
            past_decode: base.past_decode,
            hidden_sizes,
            bias,
            decoder_bias: bias,
            tied: self.tied.unwrap_or(base.tied),
            projection: self.projection.unwrap_or(base.projection),
            compression_size: self.compression.unwrap_or(base.compression_size),
            mixture: self.mixture.unwrap_or(base.mixture),
            classes,
            clusters: has_clusters.then(|| self.clusters(vocab_size)),
            noise: has_noise.then(|| self.noise(vocab_size)),
            direct_size,
            direct_order: match direct_size {
                0 => 0,
                _ => self.direct_order.unwrap_or(3),
            },
            initial_state: find_cell(cell).map_or(base.initial_state, |cell| cell.initial_state),
            independent: false,
            cell: cell.clone(),
            output: output.clone(),
        };
        config.validate()?;
        Ok(config)
    }

    /// Whether the cell's activation can be chosen.
    pub(super) fn has_activation(&self) -> bool {
        let cell = self.cell.as_deref().and_then(find_cell);
        cell.is_none_or(|cell| cell.has_activation)
    }

    /// Whether the cell has a capability. The default one, an Elman network, has none of an LSTM's.
    pub(super) fn cell_has(&self, capability: fn(&CellKind) -> bool) -> bool {
        let cell = self.cell.as_deref().and_then(find_cell);
        cell.is_some_and(capability)
    }

    /// Whether the network is not recurrent.
    pub(super) fn is_feed_forward(&self) -> bool {
        let cell = self.cell.as_deref().and_then(find_cell);
        cell.is_some_and(CellKind::is_feed_forward)
    }

    /// Whether rounds precede the steps of the cell.
    pub(super) fn has_rounds(&self) -> bool {
        let cell = self.cell.as_deref().and_then(find_cell);
        cell.is_some_and(|cell| cell.rounds.is_some())
    }

    /// Whether the output layer has a capability. The default one is a softmax without any.
    pub(super) fn output_has(&self, capability: fn(&OutputKind) -> bool) -> bool {
        let output = self.output.as_deref().and_then(find_output);
        output.is_some_and(capability)
    }

    /// The clusters of an adaptive softmax.
    fn clusters(&self, vocab_size: usize) -> Clusters {
        let default = match self.cutoffs.as_slice() {
            [] => Clusters::default_for(vocab_size),
            cutoffs => Clusters {
                cutoffs: cutoffs.to_vec(),
                divisor: Clusters::DEFAULT_DIVISOR,
            },
        };
        Clusters {
            divisor: self.tail_divisor.unwrap_or(default.divisor),
            ..default
        }
    }

    /// How a sampled softmax samples.
    fn noise(&self, vocab_size: usize) -> Noise {
        let objective = self.loss.unwrap_or_default();
        let default_ln_z = match objective {
            SampledObjective::Nce => (vocab_size as f32).ln(),
            SampledObjective::Softmax => 0.0,
        };
        Noise {
            samples: self.samples.unwrap_or(Noise::DEFAULT_SAMPLES),
            power: self.noise_power.unwrap_or(Noise::DEFAULT_POWER),
            objective,
            ln_z: self.nce_lnz.unwrap_or(default_ln_z),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields of [`Config`] that follow from others, from the text, or from the recipe.
    const DERIVED: [&str; 4] = ["vocab_size", "decoder_bias", "initial_state", "independent"];

    #[test]
    fn every_field_of_a_configuration_has_a_row() {
        let config = serde_json::to_value(Config::default()).expect("JSON");
        let object = config.as_object().expect("an object");
        for name in object.keys() {
            let is_derived = DERIVED.contains(&name.as_str());
            assert!(
                ModelOptions::field(name).is_some() != is_derived,
                "{name} has no row, or a row that is not expected"
            );
        }
        // Parts that the default configuration lacks.
        for name in [
            "hidden_sizes",
            "classes",
            "cutoffs",
            "samples",
            "direct_order",
            "context",
            "skip_connection",
            "mogrifier_rounds",
            "mogrifier_rank",
            "residual",
            "cap_input_gate",
            "layer_norm",
            "mixture",
        ] {
            assert!(ModelOptions::field(name).is_some(), "{name}");
        }
    }

    #[test]
    fn options_without_values_resolve_to_the_default() {
        let classes = |_, _| -> Result<Classes> { panic!("there are no classes") };
        let config = Config::default();
        let options = ModelOptions::default();
        let resolved = options.resolve(config.vocab_size, classes);
        assert_eq!(resolved.expect("a configuration"), config);
        let options = ModelOptions::of(&config);
        let resolved = options.resolve(config.vocab_size, classes);
        assert_eq!(resolved.expect("a configuration"), config);
    }
}
