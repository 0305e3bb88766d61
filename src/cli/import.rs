//! `elman import`: converts a model of another program.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::output::Output;
use super::{check_unused, quoted, summary};
use crate::checkpoint::import::{Imported, pytorch, rnnlm};
use crate::corpus::Unit;
use crate::error::{Error, Result};
use crate::kernels::Activation;
use crate::model::{Config, cell_kind};

#[derive(Debug, Args)]
pub(super) struct ImportFlags {
    /// Program that wrote the model
    #[arg(long, value_name = "PROGRAM")]
    from: Program,
    /// File of the model
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Vocabulary of a PyTorch model: one type per line in the order of its tables, or types with
    /// ids as in Kaldi's words.txt. The type that ends a line is </s> or <eos> among words, \n
    /// among characters
    #[arg(long, value_name = "FILE", required_if_eq("from", "pytorch"))]
    vocab: Option<PathBuf>,
    /// Directory to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace the model in DIR
    #[arg(long)]
    force: bool,
    /// Unit of the tokens of a PyTorch model [default: word]
    #[arg(long)]
    unit: Option<Unit>,
    /// Activation function of the hidden units: sigmoid, tanh (nn.RNN's default) or relu [default:
    /// as the file states, if Elman wrote it, else tanh]
    #[arg(long)]
    activation: Option<Activation>,
    /// Initial state of every hidden unit of a PyTorch model [default: as the file states, if Elman
    /// wrote it, else 0, as in PyTorch]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    initial_state: Option<f32>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A program whose models Elman can read.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Program {
    /// A PyTorch state_dict with the names of the word_language_model example, saved as safetensors
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
    for note in &imported.notes {
        note_line!("note: {note}");
    }
    let notes = imported.notes.clone();
    let checkpoint = imported.into_checkpoint(defaults)?;
    checkpoint.write(&flags.out)?;
    let mut output = Output::new();
    if flags.json {
        output.json(&json!({
            "model": flags.out,
            "config": checkpoint.description,
            "stored_initial_state": checkpoint.initial_states.is_some(),
            "notes": notes,
        }))?;
        return output.flush();
    }
    output.line(summary(&checkpoint.description))?;
    match checkpoint.initial_states {
        None => output.line(format_args!(
            "the initial state is {} in every unit",
            checkpoint.description.config.initial_state
        ))?,
        Some(_) => output.line("the initial state of a text is the state in the file")?,
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
    /// A PyTorch model, and the fields of the configuration that its tensors do not determine: as
    /// the flags say, else as the file states, else as in PyTorch.
    fn pytorch(&self) -> Result<(Imported, Config)> {
        if let Some(state) = self.initial_state.filter(|state| !state.is_finite()) {
            return Err(Error::usage(
                format!("--initial-state {state}"),
                "it must be finite",
                "Use a value such as 0 or 0.1",
            ));
        }
        let vocab = self.vocab.as_deref().unwrap_or(Path::new("vocab.txt"));
        let mut imported = pytorch::read(&self.file, vocab, self.unit.unwrap_or(Unit::Word))?;
        let activation = match self.activation {
            Some(activation) => Some(activation),
            None => imported.stated_activation()?,
        };
        let initial_state = match self.initial_state {
            Some(state) => Some(state),
            None => imported.stated_initial_state()?,
        };
        let mut config = Config {
            initial_state: initial_state.unwrap_or(0.0),
            ..Config::default()
        };
        config.cell = imported.shape.cell.to_owned();
        // Other cells have fixed functions; the field keeps its default, as in training.
        let has_activation = cell_kind(&config).has_activation;
        if let (Some(activation), false) = (self.activation, has_activation) {
            return Err(Error::usage(
                format!("--activation {activation}"),
                format!("the activations of {} cells are fixed", config.cell),
                "Omit it",
            ));
        }
        if has_activation {
            config.activation = activation.unwrap_or(Activation::Tanh);
        }
        if has_activation && activation.is_none() {
            imported.notes.push(
                "the file does not state the activation function: tanh is assumed, the default of \
                 nn.RNN; --activation sets another"
                    .to_owned(),
            );
        }
        if initial_state.is_none() && imported.initial_states.is_none() {
            imported.notes.push(
                "the file does not state the initial state: 0 is assumed, as in PyTorch; \
                 --initial-state sets another"
                    .to_owned(),
            );
        }
        if self.initial_state.is_some() {
            imported.initial_states = None;
        }
        Ok((imported, config))
    }

    /// An rnnlm model, whose file determines the whole configuration.
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
                "a model of rnnlm determines this itself",
                "Omit it",
            )),
        }
    }
}
