//! The start of a new run: a new model, or one to fine-tune.

use std::path::Path;

use super::extend::extend;
use super::flags::TrainFlags;
use super::model_conditions;
use super::texts::TrainingText;
use super::training_run::TrainingRun;
use crate::checkpoint::vectors::WordVectors;
use crate::checkpoint::{Checkpoint, CorpusRecord, Description, FORMAT, LockedDirectory};
use crate::cli::given_vocabulary::given_vocabulary;
use crate::cli::models::read_model;
use crate::corpus::{Corpus, Vocabulary, types_of_training_text};
use crate::decompress;
use crate::device::{Device, check_memory};
use crate::error::{Error, Result};
use crate::model::{
    Classes, Config, EMBEDDING_WEIGHT, ParameterValues, add_past_decoder, find_parameter,
    initial_values, parameter_specs, set_forget_bias,
};
use crate::prepared::is_prepared;
use crate::train::{CorpusShare, Recipe, Trainer};

/// The model of `--init`, if it is given, with its vocabulary extended as requested.
///
/// # Errors
/// If the model cannot be read, or a flag contradicts it.
pub(super) fn initial_model(flags: &TrainFlags, text: &TrainingText) -> Result<Option<Checkpoint>> {
    let Some(directory) = &flags.init else {
        return Ok(None);
    };
    if let Some(flag) = flags.given_model_flags().next() {
        return Err(Error::usage(
            format!("--{} with --init", flag.replace('_', "-")),
            format!("the model is that of {}", directory.display()),
            "Remove it, or train a new model without --init",
        ));
    }
    if let Some(bias) = flags.recipe.value("forget_bias") {
        return Err(Error::usage(
            format!("--forget-bias {bias} with --init"),
            "the initial parameters are those of the model",
            "Remove it",
        ));
    }
    let checkpoint = read_model(directory)?;
    if !flags.extend_vocab.unwrap_or(false) {
        if flags.vocabulary.selects_types() {
            return Err(Error::usage(
                "--vocab-size, --min-count or --vocab with --init",
                "the vocabulary is the model's",
                "Add --extend-vocab, or remove them",
            ));
        }
        return Ok(Some(checkpoint));
    }
    let unit = checkpoint.description.unit;
    let other = match flags.vocabulary.vocab.as_slice() {
        [] if text
            .path()
            .is_some_and(|path| decompress::is_read_once(&path)) =>
        {
            return Err(Error::usage(
                "--train with a pipe or standard input, and --extend-vocab",
                "the text is read twice, for its types and for training, and a pipe once",
                "Write the text to a file, or list the types' texts with --vocab",
            ));
        }
        [] if text.path().is_some_and(|path| is_prepared(&path)) => {
            return Err(Error::usage(
                "a prepared text with --extend-vocab",
                "its types are selected already",
                "Give --train the text itself, or list the types' texts with --vocab",
            ));
        }
        [] => {
            let limits = flags.vocabulary.limits()?;
            types_of_training_text(text.source(), flags.valid.is_some(), unit, limits)?
        }
        texts => given_vocabulary(texts, unit)?,
    };
    let before = checkpoint.vocabulary.len();
    let checkpoint = extend(checkpoint, &other)?;
    note_line!(
        "{} types beside the model's {before}",
        checkpoint.vocabulary.len() - before
    );
    Ok(Some(checkpoint))
}

/// A new run, of a new model or of the model of `--init`.
///
/// # Errors
/// As [`trainer`].
pub(super) fn start<'a>(
    device: &mut Device,
    flags: &'a TrainFlags,
    recipe: Recipe,
    init: Option<Checkpoint>,
    share: CorpusShare<'a>,
    record: CorpusRecord,
    directory: LockedDirectory,
) -> Result<TrainingRun<'a>> {
    let corpus = share.corpus;
    let model = trainer(device, flags, recipe, init, share)?;
    Ok(TrainingRun::new(
        flags, model, corpus, record, directory, false,
    ))
}

/// A trainer of a new model, or of the model of `--init`, and the model's description.
///
/// # Errors
/// If a flag is invalid, or the device lacks memory.
pub(super) fn trainer<'a>(
    device: &mut Device,
    flags: &TrainFlags,
    recipe: Recipe,
    init: Option<Checkpoint>,
    share: CorpusShare<'a>,
) -> Result<(Trainer<'a>, Description)> {
    let (mut description, mut values) = match init {
        Some(checkpoint) => (checkpoint.description, checkpoint.parameters),
        None => new_model(flags, share.corpus, &recipe)?,
    };
    description.config.independent = recipe.independent;
    if flags.recipe.value("zoneout").is_some() {
        description.config.zoneout = recipe.dropout.zoneout;
    }
    model_conditions::check(flags, &description.config)?;
    if recipe.past_decode > 0.0 {
        add_past_decoder(&mut description.config, &mut values, recipe.seed);
    }
    let config = description.config.clone();
    let trainer = Trainer::new(device, config, &values, recipe, share)?;
    Ok((trainer, description))
}

/// From this number of types on, a full softmax brings a hint.
const LARGE_VOCABULARY: usize = 50_000;

/// The configuration of a new model of a corpus.
///
/// # Errors
/// If a flag is invalid.
pub(super) fn configuration(flags: &TrainFlags, corpus: &Corpus) -> Result<Config> {
    let classes = |count, binning| Classes::new(count, binning, &corpus.counts()?);
    flags.config(corpus.vocabulary.len(), classes)
}

/// A new model and its initial values.
pub(super) fn new_model(
    flags: &TrainFlags,
    corpus: &Corpus,
    recipe: &Recipe,
) -> Result<(Description, ParameterValues)> {
    let config = configuration(flags, corpus)?;
    if config.output == "softmax" && config.vocab_size >= LARGE_VOCABULARY {
        note_line!(
            "note: a full softmax over {} types is nearly all the work of a step; --output class \
             does far less",
            config.vocab_size
        );
    }
    let parameters = parameter_specs(&config)
        .iter()
        .fold(0, |sum: usize, spec| sum.saturating_add(spec.len()));
    check_memory(
        "initial values of the parameters",
        parameters.saturating_mul(4),
    )?;
    let mut values = initial_values(&config, recipe.seed);
    set_forget_bias(&config, &mut values, recipe.forget_bias);
    if let Some(path) = &flags.vectors {
        copy_vectors(path, &config, &corpus.vocabulary, &mut values)?;
    }
    let description = Description {
        version: FORMAT,
        unit: flags.vocabulary.unit(),
        skip_unknown: false,
        config,
    };
    Ok((description, values))
}

/// Copies word vectors into the embedding.
fn copy_vectors(
    path: &Path,
    config: &Config,
    vocabulary: &Vocabulary,
    values: &mut ParameterValues,
) -> Result<()> {
    let vectors = WordVectors::read(path, vocabulary)?;
    if vectors.size != config.embedding_size {
        return Err(Error::usage(
            format!("--vectors {}", path.display()),
            format!(
                "the vectors have {} elements, but the embedding has {}",
                vectors.size, config.embedding_size
            ),
            format!("Use --embedding {}", vectors.size),
        ));
    }
    let embedding = find_parameter(&parameter_specs(config), EMBEDDING_WEIGHT)
        .expect("a model with an embedding size has an embedding");
    let found = vectors.copy_to(values.of_mut(embedding), vocabulary);
    note_line!("vectors for {found} of {} types", vocabulary.len());
    Ok(())
}
