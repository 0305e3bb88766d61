//! `elman export`: a model as a file for other programs.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::output::Output;
use crate::checkpoint::vectors::{self, WordTable};
use crate::checkpoint::{Checkpoint, replace_file};
use crate::error::{Error, Result};
use crate::onnx::{OnnxForm, checkpoint_to_onnx};

#[derive(Debug, Args)]
pub(super) struct ExportFlags {
    /// As ONNX, with the inputs, outputs and metadata that sherpa-onnx reads
    #[arg(long, required_unless_present = "vectors")]
    onnx: bool,
    /// As word vectors in word2vec's text format: those of the input, or those of the output layer
    #[arg(long, value_name = "input|output", conflicts_with_all = ["onnx", "form"])]
    vectors: Option<WordTable>,
    /// The directory that `elman train` wrote
    #[arg(long, value_name = "DIR", default_value = "model")]
    model: PathBuf,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What the file computes
    #[arg(long, value_enum, default_value_t = OnnxForm::Sentence)]
    form: OnnxForm,
    /// Replace FILE where it exists
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(flags: &ExportFlags) -> Result<()> {
    claim(&flags.out, flags.force)?;
    let checkpoint = Checkpoint::read(&flags.model)?;
    if let Some(table) = flags.vectors {
        let (words, size) = (
            checkpoint.vocabulary.len(),
            vectors::write(&checkpoint, table, &flags.out)?,
        );
        let mut output = Output::new();
        if flags.json {
            output.json(&json!({ "file": flags.out, "words": words, "size": size }))?;
        } else {
            output.line(format_args!(
                "{}: {words} vectors of {size} numbers",
                flags.out.display()
            ))?;
        }
        return output.flush();
    }
    let bytes = checkpoint_to_onnx(&checkpoint, flags.form)?;
    replace_file(&flags.out, &bytes)?;
    let (form, interface) = match flags.form {
        OnnxForm::Sentence => ("sentence", "x [N, L], x_lens [N] -> nll [N]"),
        OnnxForm::Step => (
            "step",
            "x [N, 1] and states -> log_softmax [N, V] and states",
        ),
    };
    let mut output = Output::new();
    if flags.json {
        output.json(&json!({ "file": flags.out, "form": form, "bytes": bytes.len() }))?;
    } else {
        output.line(format_args!(
            "{}: {interface}, {} bytes",
            flags.out.display(),
            bytes.len()
        ))?;
    }
    output.flush()?;
    let initial = checkpoint.description.config.initial_state;
    if flags.form == OnnxForm::Step && initial != 0.0 {
        eprintln!(
            "the states before the first token are {initial} in every unit, not zeros: the file's \
             metadata say so under initial_state"
        );
    }
    Ok(())
}

/// Makes sure that nothing is overwritten that was not meant to be.
fn claim(file: &Path, force: bool) -> Result<()> {
    if file.is_dir() {
        return Err(Error::invalid(
            file.display().to_string(),
            "it is a directory",
            "Give --out the name of a file",
        ));
    }
    if file.exists() && !force {
        return Err(Error::invalid(
            file.display().to_string(),
            "it exists",
            "--force replaces it, --out FILE writes elsewhere",
        ));
    }
    Ok(())
}
