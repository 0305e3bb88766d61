//! `elman eval`: what a model says of a text.

use std::path::PathBuf;

use clap::Args;

use super::output::Output;
use super::{Loaded, ModelFlags};
use crate::corpus::read_tokens;
use crate::error::Result;
use crate::evaluate::Evaluator;

#[derive(Debug, Args)]
pub(super) struct EvalFlags {
    #[command(flatten)]
    pub(super) model: ModelFlags,
    /// The text to measure
    #[arg(long, value_name = "FILE")]
    text: PathBuf,
    /// Begin every sentence with the initial state instead of carrying the state from sentence to sentence
    #[arg(long)]
    independent: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(flags: &EvalFlags) -> Result<()> {
    let Loaded { checkpoint, mut device, model } = flags.model.load()?;
    let (tokens, _) = read_tokens(&flags.text, checkpoint.description.unit, &checkpoint.vocabulary)?;
    let evaluation = Evaluator::new(&mut device, &model, flags.independent)?.evaluate(&mut device, &model, &tokens)?;
    let mut output = Output::new();
    if flags.json {
        output.json(&evaluation)?;
    } else {
        output.line(format_args!("perplexity         {:.4}", evaluation.perplexity))?;
        output.line(format_args!("entropy            {:.6} bits a token ({:.6} nats)", evaluation.entropy_bits, evaluation.loss()))?;
        output.line(format_args!("log10 probability  {:.4}", evaluation.log10_prob))?;
        output.line(format_args!("tokens             {}", evaluation.tokens))?;
        output.line(format_args!("unknown words      {}", evaluation.oov))?;
    }
    output.flush()
}
