//! `elman corpus`: sentences of the built-in grammar.

use clap::Args;

use super::output::Output;
use crate::corpus::builtin;
use crate::error::Result;

#[derive(Debug, Args)]
pub(super) struct CorpusFlags {
    /// Sentences to write
    #[arg(long, default_value_t = 20, value_name = "N")]
    sentences: usize,
    /// The same seed writes the same sentences; `elman train` uses the default
    #[arg(long, default_value_t = builtin::SEED)]
    seed: u64,
    /// Print each sentence's exact log10 probability under the grammar and a tab before it
    #[arg(long)]
    probabilities: bool,
}

pub(super) fn run(flags: &CorpusFlags) -> Result<()> {
    let drawn = builtin::draw(flags.sentences, flags.seed)?;
    let mut output = Output::new();
    for (sentence, probability) in drawn.text.lines().zip(&drawn.log10_probabilities) {
        if flags.probabilities {
            output.line(format_args!("{probability:.6}\t{sentence}"))?;
        } else {
            output.line(sentence)?;
        }
    }
    output.flush()
}
