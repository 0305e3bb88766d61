//! `elman train`: a run from its flags to a model.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::json;

use super::heap;
use super::output::Output;
use super::train_flags::TrainFlags;
use super::train_progress::Reporter;
use super::{check_unused, generate, init, quoted, replay};
use crate::check::check_mixed_products;
use crate::checkpoint::vectors::WordVectors;
use crate::checkpoint::{
    self, Checkpoint, CorpusRecord, Description, FORMAT, TrainingRecord, TrainingState,
};
use crate::corpus::builtin::{self, SampledText};
use crate::corpus::{Corpus, Limits, Subwords, TextSource, Unit, Vocabulary};
use crate::device::{Device, check_memory};
use crate::error::{Error, Result};
use crate::model::{
    Classes, Config, EMBEDDING_WEIGHT, ParameterValues, find_parameter, initial_values,
    parameter_specs, set_forget_bias,
};
use crate::train::{Event, PrecisionKind, Recipe, Trainer};

/// A run that is ready to go: what it writes, and where.
struct TrainingRun<'a> {
    trainer: Trainer<'a>,
    description: Description,
    corpus: &'a Corpus,
    record: CorpusRecord,
    directory: PathBuf,
    resumed: bool,
}

/// What is trained on.
enum Text {
    File(PathBuf),
    BuiltIn(SampledText),
}

impl Text {
    fn source(&self) -> TextSource<'_> {
        match self {
            Self::File(path) => TextSource::File(path),
            Self::BuiltIn(drawn) => TextSource::Memory(drawn.text.as_bytes()),
        }
    }

    fn path(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
            Self::BuiltIn(_) => None,
        }
    }
}

/// A run that was interrupted, as it lies on disk.
struct Interrupted<'a> {
    directory: &'a Path,
    checkpoint: Checkpoint,
    training: TrainingState,
}

pub(super) fn run(flags: &TrainFlags) -> Result<()> {
    let interrupted = interrupted_flag()?;
    let start = Instant::now();
    let mut device = flags.device.open()?;
    flags.notes.iter().for_each(|note| eprintln!("{note}"));
    let resumed = match &flags.resume {
        Some(directory) => Some(Interrupted::read(flags, directory)?),
        None => {
            let resume = format!("--resume {} goes on with it, ", quoted(&flags.out));
            check_unused(&flags.out, flags.force, &resume)?;
            std::fs::create_dir_all(&flags.out).map_err(Error::io("create", &flags.out))?;
            None
        }
    };
    let (text, valid) = texts(flags)?;
    let (limits, tokenizer) = (flags.model.limits()?, flags.model.tokenizer.clone());
    let init = begun_with(flags, &text)?;
    let begun = init
        .as_ref()
        .or(resumed.as_ref().map(|interrupted| &interrupted.checkpoint));
    let unit = begun.map_or(flags.model.unit(), |checkpoint| checkpoint.description.unit);
    let vocabulary = match (begun, &tokenizer) {
        (Some(checkpoint), _) => Some(checkpoint.vocabulary.clone()),
        (None, Some(path)) => Some(Vocabulary::from_subwords(Subwords::read(path)?)?),
        (None, None) if !flags.model.vocab.is_empty() => {
            Some(Vocabulary::from_texts(&flags.model.vocab, unit)?)
        }
        (None, None) => None,
    };
    let corpus = match vocabulary {
        Some(vocabulary) => Corpus::read_with(vocabulary, text.source(), valid.as_deref(), unit)?,
        None => Corpus::read(text.source(), valid.as_deref(), unit, limits)?,
    };
    tell_of_subwords(&corpus, limits);
    let (train, bytes, sha256) = (
        text.path(),
        corpus.report.bytes,
        corpus.report.sha256.clone(),
    );
    let vocab = flags.model.vocab.clone();
    let record = CorpusRecord {
        train,
        valid,
        bytes,
        sha256,
        limits,
        tokenizer,
        vocab,
        init: flags.init.clone(),
        vectors: flags.model.vectors.clone(),
    };
    let mut run = match resumed {
        Some(interrupted) => interrupted.resume(&mut device, flags, &corpus, record)?,
        None => begin(&mut device, flags, init, &corpus, record)?,
    };
    if run.trainer.recipe().precision == PrecisionKind::Mixed {
        check_mixed_products(&mut device)?;
    }
    eprintln!(
        "corpus: {} training tokens, {} validation tokens, {} types; model: {} parameters; {} \
         windows an epoch; {} MiB on the device, up to {} MiB more while it is saved",
        corpus.train.len(),
        corpus.valid.len(),
        corpus.vocabulary.len(),
        run.trainer.model().parameters().len(),
        run.trainer.windows_per_epoch(),
        device.allocated_bytes().div_ceil(1 << 20),
        run.trainer.snapshot_bytes().div_ceil(1 << 20)
    );
    heap::trim_heap();
    let finished = run.train(&mut device, &interrupted)?;
    let grammar_perplexity = match &text {
        Text::BuiltIn(drawn) if run.description.unit == Unit::Word => {
            Some(drawn.perplexity_of_last(corpus.valid.iter().filter(|&id| id == 0).count()))
        }
        _ => None,
    };
    run.tell(
        &mut device,
        flags.json,
        finished,
        grammar_perplexity,
        start.elapsed().as_secs_f64(),
    )
}

/// A text too small gives fewer subwords than were asked for.
fn tell_of_subwords(corpus: &Corpus, limits: Limits) {
    let (
        found,
        Limits {
            vocab_size,
            min_count,
        },
    ) = (corpus.vocabulary.len(), limits);
    if let (Some(_), Some(wanted)) = (
        corpus.vocabulary.subwords(),
        vocab_size.filter(|&wanted| found < wanted),
    ) {
        eprintln!(
            "note: {found} subwords, not the {wanted} of --vocab-size: no other two stand side by \
             side {min_count} times in the text"
        );
    }
}

/// The training text and the validation file: as given, or the built-in corpus.
fn texts(flags: &TrainFlags) -> Result<(Text, Option<PathBuf>)> {
    match (flags.train.clone(), flags.valid.clone()) {
        (Some(path), valid) => Ok((Text::File(path), valid)),
        (None, None) => Ok((
            Text::BuiltIn(builtin::draw(builtin::SENTENCES, builtin::SEED)?),
            None,
        )),
        (None, Some(valid)) => Err(Error::usage(
            format!("--valid {}", valid.display()),
            "the built-in corpus has a validation part of its own",
            "Give --train too",
        )),
    }
}

/// A flag that Ctrl-C raises; a second Ctrl-C ends the process at once.
fn interrupted_flag() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = flag.clone();
    let handler = move || {
        if raised.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("\ninterrupted: saving … (again to stop at once)");
    };
    ctrlc::set_handler(handler)
        .map_err(|error| Error::invalid("Ctrl-C", error.to_string(), "Report this"))?;
    Ok(flag)
}

/// The model that a new run begins with, if it is given one, with the vocabulary that it shall
/// have.
fn begun_with(flags: &TrainFlags, text: &Text) -> Result<Option<Checkpoint>> {
    let Some(directory) = &flags.init else {
        return Ok(None);
    };
    let checkpoint = init::read(directory, &flags.model)?;
    let unit = checkpoint.description.unit;
    let other = match (
        flags.extend_vocab.unwrap_or(false),
        flags.model.vocab.as_slice(),
    ) {
        (true, []) => {
            Corpus::read(
                text.source(),
                flags.valid.as_deref(),
                unit,
                flags.model.limits()?,
            )?
            .vocabulary
        }
        (true, texts) => Vocabulary::from_texts(texts, unit)?,
        (false, texts) => {
            let given = !texts.is_empty()
                || flags.model.vocab_size.is_some()
                || flags.model.min_count.is_some();
            if given {
                let rule = "the vocabulary is the model's";
                return Err(Error::usage(
                    "--vocab-size, --min-count or --vocab with --init",
                    rule,
                    "Give --extend-vocab too, or leave them out",
                ));
            }
            return Ok(Some(checkpoint));
        }
    };
    let before = checkpoint.vocabulary.len();
    let checkpoint = init::extend(checkpoint, &other)?;
    eprintln!(
        "{} types beside the model's {before}",
        checkpoint.vocabulary.len() - before
    );
    Ok(Some(checkpoint))
}

fn begin<'a>(
    device: &mut Device,
    flags: &TrainFlags,
    init: Option<Checkpoint>,
    corpus: &'a Corpus,
    record: CorpusRecord,
) -> Result<TrainingRun<'a>> {
    let recipe = flags.recipe.resolve()?;
    let (description, values) = match init {
        Some(Checkpoint {
            description,
            parameters,
            ..
        }) => (description, parameters),
        None => fresh(flags, corpus, &recipe)?,
    };
    let config = Config {
        independent: recipe.independent,
        ..description.config
    };
    if let (Some(rate), 0) = (flags.recipe.dropout_input, config.embedding_size) {
        return Err(Error::usage(
            format!("--dropout-input {rate}"),
            "there is no embedding",
            "Give --embedding D too, or take --dropout-words",
        ));
    }
    let description = Description {
        config: config.clone(),
        ..description
    };
    let trainer = Trainer::new(device, config, &values, recipe, corpus)?;
    Ok(TrainingRun {
        trainer,
        description,
        corpus,
        record,
        directory: flags.out.clone(),
        resumed: false,
    })
}

/// Puts word vectors into the embedding, which is the first parameter.
fn put_vectors(
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
                "they have {} numbers each, and the embedding has {}",
                vectors.size, config.embedding_size
            ),
            format!("Give --embedding {}", vectors.size),
        ));
    }
    let embedding = find_parameter(&parameter_specs(config), EMBEDDING_WEIGHT)
        .expect("a model with an embedding size has an embedding");
    let found = vectors.copy_to(values.of_mut(embedding), vocabulary);
    eprintln!("vectors for {found} of {} types", vocabulary.len());
    Ok(())
}

/// A new model as the flags want it, with its initial values.
fn fresh(
    flags: &TrainFlags,
    corpus: &Corpus,
    recipe: &Recipe,
) -> Result<(Description, ParameterValues)> {
    let config = flags
        .model
        .resolve(corpus.vocabulary.len(), |asked, binning| {
            Classes::new(asked, binning, &corpus.counts())
        })?;
    let parameters = parameter_specs(&config)
        .iter()
        .fold(0, |sum: usize, one| sum.saturating_add(one.len()));
    check_memory(
        "initial values of the parameters",
        parameters.saturating_mul(4),
    )?;
    let mut values = initial_values(&config, recipe.seed);
    set_forget_bias(&config, &mut values, recipe.forget_bias);
    if let Some(path) = &flags.model.vectors {
        put_vectors(path, &config, &corpus.vocabulary, &mut values)?;
    }
    Ok((
        Description {
            version: FORMAT,
            unit: flags.model.unit(),
            skip_unknown: false,
            config,
        },
        values,
    ))
}

/// A resumed run keeps its model and its recipe, save the epochs: a flag that says otherwise is an
/// error, not ignored.
fn check_unchanged(
    flags: &TrainFlags,
    directory: &Path,
    description: &Description,
    record: &TrainingRecord,
) -> Result<()> {
    // Which words are in a class follows from the rest.
    let sizes = description.config.class_sizes().to_vec();
    let classes = |asked, binning| {
        Ok(Classes {
            asked,
            binning,
            sizes: if sizes.is_empty() {
                vec![description.config.vocab_size]
            } else {
                sizes
            },
        })
    };
    let config = flags
        .model
        .resolve(description.config.vocab_size, classes)?;
    let recipe = Recipe {
        epochs: record.recipe.epochs,
        ..flags.recipe.resolve()?
    };
    let (tokenizer, vocab) = (flags.model.tokenizer.clone(), flags.model.vocab.clone());
    let corpus = CorpusRecord {
        limits: flags.model.limits()?,
        tokenizer,
        vocab,
        ..record.corpus.clone()
    };
    let given = replay::flags_of(
        &Description {
            unit: flags.model.unit(),
            config,
            ..description.clone()
        },
        &corpus,
        &recipe,
    );
    let of_run = replay::flags_of(description, &record.corpus, &record.recipe);
    match replay::first_difference(given, &of_run) {
        None => Ok(()),
        Some(((name, value), other)) => {
            let other = other.map_or(format!("without --{name}"), |other| {
                format!("with --{name} {}", other.display())
            });
            Err(Error::usage(
                format!("--{name} {} with --resume", value.display()),
                format!(
                    "the run in {} was started {other}, and a resumed run keeps its model and its \
                     recipe",
                    directory.display()
                ),
                "Leave the flag out, or start a new run with --out",
            ))
        }
    }
}

impl<'a> Interrupted<'a> {
    fn read(flags: &TrainFlags, directory: &'a Path) -> Result<Self> {
        let checkpoint = Checkpoint::read(directory)?;
        let training = TrainingState::read(directory, &checkpoint)?;
        check_unchanged(flags, directory, &checkpoint.description, &training.record)?;
        Ok(Self {
            directory,
            checkpoint,
            training,
        })
    }

    fn resume<'c>(
        self,
        device: &mut Device,
        flags: &TrainFlags,
        corpus: &'c Corpus,
        record: CorpusRecord,
    ) -> Result<TrainingRun<'c>> {
        let Self {
            directory,
            checkpoint,
            training,
        } = self;
        if training.record.corpus.sha256 != record.sha256 {
            return Err(Error::invalid(
                record
                    .train
                    .as_deref()
                    .map_or("the built-in corpus".into(), |path| {
                        path.display().to_string()
                    }),
                "it is not the text that the run was started with: its SHA-256 differs",
                "Give --train the original file, or start a new run",
            ));
        }
        let mut recipe = training.record.recipe;
        if let Some(epochs) = flags.recipe.epochs {
            recipe = recipe.with_epochs(epochs)?;
        }
        let config = checkpoint.description.config.clone();
        let trainer = Trainer::resume(
            device,
            config,
            training.snapshot,
            training.record.progress,
            recipe,
            corpus,
        )?;
        Ok(TrainingRun {
            trainer,
            description: checkpoint.description,
            corpus,
            record,
            directory: directory.to_owned(),
            resumed: true,
        })
    }
}

impl TrainingRun<'_> {
    /// Trains until the end or until interrupted; whether it came to the end.
    fn train(&mut self, device: &mut Device, interrupted: &AtomicBool) -> Result<bool> {
        let mut reporter = Reporter::new(&self.directory, self.resumed, &self.trainer)?;
        let finished = loop {
            match self.trainer.advance(device)? {
                Event::Steps {
                    loss,
                    gradient_norm,
                    tokens_per_second,
                    ..
                } => {
                    reporter.windows(&self.trainer, loss, gradient_norm, tokens_per_second)?;
                    if interrupted.load(Ordering::SeqCst) {
                        self.save(device)?;
                        break false;
                    }
                }
                Event::Epoch(record) => {
                    self.save(device)?;
                    reporter.epoch(&record)?;
                    if interrupted.load(Ordering::SeqCst) {
                        break false;
                    }
                }
                Event::Finished => break true,
            }
        };
        reporter.finish();
        Ok(finished)
    }

    fn save(&mut self, device: &mut Device) -> Result<()> {
        // A snapshot is large: room is made before it, and again after it.
        heap::trim_heap();
        let snapshot = self.trainer.snapshot(device)?;
        let (recipe, progress) = (self.trainer.recipe(), self.trainer.progress());
        checkpoint::save(
            &self.directory,
            &self.description,
            &self.corpus.vocabulary,
            &snapshot,
            recipe,
            progress,
            &self.record,
        )?;
        drop(snapshot);
        heap::trim_heap();
        Ok(())
    }

    /// The run's results: figures, a sample, what to try next.
    fn tell(
        &self,
        device: &mut Device,
        json: bool,
        finished: bool,
        grammar_perplexity: Option<f64>,
        seconds: f64,
    ) -> Result<()> {
        let progress = self.trainer.progress();
        let directory = quoted(&self.directory);
        let valid_perplexity = progress.best_valid_loss.map(f64::exp);
        let mut output = Output::new();
        if !finished {
            eprintln!("saved in {directory}; elman train --resume {directory} goes on");
        }
        if let (true, Some(perplexity)) = (finished, valid_perplexity) {
            let epochs = progress.epochs;
            output.line(format_args!(
                "validation perplexity {perplexity:.3} after {epochs} epochs{}, {seconds:.1} s",
                self.kept()
            ))?;
            if let Some(grammar) = grammar_perplexity {
                let excess = (perplexity / grammar - 1.0) * 100.0;
                output.line(format_args!(
                    "the grammar's own    {grammar:.3}: no model can do better; \
                        this one is {excess:.1} % above it"
                ))?;
            }
            let sample = generate::sample(
                device,
                self.trainer.model(),
                self.description.unit,
                &self.corpus.vocabulary,
            )?;
            output.line(format_args!("\nit writes:\n{sample}\n"))?;
            output.line("try next:")?;
            output.line(format_args!("  elman generate --model {directory}"))?;
            output.line(format_args!(
                "  echo 'a sentence of yours' | elman score --model {directory} --per-token"
            ))?;
            output.line(format_args!("  elman eval --model {directory} --text FILE"))?;
        }
        if json {
            let last = progress.history.last();
            let mut value = json!({
                "epochs": progress.epochs,
                "finished": finished,
                "valid_perplexity": valid_perplexity,
                "tokens_per_second": last.map(|epoch| epoch.tokens_per_second),
                "seconds": seconds,
                "device": device.name(),
            });
            if let Some(perplexity) = grammar_perplexity {
                value["grammar_perplexity"] = json!(perplexity);
            }
            output.json(&value)?;
        }
        output.flush()
    }

    /// Which epoch's weights are the model, where they are not the last one's.
    fn kept(&self) -> String {
        let progress = self.trainer.progress();
        let kept = progress
            .history
            .iter()
            .rev()
            .find(|epoch| Some(epoch.valid_loss) == progress.best_valid_loss);
        match kept {
            Some(kept) if kept.epoch != progress.epochs => format!(" (kept: epoch {})", kept.epoch),
            _ => String::new(),
        }
    }
}
