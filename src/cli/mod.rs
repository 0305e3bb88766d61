//! The command line: one file a subcommand, each flags in, library calls, words out.

mod bench;
mod check;
mod choice;
mod corpus;
mod devices;
mod eval;
mod export;
mod flag_files;
mod generate;
mod heap;
mod import;
mod input;
mod inspect;
mod message;
mod mix;
mod ngram;
mod output;
mod presets;
mod replay;
mod rescore;
mod score;
mod table_flags;
mod train;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, Parser};

pub use message::{exit_code, message};
pub use output::is_broken_pipe;

use crate::checkpoint::{Checkpoint, Description, LOG};
use crate::device::{Device, DeviceChoice};
use crate::error::{Error, Result};
use crate::model::{Model, cell_kind, comma_separated};

/// Trains recurrent neural network language models on any GPU, and on the CPU where there is none;
/// measures, scores and writes with them.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Subcommand,
}

#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    /// Train a model; without --train on the built-in corpus, whose best possible perplexity is
    /// known
    Train(Box<train::TrainFlags>),
    /// Measure a text: perplexity by token, word and character, entropy, log10 probability, tokens,
    /// unknown words
    Eval(eval::EvalFlags),
    /// One log10 probability for each line of a file or of standard input
    Score(score::ScoreFlags),
    /// Score lists of hypotheses, and find the best of each
    Rescore(rescore::RescoreFlags),
    /// Write text
    Generate(generate::GenerateFlags),
    /// Make an n-gram model of a text, or of what a network writes, and measure it
    Ngram(ngram::NgramFlags),
    /// List every adapter, what it can do, and which one `auto` takes
    Devices(devices::DevicesFlags),
    /// Run every kernel on a GPU and on the CPU and compare: is this driver right?
    Check(check::CheckFlags),
    /// Measure training, evaluation and generation against the device's own ceilings
    Bench(bench::BenchFlags),
    /// Write a model as a file for other programs
    Export(export::ExportFlags),
    /// Make a model of another program's files
    Import(import::ImportFlags),
    /// Show what is in a checkpoint
    Inspect(inspect::InspectFlags),
    /// Write sentences of the built-in grammar, or examples of a task of memory, with their exact
    /// probability on request
    Corpus(corpus::CorpusFlags),
}

/// The command line, with every subcommand and flag.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Where to run.
#[derive(Debug, Clone, Args)]
struct DeviceFlags {
    /// auto (a real GPU, else the CPU), cpu, gpu, or a part of an adapter's name
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: String,
    /// Threads of the CPU path [default: as many as there are cores]
    #[arg(long)]
    threads: Option<NonZeroUsize>,
}

impl DeviceFlags {
    fn threads(&self) -> usize {
        self.threads.map_or_else(
            || std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            NonZeroUsize::get,
        )
    }

    /// Opens the device and says on standard error which it is: the first line of every run.
    fn open(&self) -> Result<Device> {
        let choice: DeviceChoice = self.device.parse().unwrap_or_else(|never| match never {});
        let (device, reason) = choice.open(self.threads())?;
        let reason = message::with_flags(&reason);
        eprintln!("device: {}, {reason}", device.name());
        Ok(device)
    }

    /// Runs `work` where parallel loops find as many threads as were asked for.
    fn with_threads<R: Send>(&self, work: impl FnOnce() -> R + Send) -> Result<R> {
        let threads = self.threads();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| {
                Error::invalid(
                    format!("--threads {threads}"),
                    error.to_string(),
                    "Take fewer threads",
                )
            })?;
        Ok(pool.install(work))
    }
}

/// A trained model and where to run it.
#[derive(Debug, Clone, Args)]
struct ModelFlags {
    /// The directory that `elman train` wrote
    #[arg(long, value_name = "DIR", default_value = "model")]
    model: PathBuf,
    #[command(flatten)]
    device: DeviceFlags,
}

/// A checkpoint on a device.
struct LoadedModel {
    checkpoint: Checkpoint,
    device: Device,
    model: Model,
}

/// Brings a model onto a device.
fn model(device: &mut Device, checkpoint: &Checkpoint) -> Result<Model> {
    Model::new(
        device,
        checkpoint.description.config.clone(),
        &checkpoint.parameters,
    )?
    .with_initial_states(checkpoint.initial_states.clone())
}

impl ModelFlags {
    fn load(&self) -> Result<LoadedModel> {
        let checkpoint = Checkpoint::read(&self.model)?;
        let mut device = self.device.open()?;
        let model = model(&mut device, &checkpoint)?;
        Ok(LoadedModel {
            checkpoint,
            device,
            model,
        })
    }
}

impl Cli {
    /// The command of a command line, with flags from the files that it names. Where the command
    /// line is wrong in itself, or asks for help, the process ends here.
    ///
    /// # Errors
    /// If a file cannot be read, or a flag in it is none.
    pub fn from_arguments(arguments: impl IntoIterator<Item = OsString>) -> Result<Self> {
        flag_files::complete(arguments.into_iter().collect())
    }

    /// Runs the subcommand.
    ///
    /// # Errors
    /// Whatever went wrong, in words for the user.
    pub fn run(self) -> Result<()> {
        match self.command {
            Subcommand::Train(flags) => flags.device.clone().with_threads(|| train::run(&flags))?,
            Subcommand::Eval(flags) => flags.device.clone().with_threads(|| eval::run(&flags))?,
            Subcommand::Score(flags) => flags.device.clone().with_threads(|| score::run(&flags))?,
            Subcommand::Rescore(flags) => {
                flags.device.clone().with_threads(|| rescore::run(&flags))?
            }
            Subcommand::Generate(flags) => flags
                .model
                .device
                .clone()
                .with_threads(|| generate::run(&flags))?,
            Subcommand::Ngram(flags) => flags.device.clone().with_threads(|| ngram::run(&flags))?,
            Subcommand::Devices(flags) => devices::run(&flags),
            Subcommand::Check(flags) => flags.device.clone().with_threads(|| check::run(&flags))?,
            Subcommand::Bench(flags) => flags.device.clone().with_threads(|| bench::run(&flags))?,
            Subcommand::Export(flags) => export::run(&flags),
            Subcommand::Import(flags) => import::run(&flags),
            Subcommand::Inspect(flags) => inspect::run(&flags),
            Subcommand::Corpus(flags) => corpus::run(&flags),
        }
    }
}

/// Makes sure that no model is overwritten that was not meant to be. `ways` are ways out besides
/// --force and --out, each with ", " after it.
fn check_unused(directory: &Path, force: bool, ways: &str) -> Result<()> {
    if directory.exists() && !directory.is_dir() {
        return Err(Error::invalid(
            directory.display().to_string(),
            "it is a file",
            "Give --out the name of a directory",
        ));
    }
    let is_used = match std::fs::read_dir(directory) {
        // A run that ended before its first checkpoint leaves a log and no model.
        Ok(entries) => entries.flatten().any(|entry| entry.file_name() != LOG),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(Error::io("read", directory)(error)),
    };
    if is_used && !force {
        return Err(Error::invalid(
            directory.display().to_string(),
            "it exists and is not empty",
            format!("--force replaces the model in it, {ways}--out DIR writes elsewhere"),
        ));
    }
    Ok(())
}

/// A model in a line.
fn summary(description: &Description) -> String {
    let config = &description.config;
    let sizes = if config.hidden_sizes.is_empty() {
        config.hidden_size.to_string()
    } else {
        comma_separated(&config.hidden_sizes)
    };
    let cells = if cell_kind(config).has_activation {
        format!("{} {}", config.activation, config.cell)
    } else {
        config.cell.clone()
    };
    format!(
        "{} layer(s) of {sizes} {cells} cells on {}, vocabulary {}, {} output",
        config.num_layers,
        description.unit.plural(),
        config.vocab_size,
        config.output
    )
}

/// A path in quotes where it needs them, for commands that people copy.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    if text
        .chars()
        .all(|character| character.is_ascii_alphanumeric() || "/._-".contains(character))
    {
        text
    } else {
        format!("'{text}'")
    }
}
