//! `elman eval`: what a model says of a text.

use std::path::PathBuf;

use clap::Args;

use super::DeviceFlags;
use super::model;
use super::output::Output;
use crate::checkpoint::Checkpoint;
use crate::corpus::read_tokens;
use crate::error::{Error, Result};
use crate::evaluate::evaluate_ensemble;

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
    /// Begin every sentence with the initial state instead of carrying the state from sentence to sentence [default: as the model was trained]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    independent: Option<bool>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(flags: &EvalFlags) -> Result<()> {
    let checkpoints = read(&flags.models)?;
    let mut device = flags.device.open()?;
    let models = checkpoints.iter().map(|one| model(&mut device, one)).collect::<Result<Vec<_>>>()?;
    let independent = flags.independent.unwrap_or(checkpoints[0].description.config.independent);
    let (tokens, _) = read_tokens(&flags.text, checkpoints[0].description.unit, &checkpoints[0].vocabulary)?;
    drop(checkpoints);
    let evaluation = evaluate_ensemble(&mut device, &models, &tokens, independent)?;
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

/// Reads models that can be asked together: of one unit and one vocabulary.
fn read(directories: &[PathBuf]) -> Result<Vec<Checkpoint>> {
    let checkpoints = directories.iter().map(|directory| Checkpoint::read(directory)).collect::<Result<Vec<_>>>()?;
    for (directory, checkpoint) in directories.iter().zip(&checkpoints).skip(1) {
        let first = &checkpoints[0];
        if checkpoint.vocabulary != first.vocabulary || checkpoint.description.unit != first.description.unit {
            let what = |one: &Checkpoint| format!("{} {}s", one.vocabulary.len(), one.description.unit.name());
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
