//! PyTorch models: the `state_dict` of a network of nn.Embedding, nn.RNN, nn.GRU or nn.LSTM, and
//! nn.Linear, saved as safetensors, and a vocabulary.
//!
//! Tensors have the names of PyTorch's word_language_model example (`encoder.weight`,
//! `rnn.weight_ih_l0`, …, `decoder.bias`) or of Elman's files (`embedding.weight`), with any
//! common prefix. The names and shapes determine the sizes, the cell and the layers. The metadata
//! of Elman's files state the activation function, the initial state and residual connections.

use std::collections::HashMap;
use std::path::Path;

use super::names::TensorNames;
use super::tensors::ForeignTensors;
use super::{
    DECODER, DECODER_BIAS, EMBEDDING, Imported, ImportedShape, PROJECTION, read_file, vocabulary,
};
use crate::checkpoint::in_file;
use crate::corpus::Unit;
use crate::error::{Error, Result};
use crate::model::Config;

/// G and name of PyTorch's cells; a weight has G rows for each hidden unit.
const CELLS: [(usize, &str); 3] = [(1, "elman"), (3, "gru"), (4, "lstm")];
/// In files of Elman: the metadata's number for every unit, or the tensors `initial_state.0`,
/// `initial_state.1`, ….
const INITIAL_STATE: &str = "initial_state";
/// In files of Elman: the metadata's `true`.
const RESIDUAL: &str = "residual";
const CAP_INPUT_GATE: &str = "cap_input_gate";
const INPUT_WEIGHT: &str = "rnn.weight_ih_l0";

/// Reads and checks a network and its vocabulary.
///
/// # Errors
/// If a file cannot be read; a tensor is missing, unknown, not finite or of a wrong shape or type;
/// or the vocabulary is malformed or has another length.
pub fn read(path: &Path, vocabulary: &Path, unit: Unit) -> Result<Imported> {
    let bytes = read_file(path)?;
    let mut file = ForeignTensors::open(path, &bytes)?;
    let initial_states = file.take_indexed(INITIAL_STATE)?;
    let names = TensorNames::find(&file)?;
    let shape = ImportedShape::of(&file, &names)?;
    let supported = shape.config(Config::default());
    supported.map_err(|error| in_file(path, error))?;
    let types = vocabulary::read(vocabulary, unit)?;
    if types.vocabulary.len() != shape.vocab_size {
        return Err(Error::invalid(
            vocabulary.display().to_string(),
            format!(
                "it has {} types, and the tables of {} have {} rows",
                types.vocabulary.len(),
                file.file(),
                shape.vocab_size
            ),
            "Give the vocabulary that the model was trained with, one type per line",
        ));
    }
    let mut values = HashMap::new();
    for (name, _) in shape.parameters() {
        let mut elements = file.values(&names.in_file(&name))?;
        shape.move_to_front(types.boundary, &name, &mut elements);
        values.insert(name, elements);
    }
    let stated = |key: &str| file.metadata().get(key).cloned();
    let (activation, initial_state) = (stated("activation"), stated(INITIAL_STATE));
    let notes = file.notes().chain(types.notes).collect();
    Ok(Imported {
        file: path.to_owned(),
        shape,
        unit,
        vocabulary: types.vocabulary,
        values,
        skip_unknown: false,
        initial_states,
        activation,
        initial_state,
        notes,
    })
}

impl ImportedShape {
    /// The shape of the network whose parameters a file holds.
    fn of(file: &ForeignTensors<'_>, names: &TensorNames) -> Result<Self> {
        let matrix = |name: &str| matrix(file, &names.in_file(name));
        let has_embedding = names.has(EMBEDDING);
        let [vocab_size, _] = matrix(if has_embedding { EMBEDDING } else { DECODER })?;
        let embedding_size = if has_embedding {
            matrix(EMBEDDING)?[1]
        } else {
            0
        };
        let hidden_sizes = (0..names.layers)
            .map(|layer| Ok(matrix(&format!("rnn.weight_hh_l{layer}"))?[1]))
            .collect::<Result<Vec<usize>>>()?;
        let (gates, cell) = cell(file, names, hidden_sizes[0])?;
        let is_tied = has_embedding
            && (!names.has(DECODER)
                || file.are_equal(&names.in_file(EMBEDDING), &names.in_file(DECODER)));
        let states = |key| {
            file.metadata()
                .get(key)
                .is_some_and(|value| value == "true")
        };
        let shape = Self {
            cell,
            gates,
            vocab_size,
            embedding_size,
            hidden_sizes,
            bias: names.bias,
            decoder_bias: names.has(DECODER_BIAS),
            tied: is_tied,
            projection: names.has(PROJECTION),
            residual: states(RESIDUAL),
            cap_input_gate: states(CAP_INPUT_GATE),
        };
        for (name, expected) in shape.parameters() {
            let name = names.in_file(&name);
            let found = file.shape(&name).unwrap_or_default();
            if found != expected {
                return Err(Error::invalid(
                    format!("{name} of {}", file.file()),
                    format!("its shape is {found:?}, and the other tensors require {expected:?}"),
                    "Save the complete state_dict of one model",
                ));
            }
        }
        Ok(shape)
    }

    /// Names and shapes of the parameters, without the weight of a tied output layer.
    fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let mut list = Vec::new();
        let mut input = self.vocab_size;
        if self.embedding_size > 0 {
            input = self.embedding_size;
            list.push((EMBEDDING.to_owned(), vec![self.vocab_size, input]));
        }
        for (layer, &hidden) in self.hidden_sizes.iter().enumerate() {
            let rows = self.gates * hidden;
            list.push((format!("rnn.weight_ih_l{layer}"), vec![rows, input]));
            list.push((format!("rnn.weight_hh_l{layer}"), vec![rows, hidden]));
            if self.bias {
                list.push((format!("rnn.bias_ih_l{layer}"), vec![rows]));
                list.push((format!("rnn.bias_hh_l{layer}"), vec![rows]));
            }
            input = hidden;
        }
        if self.projection {
            list.push((PROJECTION.to_owned(), vec![self.embedding_size, input]));
            input = self.embedding_size;
        }
        if !self.tied {
            list.push((DECODER.to_owned(), vec![self.vocab_size, input]));
        }
        if self.decoder_bias {
            list.push((DECODER_BIAS.to_owned(), vec![self.vocab_size]));
        }
        list
    }

    /// Gives the type with index `index` the id 0 in a parameter, and increments the ids of the
    /// types before it.
    fn move_to_front(&self, index: usize, parameter: &str, values: &mut [f32]) {
        match parameter {
            EMBEDDING | DECODER | DECODER_BIAS => {
                let width = values.len() / self.vocab_size;
                values[..(index + 1) * width].rotate_right(width);
            }
            INPUT_WEIGHT if self.embedding_size == 0 => {
                for row in values.chunks_exact_mut(self.vocab_size) {
                    row[..=index].rotate_right(1);
                }
            }
            _ => {}
        }
    }
}

/// Rows and columns of a tensor.
fn matrix(file: &ForeignTensors<'_>, name: &str) -> Result<[usize; 2]> {
    match file.shape(name) {
        Some(&[rows, columns]) if rows > 0 && columns > 0 => Ok([rows, columns]),
        shape => Err(Error::invalid(
            format!("{name} of {}", file.file()),
            format!("its shape is {:?}", shape.unwrap_or_default()),
            "It must be a matrix with at least one row and one column",
        )),
    }
}

/// G and the cell with that number of gates.
fn cell(
    file: &ForeignTensors<'_>,
    names: &TensorNames,
    hidden: usize,
) -> Result<(usize, &'static str)> {
    let name = names.in_file(INPUT_WEIGHT);
    let [rows, columns] = matrix(file, &name)?;
    CELLS
        .into_iter()
        .find(|(gates, _)| gates.checked_mul(hidden) == Some(rows))
        .ok_or_else(|| {
            Error::invalid(
                format!("{name} of {}", file.file()),
                format!(
                    "its shape is {:?}, and {} has {hidden} columns: {rows} rows are not 1, 3 or 4 \
                     times {hidden}",
                    [rows, columns],
                    names.in_file("rnn.weight_hh_l0")
                ),
                "nn.RNN has 1 row per hidden unit, nn.GRU 3, nn.LSTM 4",
            )
        })
}

#[cfg(test)]
mod tests {
    use safetensors::{Dtype, tensor::TensorView};

    use super::*;

    /// The bytes of a file whose tensors are constant, each with a different value.
    fn file(tensors: &[(&str, Vec<usize>)], metadata: &[(&str, &str)]) -> Vec<u8> {
        let values: Vec<Vec<u8>> = (1_u8..)
            .zip(tensors)
            .map(|(index, (_, shape))| {
                let value = 1.0 + f32::from(index) / 64.0;
                std::iter::repeat_n(value.to_le_bytes(), shape.iter().product())
                    .flatten()
                    .collect()
            })
            .collect();
        let views = tensors.iter().zip(&values).map(|((name, shape), bytes)| {
            (
                *name,
                TensorView::new(Dtype::F32, shape.clone(), bytes)
                    .expect("the number of bytes that the shape requires"),
            )
        });
        let metadata = metadata
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        safetensors::serialize(views, Some(metadata)).expect("tensors in a file")
    }

    fn shape_of(
        tensors: &[(&str, Vec<usize>)],
        metadata: &[(&str, &str)],
    ) -> Result<ImportedShape> {
        let bytes = file(tensors, metadata);
        let file = ForeignTensors::open(Path::new("a.safetensors"), &bytes)?;
        ImportedShape::of(&file, &TensorNames::find(&file)?)
    }

    /// An embedding, one recurrent layer and an output layer: V 7, D 2, H 3.
    fn network(gates: usize) -> Vec<(&'static str, Vec<usize>)> {
        vec![
            ("encoder.weight", vec![7, 2]),
            ("rnn.weight_ih_l0", vec![gates * 3, 2]),
            ("rnn.weight_hh_l0", vec![gates * 3, 3]),
            ("decoder.weight", vec![7, 3]),
        ]
    }

    #[test]
    fn shapes_determine_the_cell() {
        for (gates, name) in CELLS {
            let found = shape_of(&network(gates), &[]).expect("a network");
            assert_eq!(
                (found.cell, found.gates, found.hidden_sizes.as_slice()),
                (name, gates, &[3][..])
            );
            assert_eq!((found.vocab_size, found.embedding_size), (7, 2));
            assert!(!found.bias && !found.decoder_bias && !found.tied && !found.projection);
        }
        let message = shape_of(&network(2), &[])
            .expect_err("two gates")
            .to_string();
        assert!(
            message.contains("[6, 2]") && message.contains("nn.GRU 3"),
            "{message}"
        );
        for cell in ["gru", "lstm"] {
            let found =
                shape_of(&network(if cell == "gru" { 3 } else { 4 }), &[]).expect("a network");
            assert_eq!(
                found
                    .config(Config::default())
                    .expect("a supported model")
                    .cell,
                cell
            );
        }
    }

    #[test]
    fn layers_biases_and_projection_are_found() {
        let mut tensors = network(4);
        tensors[3].1 = vec![7, 2];
        tensors.extend([
            ("rnn.weight_ih_l1", vec![20, 3]),
            ("rnn.weight_hh_l1", vec![20, 5]),
            ("rnn.bias_ih_l0", vec![12]),
            ("rnn.bias_hh_l0", vec![12]),
            ("rnn.bias_ih_l1", vec![20]),
            ("rnn.bias_hh_l1", vec![20]),
            ("projection.weight", vec![2, 5]),
            ("decoder.bias", vec![7]),
        ]);
        let found = shape_of(&tensors, &[]).expect("a network");
        assert_eq!(
            (found.cell, found.hidden_sizes.as_slice()),
            ("lstm", &[3, 5][..])
        );
        assert!(found.bias && found.decoder_bias && found.projection && !found.tied);
        // The projection maps back to D, so the output layer can be tied.
        tensors.retain(|(name, _)| *name != "decoder.weight");
        assert!(shape_of(&tensors, &[]).expect("a network").tied);
    }

    #[test]
    fn a_shared_table_is_tied_under_either_name() {
        let mut tensors = network(1);
        tensors[0].1 = vec![7, 3];
        tensors[1].1 = vec![3, 3];
        assert!(!shape_of(&tensors, &[]).expect("two tables").tied);
        let only_encoder = &tensors[..3];
        assert!(shape_of(only_encoder, &[]).expect("one table").tied);
        let only_decoder = &tensors[1..];
        let found =
            shape_of(only_decoder, &[("encoder.weight", "decoder.weight")]).expect("one table");
        assert_eq!((found.tied, found.embedding_size), (true, 3));
        // Without the metadata, the input of the network would be one-hot.
        let message = shape_of(only_decoder, &[])
            .expect_err("a table is missing")
            .to_string();
        assert!(
            message.contains("[3, 3]") && message.contains("[3, 7]"),
            "{message}"
        );
    }

    #[test]
    fn different_sizes_and_a_projection_are_kept() {
        let mut shape = shape_of(&network(1), &[]).expect("a network");
        shape.projection = true;
        shape.hidden_sizes = vec![3, 5];
        let config = shape.config(Config::default()).expect("a supported model");
        assert_eq!(
            (
                config.projection,
                config.hidden_sizes.as_slice(),
                config.num_layers
            ),
            (true, &[3, 5][..], 2)
        );
    }
}
