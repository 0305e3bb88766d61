//! Export of a model as an ONNX file, for programs that run such files, such as ONNX Runtime,
//! sherpa-onnx and tract.
//!
//! Input: a checkpoint, or an [`OnnxNetwork`] of named parameters. Output: the bytes of one file
//! with graph and parameters. No device is needed.
//!
//! Inputs, outputs and metadata are those of icefall's exporter of RNN language models
//! (`icefall/rnn_lm/export-onnx.py` in k2-fsa/icefall), which sherpa-onnx reads
//! (`offline-rnn-lm.cc`, `online-rnn-lm.cc` in k2-fsa/sherpa-onnx):
//!
//! - [`OnnxForm::Sentence`]: inputs `x` int64 `[N, L]` and `x_lens` int64 `[N]`; output `nll` f32
//!   `[N]`.
//! - [`OnnxForm::Step`]: inputs `x` int64 `[N, 1]`, `h0` and `c0` f32 `[layers, N, H]`; outputs
//!   `log_softmax` f32 `[N, V]`, `next_h0` and `next_c0`; additional metadata `num_layers`,
//!   `hidden_size`, `embedding_dim`.
//!
//! sherpa-onnx passes and reads two states, and starts from zeros, whatever the cell. So Elman and
//! GRU cells, which have no c, return `c0` as it is, and the states of all cells are differences
//! from those before the first token: the graph adds the initial state to `h0` and `c0` and
//! subtracts it from `next_h0` and `next_c0`. The state of a feed-forward network is the words
//! before the token, as numbers; zeros are the boundary.
//!
//! Common metadata: `model_type` (rnnlm), `version` (1), `model_author`, `comment`, `sos_id` and
//! `eos_id` (both 0, the boundary), `vocab_size`. Elman adds `cell`, `unit` and `initial_state`: in
//! a step the value of every element of `h0` and `c0` before the first token, which is 0; in the
//! scorer of sentences the value of every unit, unless the model stores the values of each.

mod feed_forward;
mod graph_builder;
mod mixture;
mod network;
mod parameters;
pub mod proto;
mod sentence;
mod step;

use prost::Message;

pub use network::OnnxNetwork;
pub use parameters::NamedParameter;

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::field::{Choice, choices};
use crate::model::{Config, cell_kind, output_kind, outputs_with, parameter_specs};
use network::{HiddenLayers, InitialStates, PreparedNetwork, find_operator};
use proto::{ModelProto, OperatorSetIdProto, StringStringEntryProto};

choices! {
    /// The interface of the graph.
    pub enum OnnxForm {
        /// Input: whole sentences. Output: the negative log-likelihood of each.
        Sentence = "sentence",
        /// Input: one token and the state. Output: log-probabilities of the next token, next state.
        Step = "step",
    }
}

/// The version of the operator set. This and [`IR_VERSION`] are icefall's, so that every program
/// that reads its files reads these.
const OPSET_VERSION: i64 = 13;
/// The version of the file format that was released with the operator set.
const IR_VERSION: i64 = 7;

/// The maximum size of a protobuf message in bytes.
const MAX_FILE_SIZE: u64 = i32::MAX as u64;

/// The ONNX file of a checkpoint.
///
/// # Errors
/// If the output layer is not the full softmax, there is a compression layer, or ONNX has no
/// operator for the cell, its gates or its normalization; and as [`network_to_onnx`].
pub fn checkpoint_to_onnx(checkpoint: &Checkpoint, form: OnnxForm) -> Result<Vec<u8>> {
    let config = &checkpoint.description.config;
    check_support(config, form)?;
    let activation = config.activation.to_string();
    let parameters = parameter_specs(config)
        .into_iter()
        .zip(&checkpoint.parameters);
    let network = OnnxNetwork {
        cell: &config.cell,
        activation: &activation,
        initial_state: config.initial_state,
        initial_states: checkpoint
            .initial_states
            .as_ref()
            .map(|states| states.iter().map(Vec::as_slice).collect()),
        residual: config.residual,
        // A graph that scores has no use for what only training reads.
        parameters: parameters
            .filter(|(spec, _)| !spec.is_only_for_training())
            .map(|(spec, values)| NamedParameter {
                name: spec.name,
                shape: spec.shape,
                values,
            })
            .collect(),
    };
    network_to_onnx(&network, checkpoint.description.unit.name(), form)
}

/// The ONNX file of a network. `unit` is stored in the metadata.
///
/// # Errors
/// If a parameter is missing, unknown or of a wrong shape, the initial states have other sizes than
/// the layers, the file would be larger than protobuf
/// allows, or `form` is [`OnnxForm::Step`] and the layers have different sizes.
pub fn network_to_onnx(network: &OnnxNetwork<'_>, unit: &str, form: OnnxForm) -> Result<Vec<u8>> {
    let prepared = network.prepare()?;
    let graph = match form {
        OnnxForm::Sentence => sentence::graph(&prepared),
        OnnxForm::Step => step::graph(&prepared)?,
    };
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "elman".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: OPSET_VERSION,
        }],
        metadata_props: metadata(network.cell, unit, &prepared, form),
    };
    check_file_size(model.encoded_len() as u64)?;
    Ok(model.encode_to_vec())
}

/// Checks that all parts of a model can be exported.
///
/// # Errors
/// If some cannot, about all of them.
fn check_support(config: &Config, form: OnnxForm) -> Result<()> {
    let checks = [
        check_cell(config),
        check_gates(config),
        check_normalization(config),
        check_sizes(config, form),
        check_compression(config),
        check_output(config),
    ];
    let mut errors: Vec<Error> = checks.into_iter().filter_map(Result::err).collect();
    match errors.len() {
        0 => Ok(()),
        1 => Err(errors.swap_remove(0)),
        _ => {
            let numbered = |(number, error)| format!("({number}) {error}");
            let texts: Vec<_> = (1..).zip(&errors).map(numbered).collect();
            Err(Error::invalid(
                "the ONNX export",
                format!("{} parts of the model prevent it", errors.len()),
                texts.join("; "),
            ))
        }
    }
}

/// Checks that ONNX has operators for the cell.
fn check_cell(config: &Config) -> Result<()> {
    match cell_kind(config).is_feed_forward() {
        true => Ok(()),
        false => find_operator(&config.cell, &config.activation.to_string()).map(|_| ()),
    }
}

/// Checks that ONNX's operator has the gates of the cell.
fn check_gates(config: &Config) -> Result<()> {
    if !config.cap_input_gate {
        return Ok(());
    }
    Err(Error::invalid(
        "the capped input gates",
        "ONNX's LSTM operator has none",
        "Train without `cap_input_gate`",
    ))
}

/// Checks that ONNX's operator has the normalization of the cell.
fn check_normalization(config: &Config) -> Result<()> {
    if !config.layer_norm {
        return Ok(());
    }
    Err(Error::invalid(
        "the layer normalization",
        "ONNX's LSTM operator has none",
        "Train without `layer_norm`",
    ))
}

/// Checks that the form has room for the states of all layers.
fn check_sizes(config: &Config, form: OnnxForm) -> Result<()> {
    let sizes: Vec<_> = (0..config.num_layers)
        .map(|layer| config.layer_size(layer))
        .collect();
    match form {
        OnnxForm::Sentence => Ok(()),
        OnnxForm::Step => step::common_size(&sizes).map(|_| ()),
    }
}

fn check_compression(config: &Config) -> Result<()> {
    if config.compression_size == 0 {
        return Ok(());
    }
    Err(Error::invalid(
        format!("the compression layer of {} units", config.compression_size),
        "the ONNX export does not support compression layers",
        "Train without `compression_size`",
    ))
}

fn check_output(config: &Config) -> Result<()> {
    if output_kind(config).is_full_softmax {
        return Ok(());
    }
    Err(Error::invalid(
        format!("the output layer {}", config.output),
        "only the full softmax can be exported to ONNX",
        format!("Train with {}", outputs_with(|row| row.is_full_softmax)),
    ))
}

fn metadata(
    cell: &str,
    unit: &str,
    network: &PreparedNetwork<'_>,
    form: OnnxForm,
) -> Vec<StringStringEntryProto> {
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
        ("vocab_size", network.vocab_size().to_string()),
        ("cell", cell.to_owned()),
        ("unit", unit.to_owned()),
    ];
    match (form, &network.hidden) {
        (OnnxForm::Sentence, HiddenLayers::Recurrent(recurrent)) => {
            if let InitialStates::Uniform(value) = recurrent.initial_states {
                rows.push(("initial_state", value.to_string()));
            }
        }
        _ => rows.push(("initial_state", "0".to_owned())),
    }
    if form == OnnxForm::Step {
        let (layers, size) = match &network.hidden {
            HiddenLayers::Recurrent(recurrent) => {
                (recurrent.layers.len(), recurrent.layers[0].hidden)
            }
            HiddenLayers::FeedForward(layer) => (1, layer.state_size()),
        };
        rows.extend([
            ("num_layers", layers.to_string()),
            ("hidden_size", size.to_string()),
            ("embedding_dim", network.embedding_size.to_string()),
        ]);
    }
    rows.into_iter()
        .map(|(key, value)| StringStringEntryProto {
            key: key.to_owned(),
            value,
        })
        .collect()
}

fn check_file_size(bytes: u64) -> Result<()> {
    if bytes <= MAX_FILE_SIZE {
        return Ok(());
    }
    Err(Error::invalid(
        format!("an ONNX file of {bytes} bytes"),
        format!("protobuf allows {MAX_FILE_SIZE} bytes in one file"),
        "Keep the model as safetensors, which PyTorch reads, or train it with a smaller vocabulary \
         (`vocab_size`) or fewer units (`hidden_size`)",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_larger_than_protobuf_allows_is_rejected_before_it_is_built() {
        assert!(check_file_size(MAX_FILE_SIZE).is_ok());
        // One-hot input of an LSTM with 8000 units: the identity alone is too large.
        let weight = vec![0.0; 32_000 * 2];
        let recurrent = [0.0];
        let parameters = vec![
            NamedParameter {
                name: "rnn.weight_ih_l0".into(),
                shape: vec![32_000, 2],
                values: &weight,
            },
            NamedParameter {
                name: "rnn.weight_hh_l0".into(),
                shape: vec![1, 1],
                values: &recurrent,
            },
        ];
        let network = OnnxNetwork {
            cell: "lstm",
            activation: "tanh",
            initial_state: 0.0,
            initial_states: None,
            residual: false,
            parameters,
        };
        let message = network_to_onnx(&network, "word", OnnxForm::Sentence)
            .expect_err("too large")
            .to_string();
        assert!(
            message.contains("4096256004 bytes")
                && message.contains("2147483647")
                && message.contains("`hidden_size`"),
            "{message}"
        );
    }
}
