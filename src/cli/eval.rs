//! `elman eval`: what a model says of a text.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::DeviceFlags;
use super::output::Output;
use crate::checkpoint::Checkpoint;
use crate::corpus::read_tokens;
use crate::error::{Error, Result};
use crate::evaluate::{Evaluation, TextEvaluation, evaluate_ensemble};
use crate::model::Model;

#[derive(Debug, Args)]
pub(super) struct EvalFlags {
    /// The directory that `elman train` wrote; given several times, the mean of the models' probabilities is measured
    #[arg(long = "model", value_name = "DIR", default_value = "model")]
    models: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) device: DeviceFlags,
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

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    by_token: Evaluation,
    #[serde(flatten)]
    by_text: TextEvaluation,
}

pub(super) fn run(flags: &EvalFlags) -> Result<()> {
    let checkpoints = read(&flags.models)?;
    let mut device = flags.device.open()?;
    let model = |one: &Checkpoint| Model::new(&mut device, one.description.config.clone(), &one.parameters);
    let models = checkpoints.iter().map(model).collect::<Result<Vec<_>>>()?;
    let (tokens, text) = read_tokens(&flags.text, checkpoints[0].description.unit, &checkpoints[0].vocabulary)?;
    drop(checkpoints);
    let evaluation = evaluate_ensemble(&mut device, &models, &tokens, flags.independent)?;
    let by_text = evaluation.by_text(&text);
    let mut output = Output::new();
    if flags.json {
        output.json(&Report { by_token: evaluation, by_text })?;
    } else {
        output.line(format_args!("perplexity         {:.4}", evaluation.perplexity))?;
        output.line(format_args!("entropy            {:.6} bits a token ({:.6} nats)", evaluation.entropy_bits, evaluation.loss()))?;
        output.line(format_args!("log10 probability  {:.4}", evaluation.log10_prob))?;
        output.line(format_args!("tokens             {}", evaluation.tokens))?;
        output.line(format_args!("unknown words      {}", evaluation.oov))?;
        tell_by_text(&mut output, &by_text)?;
    }
    output.flush()
}

/// What models of different units compare by.
fn tell_by_text(output: &mut Output, by_text: &TextEvaluation) -> Result<()> {
    if let (Some(words), Some(perplexity)) = (by_text.words, by_text.word_perplexity) {
        output.line(format_args!("per word           {perplexity:.4}  ({words} words and ends of lines)"))?;
    }
    if let (Some(characters), Some(perplexity), Some(bits)) = (by_text.characters, by_text.character_perplexity, by_text.bits_per_character)
    {
        output.line(format_args!("per character      {perplexity:.4}  ({characters} characters, {bits:.4} bits each)"))?;
    }
    match &by_text.incomparable {
        Some(reason) => output.line(format_args!("per word and per character are not told: {reason}")),
        None => Ok(()),
    }
}

/// Reads models that can be asked together: of one unit and one vocabulary.
fn read(directories: &[PathBuf]) -> Result<Vec<Checkpoint>> {
    let checkpoints = directories.iter().map(|directory| Checkpoint::read(directory)).collect::<Result<Vec<_>>>()?;
    for (directory, checkpoint) in directories.iter().zip(&checkpoints).skip(1) {
        let first = &checkpoints[0];
        if checkpoint.vocabulary != first.vocabulary || checkpoint.description.unit != first.description.unit {
            let what = |one: &Checkpoint| format!("{} {}", one.vocabulary.len(), one.description.unit.plural());
            return Err(Error::refused(
                format!("--model {}", directory.display()),
                format!(
                    "its vocabulary of {} is not that of {}, of {}, and only probabilities of the same tokens have a mean",
                    what(checkpoint),
                    directories[0].display(),
                    what(first)
                ),
                "Give models that were trained on one text, with one --unit, --vocab-size and --min-count",
            ));
        }
    }
    Ok(checkpoints)
}
