//! `elman export`: writes a model as a file for other programs.

#[cfg(feature = "onnx")]
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::models::read_model;
use super::output::{Output, check_overwrite};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::vectors::{self, WordTable};
#[cfg(not(feature = "onnx"))]
use crate::error::Error;
use crate::error::Result;
#[cfg(feature = "onnx")]
use crate::onnx::{OnnxForm, checkpoint_to_onnx};
#[cfg(feature = "onnx")]
use crate::output_file::write_file;

#[derive(Debug, Args)]
pub(super) struct ExportFlags {
    /// Write ONNX, with the inputs, outputs and metadata that sherpa-onnx reads
    #[arg(long, required_unless_present = "vectors")]
    onnx: bool,
    /// Write word vectors in word2vec's text format: those of the input or those of the output
    /// layer
    #[arg(long, value_name = "input|output", conflicts_with = "onnx")]
    vectors: Option<WordTable>,
    /// Directory that `elman train` wrote
    #[arg(long, value_name = "DIR", default_value = "model")]
    model: PathBuf,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What the ONNX graph computes
    #[cfg(feature = "onnx")]
    #[arg(long, value_enum, default_value_t = OnnxForm::Sentence, conflicts_with = "vectors")]
    form: OnnxForm,
    /// Replace FILE if it exists
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(flags: &ExportFlags) -> Result<()> {
    check_overwrite(&flags.out, flags.force)?;
    let checkpoint = read_model(&flags.model)?;
    match flags.vectors {
        Some(table) => flags.write_vectors(&checkpoint, table),
        None => flags.write_onnx(&checkpoint),
    }
}

impl ExportFlags {
    fn write_vectors(&self, checkpoint: &Checkpoint, table: WordTable) -> Result<()> {
        let size = vectors::write(checkpoint, table, &self.out)?;
        let words = checkpoint.vocabulary.len();
        let mut output = Output::new();
        if self.json {
            output.json(&json!({ "file": self.out, "words": words, "size": size }))?;
        } else {
            output.line(format_args!(
                "{}: {words} vectors of {size} numbers",
                self.out.display()
            ))?;
        }
        output.flush()
    }

    #[cfg(not(feature = "onnx"))]
    fn write_onnx(&self, _checkpoint: &Checkpoint) -> Result<()> {
        Err(Error::usage(
            "--onnx",
            "this program was built without ONNX",
            "Build it with the Cargo feature `onnx`",
        ))
    }

    #[cfg(feature = "onnx")]
    fn write_onnx(&self, checkpoint: &Checkpoint) -> Result<()> {
        let bytes = checkpoint_to_onnx(checkpoint, self.form)?;
        write_file(&self.out, |mut file| file.write_all(&bytes))?;
        let (form, interface) = match self.form {
            OnnxForm::Sentence => ("sentence", "x [N, L], x_lens [N] -> nll [N]"),
            OnnxForm::Step => (
                "step",
                "x [N, 1], h0, c0 [layers, N, H] -> log_softmax [N, V], next_h0, next_c0",
            ),
        };
        let mut output = Output::new();
        if self.json {
            output.json(&json!({ "file": self.out, "form": form, "bytes": bytes.len() }))?;
        } else {
            output.line(format_args!(
                "{}: {interface}, {} bytes",
                self.out.display(),
                bytes.len()
            ))?;
        }
        output.flush()
    }
}
