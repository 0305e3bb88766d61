//! PyTorch's files: the `state_dict` of a network of nn.Embedding, nn.RNN, nn.GRU or nn.LSTM, and
//! nn.Linear, saved as safetensors, and a vocabulary.
//!
//! Tensors are called as in PyTorch's word_language_model example (`encoder.weight`,
//! `rnn.weight_ih_l0`, …, `decoder.bias`) or as in Elman's own files (`embedding.weight`), under
//! any prefix that all of them share. Sizes, cell and parts follow from names and shapes.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::names::Names;
use super::tensors::ForeignTensors;
use super::{DECODER, DECODER_BIAS, EMBEDDING, Imported, ImportedShape, PROJECTION, vocabulary};
use crate::corpus::Unit;
use crate::error::{Error, Result};

/// PyTorch's cells by the rows of a weight for each hidden unit.
const CELLS: [(usize, &str); 3] = [(1, "elman"), (3, "gru"), (4, "lstm")];
const INPUT_WEIGHT: &str = "rnn.weight_ih_l0";

/// Reads and checks a network and the vocabulary that belongs to it.
///
/// # Errors
/// If a file cannot be read, a tensor is missing, surplus, of a wrong shape or type or not finite,
/// or the vocabulary is no such thing or has another length.
pub fn read(path: &Path, vocabulary: &Path, unit: Unit) -> Result<Imported> {
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let mut file = ForeignTensors::open(path, &bytes)?;
    let names = Names::find(&file)?;
    let layout = ImportedShape::of(&file, &names)?;
    let types = vocabulary::read(vocabulary, unit)?;
    if types.vocabulary.len() != layout.vocab_size {
        return Err(Error::invalid(
            vocabulary.display().to_string(),
            format!(
                "it has {} types, and the tables of {} have {} rows",
                types.vocabulary.len(),
                file.file(),
                layout.vocab_size
            ),
            "Give the vocabulary that the model was trained with, one type a line",
        ));
    }
    let mut values = HashMap::new();
    for (name, _) in layout.shapes() {
        let mut numbers = file.values(&names.in_file(&name))?;
        layout.move_to_front(types.boundary, &name, &mut numbers);
        values.insert(name, numbers);
    }
    let notes = file.notes().chain(types.notes).collect();
    Ok(Imported {
        layout,
        unit,
        vocabulary: types.vocabulary,
        values,
        skip_unknown: false,
        initial_states: None,
        notes,
    })
}

impl ImportedShape {
    /// What the tensors of a file are the parameters of.
    fn of(file: &ForeignTensors<'_>, names: &Names) -> Result<Self> {
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
        let layout = Self {
            cell,
            gates,
            vocab_size,
            embedding_size,
            hidden_sizes,
            bias: names.bias,
            decoder_bias: names.has(DECODER_BIAS),
            tied: has_embedding
                && (!names.has(DECODER)
                    || file.are_equal(&names.in_file(EMBEDDING), &names.in_file(DECODER))),
            projection: names.has(PROJECTION),
        };
        for (name, wanted) in layout.shapes() {
            let name = names.in_file(&name);
            let found = file.shape(&name).unwrap_or_default();
            if found != wanted {
                return Err(Error::invalid(
                    format!("{name} of {}", file.file()),
                    format!("its shape is {found:?}, and the other tensors call for {wanted:?}"),
                    "Save the state_dict of one whole model",
                ));
            }
        }
        Ok(layout)
    }

    /// Names and shapes of the parameters, without the weight of a tied output layer.
    fn shapes(&self) -> Vec<(String, Vec<usize>)> {
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
                list.extend(
                    ["ih", "hh"].map(|part| (format!("rnn.bias_{part}_l{layer}"), vec![rows])),
                );
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

    /// Gives type `number` the number 0 in a parameter, and each type before it the next number.
    fn move_to_front(&self, number: usize, parameter: &str, values: &mut [f32]) {
        match parameter {
            EMBEDDING | DECODER | DECODER_BIAS => {
                let width = values.len() / self.vocab_size;
                values[..(number + 1) * width].rotate_right(width);
            }
            INPUT_WEIGHT if self.embedding_size == 0 => {
                values
                    .chunks_exact_mut(self.vocab_size)
                    .for_each(|row| row[..=number].rotate_right(1));
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
            "It must be a matrix of at least one row and one column",
        )),
    }
}

/// G and the cell that has so many gates.
fn cell(file: &ForeignTensors<'_>, names: &Names, hidden: usize) -> Result<(usize, &'static str)> {
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
                 times as many",
                    [rows, columns],
                    names.in_file("rnn.weight_hh_l0")
                ),
                "nn.RNN has 1 row a hidden unit, nn.GRU 3, nn.LSTM 4",
            )
        })
}

#[cfg(test)]
mod tests {
    use safetensors::{Dtype, tensor::TensorView};

    use super::*;

    /// A file's bytes: tensors of ones, each a little different from the others.
    fn file(tensors: &[(&str, Vec<usize>)], metadata: &[(&str, &str)]) -> Vec<u8> {
        let values: Vec<Vec<u8>> = (1_u8..)
            .zip(tensors)
            .map(|(number, (_, shape))| {
                let value = 1.0 + f32::from(number) / 64.0;
                std::iter::repeat_n(value.to_le_bytes(), shape.iter().product())
                    .flatten()
                    .collect()
            })
            .collect();
        let views = tensors.iter().zip(&values).map(|((name, shape), bytes)| {
            (
                *name,
                TensorView::new(Dtype::F32, shape.clone(), bytes)
                    .expect("as many bytes as the shape says"),
            )
        });
        let metadata = metadata
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        safetensors::serialize(views, Some(metadata)).expect("tensors in a file")
    }

    fn layout(tensors: &[(&str, Vec<usize>)], metadata: &[(&str, &str)]) -> Result<ImportedShape> {
        let bytes = file(tensors, metadata);
        let file = ForeignTensors::open(Path::new("a.safetensors"), &bytes)?;
        ImportedShape::of(&file, &Names::find(&file)?)
    }

    /// One recurrent layer on an embedding, and an output layer: V 7, D 2, H 3.
    fn network(gates: usize) -> Vec<(&'static str, Vec<usize>)> {
        vec![
            ("encoder.weight", vec![7, 2]),
            ("rnn.weight_ih_l0", vec![gates * 3, 2]),
            ("rnn.weight_hh_l0", vec![gates * 3, 3]),
            ("decoder.weight", vec![7, 3]),
        ]
    }

    #[test]
    fn the_cell_is_read_off_the_shapes() {
        for (gates, name) in CELLS {
            let found = layout(&network(gates), &[]).expect("a network");
            assert_eq!(
                (found.cell, found.gates, found.hidden_sizes.as_slice()),
                (name, gates, &[3][..])
            );
            assert_eq!((found.vocab_size, found.embedding_size), (7, 2));
            assert!(!found.bias && !found.decoder_bias && !found.tied && !found.projection);
        }
        let message = layout(&network(2), &[]).expect_err("two gates").to_string();
        assert!(
            message.contains("[6, 2]") && message.contains("nn.GRU 3"),
            "{message}"
        );
        for cell in ["gru", "lstm"] {
            let found =
                layout(&network(if cell == "gru" { 3 } else { 4 }), &[]).expect("a network");
            assert_eq!(
                found
                    .config(crate::model::Config::default())
                    .expect("a model of Elman's")
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
        let found = layout(&tensors, &[]).expect("a network");
        assert_eq!(
            (found.cell, found.hidden_sizes.as_slice()),
            ("lstm", &[3, 5][..])
        );
        assert!(found.bias && found.decoder_bias && found.projection && !found.tied);
        // Tied, for there is a projection back to D.
        tensors.retain(|(name, _)| *name != "decoder.weight");
        assert!(layout(&tensors, &[]).expect("a network").tied);
    }

    #[test]
    fn a_shared_table_is_tied_whichever_name_is_left() {
        let mut tensors = network(1);
        tensors[0].1 = vec![7, 3];
        tensors[1].1 = vec![3, 3];
        assert!(!layout(&tensors, &[]).expect("two tables").tied);
        let only_encoder = &tensors[..3];
        assert!(layout(only_encoder, &[]).expect("one table").tied);
        let only_decoder = &tensors[1..];
        let found =
            layout(only_decoder, &[("encoder.weight", "decoder.weight")]).expect("one table");
        assert_eq!((found.tied, found.embedding_size), (true, 3));
        // Without the word of the metadata the network would take one-hot vectors.
        let message = layout(only_decoder, &[])
            .expect_err("a table is missing")
            .to_string();
        assert!(
            message.contains("[3, 3]") && message.contains("[3, 7]"),
            "{message}"
        );
    }

    #[test]
    fn sizes_that_differ_and_a_projection_come_through() {
        let mut layout = layout(&network(1), &[]).expect("a network");
        layout.projection = true;
        layout.hidden_sizes = vec![3, 5];
        let config = layout
            .config(crate::model::Config::default())
            .expect("a model of Elman's");
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
