//! `elman import`: a model of another program's files.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::output::Output;
use super::{check_unused, quoted, summary};
use crate::checkpoint::import::pytorch;
use crate::corpus::Unit;
use crate::error::{Error, Result};
use crate::kernels::Activation;
use crate::model::Config;

#[derive(Debug, Args)]
pub(super) struct ImportFlags {
    /// The program that made the files
    #[arg(long, value_name = "PROGRAM")]
    from: Program,
    /// The model's numbers
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The model's types, one a line in the order of its tables, or with their numbers as in Kaldi's words.txt; </s> or <eos> among words, \n
    /// among characters, is what ends a line
    #[arg(long, value_name = "FILE")]
    vocab: PathBuf,
    /// Where the model goes
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace the model that is there
    #[arg(long)]
    force: bool,
    /// What a token is
    #[arg(long, default_value = "word")]
    unit: Unit,
    /// The hidden units' function, which the file does not tell: sigmoid, tanh (nn.RNN's default) or relu
    #[arg(long, default_value_t = Activation::Tanh)]
    activation: Activation,
    /// What every hidden unit is before the first token; PyTorch begins with 0
    #[arg(long, default_value_t = 0.0, value_name = "X", allow_negative_numbers = true)]
    initial_state: f32,
}

/// A program whose models Elman reads.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Program {
    /// A state_dict with the names of PyTorch's word_language_model, saved as safetensors
    Pytorch,
}

pub(super) fn run(flags: &ImportFlags) -> Result<()> {
    if !flags.initial_state.is_finite() {
        return Err(Error::usage(
            format!("--initial-state {}", flags.initial_state),
            "it must be finite",
            "Take a number such as 0 or 0.1",
        ));
    }
    check_unused(&flags.out, flags.force, "")?;
    let imported = match flags.from {
        Program::Pytorch => pytorch::read(&flags.file, &flags.vocab, flags.unit)?,
    };
    imported.notes.iter().for_each(|note| eprintln!("note: {note}"));
    let untold = Config { activation: flags.activation, initial_state: flags.initial_state, ..Config::default() };
    let checkpoint = imported.into_checkpoint(untold)?;
    checkpoint.write(&flags.out)?;
    let mut output = Output::new();
    output.line(summary(&checkpoint.description))?;
    output.line(format_args!("every unit is {} before the first token", flags.initial_state))?;
    output.line("try next:")?;
    output.line(format_args!("  elman inspect {}", quoted(&flags.out)))?;
    output.line(format_args!("  elman eval --model {} --text FILE", quoted(&flags.out)))?;
    output.flush()
}
