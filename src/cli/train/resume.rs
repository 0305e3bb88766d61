//! Resuming an interrupted run.

use std::path::Path;

use super::counted;
use super::flags::TrainFlags;
use super::training_run::TrainingRun;
use crate::checkpoint::{
    Checkpoint, CorpusRecord, Description, LockedDirectory, TrainingRecord, TrainingState,
};
use crate::cli::models::open_model;
use crate::cli::{message, quoted, replay};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::model::Classes;
use crate::train::{CorpusShare, DeviceRecord, Progress, Recipe, Trainer, check_precision};

/// A run saved on disk.
pub(super) struct SavedRun {
    pub(super) checkpoint: Checkpoint,
    training: TrainingState,
}

impl SavedRun {
    /// Reads a run.
    ///
    /// # Errors
    /// If it cannot be read, or the flags contradict it.
    pub(super) fn read(flags: &TrainFlags, directory: &LockedDirectory) -> Result<Self> {
        restore_if_damaged(directory)?;
        let files = open_model(directory)?;
        let checkpoint = files.checkpoint()?;
        let training = files.training_state(&checkpoint)?;
        check_unchanged(flags, directory, &checkpoint.description, &training.record)?;
        check_epochs(flags, directory, &training.record)?;
        Ok(Self {
            checkpoint,
            training,
        })
    }

    /// The recipe with which the run continues: its own, with the epochs that the flags give.
    ///
    /// # Errors
    /// If the number of epochs cannot change as requested.
    pub(super) fn recipe(&self, flags: &TrainFlags) -> Result<Recipe> {
        let recipe = self.training.record.recipe.clone();
        match flags.recipe.value("epochs") {
            Some(_) => recipe.with_epochs(flags.recipe()?.epochs),
            None => Ok(recipe),
        }
    }

    /// The record of the run.
    pub(super) fn record(&self) -> &TrainingRecord {
        &self.training.record
    }

    /// Checks that the run was started with this training text.
    ///
    /// # Errors
    /// If it was another one.
    pub(super) fn check_text(&self, record: &CorpusRecord) -> Result<()> {
        if self.training.record.corpus.sha256 == record.sha256 {
            return Ok(());
        }
        let text = match &record.train {
            Some(path) => path.display().to_string(),
            None => "the built-in corpus".into(),
        };
        Err(Error::invalid(
            text,
            "it is not the text that the run was started with: its SHA-256 differs",
            "Give --train the original file, or start a new run",
        ))
    }

    /// Resumes the run on a corpus.
    ///
    /// # Errors
    /// If the training text is another one.
    pub(super) fn resume<'c>(
        self,
        device: &mut Device,
        flags: &'c TrainFlags,
        recipe: Recipe,
        share: CorpusShare<'c>,
        record: CorpusRecord,
        directory: LockedDirectory,
    ) -> Result<TrainingRun<'c>> {
        self.check_text(&record)?;
        check_device(device, &directory, &recipe)?;
        let saved = self.training.record;
        let device_before = saved.progress.device.clone();
        // The rest of the record says how the run was started.
        let record = CorpusRecord {
            train: record.train,
            valid: record.valid,
            ..saved.corpus
        };
        let corpus = share.corpus;
        let trainer = Trainer::resume(
            device,
            self.checkpoint.description.config.clone(),
            self.training.snapshot,
            saved.progress,
            recipe,
            share,
        )?;
        note_other_device(device_before, trainer.progress());
        note_finished(&directory, &trainer);
        let model = (trainer, self.checkpoint.description);
        Ok(TrainingRun::new(
            flags, model, corpus, record, directory, true,
        ))
    }
}

/// Where a file of the checkpoint is damaged or missing, restores the newest complete one.
fn restore_if_damaged(directory: &LockedDirectory) -> Result<()> {
    let Some(restored) = directory.restore_if_damaged()? else {
        return Ok(());
    };
    stderr_line!(
        "warning: {}. The run continues from the newest complete checkpoint, {}, after {}; the \
         damaged files are in {}",
        message(&restored.damage),
        quoted(&restored.generation.path),
        counted(restored.generation.updates.into(), "update"),
        quoted(&restored.damaged_files)
    );
    Ok(())
}

/// Checks that the run has not already trained more than the requested epochs.
fn check_epochs(flags: &TrainFlags, directory: &Path, record: &TrainingRecord) -> Result<()> {
    let progress = &record.progress;
    let started = progress.epochs + usize::from(progress.window > 0);
    let epochs = flags.recipe()?.epochs;
    let is_given = flags.recipe.value("epochs").is_some() && epochs != record.recipe.epochs;
    if !is_given || epochs >= started {
        return Ok(());
    }
    let position = if progress.window > 0 {
        format!("is already in epoch {started}")
    } else {
        format!("has already completed {started} epochs")
    };
    Err(Error::usage(
        format!("--epochs {epochs} with --resume"),
        format!("the run in {} {position}", directory.display()),
        format!("Use --epochs {started} or more, or start a new run with --out"),
    ))
}

/// Checks that the device can continue the run, whose precision cannot change.
fn check_device(device: &Device, directory: &Path, recipe: &Recipe) -> Result<()> {
    check_precision(device, recipe.precision).map_err(|_| {
        let directory = quoted(directory);
        Error::invalid(
            format!("--resume {directory} on {}", device.name()),
            "the run is one with --precision mixed, and this device has no f16 for compute shaders",
            format!(
                "Use a device that `elman devices` lists with f16, or train the model further in \
                 a new run in full precision: --init {directory} with --out"
            ),
        )
    })
}

/// Prints a note where the run was on another device, or with other threads.
fn note_other_device(before: Option<DeviceRecord>, progress: &Progress) {
    let (Some(before), Some(now)) = (before, &progress.device) else {
        return;
    };
    if before != *now {
        note_line!(
            "note: the run was on {before} and continues on {now}: its bits may differ from those \
             of an uninterrupted run"
        );
    }
}

/// Prints a note where there is nothing to resume.
fn note_finished(directory: &Path, trainer: &Trainer) {
    if !trainer.is_finished() {
        return;
    }
    let directory = quoted(directory);
    let epochs = trainer.progress().epochs;
    let (reason, hint) = if trainer.progress().cut_short {
        (
            format!("its budget of time ended it in epoch {epochs}"),
            format!("--init {directory} with --out trains its model further"),
        )
    } else if trainer.progress().stopped {
        (
            format!("its schedule ended it after {epochs} epochs"),
            format!("--init {directory} with --out trains its model further"),
        )
    } else if trainer.recipe().schedule.needs_total_updates() {
        (
            format!("all {epochs} epochs are complete"),
            format!("--init {directory} with --out trains its model further"),
        )
    } else {
        (
            format!("all {epochs} epochs are complete"),
            "--epochs with a larger number continues it".to_owned(),
        )
    };
    note_line!(
        "note: the run in {directory} is finished: {reason}. There is nothing to resume; {hint}"
    );
}

/// Checks that no flag changes the model or the recipe of a run, except for the epochs.
fn check_unchanged(
    flags: &TrainFlags,
    directory: &Path,
    description: &Description,
    record: &TrainingRecord,
) -> Result<()> {
    let given = given_run(flags, description, record)?;
    let saved = replay::run_flags(description, &record.corpus, &record.recipe);
    let Some(((name, value), other)) = replay::first_difference(given, &saved) else {
        return Ok(());
    };
    let other = match other {
        Some(other) => format!("with --{name} {}", other.display()),
        None => format!("without --{name}"),
    };
    Err(Error::usage(
        format!("--{name} {} with --resume", value.display()),
        format!(
            "the run in {} was started {other}, and the model and the recipe of a resumed run \
             cannot change",
            directory.display()
        ),
        "Remove the flag, or start a new run with --out",
    ))
}

/// The flags of a run as the command line describes it, with the epochs and texts of the saved one.
fn given_run(
    flags: &TrainFlags,
    description: &Description,
    record: &TrainingRecord,
) -> Result<Vec<replay::Flag>> {
    let vocab_size = description.config.vocab_size;
    // The sizes of classes follow from the other fields and the text.
    let classes = |asked, binning| {
        let sizes = match description.config.class_sizes() {
            [] => vec![vocab_size],
            sizes => sizes.to_vec(),
        };
        Ok(Classes {
            asked,
            binning,
            sizes,
        })
    };
    let description = Description {
        unit: flags.vocabulary.unit(),
        config: flags.config(vocab_size, classes)?,
        ..description.clone()
    };
    let recipe = Recipe {
        epochs: record.recipe.epochs,
        ..flags.recipe()?
    };
    let corpus = CorpusRecord {
        limits: flags.vocabulary.limits()?,
        tokenizer: flags.vocabulary.tokenizer.clone(),
        vocab: flags.vocabulary.vocab.clone(),
        vectors: flags.vectors.clone(),
        ..record.corpus.clone()
    };
    Ok(replay::run_flags(&description, &corpus, &recipe))
}
