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
mod states;

use super::cell::CellKind;
use super::config::Config;
use super::parameter_spec::Initializer;
use elman::ElmanCell;
use gru::GruCell;
use lstm::LstmCell;

/// All cells.
pub static CELLS: &[CellKind] = &[
    CellKind {
        name: "elman",
        description: "s(t) = f(W x(t) + U s(t-1)) (Elman 1990, Mikolov 2010)",
        gates: 1,
        states: 1,
        has_activation: true,
        forget_gate: None,
        adds_recurrent_bias: true,
        bias: false,
        initial_state: 0.1,
        initializer: |_| Initializer::ThreeUniform,
        unit_parameters: &[],
        new: Some(|device, config, layer, capacity| {
            Ok(Box::new(ElmanCell::new(device, config, layer, capacity)?))
        }),
    },
    CellKind {
        name: "feedforward",
        description: "no recurrence: a layer of tanh units reads the embeddings of the last \
            `context` words (Bengio 2003)",
        gates: 1,
        states: 0,
        has_activation: false,
        forget_gate: None,
        adds_recurrent_bias: false,
        bias: true,
        initial_state: 0.0,
        initializer: Initializer::Uniform,
        unit_parameters: &[],
        new: None,
    },
    CellKind {
        name: "gru",
        description: "two gates mix the state with a new one (Cho 2014, the reset gate after the \
            product as in PyTorch)",
        gates: 3,
        states: 1,
        has_activation: false,
        forget_gate: Some(1),
        adds_recurrent_bias: false,
        bias: true,
        initial_state: 0.0,
        initializer: Initializer::Uniform,
        unit_parameters: &[],
        new: Some(|device, config, layer, capacity| {
            Ok(Box::new(GruCell::new(device, config, layer, capacity)?))
        }),
    },
    CellKind {
        name: "lstm",
        description: "a memory beside the state, written and read through gates (Hochreiter and \
            Schmidhuber 1997)",
        gates: 4,
        states: 2,
        has_activation: false,
        forget_gate: Some(1),
        adds_recurrent_bias: true,
        bias: true,
        initial_state: 0.0,
        initializer: Initializer::Uniform,
        unit_parameters: &[],
        new: Some(|device, config, layer, capacity| {
            Ok(Box::new(LstmCell::new(device, config, layer, capacity)?))
        }),
    },
];

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
