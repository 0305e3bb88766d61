//! A network as ONNX's operators take it, from parameters under PyTorch's names.
//!
//! In: names, shapes, values, whoever made them. Out: matrices in the operators' order of gates,
//! one table to look tokens up in, the output.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::check_size;
use crate::error::{Error, Result};

/// A parameter in the layout of a model's file.
#[derive(Debug, Clone)]
pub struct Parameter<'a> {
    /// PyTorch's name: `rnn.weight_hh_l0`, `decoder.weight` ….
    pub name: String,
    /// One number for a bias, two for a matrix.
    pub shape: Vec<usize>,
    /// The elements, row by row.
    pub values: &'a [f32],
}

/// What a file is made of. Sizes, layers, biases and the kind of input are those of the parameters:
///
/// - `embedding.weight [V, D]`; without it, `rnn.weight_ih_l0` is `[G*H, V]`, a product with
///   one-hot vectors;
/// - `rnn.weight_ih_l{k} [G*H, in]`, `rnn.weight_hh_l{k} [G*H, H]`, and both or neither of
///   `rnn.bias_ih_l{k}`, `rnn.bias_hh_l{k} [G*H]`, with the gates in PyTorch's order;
/// - `projection.weight [D, H]`, where the output has one;
/// - `decoder.weight [V, in]`; without it, the embedding's table; and `decoder.bias [V]`, where
///   there is one.
#[derive(Debug, Clone)]
pub struct Network<'a> {
    /// "elman", "gru" or "lstm".
    pub cell: &'a str,
    /// The function of an Elman cell's units: "sigmoid", "tanh" or "relu".
    pub activation: &'a str,
    /// What every state is before the first token.
    pub initial_state: f32,
    /// The parameters in any order.
    pub parameters: Vec<Parameter<'a>>,
}

/// A cell as ONNX knows it.
#[derive(Debug)]
pub(super) struct Operator {
    /// The program's name.
    cell: &'static str,
    /// ONNX's.
    pub(super) name: &'static str,
    /// For each of the operator's gates, the number of PyTorch's.
    gates: &'static [usize],
    /// States: h, and c where there are two.
    pub(super) states: usize,
}

static OPERATORS: [Operator; 3] = [
    Operator {
        cell: "elman",
        name: "RNN",
        gates: &[0],
        states: 1,
    },
    // z, r, h from r, z, n.
    Operator {
        cell: "gru",
        name: "GRU",
        gates: &[1, 0, 2],
        states: 1,
    },
    // i, o, f, c from i, f, g, o.
    Operator {
        cell: "lstm",
        name: "LSTM",
        gates: &[0, 3, 1, 2],
        states: 2,
    },
];

const ACTIVATIONS: [(&str, &str); 3] = [("sigmoid", "Sigmoid"), ("tanh", "Tanh"), ("relu", "Relu")];

/// A matrix, row by row.
#[derive(Debug, Clone)]
pub(super) struct Matrix<'a> {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) values: Cow<'a, [f32]>,
}

/// One recurrent layer in the operator's order of gates.
#[derive(Debug)]
pub(super) struct Layer<'a> {
    /// H.
    pub(super) hidden: usize,
    /// `[G*H, in]`.
    pub(super) input: Matrix<'a>,
    /// `[G*H, H]`.
    pub(super) recurrent: Matrix<'a>,
    /// The input's biases and the recurrent ones, `2*G*H` numbers.
    pub(super) bias: Option<Vec<f32>>,
}

/// The network, arranged.
#[derive(Debug)]
pub(super) struct Arranged<'a> {
    pub(super) operator: &'static Operator,
    /// ONNX's name, for cells that let one choose.
    pub(super) activation: Option<&'static str>,
    pub(super) initial_state: f32,
    /// What tokens are looked up in: `[V, D]`, or `[V, G*H]` for one-hot input.
    pub(super) table: Matrix<'a>,
    /// D; 0 for one-hot input.
    pub(super) embedding_size: usize,
    pub(super) layers: Vec<Layer<'a>>,
    pub(super) projection: Option<Matrix<'a>>,
    /// `[V, in]`; none where it is the table.
    pub(super) decoder: Option<Matrix<'a>>,
    pub(super) decoder_bias: Option<&'a [f32]>,
}

impl<'a> Network<'a> {
    /// Puts everything into the order of ONNX's operators.
    ///
    /// A one-hot layer looks its rows up in the transposed weight. The operators multiply whatever
    /// they are given, so they get the identity to multiply by: exact, and small beside the output
    /// layer; a cell made of single operations in a loop would be spared the product and lose the
    /// fused kernels that runtimes have for these operators.
    pub(super) fn arrange(&self) -> Result<Arranged<'a>> {
        let operator = find(
            OPERATORS.iter().map(|row| (row.cell, row)),
            "cell",
            self.cell,
        )?;
        let activation = find(ACTIVATIONS.iter().copied(), "activation", self.activation)?;
        let mut source = ParameterMap::new(&self.parameters);
        let layers = source.count_layers();
        let embedding = source.matrix_if_any("embedding.weight")?;
        let one_hot = if embedding.is_none() {
            Some(source.matrix("rnn.weight_ih_l0")?)
        } else {
            None
        };
        let bytes = |elements: usize| (elements as u64).saturating_mul(4);
        let identity = one_hot
            .as_ref()
            .map_or(0, |weight| weight.rows.saturating_mul(weight.rows));
        check_size(
            bytes(identity).saturating_add(
                self.parameters
                    .iter()
                    .map(|one| bytes(one.values.len()))
                    .sum(),
            ),
        )?;

        let layers = (0..layers)
            .map(|number| {
                let input = match &one_hot {
                    Some(weight) if number == 0 => Matrix::identity(weight.rows),
                    _ => source.matrix(&format!("rnn.weight_ih_l{number}"))?,
                };
                source.layer(operator, number, input)
            })
            .collect::<Result<Vec<_>>>()?;
        let embedding_size = embedding.as_ref().map_or(0, |table| table.columns);
        let table = embedding.or_else(|| one_hot.map(|weight| weight.transposed()));
        let arranged = Arranged {
            operator,
            activation: (operator.name == "RNN").then_some(activation),
            initial_state: self.initial_state,
            table: table.ok_or_else(|| missing("embedding.weight"))?,
            embedding_size,
            layers,
            projection: source.matrix_if_any("projection.weight")?,
            decoder: source.matrix_if_any("decoder.weight")?,
            decoder_bias: source.take("decoder.bias").map(|one| one.values),
        };
        source.finish()?;
        arranged.check()?;
        Ok(arranged)
    }
}

impl Arranged<'_> {
    /// V.
    pub(super) fn vocabulary(&self) -> usize {
        self.table.rows
    }

    /// Whether every part takes what the part before it makes.
    fn check(&self) -> Result<()> {
        let mut width = self.table.columns;
        for (number, layer) in self.layers.iter().enumerate() {
            fits(
                &format!("rnn.weight_ih_l{number}"),
                layer.input.columns,
                width,
            )?;
            width = layer.hidden;
        }
        if let Some(projection) = &self.projection {
            fits("projection.weight", projection.columns, width)?;
            width = projection.rows;
        }
        let decoder = self.decoder.as_ref().unwrap_or(&self.table);
        fits("decoder.weight", decoder.columns, width)?;
        fits("the output's words", decoder.rows, self.vocabulary())?;
        self.decoder_bias.map_or(Ok(()), |bias| {
            fits("decoder.bias", bias.len(), decoder.rows)
        })
    }
}

impl<'a> Matrix<'a> {
    fn identity(size: usize) -> Self {
        let mut values = vec![0.0; size * size];
        values
            .iter_mut()
            .step_by(size + 1)
            .for_each(|value| *value = 1.0);
        Self {
            rows: size,
            columns: size,
            values: values.into(),
        }
    }

    fn transposed(&self) -> Self {
        let values = (0..self.columns)
            .flat_map(|column| {
                (0..self.rows).map(move |row| self.values[row * self.columns + column])
            })
            .collect();
        Self {
            rows: self.columns,
            columns: self.rows,
            values,
        }
    }

    /// Blocks of `size` rows in another order.
    fn reordered(self, blocks: &[usize], size: usize) -> Self {
        if blocks.len() == 1 {
            return self;
        }
        let values = reordered(&self.values, blocks, size * self.columns).into();
        Self { values, ..self }
    }
}

/// Blocks of `size` elements in another order.
fn reordered(values: &[f32], blocks: &[usize], size: usize) -> Vec<f32> {
    blocks
        .iter()
        .flat_map(|block| &values[block * size..][..size])
        .copied()
        .collect()
}

/// The parameters that no part of the network has taken yet.
struct ParameterMap<'a, 'n>(BTreeMap<&'n str, &'n Parameter<'a>>);

impl<'a, 'n> ParameterMap<'a, 'n> {
    fn new(parameters: &'n [Parameter<'a>]) -> Self {
        Self(
            parameters
                .iter()
                .map(|one| (one.name.as_str(), one))
                .collect(),
        )
    }

    fn count_layers(&self) -> usize {
        (0..)
            .take_while(|number| {
                self.0
                    .contains_key(format!("rnn.weight_hh_l{number}").as_str())
            })
            .count()
            .max(1)
    }

    fn take(&mut self, name: &str) -> Option<&'n Parameter<'a>> {
        self.0.remove(name)
    }

    fn matrix_if_any(&mut self, name: &str) -> Result<Option<Matrix<'a>>> {
        let Some(one) = self.take(name) else {
            return Ok(None);
        };
        match *one.shape.as_slice() {
            [rows, columns] if rows * columns == one.values.len() && !one.values.is_empty() => {
                Ok(Some(Matrix {
                    rows,
                    columns,
                    values: Cow::Borrowed(one.values),
                }))
            }
            _ => Err(Error::invalid(
                name,
                format!(
                    "its shape is {:?}, with {} elements",
                    one.shape,
                    one.values.len()
                ),
                "It must be a matrix with as many elements as its shape says",
            )),
        }
    }

    fn matrix(&mut self, name: &str) -> Result<Matrix<'a>> {
        self.matrix_if_any(name)?.ok_or_else(|| missing(name))
    }

    fn layer(
        &mut self,
        operator: &Operator,
        number: usize,
        input: Matrix<'a>,
    ) -> Result<Layer<'a>> {
        let recurrent = self.matrix(&format!("rnn.weight_hh_l{number}"))?;
        let hidden = recurrent.columns;
        let rows = operator.gates.len() * hidden;
        fits(&format!("rnn.weight_hh_l{number}"), recurrent.rows, rows)?;
        fits(&format!("rnn.weight_ih_l{number}"), input.rows, rows)?;
        let biases = ["ih", "hh"].map(|part| format!("rnn.bias_{part}_l{number}"));
        let bias = match [self.take(&biases[0]), self.take(&biases[1])] {
            [None, None] => None,
            [None, Some(_)] => return Err(missing(&biases[0])),
            [Some(_), None] => return Err(missing(&biases[1])),
            [Some(of_input), Some(of_state)] => {
                fits(&biases[0], of_input.values.len(), rows)?;
                fits(&biases[1], of_state.values.len(), rows)?;
                Some(
                    [of_input, of_state]
                        .iter()
                        .flat_map(|one| reordered(one.values, operator.gates, hidden))
                        .collect(),
                )
            }
        };
        let [input, recurrent] =
            [input, recurrent].map(|matrix| matrix.reordered(operator.gates, hidden));
        Ok(Layer {
            hidden,
            input,
            recurrent,
            bias,
        })
    }

    /// Nothing may be left that the graph would pass over.
    fn finish(self) -> Result<()> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(Error::invalid(
                format!("the parameter {name}"),
                "the export to ONNX does not know what to do with it",
                "Keep the model as safetensors, which PyTorch reads",
            )),
        }
    }
}

fn find<T>(
    rows: impl Iterator<Item = (&'static str, T)> + Clone,
    what: &str,
    name: &str,
) -> Result<T> {
    let names = rows
        .clone()
        .map(|(row, _)| row)
        .collect::<Vec<_>>()
        .join(", ");
    rows.into_iter()
        .find_map(|(row, value)| (row == name).then_some(value))
        .ok_or_else(|| {
            Error::invalid(
                format!("the {what} {name}"),
                "ONNX has no operator for it",
                format!("It can be written for one of: {names}"),
            )
        })
}

fn missing(name: &str) -> Error {
    Error::invalid(
        name,
        "the network lacks this parameter",
        "Give it, or restore the model from a copy",
    )
}

fn fits(what: &str, found: usize, wanted: usize) -> Result<()> {
    if found == wanted {
        return Ok(());
    }
    Err(Error::invalid(
        what,
        format!("its size is {found}, and the other parameters want {wanted}"),
        "The parameters of a model belong together",
    ))
}
