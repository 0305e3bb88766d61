//! `elman train`: trains a model, from flags to a checkpoint.
//!
//! In: [`TrainFlags`]. Out: the model's directory, progress on standard error, results on standard
//! output. The parts: `texts` reads what is trained on, `start` and `resume` make the
//! `training_run`, `progress` and `report` print. `several` trains several models on one corpus,
//! `dry_run` none.

mod cache_flags;
mod dry_run;
mod extend;
mod flags;
pub(in crate::cli) mod interrupt;
mod last_checkpoint;
mod live;
pub(in crate::cli) mod model_conditions;
mod progress;
mod ranks;
mod recovery;
mod report;
mod resume;
mod safety_flags;
mod save_state;
mod saving;
mod several;
mod start;
mod status_line;
mod step_report;
mod tensorboard;
mod texts;
mod training_run;
mod vocabulary_flags;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

pub(super) use flags::TrainFlags;
pub(super) use several::{RunEnd, SharedCorpus};
pub(super) use vocabulary_flags::VocabularyFlags;

use super::{check_unused, is_broken_pipe, quoted};
use crate::checkpoint::{Checkpoint, CorpusRecord, LockedDirectory};
use crate::corpus::{Corpus, Tokens};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::evaluate::warm_up;
use crate::parallel::world;
use crate::train::{CorpusShare, Trainer};
use interrupt::Interrupt;
use resume::SavedRun;
use tensorboard::EventFile;
use texts::TrainingText;
use training_run::Outcome;

/// Runs the command. The exit code tells whether a signal has interrupted the run.
pub(super) fn run(flags: &TrainFlags) -> Result<ExitCode> {
    train(flags).map_err(|error| flags.origins.explain(error))
}

fn train(flags: &TrainFlags) -> Result<ExitCode> {
    let start = Instant::now();
    let all = world();
    all.agree(texts::check_standard_input(flags).and(ranks::check_flags(flags, &all)))?;
    let mut device = all.agree(flags.device.open())?;
    crate::cli::ranks::check_devices(&all, &device)?;
    for note in &flags.notes {
        note_line!("{note}");
    }
    if flags.dry_run {
        dry_run::run(flags, &mut device)?;
        return Ok(ExitCode::SUCCESS);
    }
    let directory = ranks::directory(flags, &all, || prepare_directory(flags))?;
    let events = flags.tensorboard.as_deref().filter(|_| all.is_first());
    all.agree(events.map_or(Ok(()), tensorboard::check_directory))?;
    let saved = match &flags.resume {
        Some(_) => {
            let saved = ranks::first_alone(&all, || SavedRun::read(flags, &directory))?;
            all.agree(ranks::check_streams(&saved, &all))?;
            Some(saved)
        }
        None => None,
    };
    let input = all.agree(Input::read(flags, saved.as_ref()))?;
    let corpus = &input.corpus;
    let share = CorpusShare {
        corpus,
        ranks: all.clone(),
    };
    let started = match saved {
        Some(saved) => saved.recipe(flags).and_then(|recipe| {
            saved.resume(&mut device, flags, recipe, share, input.record, directory)
        }),
        None => flags.recipe().and_then(|recipe| {
            start::start(
                &mut device,
                flags,
                recipe,
                input.init,
                share,
                input.record,
                directory,
            )
        }),
    };
    let mut run = all.agree(started)?;
    ranks::check_equal(&run, &mut device)?;
    run.prepare(&mut device)?;
    if let Some(directory) = events {
        run.events = Some(EventFile::create(directory, &run.trainer)?);
    }
    run.live = flags.live;
    let last = &run.saving.last;
    last.watch(&all, flags.device.rank_timeout)?;
    let interrupt = Interrupt::watch_on(&all, Some(last.clone()))?;
    let outcome = run.train(&mut device, &interrupt, None)?;
    if all.is_first() {
        let results = report::Results {
            outcome,
            grammar_perplexity: input.text.grammar_perplexity(corpus, run.description.unit),
            seconds: start.elapsed().as_secs_f64(),
        };
        match run.report(&mut device, flags.json, &results) {
            Err(error) if is_broken_pipe(&error) => {}
            reported => reported?,
        }
    }
    Ok(match outcome {
        Outcome::Finished => ExitCode::SUCCESS,
        Outcome::Interrupted { exit_code } => exit_code.into(),
    })
}

/// What a run reads.
struct Input {
    text: TrainingText,
    init: Option<Checkpoint>,
    corpus: Corpus,
    record: CorpusRecord,
}

impl Input {
    /// # Errors
    /// If a file cannot be read or used.
    fn read(flags: &TrainFlags, saved: Option<&SavedRun>) -> Result<Self> {
        let (text, valid) = texts::texts(flags)?;
        let init = start::initial_model(flags, &text)?;
        let existing = init.as_ref().or(saved.map(|run| &run.checkpoint));
        let unit = existing.map_or(flags.vocabulary.unit(), |model| model.description.unit);
        let vocabulary = existing.map(|model| model.vocabulary.clone());
        let corpus = texts::read_corpus(flags, &text, valid.as_ref(), unit, vocabulary)?;
        let record = texts::corpus_record(flags, text.path(), valid, &corpus)?;
        Ok(Self {
            text,
            init,
            corpus,
            record,
        })
    }
}

/// Creates the directory of a new run.
///
/// # Errors
/// If it has a model, another process writes into it, or it cannot be created.
fn prepare_directory(flags: &TrainFlags) -> Result<LockedDirectory> {
    let resume = format!("--resume {} continues its run, ", quoted(&flags.out));
    check_unused(&flags.out, flags.force, &resume)?;
    std::fs::create_dir_all(&flags.out).map_err(Error::io("create", &flags.out))?;
    lock(&flags.out)
}

/// Locks the directory of a run until the run ends.
fn lock(directory: &Path) -> Result<LockedDirectory> {
    let locked = LockedDirectory::lock(directory)?;
    if let Some(warning) = locked.warning() {
        stderr_line!("warning: {warning}");
    }
    Ok(locked)
}

/// The number of unknown words in a text, which are skipped.
fn skipped(tokens: &Tokens) -> usize {
    tokens.len() - tokens.known()
}

/// Prints a warning if the run ends before its learning rate has warmed up.
fn warn_of_warm_up(trainer: &Trainer<'_>) {
    let (recipe, updates) = (trainer.recipe(), trainer.updates());
    if u64::from(recipe.warm_up) > updates {
        stderr_line!(
            "warning: --warm-up {}: the run has {}, so its learning rate never reaches --lr {}. \
             Use a smaller --warm-up, or more --epochs",
            recipe.warm_up,
            counted(updates, "update"),
            recipe.lr
        );
    }
}

/// A number of things, such as "1 window" and "2 windows".
fn counted(count: u64, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        _ => format!("{count} {thing}s"),
    }
}

/// Prints the sizes of the corpus and the model.
fn print_sizes(trainer: &Trainer<'_>, corpus: &Corpus, device: &Device) {
    note_line!(
        "corpus: {} training tokens, {} validation tokens, {} types; model: {} parameters; {} \
         an epoch; {} MiB on the device, about {} MiB more while it is saved",
        corpus.train.known(),
        corpus.valid.known(),
        corpus.vocabulary.len(),
        trainer.model().parameters().len(),
        counted(trainer.windows_per_epoch() as u64, "window"),
        device.allocated_bytes().div_ceil(1 << 20),
        trainer.snapshot_bytes().div_ceil(1 << 20)
    );
    let streams = trainer.validation_streams();
    if streams > 1 {
        let warm_up = warm_up(trainer.model().config());
        note_line!(
            "validation: in {streams} streams; each first reads the {warm_up} tokens before \
             its part, so the loss is nearly that of elman eval, which reads one"
        );
    }
    if trainer.recipe().may_get_stuck(trainer.model().config()) {
        note_line!(
            "validation: in one stream, since a mogrifier may get stuck in the state at a stream's \
             start; --reset-states 0.01 trains it to leave that state"
        );
    }
    for (name, tokens) in [("training", &corpus.train), ("validation", &corpus.valid)] {
        let skipped = skipped(tokens);
        if skipped > 0 {
            note_line!(
                "note: {skipped} other {name} tokens are unknown words, which are skipped and \
                 do not count: the vocabulary has no <unk> for them"
            );
        }
    }
}
