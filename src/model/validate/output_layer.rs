//! Checks of the settings of output layers.

use super::MIXTURE_HINT;
use crate::error::{Error, Result};
use crate::kernels::BLOCK;
use crate::model::config::{Config, MAX_DIRECT_ORDER, MAX_MIXTURE};
use crate::model::format::comma_separated;
use crate::model::output::OutputKind;
use crate::model::outputs::{output_kind, outputs_with};

impl Config {
    /// Checks the settings of the output layer.
    pub(super) fn validate_output(&self) -> Result<()> {
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
        needs: impl Fn(&OutputKind) -> bool,
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
