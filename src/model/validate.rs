//! Checks of configurations.

use super::cells::{CELLS, cell_kind};
use super::config::{Config, MAX_DIRECT_ORDER, MAX_MIXTURE, MAX_ROUNDS};
use super::format::comma_separated;
use super::outputs::{OUTPUTS, output_kind, outputs_with};
use crate::error::{Error, Result};
use crate::kernels::{BLOCK, MAX_CARRIED_TYPES, MAX_CONTEXT};

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
        at_least("hidden_size", self.hidden_size, 1)?;
        at_least("num_layers", self.num_layers, 1)?;
        at_least("vocab_size", self.vocab_size, 2)?;
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

    /// Checks the settings of the output layer.
    fn validate_output(&self) -> Result<()> {
        let kind = output_kind(self);
        let cutoffs = self
            .clusters
            .as_ref()
            .map(|clusters| comma_separated(&clusters.cutoffs));
        let samples = self.noise.map(|noise| noise.samples.to_string());
        let classes = self.classes.as_ref().map(|one| one.asked.to_string());
        self.check_part("clusters", "cutoffs", cutoffs, |row| row.has_clusters)?;
        self.check_part("noise", "samples", samples, |row| row.has_noise)?;
        self.check_part("classes", "classes", classes, |row| row.has_classes)?;
        if let Some(clusters) = &self.clusters {
            clusters.validate(self.vocab_size)?;
        }
        if let Some(noise) = &self.noise {
            noise.validate()?;
        }
        if let Some(classes) = &self.classes {
            classes.validate(self.vocab_size)?;
        }
        if self.tied && !kind.supports_tied {
            return Err(Error::config(
                "tied",
                true,
                format!(
                    "the embedding cannot be the output layer's weight with `output = {}`",
                    self.output
                ),
                format!(
                    "Remove `tied`, or use {}",
                    outputs_with(|row| row.supports_tied)
                ),
            ));
        }
        if self.direct_size > 0 {
            self.validate_direct()?;
        }
        if self.past_decode && !self.supports_past_decode() {
            return Err(Error::config(
                "past_decode",
                true,
                "it decodes the distribution of one full softmax by the tied embedding",
                "Use `output = softmax` and `tied` without `mixture`, or remove it",
            ));
        }
        match self.mixture {
            0 => Ok(()),
            _ => self.validate_mixture(),
        }
    }

    /// Checks the settings of a mixture of softmaxes.
    fn validate_mixture(&self) -> Result<()> {
        let count = self.mixture;
        let fails = |rule: String, hint: String| Err(Error::config("mixture", count, rule, hint));
        if !(2..=MAX_MIXTURE).contains(&count) {
            return fails(
                format!("it must be from 2 to {MAX_MIXTURE}"),
                MIXTURE_HINT.into(),
            );
        }
        if !output_kind(self).supports_mixture {
            return fails(
                format!("`output = {}` cannot be mixed", self.output),
                format!(
                    "Use {}, or remove `mixture`",
                    outputs_with(|row| row.supports_mixture)
                ),
            );
        }
        for (field, is_on) in [
            ("projection", self.projection),
            ("compression", self.compression_size > 0),
        ] {
            if is_on {
                return fails(
                    format!(
                        "every softmax of a mixture has its own matrix between the last layer and \
                         the output layer's weight, and `{field}` would be another one before it"
                    ),
                    format!(
                        "Remove `{field}`: with `tied`, the matrices of the mixture change the \
                         size from H to that of the embedding, otherwise they keep H"
                    ),
                );
            }
        }
        Ok(())
    }

    /// Checks that a part of an output layer is configured if the layer needs it, and only then.
    /// `part` is its field, `setting` the field by which users configure it, and `value` the
    /// configured value.
    fn check_part(
        &self,
        part: &str,
        setting: &str,
        value: Option<String>,
        needs: impl Fn(&super::OutputKind) -> bool,
    ) -> Result<()> {
        let output = &self.output;
        match (needs(output_kind(self)), value) {
            (true, Some(_)) | (false, None) => Ok(()),
            (true, None) => Err(Error::invalid(
                format!("a model with `output = {output}`"),
                format!("its configuration has no {part}"),
                "Restore config.json, or train the model again",
            )),
            (false, Some(value)) => Err(Error::config(
                setting,
                value,
                format!("`output = {output}` has no {part}"),
                format!("Use {}, or remove `{setting}`", outputs_with(needs)),
            )),
        }
    }

    /// Checks the settings of direct connections.
    fn validate_direct(&self) -> Result<()> {
        let size = self.direct_size;
        if !output_kind(self).supports_direct {
            return Err(Error::config(
                "direct_size",
                size,
                format!("`output = {}` has no direct connections", self.output),
                format!(
                    "Use {}; with `classes = 1` it is the full softmax",
                    outputs_with(|row| row.supports_direct)
                ),
            ));
        }
        if !size.is_multiple_of(BLOCK) || u32::try_from(size).is_err() {
            return Err(Error::config(
                "direct_size",
                size,
                format!("it must be a multiple of {BLOCK} below 2^32"),
                format!("Use {}", size.next_multiple_of(BLOCK).min(1 << 31)),
            ));
        }
        if !(1..=MAX_DIRECT_ORDER).contains(&self.direct_order) {
            return Err(Error::config(
                "direct_order",
                self.direct_order,
                format!("n-grams have from 1 to {MAX_DIRECT_ORDER} words"),
                "The default is 3",
            ));
        }
        Ok(())
    }
}

fn at_least(field: &str, value: usize, minimum: usize) -> Result<()> {
    if value >= minimum {
        return Ok(());
    }
    Err(Error::config(
        field,
        value,
        format!("it must be at least {minimum}"),
        format!("Use {minimum} or more"),
    ))
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
