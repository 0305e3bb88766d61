//! The command line, one file for each subcommand.
//!
//! In: the arguments of the program. Out: results on standard output, messages on standard error.

#[macro_use]
mod stderr;

mod bench;
mod check;
mod choice;
mod compare;
mod completions;
mod corpus;
mod device_flags;
mod devices;
mod eval;
mod export;
mod flag_files;
mod flag_origins;
mod generate;
mod given_vocabulary;
mod heap;
mod import;
mod input;
mod inspect;
mod list_presets;
mod man;
mod merged_flags;
mod message;
mod messages;
mod mix;
mod models;
mod ngram;
mod output;
mod parse;
mod perplexity;
mod prepare;
mod presets;
mod quiet;
mod ranks;
mod replay;
mod report;
mod rescore;
mod score;
mod sentence_tags;
mod table_flags;
mod time;
mod train;
mod vocabulary_warning;
mod waiting;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser};

pub use flag_files::{check_flag_file, check_flag_tables};
pub use message::exit_code;
use message::message;
pub use output::is_broken_pipe;
pub use stderr::{name_rank_in_panics, write_error};

use crate::checkpoint::{Checkpoint, Description, is_leftover};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::model::{Config, Model, cell_kind, comma_separated};
use device_flags::{DeviceFlags, RankDeviceFlags, default_threads};
use models::read_model;

/// Train recurrent neural network language models on any GPU or on the CPU, evaluate them, score
/// sentences and generate text
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    messages: messages::MessageFlags,
    #[command(subcommand)]
    command: Subcommand,
}

#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    /// Train a model; without --train, on the built-in corpus, whose lowest possible perplexity is
    /// known
    Train(Box<train::TrainFlags>),
    /// Evaluate a model on a text: perplexity by token, word and character, entropy, log10
    /// probability, tokens, unknown words
    Eval(eval::EvalFlags),
    /// Print the log10 probability of each line of a file or of standard input
    Score(score::ScoreFlags),
    /// Train several models on one text, each within a budget of time, and compare their
    /// perplexities in one table
    Compare(compare::CompareFlags),
    /// Score n-best lists and select the best hypotheses
    Rescore(rescore::RescoreFlags),
    /// Generate text
    Generate(generate::GenerateFlags),
    /// Estimate an n-gram model from a text, or from text that a network generates, and evaluate it
    Ngram(ngram::NgramFlags),
    /// Tokenize a text once and keep its tokens in a directory, for texts larger than memory and
    /// for many runs on one text
    Prepare(prepare::PrepareFlags),
    /// List the GPU adapters, their capabilities, and the device that `auto` selects
    Devices(devices::DevicesFlags),
    /// Check a GPU driver: run every kernel on the GPU and on the CPU and compare the results
    Check(check::CheckFlags),
    /// Benchmark training, evaluation and generation, relative to the device's measured peaks
    Bench(bench::BenchFlags),
    /// Export a model for other programs
    Export(export::ExportFlags),
    /// Import a model from another program's files
    Import(import::ImportFlags),
    /// Show the contents of a checkpoint
    Inspect(inspect::InspectFlags),
    /// Write one HTML page about runs, and about what their models do with a text
    Report(report::ReportFlags),
    /// List the presets of `elman train`, or print one
    Presets(list_presets::PresetsFlags),
    /// Print a script that completes commands and flags in a shell
    Completions(completions::CompletionsFlags),
    /// Print a manual page, or write all of them to a directory
    Man(man::ManFlags),
    /// Generate sentences of the built-in grammar, or examples of a memory task, optionally with
    /// their exact probability
    Corpus(corpus::CorpusFlags),
}

/// The command line, with every subcommand and flag.
pub fn command() -> clap::Command {
    parse::command()
}

/// Runs `work` with this number of threads for parallel loops.
fn with_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> Result<R> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| {
            Error::invalid(
                format!("--threads {threads}"),
                error.to_string(),
                "Use fewer threads",
            )
        })?;
    Ok(pool.install(work))
}

/// A trained model and the device to run it on.
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

/// Uploads a model to a device, to evaluate it or to adapt it to a text.
fn model(device: &mut Device, checkpoint: &Checkpoint) -> Result<Model> {
    Model::new(
        device,
        checkpoint.description.config.clone().with_full_softmax(),
        &checkpoint.parameters,
    )?
    .with_initial_states(checkpoint.initial_states.clone())
}

impl ModelFlags {
    fn load(&self) -> Result<LoadedModel> {
        let checkpoint = read_model(&self.model)?;
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
    /// Parses a command line, with flags from the files that it names. Where the command line is
    /// invalid in itself, or asks for help, the process ends here.
    ///
    /// # Errors
    /// If a file cannot be read, or contains an invalid flag.
    pub fn from_arguments(arguments: impl IntoIterator<Item = OsString>) -> Result<Self> {
        flag_files::complete(arguments.into_iter().collect())
    }

    /// Runs the subcommand. The exit code is that of success, or of a run that was interrupted.
    ///
    /// # Errors
    /// If the subcommand fails.
    pub fn run(self) -> Result<ExitCode> {
        let mut exit_code = ExitCode::SUCCESS;
        self.messages.apply();
        ranks::prepare(&self.command)?;
        waiting::show_activities();
        match self.command {
            Subcommand::Train(flags) => flags
                .device
                .clone()
                .with_threads(|| train::run(&flags))?
                .map(|code| exit_code = code),
            Subcommand::Eval(flags) => flags.device.clone().with_threads(|| eval::run(&flags))?,
            Subcommand::Score(flags) => flags.device.clone().with_threads(|| score::run(&flags))?,
            Subcommand::Compare(flags) => flags
                .device
                .clone()
                .with_threads(|| compare::run(&flags))?
                .map(|code| exit_code = code),
            Subcommand::Rescore(flags) => {
                flags.device.clone().with_threads(|| rescore::run(&flags))?
            }
            Subcommand::Generate(flags) => flags
                .model
                .device
                .clone()
                .with_threads(|| generate::run(&flags))?,
            Subcommand::Ngram(flags) => flags.device.clone().with_threads(|| ngram::run(&flags))?,
            Subcommand::Prepare(flags) => prepare::run(&flags),
            Subcommand::Devices(flags) => devices::run(&flags),
            Subcommand::Check(flags) => flags.device.clone().with_threads(|| check::run(&flags))?,
            Subcommand::Bench(flags) => flags.device.clone().with_threads(|| bench::run(&flags))?,
            Subcommand::Export(flags) => export::run(&flags),
            Subcommand::Import(flags) => import::run(&flags),
            Subcommand::Inspect(flags) => inspect::run(&flags),
            Subcommand::Report(flags) => {
                flags.device.clone().with_threads(|| report::run(&flags))?
            }
            Subcommand::Presets(flags) => list_presets::run(&flags),
            Subcommand::Completions(flags) => completions::run(&flags),
            Subcommand::Man(flags) => man::run(&flags),
            Subcommand::Corpus(flags) => corpus::run(&flags),
        }?;
        Ok(exit_code)
    }
}

/// Checks that no model is overwritten by mistake. `alternatives` are hints beside --force and
/// --out, each followed by ", ".
fn check_unused(directory: &Path, force: bool, alternatives: &str) -> Result<()> {
    if directory.exists() && !directory.is_dir() {
        return Err(Error::invalid(
            directory.display().to_string(),
            "it is a file",
            "Give --out the name of a directory",
        ));
    }
    if is_used(directory)? && !force {
        return Err(Error::invalid(
            directory.display().to_string(),
            "it exists and is not empty",
            format!("--force replaces the model in it, {alternatives}--out DIR writes elsewhere"),
        ));
    }
    Ok(())
}

/// Whether a directory has more than what a run leaves that ended before its first checkpoint: a
/// log and temporary files.
fn is_used(directory: &Path) -> Result<bool> {
    match std::fs::read_dir(directory) {
        Ok(entries) => Ok(entries
            .flatten()
            .any(|entry| !is_leftover(&entry.file_name().to_string_lossy()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("read", directory)(error)),
    }
}

/// A one-line summary of a model.
fn summary(description: &Description) -> String {
    let config = &description.config;
    let sizes = if config.hidden_sizes.is_empty() {
        config.hidden_size.to_string()
    } else {
        comma_separated(&config.hidden_sizes)
    };
    let output = match config.mixture {
        0 => format!("{} output", config.output),
        count => format!("a mixture of {count} softmaxes as output"),
    };
    let kind = cell_kind(config);
    if kind.is_feed_forward() {
        return format!(
            "a layer of {sizes} tanh units on the last {} {}, vocabulary {}, {output}{}",
            config.context,
            description.unit.plural(),
            config.vocab_size,
            match config.skip_connection {
                true => " with connections from the embeddings",
                false => "",
            }
        );
    }
    let cells = if kind.has_activation {
        format!("{} {}", config.activation, config.cell)
    } else {
        config.cell.clone()
    };
    format!(
        "{} layer(s) of {sizes} {cells} cells{} on {}, vocabulary {}, {output}",
        config.num_layers,
        variants(config),
        description.unit.plural(),
        config.vocab_size
    )
}

/// What the recurrent layers have beside their cells.
fn variants(config: &Config) -> String {
    let names = [
        ("residual connections", config.residual),
        ("capped input gates", config.cap_input_gate),
        ("layer normalization", config.layer_norm),
    ];
    let names: Vec<_> = names.into_iter().filter(|(_, is_on)| *is_on).collect();
    match names.as_slice() {
        [] => String::new(),
        _ => format!(
            " with {}",
            names
                .iter()
                .map(|(name, _)| *name)
                .collect::<Vec<_>>()
                .join(" and ")
        ),
    }
}

/// A path for commands that users copy, in quotes if necessary.
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
