//! The interface of recurrent cells.
//!
//! A recurrent layer is `z = W x + b`, one product for all time steps, and a cell: the recurrence
//! from z to the layer's output, step by step. The product belongs to the
//! [`Recurrent`](super::layers::Recurrent) layer; a cell implements this interface. Of a cell with
//! rounds, x depends on the state, and the layer gives it z = b. The table of cells is
//! [`CELLS`](super::CELLS).

use std::fmt::Debug;

use super::capacity::Capacity;
use super::config::Config;
use super::parameter_spec::{Initializer, ParameterSpec};
use super::window::Window;
use crate::device::Device;
use crate::error::Result;
use crate::tensor::Tensor;

/// The cell of one layer, with its buffers for windows of up to T steps of B streams.
///
/// A buffer's first rows are those of a window that is shorter than T.
pub trait Cell: Debug + Send + Sync {
    /// `[T*B, G*H]`: the layer writes z here before [`Cell::forward`], which may overwrite it.
    fn pre_activations(&self) -> Tensor;

    /// `[T*B, G*H]`: the gradient of z after [`Cell::backward`].
    fn pre_activation_gradient(&self) -> Tensor;

    /// `[T*B, H]`: the states after [`Cell::forward`].
    fn output(&self) -> Tensor;

    /// `[T*B, H]`: the gradient of the output, written before [`Cell::backward`], which may
    /// overwrite it.
    fn output_gradient(&self) -> Tensor;

    /// Makes a cell read the layer's input, `[T*B, in]`, where it reads it itself:
    /// [`Config::reads_input`]. A cell with rounds writes the input's gradient.
    fn read_input(&mut self, _input: Tensor, _gradient: Tensor) {}

    /// `[T*B, H]`: the part of the gradient of the input of [`Cell::read_input`] that does not come
    /// through z, after [`Cell::backward`].
    fn input_gradient(&self) -> Option<Tensor> {
        None
    }

    /// The activations that saturate, if there are some: between [`Cell::forward`] and
    /// [`Cell::backward`].
    fn gates(&self) -> Option<Gates> {
        None
    }

    /// The states carried from window to window, `[B, H]` each: one for Elman, two for LSTM.
    fn carried(&self) -> Vec<Tensor>;

    /// The gradients of the states carried into the window, after [`Cell::backward`].
    fn carried_gradient(&self) -> Vec<Tensor>;

    /// Computes the states of a window.
    fn forward(&self, device: &mut Device, window: &Window, parameters: RecurrentParameters);

    /// Back-propagates through a window and overwrites the recurrent parameters' `gradients`.
    fn backward(
        &self,
        device: &mut Device,
        window: &Window,
        parameters: RecurrentParameters,
        gradients: RecurrentParameters,
    );
}

/// Activations of a layer with two limits: its gates or, of a cell without gates, its units. Near
/// the limits little gradient passes.
#[derive(Debug, Clone, Copy)]
pub struct Gates {
    /// `[T*B, G*H]`.
    pub values: Tensor,
    /// H.
    pub size: usize,
    /// The blocks of H columns that are gates. The others are other activations.
    pub blocks: &'static [usize],
    /// The values outside of which an activation is saturated: a tenth of the way from a limit to
    /// the other one.
    pub range: [f32; 2],
}

impl Gates {
    /// [`Gates::range`] of a sigmoid.
    pub const SIGMOID: [f32; 2] = [0.1, 0.9];
    /// [`Gates::range`] of tanh, which is a sigmoid from -1 to 1.
    pub const TANH: [f32; 2] = [-0.8, 0.8];

    /// Gates that are sigmoids.
    pub fn sigmoids(values: Tensor, size: usize, blocks: &'static [usize]) -> Self {
        Self {
            values,
            size,
            blocks,
            range: Self::SIGMOID,
        }
    }

    /// i, f and o of an LSTM, whose third block is its new memory.
    pub fn of_lstm(values: Tensor) -> Self {
        Self::sigmoids(values, values.columns() / 4, &[0, 1, 3])
    }
}

/// A layer's recurrent parameters, or their gradients.
#[derive(Debug, Clone)]
pub struct RecurrentParameters {
    /// `[G*H, in]`, or its transpose for one-hot input: for cells with rounds.
    pub input_weight: Tensor,
    /// `[G*H, H]`, if [`CellKind::has_recurrent_weight`].
    pub weight: Option<Tensor>,
    /// `[1, G*H]`: the recurrent bias, if there is one and it is not added to z.
    pub bias: Option<Tensor>,
    /// The parameters of [`CellKind::unit_parameters`], in that order, without biases in a network
    /// that has none: `[1, H]` for each, or several such rows one after the other. Then those of
    /// [`CellKind::rounds`].
    pub units: Vec<Tensor>,
}

impl RecurrentParameters {
    /// The weight of a cell that has one.
    ///
    /// # Panics
    /// If [`CellKind::has_recurrent_weight`] is false.
    pub fn recurrent_weight(&self) -> Tensor {
        self.weight.expect("the cell has a recurrent weight")
    }
}

/// A parameter of a cell with one value per unit, such as a learned leak or a peephole weight, or a
/// few values per unit.
#[derive(Debug)]
pub struct UnitParameter {
    /// The part of its name in files: `leak` for `rnn.leak_l0`.
    pub part: &'static str,
    /// The number of values per unit: first one for every unit, then the next.
    pub values: usize,
    /// Whether only networks with biases have it.
    pub is_bias: bool,
    /// Whether only networks with layer normalization have it.
    pub is_norm: bool,
    /// The initializer for a layer of H units, given the number of its inputs and H.
    pub initializer: fn(inputs: usize, size: usize) -> Initializer,
}

/// The parameters of a layer's rounds, whose names are their parts: `leak` for `rnn.leak_l0`.
pub type RoundParameters = fn(&Config, layer: usize) -> Vec<ParameterSpec>;

/// Allocates the cell of a recurrent layer.
pub type NewCell = fn(&mut Device, &Config, layer: usize, &Capacity) -> Result<Box<dyn Cell>>;

/// A row of the table of cells.
#[derive(Debug)]
pub struct CellKind {
    /// The name in flags and files.
    pub name: &'static str,
    /// A description for help texts.
    pub description: &'static str,
    /// G; [`Config::gates`] of some layers is greater.
    pub gates: usize,
    /// Number of carried states.
    pub states: usize,
    /// Whether the configuration's activation function applies; other cells have fixed functions.
    pub has_activation: bool,
    /// The index of the gate that decides what is kept in the input bias, if there is one whose
    /// initial bias is chosen.
    pub forget_gate: Option<usize>,
    /// Whether layers have PyTorch's recurrent weight and its two biases. Otherwise biases are
    /// among the unit parameters.
    pub has_recurrent_weight: bool,
    /// Whether the output mixes the state with the layer's input. Where this has not H values or is
    /// one-hot, z has another gate in its place.
    pub has_highway: bool,
    /// Whether dropout of weights applies to a layer's input weight, in the place of a recurrent
    /// one.
    pub drops_input_weight: bool,
    /// Whether the first layer reads the embedding of the word before the current one too.
    pub reads_previous_input: bool,
    /// Whether the configuration's rate of zoneout applies.
    pub has_zoneout: bool,
    /// Whether [`Config::cap_input_gate`] applies.
    pub has_capped_gate: bool,
    /// Whether [`Config::layer_norm`] applies. The first of the unit parameters is then the gain of
    /// the product with the input weight.
    pub has_layer_norm: bool,
    /// Whether the recurrent bias is added to z, as the input's is. Otherwise the cell uses it.
    pub adds_recurrent_bias: bool,
    /// Whether layers have biases by default.
    pub bias: bool,
    /// The default initial state.
    pub initial_state: f32,
    /// The initializer of a weight matrix of a layer of H units.
    pub initializer: fn(usize) -> Initializer,
    /// The initializer of a layer's input weight, given its inputs and H, where it differs from
    /// [`CellKind::initializer`].
    pub input_initializer: Option<fn(inputs: usize, size: usize) -> Initializer>,
    /// Parameters beside the weights and biases, with one value per unit.
    pub unit_parameters: &'static [UnitParameter],
    /// The parameters of [`Config::mogrifier_rounds`], if rounds in which the input and the state
    /// gate each other come before the cell, which then multiplies the input itself.
    pub rounds: Option<RoundParameters>,
    /// Allocates the cell of a layer; none for a network that is not recurrent: a layer that reads
    /// the last words, [`Config::context`].
    pub new: Option<NewCell>,
}

/// The size of PyTorch's examples: their tables start from uniform values in ±0.1 = ±1/√100.
const TABLE_SIZE: usize = 100;

impl CellKind {
    /// Whether the network is not recurrent.
    pub fn is_feed_forward(&self) -> bool {
        self.new.is_none()
    }

    /// The initializer of tables with a row for each type: embeddings and output weights.
    pub fn table_initializer(&self) -> Initializer {
        (self.initializer)(TABLE_SIZE)
    }
}
