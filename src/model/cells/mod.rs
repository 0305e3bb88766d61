//! The table of cells: of recurrent cells, and of the network that has none.
//!
//! A new cell is a row here, a file in this folder that implements [`Cell`](super::cell::Cell),
//! and its kernels (see [`kernels`](crate::kernels)); in the tests, its equations in
//! `tests/reference/cells.rs`. Flags, help, checkpoints and generic tests follow from the row.
//! ONNX export and the import of PyTorch's models have their own tables, of the cells that these
//! formats have.

mod elman;
mod gru;
mod lstm;
mod mogrifier;
mod normalized_lstm;
mod qrnn;
mod rounds;
mod sru;
mod states;
mod unit_cells;

use super::cell::{CellKind, UnitParameter};
use super::config::Config;
use super::parameter_spec::Initializer;
use elman::ElmanCell;
use gru::GruCell;
use lstm::LstmCell;
use mogrifier::MogrifierCell;
use normalized_lstm::NormalizedLstmCell;
use qrnn::QrnnCell;
use sru::SruCell;

/// What cells have unless their row says otherwise.
const TYPICAL: CellKind = CellKind {
    name: "",
    description: "",
    gates: 1,
    states: 1,
    has_activation: false,
    forget_gate: None,
    has_recurrent_weight: true,
    has_highway: false,
    drops_input_weight: false,
    reads_previous_input: false,
    has_zoneout: false,
    has_capped_gate: false,
    has_layer_norm: false,
    adds_recurrent_bias: false,
    bias: true,
    initial_state: 0.0,
    initializer: Initializer::Uniform,
    input_initializer: None,
    unit_parameters: &[],
    rounds: None,
    new: None,
};

/// All cells.
pub static CELLS: &[CellKind] = &[
    CellKind {
        name: "elman",
        description: "s(t) = f(W x(t) + U s(t-1)) (Elman 1990, Mikolov 2010)",
        has_activation: true,
        adds_recurrent_bias: true,
        bias: false,
        initial_state: 0.1,
        initializer: |_| Initializer::ThreeUniform,
        new: Some(|device, config, layer, capacity| {
            Ok(Box::new(ElmanCell::new(device, config, layer, capacity)?))
        }),
        ..TYPICAL
    },
    CellKind {
        name: "feedforward",
        description: "no recurrence: a layer of tanh units reads the embeddings of the last \
            `context` words (Bengio 2003)",
        states: 0,
        has_recurrent_weight: false,
        ..TYPICAL
    },
    CellKind {
        name: "gru",
        description: "two gates mix the state with a new one (Cho 2014, the reset gate after the \
            product as in PyTorch)",
        gates: 3,
        forget_gate: Some(1),
        new: Some(|device, config, layer, capacity| {
            Ok(Box::new(GruCell::new(device, config, layer, capacity)?))
        }),
        ..TYPICAL
    },
    CellKind {
        name: "lstm",
        description: "a memory beside the state, written and read through gates (Hochreiter and \
            Schmidhuber 1997)",
        gates: 4,
        states: 2,
        forget_gate: Some(1),
        has_capped_gate: true,
        has_layer_norm: true,
        adds_recurrent_bias: true,
        unit_parameters: &[
            norm_parameter("gain_ih", 4),
            norm_parameter("gain_hh", 4),
            norm_parameter("gain_c", 1),
            UnitParameter {
                part: "bias_c",
                values: 1,
                is_bias: true,
                is_norm: true,
                initializer: |_, _| Initializer::Zero,
            },
        ],
        new: Some(|device, config, layer, capacity| {
            if config.layer_norm {
                let cell = NormalizedLstmCell::new(device, config, layer, capacity)?;
                return Ok(Box::new(cell));
            }
            Ok(Box::new(LstmCell::new(device, config, layer, capacity)?))
        }),
        ..TYPICAL
    },
    CellKind {
        name: "mogrifier",
        description: "an LSTM before whose every step the input and the state gate each other in \
            rounds (Melis 2020)",
        gates: 4,
        states: 2,
        forget_gate: Some(1),
        has_capped_gate: true,
        adds_recurrent_bias: true,
        rounds: Some(rounds::parameter_specs),
        new: Some(|device, config, layer, capacity| {
            Ok(Box::new(MogrifierCell::new(
                device, config, layer, capacity,
            )?))
        }),
        ..TYPICAL
    },
    CellKind {
        name: "qrnn",
        description: "no product of states, so that a window is one dispatch: gates read the \
            input, in the first layer that of the word before too (Bradbury 2016)",
        gates: 3,
        has_recurrent_weight: false,
        drops_input_weight: true,
        reads_previous_input: true,
        has_zoneout: true,
        // As PyTorch's `nn.Linear`, like the bias.
        input_initializer: Some(|inputs, _| Initializer::Uniform(inputs)),
        unit_parameters: &[UnitParameter {
            part: "bias",
            values: 3,
            is_bias: true,
            is_norm: false,
            initializer: |inputs, _| Initializer::Uniform(inputs),
        }],
        new: Some(|device, config, layer, capacity| {
            Ok(Box::new(QrnnCell::new(device, config, layer, capacity)?))
        }),
        ..TYPICAL
    },
    CellKind {
        name: "sru",
        description: "no product of states, so that a window is one dispatch: gates read a unit's \
            own memory, and a highway the input (Lei 2018)",
        gates: 3,
        has_recurrent_weight: false,
        has_highway: true,
        // The products of the gates f and r are terms of a sum of two.
        input_initializer: Some(|inputs, size| Initializer::UniformVariance {
            n: inputs,
            halved: [size * inputs, 3 * size * inputs],
        }),
        unit_parameters: &[
            UnitParameter {
                part: "weight_c",
                values: 2,
                is_bias: false,
                is_norm: false,
                initializer: |_, size| Initializer::UniformVariance {
                    n: 1,
                    halved: [0, 2 * size],
                },
            },
            UnitParameter {
                part: "bias",
                values: 2,
                is_bias: true,
                is_norm: false,
                initializer: |_, _| Initializer::Zero,
            },
        ],
        new: Some(|device, config, layer, capacity| {
            Ok(Box::new(SruCell::new(device, config, layer, capacity)?))
        }),
        ..TYPICAL
    },
];

/// A gain of layer normalization.
const fn norm_parameter(part: &'static str, values: usize) -> UnitParameter {
    UnitParameter {
        part,
        values,
        is_bias: false,
        is_norm: true,
        initializer: |_, _| Initializer::One,
    }
}

/// The row of [`CELLS`] with this name.
pub fn find_cell(name: &str) -> Option<&'static CellKind> {
    CELLS.iter().find(|row| row.name == name)
}

/// The configuration's row of [`CELLS`].
///
/// # Panics
/// If the configuration was not validated.
pub fn cell_kind(config: &Config) -> &'static CellKind {
    find_cell(&config.cell).expect("a validated configuration names a cell of the table")
}

impl Config {
    /// G of a layer: that of its cell, and one more where the cell has a highway and cannot read
    /// the layer's input itself.
    pub fn gates(&self, layer: usize) -> usize {
        let Some(kind) = find_cell(&self.cell) else {
            return 1;
        };
        kind.gates + usize::from(kind.has_highway && !self.reads_input(layer))
    }

    /// Whether the first layer reads the embedding of the word before the current one too.
    pub fn reads_previous_input(&self) -> bool {
        find_cell(&self.cell).is_some_and(|kind| kind.reads_previous_input)
    }

    /// Whether the cells of a layer read the layer's input themselves.
    pub fn reads_input(&self, layer: usize) -> bool {
        let kind = find_cell(&self.cell);
        if kind.is_some_and(|kind| kind.rounds.is_some()) {
            return true;
        }
        let has_highway = kind.is_some_and(|kind| kind.has_highway);
        let is_one_hot = layer == 0 && self.embedding_size == 0;
        has_highway && !is_one_hot && self.input_size(layer) == self.layer_size(layer)
    }
}
