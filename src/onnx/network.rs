//! A network in the form that ONNX's operators take, from parameters under PyTorch's names.
//!
//! Input: names, shapes and values from any source. Output: matrices with the gates in the order
//! of the operators, the table that token ids index, and the output layer.

use super::check_file_size;
use super::parameters::{
    Matrix, MixtureLayer, NamedParameter, ParameterMap, RecurrentLayer, check_size, missing,
};
use crate::error::{Error, Result};
use crate::model::{CellKind, find_cell};

/// The network to export. Its parameters determine sizes, layers, biases and the kind of input:
///
/// - `embedding.weight [V, D]`; without it, the input is one-hot and `rnn.weight_ih_l0` is
///   `[G*H, V]`;
/// - `rnn.weight_ih_l{k} [G*H, in]`, `rnn.weight_hh_l{k} [G*H, H]`, and both or neither of
///   `rnn.bias_ih_l{k}`, `rnn.bias_hh_l{k} [G*H]`, with the gates in PyTorch's order;
/// - of a feed-forward network, `hidden.weight [H, N*D]` and optionally `hidden.bias [H]` in their
///   place; what follows has H + N*D columns if it reads the embedded words too;
/// - `projection.weight [D, H]`, optional;
/// - of a mixture of K softmaxes, `prior.weight [K, H]`, `latent.0.weight [K*D, H]` and optionally
///   `latent.0.bias [K*D]`;
/// - `decoder.weight [V, in]`; without it, the output weight is the embedding; and
///   `decoder.bias [V]`, optional.
#[derive(Debug, Clone)]
pub struct OnnxNetwork<'a> {
    /// "elman", "feedforward", "gru" or "lstm".
    pub cell: &'a str,
    /// The activation function of an Elman cell: "sigmoid", "tanh" or "relu".
    pub activation: &'a str,
    /// The value of every unit before the first token, if there are no `initial_states`.
    pub initial_state: f32,
    /// The states before the first token: h, or h and c, of the first layer, then of the next.
    pub initial_states: Option<Vec<&'a [f32]>>,
    /// Whether recurrent layers add their input to what they pass on: all above the first, and the
    /// first where the embedding has its size.
    pub residual: bool,
    /// The parameters in any order.
    pub parameters: Vec<NamedParameter<'a>>,
}

/// The names of a cell's states, in the order of the operators. Cells without c have the first.
pub(super) const STATE_NAMES: [&str; 2] = ["h", "c"];

/// A cell and the ONNX operator that computes it.
#[derive(Debug)]
pub(super) struct RecurrentOperator {
    /// Elman's name of the cell.
    cell: &'static str,
    /// ONNX's name of the operator.
    pub(super) name: &'static str,
    /// PyTorch's gate index for each gate of the operator.
    gates: &'static [usize],
    /// The number of states: h, or h and c.
    pub(super) states: usize,
}

static OPERATORS: [RecurrentOperator; 3] = [
    RecurrentOperator {
        cell: "elman",
        name: "RNN",
        gates: &[0],
        states: 1,
    },
    // z, r, h from r, z, n.
    RecurrentOperator {
        cell: "gru",
        name: "GRU",
        gates: &[1, 0, 2],
        states: 1,
    },
    // i, o, f, c from i, f, g, o.
    RecurrentOperator {
        cell: "lstm",
        name: "LSTM",
        gates: &[0, 3, 1, 2],
        states: 2,
    },
];

/// Elman's and ONNX's names of activation functions.
const ACTIVATIONS: [(&str, &str); 3] = [("sigmoid", "Sigmoid"), ("tanh", "Tanh"), ("relu", "Relu")];

/// The states before the first token.
#[derive(Debug)]
pub(super) enum InitialStates<'a> {
    /// The value of every unit.
    Uniform(f32),
    /// h, or h and c, of the first layer, then of the next.
    Stored(Vec<&'a [f32]>),
}

/// Recurrent layers as ONNX's operators take them.
#[derive(Debug)]
pub(super) struct RecurrentLayers<'a> {
    pub(super) operator: &'static RecurrentOperator,
    /// ONNX's name of the activation function; `None` if the operator's is fixed.
    pub(super) activation: Option<&'static str>,
    pub(super) initial_states: InitialStates<'a>,
    pub(super) layers: Vec<RecurrentLayer<'a>>,
}

/// The layer of a feed-forward network.
#[derive(Debug)]
pub(super) struct FeedForwardLayer<'a> {
    /// N, the number of words that it reads, the last one first.
    pub(super) context: usize,
    /// `[H, N*D]`.
    pub(super) weight: Matrix<'a>,
    pub(super) bias: Option<&'a [f32]>,
    /// Whether the next layer reads the embedded words too, behind the hidden units.
    pub(super) skip: bool,
}

/// What is between the table and the output layer.
#[derive(Debug)]
pub(super) enum HiddenLayers<'a> {
    Recurrent(RecurrentLayers<'a>),
    FeedForward(FeedForwardLayer<'a>),
}

/// A network whose parts are inputs of ONNX's operators.
#[derive(Debug)]
pub(super) struct PreparedNetwork<'a> {
    pub(super) hidden: HiddenLayers<'a>,
    /// The table that token ids index: `[V, D]`, or `[V, G*H]` for one-hot input.
    pub(super) table: Matrix<'a>,
    /// D; 0 for one-hot input.
    pub(super) embedding_size: usize,
    pub(super) projection: Option<Matrix<'a>>,
    pub(super) mixture: Option<MixtureLayer<'a>>,
    /// `[V, in]`; `None` if the output weight is the table.
    pub(super) decoder: Option<Matrix<'a>>,
    pub(super) decoder_bias: Option<&'a [f32]>,
}

impl<'a> OnnxNetwork<'a> {
    /// Converts the network for ONNX's operators.
    ///
    /// For one-hot input, the table is the transposed input weight, so its rows are the products
    /// with the input weight. The operators always multiply by an input weight; it is the identity,
    /// which is exact and small compared to the output layer. A cell built from single operators in
    /// a loop would avoid the product but lose the fused kernels of the runtimes.
    ///
    /// # Errors
    /// As [`super::network_to_onnx`].
    pub(super) fn prepare(&self) -> Result<PreparedNetwork<'a>> {
        if find_cell(self.cell).is_some_and(CellKind::is_feed_forward) {
            return self.prepare_feed_forward();
        }
        let (operator, activation) = find_operator(self.cell, self.activation)?;
        let mut source = ParameterMap::new(&self.parameters);
        let layer_count = source.count_layers();
        let embedding = source.take_matrix_if_present("embedding.weight")?;
        let one_hot = match embedding {
            None => Some(source.take_matrix("rnn.weight_ih_l0")?),
            Some(_) => None,
        };
        check_file_size(self.lower_bound(one_hot.as_ref()))?;

        let mut layers = Vec::with_capacity(layer_count);
        for index in 0..layer_count {
            let input = match &one_hot {
                Some(weight) if index == 0 => Matrix::identity(weight.rows),
                _ => source.take_matrix(&format!("rnn.weight_ih_l{index}"))?,
            };
            let columns = input.columns;
            let layer = source.take_layer(operator.gates, index, input)?;
            let is_one_hot = index == 0 && one_hot.is_some();
            if self.residual && index > 0 {
                check_size("the input of a residual connection", columns, layer.hidden)?;
            }
            layers.push(RecurrentLayer {
                residual: self.residual && columns == layer.hidden && !is_one_hot,
                ..layer
            });
        }
        let embedding_size = embedding.as_ref().map_or(0, |table| table.columns);
        let table = embedding.or_else(|| one_hot.map(|weight| weight.transposed()));
        let hidden = RecurrentLayers {
            operator,
            activation: (operator.name == "RNN").then_some(activation),
            initial_states: match &self.initial_states {
                None => InitialStates::Uniform(self.initial_state),
                Some(states) => InitialStates::Stored(states.clone()),
            },
            layers,
        };
        let prepared = PreparedNetwork {
            hidden: HiddenLayers::Recurrent(hidden),
            table: table.ok_or_else(|| missing("embedding.weight"))?,
            embedding_size,
            projection: source.take_matrix_if_present("projection.weight")?,
            mixture: source.take_mixture()?,
            decoder: source.take_matrix_if_present("decoder.weight")?,
            decoder_bias: source.take("decoder.bias").map(|bias| bias.values),
        };
        source.finish()?;
        prepared.check()?;
        Ok(prepared)
    }

    /// [`Self::prepare`] for a feed-forward network.
    fn prepare_feed_forward(&self) -> Result<PreparedNetwork<'a>> {
        let mut source = ParameterMap::new(&self.parameters);
        check_file_size(self.lower_bound(None))?;
        let table = source.take_matrix("embedding.weight")?;
        let weight = source.take_matrix("hidden.weight")?;
        let bias = source.take("hidden.bias").map(|bias| bias.values);
        let projection = source.take_matrix_if_present("projection.weight")?;
        let mixture = source.take_mixture()?;
        let decoder = source.take_matrix_if_present("decoder.weight")?;
        let prior = mixture.as_ref().map(|mixture| &mixture.prior);
        let next = projection.as_ref().or(prior).or(decoder.as_ref());
        let next = next.unwrap_or(&table);
        let prepared = PreparedNetwork {
            hidden: HiddenLayers::FeedForward(FeedForwardLayer {
                context: weight.columns / table.columns,
                bias,
                skip: next.columns == weight.rows + weight.columns,
                weight,
            }),
            embedding_size: table.columns,
            table,
            projection,
            mixture,
            decoder,
            decoder_bias: source.take("decoder.bias").map(|bias| bias.values),
        };
        source.finish()?;
        prepared.check()?;
        Ok(prepared)
    }

    /// A lower bound on the bytes of the file: those of the parameters, and of the identity that
    /// one-hot input with the given weight needs.
    fn lower_bound(&self, one_hot: Option<&Matrix<'_>>) -> u64 {
        let bytes = |elements: usize| (elements as u64).saturating_mul(4);
        let identity = one_hot.map_or(0, |weight| weight.rows.saturating_mul(weight.rows));
        let parameters: u64 = self
            .parameters
            .iter()
            .map(|parameter| bytes(parameter.values.len()))
            .sum();
        bytes(identity).saturating_add(parameters)
    }
}

impl PreparedNetwork<'_> {
    /// V.
    pub(super) fn vocab_size(&self) -> usize {
        self.table.rows
    }

    /// The width of what the hidden layers pass on.
    pub(super) fn hidden_width(&self) -> usize {
        match &self.hidden {
            HiddenLayers::Recurrent(recurrent) => {
                recurrent.layers.last().map_or(1, |layer| layer.hidden)
            }
            HiddenLayers::FeedForward(layer) if layer.skip => {
                layer.weight.rows + layer.weight.columns
            }
            HiddenLayers::FeedForward(layer) => layer.weight.rows,
        }
    }

    /// Checks that the input of each part is as wide as the output of the part before it.
    fn check(&self) -> Result<()> {
        match &self.hidden {
            HiddenLayers::Recurrent(recurrent) => recurrent.check(self.table.columns)?,
            HiddenLayers::FeedForward(layer) => layer.check(self.table.columns)?,
        }
        let mut width = self.hidden_width();
        if let Some(projection) = &self.projection {
            check_size("projection.weight", projection.columns, width)?;
            width = projection.rows;
        }
        if let Some(mixture) = &self.mixture {
            width = mixture.check(width)?;
        }
        let decoder = self.decoder.as_ref().unwrap_or(&self.table);
        check_size("decoder.weight", decoder.columns, width)?;
        check_size(
            "the vocabulary of the output layer",
            decoder.rows,
            self.vocab_size(),
        )?;
        if let Some(bias) = self.decoder_bias {
            check_size("decoder.bias", bias.len(), decoder.rows)?;
        }
        Ok(())
    }
}

impl FeedForwardLayer<'_> {
    fn check(&self, embedding_size: usize) -> Result<()> {
        let width = self.context * embedding_size;
        check_size("hidden.weight", self.weight.columns, width.max(1))?;
        match self.bias {
            None => Ok(()),
            Some(bias) => check_size("hidden.bias", bias.len(), self.weight.rows),
        }
    }
}

impl RecurrentLayers<'_> {
    fn check(&self, mut width: usize) -> Result<()> {
        for (index, layer) in self.layers.iter().enumerate() {
            check_size(
                &format!("rnn.weight_ih_l{index}"),
                layer.input.columns,
                width,
            )?;
            width = layer.hidden;
        }
        self.check_initial_states()
    }

    fn check_initial_states(&self) -> Result<()> {
        let InitialStates::Stored(states) = &self.initial_states else {
            return Ok(());
        };
        let count = self.operator.states;
        check_size(
            "the list of initial states",
            states.len(),
            self.layers.len() * count,
        )?;
        for (index, state) in states.iter().enumerate() {
            let hidden = self.layers[index / count].hidden;
            check_size(&format!("initial_state.{index}"), state.len(), hidden)?;
        }
        Ok(())
    }
}

/// The operator for a cell, and ONNX's name of an activation function.
///
/// # Errors
/// If ONNX lacks one of them.
pub(super) fn find_operator(
    cell: &str,
    activation: &str,
) -> Result<(&'static RecurrentOperator, &'static str)> {
    let operators = OPERATORS.iter().map(|row| (row.cell, row));
    Ok((
        find(operators, "cell", cell)?,
        find(ACTIVATIONS.iter().copied(), "activation", activation)?,
    ))
}

/// Finds a row of a table by name.
fn find<T>(
    rows: impl Iterator<Item = (&'static str, T)> + Clone,
    what: &str,
    name: &str,
) -> Result<T> {
    let names: Vec<_> = rows.clone().map(|(row, _)| row).collect();
    rows.into_iter()
        .find_map(|(row, value)| (row == name).then_some(value))
        .ok_or_else(|| {
            Error::invalid(
                format!("the {what} {name}"),
                "ONNX has no operator for it",
                format!("The export supports {}", names.join(", ")),
            )
        })
}
