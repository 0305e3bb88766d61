//! What a recurrent cell is, and the table of those that exist.
//!
//! The layer's input product with its bias is the same for every cell and belongs to the model; a
//! cell is what happens between it and the layer's output, step by step.

use std::fmt::Debug;

use super::config::Config;
use super::dropout::DropoutRates;
use super::elman::ElmanCell;
use super::gru::GruCell;
use super::lstm::LstmCell;
use super::window::Window;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::Precision;
use crate::tensor::Tensor;

/// One layer's cell with its memory for windows of up to T steps of B streams.
pub trait Cell: Debug + Send + Sync {
    /// `[time_steps*B, G*H]`: where the model puts the input's product, its bias added, before
    /// [`Cell::forward`].
    fn inputs(&self, time_steps: usize) -> Tensor;

    /// `[time_steps*B, H]`: what the layer hands on after [`Cell::forward`].
    fn outputs(&self, time_steps: usize) -> Tensor;

    /// `[time_steps*B, H]`: where the gradient of the outputs must be before [`Cell::backward`].
    fn output_gradient(&self, time_steps: usize) -> Tensor;

    /// `[time_steps*B, G*H]`: the gradient of the inputs after [`Cell::backward`].
    fn input_gradient(&self, time_steps: usize) -> Tensor;

    /// The states carried from window to window, `[B, H]` each: one for Elman, two for LSTM.
    fn carried(&self) -> Vec<Tensor>;

    /// The gradients of the carried states as they were before the window, after
    /// [`Cell::backward`].
    fn carried_gradient(&self) -> Vec<Tensor>;

    /// Walks the window.
    fn forward(&self, device: &mut Device, window: &Window, recurrent: Recurrent);

    /// Walks back through it and overwrites the recurrent parameters' `gradient`; the weight's is a
    /// product of this precision.
    fn backward(
        &self,
        device: &mut Device,
        window: &Window,
        recurrent: Recurrent,
        gradient: Recurrent,
        precision: Precision,
    );
}

/// A layer's recurrent parameters, or their gradients.
#[derive(Debug, Clone, Copy)]
pub struct Recurrent {
    /// `[G*H, H]`.
    pub weight: Tensor,
    /// `[1, G*H]`.
    pub bias: Option<Tensor>,
}

/// What a workspace is made for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Capacity {
    /// B.
    pub batch: usize,
    /// The largest T.
    pub time_steps: usize,
    /// The most steps at a window's front that predict nothing.
    pub history: usize,
    /// Whether gradients will be wanted.
    pub training: bool,
    /// Whether every sentence begins with the initial state.
    pub independent: bool,
    /// Whether training's products round their factors to f16; recurrences stay as they are.
    pub mixed: bool,
    /// What is left out at random: nothing where nothing is trained.
    pub dropout: DropoutRates,
    /// The seed of dropout's masks.
    pub seed: u32,
}

/// Allocates the cell of a layer.
pub type AllocateCell = fn(&mut Device, &Config, layer: usize, Capacity) -> Result<Box<dyn Cell>>;

/// A row of the table of cells.
#[derive(Debug)]
pub struct CellKind {
    /// The name in flags and files.
    pub name: &'static str,
    /// G.
    pub gates: usize,
    /// States carried from step to step.
    pub states: usize,
    /// What it is, for help texts.
    pub description: &'static str,
    /// Whether layers have biases, where the user does not say.
    pub bias: bool,
    /// What every unit is before the first token, where the user does not say.
    pub initial_state: f32,
    /// The number of the gate that decides what is kept, if there is one.
    pub forget_gate: Option<usize>,
    /// Allocates the cell of a layer.
    pub allocate: AllocateCell,
}

/// Every cell there is.
pub static CELLS: &[CellKind] = &[
    CellKind {
        name: "elman",
        gates: 1,
        states: 1,
        description: "s(t) = f(W x(t) + U s(t-1)) (Elman 1990, Mikolov 2010)",
        bias: false,
        initial_state: 0.1,
        forget_gate: None,
        allocate: |device, config, layer, capacity| {
            Ok(Box::new(ElmanCell::new(device, config, layer, capacity)?))
        },
    },
    CellKind {
        name: "gru",
        gates: 3,
        states: 1,
        description: "two gates mix the state with a new one (Cho 2014, the reset gate after the \
            product as in PyTorch)",
        bias: true,
        initial_state: 0.0,
        forget_gate: Some(1),
        allocate: |device, config, layer, capacity| {
            Ok(Box::new(GruCell::new(device, config, layer, capacity)?))
        },
    },
    CellKind {
        name: "lstm",
        gates: 4,
        states: 2,
        description: "a memory beside the state, written and read through gates (Hochreiter and \
            Schmidhuber 1997)",
        bias: true,
        initial_state: 0.0,
        forget_gate: Some(1),
        allocate: |device, config, layer, capacity| {
            Ok(Box::new(LstmCell::new(device, config, layer, capacity)?))
        },
    },
];

/// The configuration's row of [`CELLS`].
///
/// # Panics
/// If the configuration was not validated.
pub fn kind(config: &Config) -> &'static CellKind {
    CELLS
        .iter()
        .find(|row| row.name == config.cell)
        .expect("a validated configuration names a cell of the table")
}
