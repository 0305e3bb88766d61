//! `elman import`: a model of another program's files.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::output::Output;
use super::{check_unused, quoted, summary};
use crate::checkpoint::import::{Imported, pytorch, rnnlm};
use crate::corpus::Unit;
use crate::error::{Error, Result};
use crate::kernels::Activation;
use crate::model::Config;

#[derive(Debug, Args)]
pub(super) struct ImportFlags {
    /// The program that made the files
    #[arg(long, value_name = "PROGRAM")]
    from: Program,
    /// The model
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The types of a model of PyTorch, one a line in the order of its tables, or with their
    /// numbers as in Kaldi's words.txt; </s> or <eos> among words, \n among characters, is what
    /// ends a line
    #[arg(long, value_name = "FILE", required_if_eq("from", "pytorch"))]
    vocab: Option<PathBuf>,
    /// Where the model goes
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace the model that is there
    #[arg(long)]
    force: bool,
    /// What a token of a model of PyTorch is [default: word]
    #[arg(long)]
    unit: Option<Unit>,
    /// The hidden units' function, which a file of PyTorch does not tell: sigmoid, tanh (nn.RNN's
    /// own) or relu [default: tanh]
    #[arg(long)]
    activation: Option<Activation>,
    /// What every hidden unit of a model of PyTorch is before the first token [default: 0, as in
    /// PyTorch]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    initial_state: Option<f32>,
}

/// A program whose models Elman reads.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Program {
    /// A state_dict with the names of PyTorch's word_language_model, saved as safetensors
    Pytorch,
    /// A model of Mikolov's rnnlm 0.3 or 0.4, text or binary
    Rnnlm,
}

pub(super) fn run(flags: &ImportFlags) -> Result<()> {
    check_unused(&flags.out, flags.force, "")?;
    let (imported, defaults) = match flags.from {
        Program::Pytorch => flags.pytorch()?,
        Program::Rnnlm => flags.rnnlm()?,
    };
    imported
        .notes
        .iter()
        .for_each(|note| eprintln!("note: {note}"));
    let checkpoint = imported.into_checkpoint(defaults)?;
    checkpoint.write(&flags.out)?;
    let mut output = Output::new();
    output.line(summary(&checkpoint.description))?;
    match checkpoint.initial_states {
        None => output.line(format_args!(
            "every unit is {} before the first token",
            checkpoint.description.config.initial_state
        ))?,
        Some(_) => output.line("a text begins with the state that the file holds")?,
    }
    output.line("try next:")?;
    output.line(format_args!("  elman inspect {}", quoted(&flags.out)))?;
    output.line(format_args!(
        "  elman eval --model {} --text FILE",
        quoted(&flags.out)
    ))?;
    output.flush()
}

impl ImportFlags {
    /// A network, and what its file does not tell.
    fn pytorch(&self) -> Result<(Imported, Config)> {
        let initial_state = self.initial_state.unwrap_or(0.0);
        if !initial_state.is_finite() {
            return Err(Error::usage(
                format!("--initial-state {initial_state}"),
                "it must be finite",
                "Take a number such as 0 or 0.1",
            ));
        }
        let vocab = self.vocab.as_deref().unwrap_or(Path::new("vocab.txt"));
        let imported = pytorch::read(&self.file, vocab, self.unit.unwrap_or(Unit::Word))?;
        let activation = self.activation.unwrap_or(Activation::Tanh);
        Ok((
            imported,
            Config {
                activation,
                initial_state,
                ..Config::default()
            },
        ))
    }

    /// The same of rnnlm, whose files tell everything.
    fn rnnlm(&self) -> Result<(Imported, Config)> {
        let given = [
            ("--vocab", self.vocab.is_some()),
            ("--unit", self.unit.is_some()),
            ("--activation", self.activation.is_some()),
            ("--initial-state", self.initial_state.is_some()),
        ];
        match given.iter().find(|(_, is_given)| *is_given) {
            None => rnnlm::read(&self.file),
            Some((flag, _)) => Err(Error::usage(
                format!("{flag} with --from rnnlm"),
                "a model of rnnlm says this itself",
                "Leave it out",
            )),
        }
    }
}
