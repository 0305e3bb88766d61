//! A model as an ONNX file, for programs that run such files: ONNX Runtime, sherpa-onnx, tract.
//!
//! In: a checkpoint, or a [`Network`] of named parameters. Out: the bytes of one file that holds
//! graph and parameters. No device is needed.
//!
//! Inputs, outputs and metadata are those of icefall's exporter of RNN language models
//! (`icefall/rnn_lm/export-onnx.py` in k2-fsa/icefall), which sherpa-onnx reads
//! (`offline-rnn-lm.cc`, `online-rnn-lm.cc` in k2-fsa/sherpa-onnx):
//!
//! - [`OnnxForm::Sentence`]: inputs `x` int64 `[N, L]` and `x_lens` int64 `[N]`; output `nll` f32
//!   `[N]`.
//! - [`OnnxForm::Step`]: inputs `x` int64 `[N, 1]`, `h0` f32 `[layers, N, H]`, and `c0` for an
//!   LSTM; outputs `log_softmax` f32 `[N, V]`, `next_h0`, and `next_c0`; additional metadata
//!   `num_layers`, `hidden_size`, `embedding_dim`.
//!
//! Common metadata: `model_type` (rnnlm), `version` (1), `model_author`, `comment`, `sos_id` and
//! `eos_id` (both 0, the boundary), `vocab_size`; and, of this program, `cell`, `unit` and
//! `initial_state`, what every number of `h0` and `c0` is before the first token. sherpa-onnx
//! passes two states and begins with zeros: its streaming decoders take the step of an LSTM whose
//! `initial_state` is 0.

pub mod format;
mod forms;
mod graph;
mod network;

use prost::Message;

pub use network::{Network, Parameter};

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::field::{Choice, choices};
use crate::model::parameter_specs;
use format::{Model, OperatorSet, Property};
use network::Arranged;

choices! {
    /// The graph's interface.
    pub enum OnnxForm {
        /// Whole sentences in, one negative log-likelihood each out; the state stays inside.
        Sentence = "sentence",
        /// One token and the state in, the next word's log-probabilities and the next state out.
        Step = "step",
    }
}

/// The version of the set of operators, and that of the format which came with it: icefall's, so
/// that whatever reads its files reads these.
const OPERATORS: i64 = 13;
const FORMAT: i64 = 7;

/// The most bytes that a protobuf message may have.
const LARGEST: u64 = i32::MAX as u64;

/// The bytes of a checkpoint's file.
///
/// # Errors
/// If the output layer is not the full softmax, or as [`network_to_onnx`].
pub fn checkpoint_to_onnx(checkpoint: &Checkpoint, form: OnnxForm) -> Result<Vec<u8>> {
    let config = &checkpoint.description.config;
    // What was trained on samples is a full softmax.
    if !["softmax", "sampled"].contains(&config.output.as_str()) {
        return Err(Error::invalid(
            format!("the output layer {}", config.output),
            "only the full softmax can be written as ONNX",
            "Train with --output softmax or sampled",
        ));
    }
    if config.compression_size > 0 {
        return Err(Error::invalid(
            format!("the compression layer of {} units", config.compression_size),
            "Elman's ONNX graphs have none",
            "Train without --compression",
        ));
    }
    let activation = config.activation.to_string();
    let parameters = parameter_specs(config)
        .into_iter()
        .zip(&checkpoint.parameters);
    let network = Network {
        cell: &config.cell,
        activation: &activation,
        initial_state: config.initial_state,
        parameters: parameters
            .map(|(one, values)| Parameter {
                name: one.name,
                shape: one.shape,
                values,
            })
            .collect(),
    };
    network_to_onnx(&network, checkpoint.description.unit.name(), form)
}

/// The bytes of a network's file. `unit` is told in the metadata.
///
/// # Errors
/// If a parameter is missing, unknown or of a wrong shape, the file would be larger than protobuf
/// allows, or layers of several sizes are to be written as a step.
pub fn network_to_onnx(network: &Network<'_>, unit: &str, form: OnnxForm) -> Result<Vec<u8>> {
    let arranged = network.arrange()?;
    let graph = match form {
        OnnxForm::Sentence => forms::sentence(&arranged),
        OnnxForm::Step => forms::step(&arranged)?,
    };
    let model = Model {
        ir_version: FORMAT,
        producer_name: "elman".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(graph),
        opset_import: vec![OperatorSet {
            domain: String::new(),
            version: OPERATORS,
        }],
        metadata_props: metadata(network.cell, unit, &arranged, form),
    };
    check_size(model.encoded_len() as u64)?;
    Ok(model.encode_to_vec())
}

fn metadata(cell: &str, unit: &str, network: &Arranged<'_>, form: OnnxForm) -> Vec<Property> {
    let comment = match form {
        OnnxForm::Sentence => "rnnlm without state",
        OnnxForm::Step => "rnnlm state",
    };
    let mut rows = vec![
        ("model_type", "rnnlm".to_owned()),
        ("version", "1".to_owned()),
        ("model_author", "elman".to_owned()),
        ("comment", comment.to_owned()),
        ("sos_id", "0".to_owned()),
        ("eos_id", "0".to_owned()),
        ("vocab_size", network.vocabulary().to_string()),
        ("cell", cell.to_owned()),
        ("unit", unit.to_owned()),
        ("initial_state", network.initial_state.to_string()),
    ];
    if form == OnnxForm::Step {
        rows.extend([
            ("num_layers", network.layers.len().to_string()),
            ("hidden_size", network.layers[0].hidden.to_string()),
            ("embedding_dim", network.embedding_size.to_string()),
        ]);
    }
    rows.into_iter()
        .map(|(key, value)| Property {
            key: key.to_owned(),
            value,
        })
        .collect()
}

fn check_size(bytes: u64) -> Result<()> {
    if bytes <= LARGEST {
        return Ok(());
    }
    Err(Error::invalid(
        format!("an ONNX file of {bytes} bytes"),
        format!("protobuf allows {LARGEST} bytes in one file"),
        "Keep the model as safetensors, which PyTorch reads, or train it with a smaller vocabulary \
         (--vocab-size) or fewer units (--hidden)",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_protobuf_does_not_allow_is_refused_before_it_is_made() {
        assert!(check_size(LARGEST).is_ok());
        // One-hot input of 8000 LSTM units: the identity alone is too large.
        let (weight, recurrent) = (vec![0.0; 32_000 * 2], [0.0]);
        let parameters = vec![
            Parameter {
                name: "rnn.weight_ih_l0".into(),
                shape: vec![32_000, 2],
                values: &weight,
            },
            Parameter {
                name: "rnn.weight_hh_l0".into(),
                shape: vec![1, 1],
                values: &recurrent,
            },
        ];
        let network = Network {
            cell: "lstm",
            activation: "tanh",
            initial_state: 0.0,
            parameters,
        };
        let message = network_to_onnx(&network, "word", OnnxForm::Sentence)
            .expect_err("too large")
            .to_string();
        assert!(
            message.contains("4096256004 bytes")
                && message.contains("2147483647")
                && message.contains("--hidden"),
            "{message}"
        );
    }
}
