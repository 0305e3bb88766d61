//! `elman train --tensorboard DIR`: the run as event files.
//!
//! In: what the run reports. Out: numbers during an epoch; after it also its losses, a text that
//! the model generates, and histograms of weights and gradients. The horizontal axis is the number
//! of updates.

use std::fs;
use std::path::Path;

use super::step_report::StepReport;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::tensorboard::EventWriter;
use crate::train::{EpochRecord, LastUpdate, Trainer};

/// Creates the directory of event files and checks that it can be written, before a run reads its
/// text.
///
/// # Errors
/// If it cannot be created or written.
pub(super) fn check_directory(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
    tempfile::tempfile_in(directory)
        .map(drop)
        .map_err(Error::io("write", directory))
}

/// The event file of a run.
pub(super) struct EventFile {
    writer: EventWriter,
    /// Updates that are reported. A GPU has already started the next ones.
    updates: u64,
}

impl EventFile {
    /// A new file in `directory`, for a run that starts or is resumed.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn create(directory: &Path, trainer: &Trainer) -> Result<Self> {
        let updates = u64::from(trainer.progress().step);
        Ok(Self {
            writer: EventWriter::create(directory, updates + 1)?,
            updates,
        })
    }

    /// Adds the measurements of some steps.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(super) fn steps(&mut self, trainer: &Trainer, report: &StepReport) -> Result<()> {
        // The last of the steps completes an update.
        self.updates += report.windows.div_ceil(trainer.recipe().accumulate) as u64;
        self.writer.scalars(
            self.updates,
            &[
                ("loss/train", report.loss),
                ("gradient_norm", report.gradient_norm),
                ("learning_rate", f64::from(trainer.learning_rate())),
                ("tokens_per_second", report.tokens_per_second),
            ],
        )
    }

    /// Adds an epoch: its losses, a text of the model, and the distributions of weights and
    /// gradients.
    ///
    /// # Errors
    /// If the device fails or the file cannot be written.
    pub(super) fn epoch(
        &mut self,
        device: &mut Device,
        trainer: &Trainer,
        record: &EpochRecord,
    ) -> Result<()> {
        let step = u64::from(trainer.progress().step);
        self.updates = step;
        self.writer.scalars(
            step,
            &[
                ("loss/epoch", record.train_loss),
                ("loss/validation", record.valid_loss),
                ("perplexity/validation", record.valid_perplexity),
            ],
        )?;
        if let Some(update) = &record.last_update {
            self.last_update(step, update)?;
        }
        let model = trainer.model();
        if let Some(text) = &record.sample {
            self.writer.text(step, "sample", &as_markdown(text))?;
        }
        let parameters = model.parameters();
        for (spec, tensor) in parameters.specs().iter().zip(parameters.tensors()) {
            let values = device.download(tensor)?;
            let tag = format!("weights/{}", spec.name);
            self.writer.histogram(step, &tag, &values)?;
        }
        for (name, values) in trainer.gradients(device)? {
            let tag = format!("gradients/{name}");
            self.writer.histogram(step, &tag, &values)?;
        }
        Ok(())
    }

    /// Adds how far the last update moved each parameter, and the saturation of each layer.
    fn last_update(&mut self, step: u64, update: &LastUpdate) -> Result<()> {
        let ratios = update.parameters.iter().filter_map(|(name, change)| {
            Some((format!("update_ratio/{name}"), change.update_ratio?))
        });
        let layers = update.saturation.iter().enumerate();
        let saturation = layers.map(|(layer, &share)| (format!("saturation/l{layer}"), share));
        let values: Vec<(String, f32)> = ratios.chain(saturation).collect();
        let scalars: Vec<(&str, f64)> = values
            .iter()
            .map(|(tag, value)| (tag.as_str(), f64::from(*value)))
            .collect();
        self.writer.scalars(step, &scalars)
    }
}

/// The text as a block of code, so that Markdown keeps its lines and signs.
fn as_markdown(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("    {line}")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_keep_their_lines() {
        assert_eq!(as_markdown("* a\n\nb"), "    * a\n    \n    b");
    }
}
