//! Checks of configurations.

mod output_layer;

use super::cells::{CELLS, cell_kind};
use super::config::{Config, MAX_ROUNDS};
use super::format::comma_separated;
use super::outputs::{OUTPUTS, output_kind};
use crate::error::{Error, Result};
use crate::kernels::{MAX_CARRIED_TYPES, MAX_CONTEXT};

/// Units of a layer, types, and so on: products of two sizes and the number of gates fit `usize`,
/// and ids fit 32 bits.
const MAX_SIZE: usize = (1 << 28) - 1;
/// Layers. A file that is damaged may state any number.
const MAX_LAYERS: usize = 1000;

/// What to do about a wrong number of mixed softmaxes.
pub(super) const MIXTURE_HINT: &str =
    "15 is the published value. 1 is the plain softmax: remove `mixture` for that";

/// What to do about a wrong number of rounds.
pub(super) const ROUNDS_HINT: &str =
    "5 is the published value. Without rounds it is an LSTM: use `cell = lstm` for that";

impl Config {
    /// Checks that the configuration is that of a model.
    ///
    /// # Errors
    /// If a size is too small, a cell or an output layer is unknown, or settings contradict each
    /// other.
    pub fn validate(&self) -> Result<()> {
        between("hidden_size", self.hidden_size, 1, MAX_SIZE)?;
        between("num_layers", self.num_layers, 1, MAX_LAYERS)?;
        between("vocab_size", self.vocab_size, 2, MAX_SIZE)?;
        between("embedding_size", self.embedding_size, 0, MAX_SIZE)?;
        between("compression_size", self.compression_size, 0, MAX_SIZE)?;
        between("mogrifier_rank", self.mogrifier_rank, 0, MAX_SIZE)?;
        for &size in &self.hidden_sizes {
            between("hidden_sizes", size, 0, MAX_SIZE)?;
        }
        if !self.hidden_sizes.is_empty()
            && (self.hidden_sizes.len() != self.num_layers || self.hidden_sizes.contains(&0))
        {
            return Err(Error::config(
                "hidden_sizes",
                comma_separated(&self.hidden_sizes),
                format!(
                    "`num_layers = {}` needs one size of at least 1 for each layer",
                    self.num_layers
                ),
                "Give one size for all layers, or one for each layer",
            ));
        }
        check_name("cell", &self.cell, CELLS.iter().map(|row| row.name))?;
        self.validate_context()?;
        self.validate_embedding()?;
        self.validate_zoneout()?;
        self.validate_rounds()?;
        self.validate_residual()?;
        self.validate_variants()?;
        check_name("output", &self.output, OUTPUTS.iter().map(|row| row.name))?;
        self.validate_output()
    }

    /// Whether the output layer can have past decode regularization: a single full softmax whose
    /// weight is the embedding.
    pub fn supports_past_decode(&self) -> bool {
        self.tied && self.mixture == 0 && output_kind(self).supports_past_decode
    }

    /// Checks the settings of feed-forward networks.
    fn validate_context(&self) -> Result<()> {
        if !cell_kind(self).is_feed_forward() {
            return self.validate_recurrent();
        }
        if !(1..=MAX_CONTEXT).contains(&self.context) {
            return Err(Error::config(
                "context",
                self.context,
                format!("a feed-forward network reads from 1 to {MAX_CONTEXT} words"),
                "The default is 4",
            ));
        }
        if self.embedding_size == 0 {
            return Err(Error::config(
                "cell",
                &self.cell,
                "a feed-forward network reads embedded words, and there is no embedding",
                "Set `embedding` too",
            ));
        }
        if self.num_layers > 1 {
            let (field, value) = match self.hidden_sizes.len() {
                0 | 1 => ("num_layers", self.num_layers.to_string()),
                _ => ("hidden_sizes", comma_separated(&self.hidden_sizes)),
            };
            return Err(Error::config(
                field,
                value,
                "a feed-forward network has one layer of hidden units",
                "Use one layer, or a recurrent cell",
            ));
        }
        if self.vocab_size > MAX_CARRIED_TYPES {
            return Err(Error::config(
                "vocab_size",
                self.vocab_size,
                format!("a feed-forward network has at most {MAX_CARRIED_TYPES} types"),
                "Use a smaller vocabulary",
            ));
        }
        Ok(())
    }

    /// Checks that a recurrent network has no settings of feed-forward ones, and an embedding where
    /// it needs one.
    fn validate_recurrent(&self) -> Result<()> {
        let kind = cell_kind(self);
        let settings = [
            ("context", self.context, self.context > 0),
            ("skip_connection", 1, self.skip_connection),
        ];
        for (field, value, is_on) in settings {
            if is_on {
                return Err(Error::config(
                    field,
                    value,
                    format!("`cell = {}` reads one word after the other", self.cell),
                    format!("Use `cell = feedforward`, or remove `{field}`"),
                ));
            }
        }
        let reads_words = kind.reads_previous_input || kind.rounds.is_some();
        if reads_words && self.embedding_size == 0 {
            return Err(Error::config(
                "cell",
                &self.cell,
                "its first layer reads embedded words, and there is no embedding",
                "Set `embedding` too",
            ));
        }
        Ok(())
    }

    /// Checks that layers whose input is added to what they pass on have one size.
    fn validate_residual(&self) -> Result<()> {
        let fails = |rule: String, hint: String| Err(Error::config("residual", true, rule, hint));
        if !self.residual {
            return Ok(());
        }
        if cell_kind(self).is_feed_forward() {
            return fails(
                "a feed-forward network has one layer of hidden units".into(),
                "Use a recurrent cell, or `skip_connection`".into(),
            );
        }
        let unequal = (1..self.num_layers).find(|&layer| !self.has_residual(layer));
        if let Some(layer) = unequal {
            return fails(
                format!(
                    "layer {} has {} units and reads {} values, which cannot be added",
                    layer + 1,
                    self.layer_size(layer),
                    self.layer_size(layer - 1)
                ),
                "Give all layers one size, or remove `residual`".into(),
            );
        }
        if self.num_layers == 1 && !self.has_residual(0) {
            let size = self.layer_size(0);
            let input = match self.embedding_size {
                0 => "one-hot words".to_owned(),
                values => format!("{values} values"),
            };
            return fails(
                format!("the only layer has {size} units and reads {input}, which cannot be added"),
                format!("Use `embedding = {size}`, several `layers`, or remove `residual`"),
            );
        }
        Ok(())
    }

    /// Checks that the cell has the variants that are configured.
    fn validate_variants(&self) -> Result<()> {
        let kind = cell_kind(self);
        let variants = [
            (
                "cap_input_gate",
                self.cap_input_gate && !kind.has_capped_gate,
                "no input gate beside a forget gate",
                "`cell = lstm` or `cell = mogrifier`",
            ),
            (
                "layer_norm",
                self.layer_norm && !kind.has_layer_norm,
                "no layer normalization",
                "`cell = lstm`",
            ),
        ];
        match variants.iter().find(|(_, is_wrong, ..)| *is_wrong) {
            None => Ok(()),
            Some((field, _, lacks, cells)) => Err(Error::config(
                *field,
                true,
                format!("`cell = {}` has {lacks}", self.cell),
                format!("Use {cells}, or remove `{field}`"),
            )),
        }
    }

    /// Checks the rate of zoneout.
    fn validate_zoneout(&self) -> Result<()> {
        if self.zoneout == 0.0 || cell_kind(self).has_zoneout && (0.0..1.0).contains(&self.zoneout)
        {
            return Ok(());
        }
        Err(Error::config(
            "zoneout",
            self.zoneout,
            match cell_kind(self).has_zoneout {
                true => "the rate must be at least 0 and below 1".to_owned(),
                false => format!("`cell = {}` has no zoneout", self.cell),
            },
            "Use `cell = qrnn` and a rate below 1, or remove it",
        ))
    }

    /// Checks the rounds of a mogrifier.
    fn validate_rounds(&self) -> Result<()> {
        let [rounds, rank] = [self.mogrifier_rounds, self.mogrifier_rank];
        if cell_kind(self).rounds.is_none() {
            let settings = [("mogrifier_rounds", rounds), ("mogrifier_rank", rank)];
            return match settings.into_iter().find(|(_, value)| *value > 0) {
                None => Ok(()),
                Some((field, value)) => Err(Error::config(
                    field,
                    value,
                    format!("`cell = {}` has no rounds", self.cell),
                    format!("Use `cell = mogrifier`, or remove `{field}`"),
                )),
            };
        }
        if !(1..=MAX_ROUNDS).contains(&rounds) {
            return Err(Error::config(
                "mogrifier_rounds",
                rounds,
                format!("it must be from 1 to {MAX_ROUNDS}"),
                ROUNDS_HINT,
            ));
        }
        for layer in 0..self.num_layers {
            let [input, size] = [self.input_size(layer), self.layer_size(layer)];
            let least = input.min(size);
            if rank >= least {
                return Err(Error::config(
                    "mogrifier_rank",
                    rank,
                    format!(
                        "it must be below both sizes of the matrices of layer {}, {input} and \
                         {size}",
                        layer + 1
                    ),
                    match least {
                        1 => "Use 0, which is a full matrix".to_owned(),
                        _ => format!("Use at most {}, or 0 for full matrices", least - 1),
                    },
                ));
            }
        }
        Ok(())
    }

    /// Checks the settings that depend on the embedding.
    fn validate_embedding(&self) -> Result<()> {
        let size = self.embedding_size;
        let read = self.output_size();
        for (field, is_on) in [("tied", self.tied), ("projection", self.projection)] {
            if is_on && size == 0 {
                return Err(Error::config(
                    field,
                    true,
                    "there is no embedding",
                    "Set `embedding_size` too",
                ));
            }
        }
        if self.compression_size > 0 && (self.projection || self.tied) {
            return Err(Error::config(
                "compression_size",
                self.compression_size,
                "a compression layer cannot be combined with `projection` or `tied`",
                "Remove one of them",
            ));
        }
        if self.tied && !self.projection && self.mixture == 0 && size != read {
            return Err(Error::config(
                "tied",
                true,
                format!(
                    "the output layer reads the last layer's {read} values, but the embedding has \
                     {size}"
                ),
                match self.skip_connection {
                    true => "Use `projection` too, or remove `skip_connection`".to_owned(),
                    false => format!(
                        "Use `embedding_size = {read}`, or `projection`, which projects {read} \
                         values to {size}"
                    ),
                },
            ));
        }
        Ok(())
    }
}

fn between(field: &str, value: usize, least: usize, most: usize) -> Result<()> {
    let (rule, hint) = if value < least {
        (
            format!("it must be at least {least}"),
            format!("Use {least} or more"),
        )
    } else if value > most {
        (
            format!("it must be at most {most}"),
            "Use a smaller number".to_owned(),
        )
    } else {
        return Ok(());
    };
    Err(Error::config(field, value, rule, hint))
}

fn check_name(
    field: &str,
    name: &str,
    mut names: impl Iterator<Item = &'static str> + Clone,
) -> Result<()> {
    let list = names.clone().collect::<Vec<_>>().join(", ");
    if names.any(|row| row == name) {
        return Ok(());
    }
    Err(Error::config(
        field,
        name,
        "there is none with this name",
        format!("Use one of {list}"),
    ))
}
