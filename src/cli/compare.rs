//! `elman compare`: trains several models on one text, each within a budget of time, evaluates them
//! and an n-gram model, and prints one table.
//!
//! In: [`CompareFlags`]. Out: the models' directories, and the table on standard output. `entries`
//! finds what is compared, `evaluation` measures one row, `table` prints.

mod entries;
mod evaluation;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::message::message;
use super::ngram::kneser_ney;
use super::output::Output;
use super::ranks::{check_devices, on_first};
use super::train::interrupt::Interrupt;
use super::train::{RunEnd, SharedCorpus};
use super::{RankDeviceFlags, check_unused, quoted};
use crate::corpus::Unit;
use crate::error::{Error, Result};
use crate::mixture::DynamicOptions;
use crate::ngram::NgramModel;
use crate::parallel::world;
use entries::{Entry, Kind};
use evaluation::Evaluator;
use table::{Row, Table};

/// The file of the n-gram model in the directory of the comparison, and the name of its row.
const NGRAM_FILE: &str = "kn5.arpa";
const NGRAM_ROW: &str = "Kneser-Ney 5";
/// Order of the n-gram model.
const ORDER: usize = 5;
/// What a rank says at the end of a comparison that another rank has stopped.
const RESUME: &str = "The same command with --resume continues, also on fewer ranks";
/// Tokens between two updates of dynamic evaluation, as in `elman eval`.
const DYNAMIC_WINDOW: usize = 10;

#[derive(Debug, Args)]
pub(super) struct CompareFlags {
    /// The training text. Its last tenth is held out for validation, unless --valid is given
    text: PathBuf,
    /// What to compare, separated by commas: presets of `elman train`, files with its flags
    /// (NAME.toml), and directories of models, which are evaluated only. A name that is a preset
    /// and a directory is the preset; ./NAME is the directory
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    models: Vec<String>,
    /// A TOML file with a table of flags for each model: [NAME], and below it lines such as
    /// `hidden = 200` or `preset = "seed"`
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Time for the training of each model, with its validation, in minutes. Training ends at the
    /// window in which the time ends, after a last validation. The schedules cosine, linear and
    /// one-cycle need to know the number of updates: some windows are timed first, and the run has
    /// as many epochs as fit the time. No run has more epochs than its recipe
    #[arg(long, value_name = "N", default_value_t = 10.0)]
    minutes: f64,
    /// Validation text, which also selects the weights of mixtures [default: the last tenth of
    /// TEXT]
    #[arg(long, value_name = "FILE")]
    valid: Option<PathBuf>,
    /// Text for the figures of the table [default: the validation text]
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
    /// Learning rate of dynamic evaluation; 0 leaves it out
    #[arg(long, value_name = "RATE", default_value_t = 0.05)]
    dynamic: f32,
    /// The unit of text of all models that are trained [default: that of the first one]
    #[arg(long)]
    unit: Option<Unit>,
    /// Maximum number of types in the vocabulary of all models that are trained [default: that of
    /// the first one]
    #[arg(long, value_name = "N")]
    vocab_size: Option<usize>,
    /// Minimum number of occurrences of a type in that vocabulary [default: that of the first one]
    #[arg(long, value_name = "N")]
    min_count: Option<u64>,
    /// The directory for the models, each in a directory with its name, and for the n-gram model
    #[arg(long, value_name = "DIR", default_value = "compare")]
    out: PathBuf,
    /// Replace models that exist in --out
    #[arg(long, conflicts_with = "resume")]
    force: bool,
    /// Continue an interrupted comparison: models in --out that are complete are not trained anew
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    pub(super) device: RankDeviceFlags,
    /// Print one JSON object as the last line
    #[arg(long)]
    json: bool,
}

/// Runs the command. The exit code tells whether a signal has interrupted it, or a model failed.
pub(super) fn run(flags: &CompareFlags) -> Result<ExitCode> {
    let ranks = world();
    ranks.agree(flags.check())?;
    let mut entries = ranks.agree(entries::read(flags))?;
    ranks.agree(flags.check_unused(&entries))?;
    let device = ranks.agree(flags.device.open())?;
    check_devices(&ranks, &device)?;
    let device = device.name().to_owned();
    let corpus = ranks.agree(entries::shared_corpus(flags, &mut entries))?;
    entries::check_equal(&ranks, flags, &entries, &corpus)?;
    // Of several ranks, the first one evaluates.
    let of_first = ranks.is_first().then(|| {
        let test = evaluation::read_test(flags, &corpus)?;
        Ok((test, Ngram::of(flags, &corpus)?))
    });
    let (test, ngram) = ranks.agree(of_first.transpose())?.unwrap_or_default();
    let model = ngram.as_ref().map(|ngram| &ngram.model);
    let evaluator = Evaluator::new(flags, &corpus, test.as_ref(), model);
    let mut table = Table::new(flags, &corpus, test.as_ref(), ngram.is_some(), device);
    flags.device.rank_timeout.watch(&ranks, RESUME)?;
    let interrupt = Interrupt::watch_on(&ranks, None)?;
    for (index, entry) in entries.iter().enumerate() {
        note_line!("{} ({} of {})", entry.name, index + 1, entries.len());
        let end = flags.train(entry, &corpus, &interrupt);
        // After a failure, ranks may no longer do the same.
        let end = match ranks.is_alone() {
            true => end,
            false => Ok(end?),
        };
        let signal = match end {
            Ok(RunEnd::Interrupted(signal)) => Some(signal),
            _ => interrupt.exit_code_on(&ranks),
        };
        if let Some(signal) = signal {
            stderr_line!("interrupted; the same command with --resume continues");
            return Ok(signal.into());
        }
        on_first(&ranks, || {
            let (name, kind) = (&entry.name, entry.kind.of_row());
            let row = end.and_then(|_| evaluator.row(name, kind, &flags.directory(entry)));
            table.rows.push(row.unwrap_or_else(|error| {
                stderr_line!("error: {name}: {}", message(&error));
                Row::failed(name, kind, &error)
            }));
            Ok(())
        })?;
    }
    on_first(&ranks, || {
        flags.print(&mut table, &evaluator, ngram.as_ref())
    })?;
    Ok(match table.rows.iter().any(Row::is_failed) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

impl CompareFlags {
    /// Checks the flags that need no file.
    fn check(&self) -> Result<()> {
        if !(self.minutes > 0.0 && self.minutes.is_finite()) {
            return Err(Error::usage(
                format!("--minutes {}", self.minutes),
                "a budget of time is above 0",
                "Use at least some minutes; 10 is the default",
            ));
        }
        if self.dynamic != 0.0 {
            self.dynamic_options().validate()?;
        }
        for path in [Some(&self.text), self.valid.as_ref(), self.test.as_ref()] {
            if path.is_some_and(|path| crate::decompress::is_standard_input(path)) {
                return Err(Error::usage(
                    "-",
                    "a text of a comparison may be read several times, and standard input once",
                    "Write the text to a file",
                ));
            }
        }
        Ok(())
    }

    /// Adds the row of the n-gram model, and prints the table.
    fn print(
        &self,
        table: &mut Table,
        evaluator: &Evaluator<'_>,
        ngram: Option<&Ngram>,
    ) -> Result<()> {
        if let Some(ngram) = ngram {
            table.rows.push(evaluator.ngram_row(ngram)?);
        }
        let mut output = Output::new();
        if self.json {
            output.json(table)?;
        } else {
            table.print(&mut output)?;
        }
        output.flush()
    }

    fn dynamic_options(&self) -> DynamicOptions {
        DynamicOptions {
            rate: self.dynamic,
            decay: 0.0,
            window: DYNAMIC_WINDOW,
        }
    }

    /// Checks that nothing is overwritten by mistake.
    fn check_unused(&self, entries: &[Entry]) -> Result<()> {
        if self.resume {
            return Ok(());
        }
        let trained = entries.iter().filter(|entry| entry.kind.is_trained());
        for entry in trained {
            let resume = "--resume continues the comparison, ";
            check_unused(&self.directory(entry), self.force, resume)?;
        }
        let ngram = self.out.join(NGRAM_FILE);
        if ngram.is_file() && !self.force {
            return Err(Error::invalid(
                ngram.display().to_string(),
                "it exists, from an earlier comparison",
                "--resume continues that comparison, --force replaces it, --out DIR writes \
                 elsewhere",
            ));
        }
        Ok(())
    }

    /// The directory of a model.
    fn directory(&self, entry: &Entry) -> PathBuf {
        match &entry.kind {
            Kind::Model(directory) => directory.clone(),
            Kind::Recipe(_) => self.out.join(&entry.name),
        }
    }

    /// Trains a model, unless it is trained already.
    fn train(&self, entry: &Entry, corpus: &SharedCorpus, interrupt: &Interrupt) -> Result<RunEnd> {
        match &entry.kind {
            Kind::Model(_) => Ok(RunEnd::Finished),
            Kind::Recipe(flags) => corpus.train(flags, self.resume, self.minutes * 60.0, interrupt),
        }
    }
}

/// The n-gram model of the training text.
struct Ngram {
    model: NgramModel,
    /// The time that it took to count and estimate.
    seconds: f64,
    file: PathBuf,
}

impl Ngram {
    /// Counts the training part of the corpus and writes the model. A corpus whose tokens are not
    /// words has none.
    fn of(flags: &CompareFlags, shared: &SharedCorpus) -> Result<Option<Self>> {
        if shared.unit != Unit::Word {
            note_line!(
                "note: there is no n-gram model: its tokens are words, and those of the models are \
                 {}",
                shared.unit.plural()
            );
            return Ok(None);
        }
        let start = std::time::Instant::now();
        let corpus = &shared.corpus;
        let estimate = kneser_ney(&corpus.train, &corpus.vocabulary, ORDER)?;
        let seconds = start.elapsed().as_secs_f64();
        std::fs::create_dir_all(&flags.out).map_err(Error::io("create", &flags.out))?;
        let file = flags.out.join(NGRAM_FILE);
        estimate.model.write(&file)?;
        note_line!("written: {}", quoted(&file));
        // The file has fewer digits than the estimate, and is what `elman eval --arpa` reads.
        let model = NgramModel::read(&file)?;
        Ok(Some(Self {
            model,
            seconds,
            file,
        }))
    }
}
