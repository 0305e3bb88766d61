//! The flags of `elman train`.

use std::path::PathBuf;

use clap::Args;

use super::cache_flags::CacheFlags;
use super::safety_flags::SafetyFlags;
use super::vocabulary_flags::VocabularyFlags;
use crate::cli::flag_origins::FlagOrigins;
use crate::cli::table_flags::{Flag, GivenFields, flags_of};
use crate::cli::{RankDeviceFlags, presets};
use crate::error::Result;
use crate::model::{Binning, Classes, Config, ModelOptions};
use crate::train::Recipe;

/// Flags as given, on the command line or in files. Fields that are not given have the defaults of
/// [`Recipe`] and [`ModelOptions`].
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct TrainFlags {
    /// The training text [default: the built-in corpus]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) train: Option<PathBuf>,
    /// The validation text [default: the last tenth of the training text, which is held out]
    #[arg(long, value_name = "FILE")]
    pub(super) valid: Option<PathBuf>,
    /// The directory to write the model to
    #[arg(long, value_name = "DIR", default_value = "model")]
    pub(super) out: PathBuf,
    /// Replace an existing model
    #[arg(long)]
    pub(super) force: bool,
    /// Print what the run would need and do, and write nothing: sizes, memory, the time of an epoch
    /// and of the run, measured on some windows, and all flags with their values
    #[arg(long, conflicts_with_all = ["resume", "force"])]
    pub(super) dry_run: bool,
    /// Resume an interrupted run; the result is bit-identical to an uninterrupted run on the same
    /// device. The model and the recipe cannot change, except for --epochs; --train and --valid
    /// give new locations of the texts
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "force", "preset", "config"])]
    pub(in crate::cli) resume: Option<PathBuf>,
    /// Fine-tune this model on new text
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub(in crate::cli) init: Option<PathBuf>,
    /// Extend the vocabulary of the --init model with the types of the training text, selected by
    /// --vocab-size, --min-count or --vocab; new types start with the parameters of <unk>
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        requires = "init",
        conflicts_with = "resume",
    )]
    pub(super) extend_vocab: Option<bool>,
    /// Read flags from a file with lines such as `lr = 0.1` or `hidden = [200, 100]`, or repeat the
    /// run that wrote the model in DIR; flags on the command line take precedence
    #[arg(long, value_name = "FILE|DIR")]
    pub(in crate::cli) config: Option<PathBuf>,
    #[arg(
        long,
        value_name = "NAME",
        value_parser = presets::names(),
        help = presets::help(),
        hide_possible_values = true,
    )]
    pub(in crate::cli) preset: Option<String>,
    /// Notes to print about flags that come from files.
    #[arg(skip)]
    pub(in crate::cli) notes: Vec<String>,
    /// Where the flags that come from files come from.
    #[arg(skip)]
    pub(in crate::cli) origins: FlagOrigins,
    #[command(flatten)]
    pub(in crate::cli) device: RankDeviceFlags,
    /// Write the run to an event file in DIR, for TensorBoard: losses and rates, and after each
    /// epoch a text that the model generates and histograms of weights and gradients
    #[arg(long, value_name = "DIR", conflicts_with = "dry_run")]
    pub(super) tensorboard: Option<PathBuf>,
    /// Show the run on the whole terminal: a chart of the loss, rates, the time left and a text of
    /// the model after each epoch
    #[arg(long, conflicts_with = "dry_run")]
    pub(super) live: bool,
    #[command(flatten)]
    pub(super) safety: SafetyFlags,
    #[command(flatten)]
    pub(super) cache: CacheFlags,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(in crate::cli) vocabulary: VocabularyFlags,
    /// Initialize the embedding from word vectors in word2vec's text format, plain, gzip or
    /// zstd; words without a vector are initialized randomly
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    pub(super) vectors: Option<PathBuf>,
    #[command(flatten)]
    pub(super) model: GivenFields<ModelOptions>,
    #[command(flatten)]
    pub(super) recipe: GivenFields<Recipe>,
}

impl TrainFlags {
    /// The recipe of the run.
    ///
    /// # Errors
    /// If a flag is invalid.
    pub(in crate::cli) fn recipe(&self) -> Result<Recipe> {
        let recipe = self.recipe.resolve()?;
        recipe.validate()?;
        Ok(recipe)
    }

    /// The configuration of a new model with `vocab_size` types, which `classes` assigns to a
    /// number of classes where there are classes.
    ///
    /// # Errors
    /// If a flag is invalid.
    pub(in crate::cli) fn config(
        &self,
        vocab_size: usize,
        classes: impl FnOnce(usize, Binning) -> Result<Classes>,
    ) -> Result<Config> {
        self.model.resolve()?.resolve(vocab_size, classes)
    }

    /// What determines a new run, beside its texts and its device.
    ///
    /// # Errors
    /// If a flag is invalid.
    pub(in crate::cli) fn run_description(&self) -> Result<String> {
        let mut flags: Vec<Flag> = flags_of(&self.model.resolve()?).collect();
        flags.extend(flags_of(&self.recipe()?));
        let others = (&self.vocabulary, &self.vectors, self.safety.on_divergence);
        Ok(format!("{flags:?} {others:?}"))
    }

    /// The names of the given flags that describe a model, without dashes.
    pub(super) fn given_model_flags(&self) -> impl Iterator<Item = &'static str> {
        self.vocabulary
            .given_model_flags()
            .chain(self.vectors.is_some().then_some("vectors"))
            .chain(self.model.names())
    }
}
