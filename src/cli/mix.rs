//! Flags of `elman eval`, `elman score` and `elman rescore`: models and other sources of
//! probabilities, their weights, and adaptation to the text.

mod sources;

use std::path::{Path, PathBuf};

use clap::Args;

use super::input::named;
use super::models::read_model;
use super::sentence_tags;
use super::vocabulary_warning::vocabulary_warning;
use crate::checkpoint::Checkpoint;
use crate::corpus::{Tokens, Vocabulary};
use crate::error::{Error, Result};
use crate::mixture::{CacheOptions, DynamicOptions, NetworkOptions, NgramReader, Weights};
use crate::ngram::NgramModel;
use crate::parallel::world;

/// Models, other sources, their weights, and adaptation.
#[derive(Debug, Clone, Args)]
pub(super) struct MixFlags {
    #[command(flatten)]
    pub(super) sources: SourceFlags,
    #[command(flatten)]
    pub(super) adaptation: AdaptationFlags,
}

/// Models, other sources and their weights.
#[derive(Debug, Clone, Args)]
pub(super) struct SourceFlags {
    /// Directory that `elman train` wrote; if given several times, the models are mixed: their
    /// probabilities are averaged
    #[arg(long = "model", value_name = "DIR", default_value = "model")]
    pub(super) models: Vec<PathBuf>,
    /// Weights of the models in the mixture, separated by commas [default: equal]
    #[arg(long, value_name = "W,W", value_delimiter = ',')]
    weights: Vec<f64>,
    /// Mix with an n-gram model: an ARPA file of any order, plain, gzip or zstd
    #[arg(long, value_name = "FILE", help_heading = "Interpolation")]
    pub(super) arpa: Option<PathBuf>,
    /// Mix with the probabilities of another model: a file whose lines start with a number, one for
    /// each token of the text and the end of each of its lines
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "arpa",
        help_heading = "Interpolation"
    )]
    pub(super) lm_prob: Option<PathBuf>,
    /// Weight of the networks, all --model together; the other model has the rest [default: 0.5]
    #[arg(
        long,
        value_name = "WEIGHT",
        conflicts_with = "tune",
        allow_negative_numbers = true,
        help_heading = "Interpolation"
    )]
    pub(super) lambda: Option<f64>,
    /// Find the weights of all models, and of --arpa, that maximize the probability of this text
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["weights", "lm_prob"],
        help_heading = "Interpolation",
    )]
    pub(super) tune: Option<PathBuf>,
    /// Words outside the vocabulary: unk reads them as <unk> if the vocabulary has it, skip skips
    /// them [default: unk; skip for models of rnnlm]
    #[arg(long, value_name = "unk|skip")]
    unknown: Option<Unknown>,
}

/// Adaptation of the models to the text that they read.
#[derive(Debug, Clone, Args)]
pub(super) struct AdaptationFlags {
    /// Keep training while reading, with this learning rate (Mikolov 2010's dynamic models)
    #[arg(long, value_name = "RATE", help_heading = "Adaptation")]
    dynamic: Option<f32>,
    /// Tokens between updates of --dynamic [default: 10]
    #[arg(
        long,
        value_name = "N",
        requires = "dynamic",
        help_heading = "Adaptation"
    )]
    dynamic_window: Option<usize>,
    /// Divide the updates of --dynamic by the root mean square of the model's gradients on this
    /// text, such as a part of its training text (Krause 2018)
    #[arg(
        long,
        value_name = "FILE",
        requires = "dynamic",
        help_heading = "Adaptation"
    )]
    dynamic_statistics: Option<PathBuf>,
    /// Fraction by which the weights return to their trained values after each update of --dynamic
    /// [default: 0]
    #[arg(
        long,
        value_name = "PART",
        requires = "dynamic",
        help_heading = "Adaptation"
    )]
    dynamic_decay: Option<f32>,
    /// Cache the last N hidden states and the tokens that followed them, and predict tokens that
    /// followed similar states (Grave 2017)
    #[arg(long, value_name = "N", help_heading = "Adaptation")]
    cache: Option<usize>,
    /// Weight of the cache [default: 0.1]
    #[arg(
        long,
        value_name = "WEIGHT",
        requires = "cache",
        help_heading = "Adaptation"
    )]
    cache_weight: Option<f64>,
    /// Cache flatness θ: the larger, the more similar states must be [default: 0.3]
    #[arg(
        long,
        value_name = "X",
        requires = "cache",
        help_heading = "Adaptation"
    )]
    cache_flatness: Option<f64>,
}

/// How to treat words outside the vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Unknown {
    Unk,
    Skip,
}

/// The sources as read from disk.
pub(super) struct Sources {
    pub(super) checkpoints: Vec<Checkpoint>,
    pub(super) vocabulary: Vocabulary,
    pub(super) ngram: Option<NgramModel>,
    /// The text of --dynamic-statistics.
    pub(super) statistics: Option<Tokens>,
}

impl MixFlags {
    /// The files that are read, with the names of their flags.
    pub(super) fn inputs(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let statistics = &self.adaptation.dynamic_statistics;
        let inputs = self.sources.inputs();
        inputs.chain(named("--dynamic-statistics", statistics))
    }
}

impl SourceFlags {
    /// The files that are read, with the names of their flags.
    pub(super) fn inputs(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let inputs = named("--arpa", &self.arpa).chain(named("--lm-prob", &self.lm_prob));
        inputs.chain(named("--tune", &self.tune))
    }

    /// Reads the models and the n-gram model.
    ///
    /// # Errors
    /// If a file cannot be read, the models have different vocabularies, or flags conflict.
    pub(super) fn read(&self) -> Result<Sources> {
        let checkpoints = self
            .models
            .iter()
            .map(|directory| read_model(directory))
            .collect::<Result<Vec<_>>>()?;
        self.check_vocabularies(&checkpoints)?;
        if !self.weights.is_empty() && self.weights.len() != self.models.len() {
            let rule = format!("there are {} models", self.models.len());
            let list = self
                .weights
                .iter()
                .map(f64::to_string)
                .collect::<Vec<_>>()
                .join(",");
            return Err(Error::usage(
                format!("--weights {list}"),
                rule,
                "Give one weight for each --model",
            ));
        }
        if self.lambda.is_some() && self.arpa.is_none() && self.lm_prob.is_none() {
            return Err(Error::usage(
                "--lambda",
                "there is no other model to mix with",
                "Add --arpa or --lm-prob",
            ));
        }
        if let (Some(path), true) = (&self.tune, self.models.len() == 1 && self.arpa.is_none()) {
            return Err(Error::usage(
                format!("--tune {}", path.display()),
                "there is one model, whose weight is 1",
                "Add --arpa FILE or another --model DIR to mix it with, or remove --tune",
            ));
        }
        // Of several ranks, the first one mixes.
        let arpa = self.arpa.as_deref().filter(|_| world().is_first());
        let ngram = arpa.map(NgramModel::read).transpose()?;
        let vocabulary = checkpoints[0].vocabulary.clone();
        let vocabulary = match self.unknown {
            None => vocabulary,
            Some(Unknown::Skip) => vocabulary.skipping_unknown(),
            Some(Unknown::Unk) => vocabulary.mapping_unknown(),
        };
        if let (Some(path), Some(ngram)) = (&self.arpa, &ngram) {
            // Reject a model that cannot be mixed before comparing words.
            NgramReader::new(ngram, &vocabulary)?;
            if let Some(warning) = vocabulary_warning(path, ngram, &self.models[0], &vocabulary) {
                stderr_line!("{warning}");
            }
        }
        Ok(Sources {
            checkpoints,
            vocabulary,
            ngram,
            statistics: None,
        })
    }

    /// Checks that all models have the same vocabulary: only probabilities of the same tokens can
    /// be averaged.
    fn check_vocabularies(&self, checkpoints: &[Checkpoint]) -> Result<()> {
        let first = &checkpoints[0];
        for (directory, checkpoint) in self.models.iter().zip(checkpoints).skip(1) {
            if checkpoint.vocabulary != first.vocabulary
                || checkpoint.description.unit != first.description.unit
            {
                let size = |one: &Checkpoint| {
                    format!("{} {}", one.vocabulary.len(), one.description.unit.plural())
                };
                return Err(Error::invalid(
                    format!("--model {}", directory.display()),
                    format!(
                        "its vocabulary of {} differs from that of {}, of {}, and only \
                         probabilities of the same tokens can be averaged",
                        size(checkpoint),
                        self.models[0].display(),
                        size(first)
                    ),
                    "Use models that were trained on one text, with the same --unit, --vocab-size \
                     and --min-count",
                ));
            }
        }
        Ok(())
    }

    /// The weights that the flags give, without --tune.
    pub(super) fn weights(&self) -> Result<Weights> {
        let models = match self.weights.as_slice() {
            [] => Weights::even(self.models.len()),
            weights => Weights::new(weights)?,
        };
        if self.arpa.is_none() && self.lm_prob.is_none() {
            Ok(models)
        } else {
            models.with_other(self.lambda.unwrap_or(0.5))
        }
    }
}

impl AdaptationFlags {
    /// Reads the text of --dynamic-statistics.
    pub(super) fn read(&self, sources: &mut Sources) -> Result<()> {
        if let Some(path) = &self.dynamic_statistics {
            let unit = sources.checkpoints[0].description.unit;
            let (tokens, _) = sentence_tags::read_text(path, unit, &sources.vocabulary)?;
            sources.statistics = Some(tokens);
        }
        Ok(())
    }

    /// The flags with which a token depends on all tokens before it, and whether each is given.
    pub(super) fn given(&self) -> [(&'static str, bool); 2] {
        [
            ("--dynamic", self.dynamic.is_some()),
            ("--cache", self.cache.is_some()),
        ]
    }

    /// Whether the models adapt to the text.
    pub(super) fn is_given(&self) -> bool {
        self.given().iter().any(|(_, is_given)| *is_given)
    }

    /// The options of the networks.
    pub(super) fn options(&self, independent: bool) -> Result<NetworkOptions> {
        let dynamic = self.dynamic.map(|rate| DynamicOptions {
            rate,
            decay: self.dynamic_decay.unwrap_or(0.0),
            window: self.dynamic_window.unwrap_or(10),
        });
        let cache = self.cache.map(|size| CacheOptions {
            size,
            flatness: self.cache_flatness.unwrap_or(0.3),
            weight: self.cache_weight.unwrap_or(0.1),
        });
        dynamic.map_or(Ok(()), |dynamic| dynamic.validate())?;
        cache.map_or(Ok(()), |cache| cache.validate())?;
        Ok(NetworkOptions {
            independent,
            dynamic,
            cache,
            ..NetworkOptions::default()
        })
    }
}
