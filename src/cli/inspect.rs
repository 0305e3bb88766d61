//! `elman inspect`: shows the content of a checkpoint.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::models::open_model;
use super::output::Output;
use super::perplexity::perplexity;
use super::summary;
use crate::checkpoint::{Description, TrainingRecord, escape};
use crate::error::Result;
use crate::model::{ParameterSpec, parameter_specs};

#[derive(Debug, Args)]
pub(super) struct InspectFlags {
    /// Directory that `elman train` wrote
    #[arg(value_name = "DIR", default_value = "model")]
    model: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(flags: &InspectFlags) -> Result<()> {
    let files = open_model(&flags.model)?;
    let checkpoint = files.checkpoint()?;
    // A model does not need a training state.
    let record = if files.has_training() {
        Some(files.training_state(&checkpoint)?.record)
    } else {
        None
    };
    let specs = parameter_specs(&checkpoint.description.config);
    let norms: Vec<f64> = checkpoint
        .parameters
        .iter()
        .map(|values| norm(values))
        .collect();
    let mut output = Output::new();
    if flags.json {
        let parameters: Vec<_> = specs
            .iter()
            .zip(&norms)
            .map(|(spec, norm)| json!({ "name": spec.name, "shape": spec.shape, "norm": norm }))
            .collect();
        output.json(&json!({
            "config": checkpoint.description,
            "parameters": parameters,
            "training": record,
        }))?;
        return output.flush();
    }
    output.line(summary(&checkpoint.description))?;
    print_configuration(&mut output, &checkpoint.description)?;
    output.line("parameters:")?;
    for (spec, norm) in specs.iter().zip(&norms) {
        output.line(format_args!(
            "  {:24} {:>16}  norm {norm:.4}",
            spec.name,
            format!("{:?}", spec.shape)
        ))?;
    }
    let elements: usize = specs.iter().map(ParameterSpec::len).sum();
    output.line(format_args!("  {elements} parameters"))?;
    let types = checkpoint.vocabulary.types();
    let first_types: Vec<_> = types.iter().take(12).map(|token| escape(token)).collect();
    output.line(format_args!("vocabulary: {} …", first_types.join(" ")))?;
    match record {
        None => output.line("no training state: this model can be used, but not resumed")?,
        Some(record) => print_training(&mut output, &record)?,
    }
    output.flush()
}

/// Prints all fields of `config.json`.
fn print_configuration(output: &mut Output, description: &Description) -> Result<()> {
    output.line("configuration:")?;
    // By way of the text, in which numbers have as many digits as in the file.
    let text = serde_json::to_string(description).unwrap_or_default();
    let Ok(Value::Object(fields)) = serde_json::from_str(&text) else {
        return Ok(());
    };
    fields
        .iter()
        .try_for_each(|(name, value)| output.line(format_args!("  {name:24} {}", text_of(value))))
}

/// A value in one line. Of a long list, such as the sizes of word classes, the first elements.
fn text_of(value: &Value) -> String {
    const SHOWN: usize = 12;
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => {
            let mut texts: Vec<_> = values.iter().take(SHOWN).map(text_of).collect();
            if values.len() > SHOWN {
                texts.push(format!("… ({} in all)", values.len()));
            }
            texts.join(", ")
        }
        Value::Object(fields) => {
            let texts: Vec<_> = fields
                .iter()
                .map(|(name, value)| format!("{name} {}", text_of(value)))
                .collect();
            texts.join("; ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// The Euclidean norm of a parameter.
fn norm(values: &[f32]) -> f64 {
    let squares = values.iter().map(|&value| f64::from(value).powi(2));
    squares.sum::<f64>().sqrt()
}

fn print_training(output: &mut Output, record: &TrainingRecord) -> Result<()> {
    let progress = &record.progress;
    output.line(format_args!(
        "trained with Elman {} for {} epoch(s), {} windows into the next; {} --lr {} --batch {} \
         --bptt {}",
        record.elman,
        progress.epochs,
        progress.window,
        record.recipe.optimizer,
        record.recipe.lr,
        record.recipe.batch,
        record.recipe.bptt
    ))?;
    for epoch in &progress.history {
        output.line(format_args!(
            "  epoch {:2}  train loss {:.4}  valid perplexity {:>9}  lr {}{}",
            epoch.epoch,
            epoch.train_loss,
            perplexity(epoch.valid_perplexity, epoch.valid_loss, 3),
            epoch.lr,
            if epoch.rolled_back {
                "  rolled back"
            } else {
                ""
            }
        ))?;
    }
    Ok(())
}
