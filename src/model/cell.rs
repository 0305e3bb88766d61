//! What a recurrent cell is, and the table of those that exist.
//!
//! The layer's input product and its biases are the same for every cell and belong to the model; a cell is what happens between them and
//! the layer's output, step by step.

use std::fmt::Debug;

use super::config::Config;
use super::elman::ElmanCell;
use super::window::Window;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::Precision;
use crate::tensor::Tensor;

/// One layer's cell with its memory for windows of up to T steps of B streams.
pub trait Cell: Debug {
    /// `[time_steps*B, G*H]`: where the model puts the input's product before [`Cell::forward`].
    fn inputs(&self, time_steps: usize) -> Tensor;

    /// `[time_steps*B, H]`: what the layer hands on after [`Cell::forward`].
    fn outputs(&self, time_steps: usize) -> Tensor;

    /// `[time_steps*B, H]`: where the gradient of the outputs must be before [`Cell::backward`].
    fn output_gradient(&self, time_steps: usize) -> Tensor;

    /// `[time_steps*B, G*H]`: the gradient of the inputs after [`Cell::backward`].
    fn input_gradient(&self, time_steps: usize) -> Tensor;

    /// The states carried from window to window, `[B, H]` each: one for Elman, two for LSTM.
    fn carried(&self) -> Vec<Tensor>;

    /// The gradients of the carried states as they were before the window, after [`Cell::backward`].
    fn carried_gradient(&self) -> Vec<Tensor>;

    /// Walks the window with the recurrent weight `[G*H, H]`.
    fn forward(&self, device: &mut Device, window: &Window, weight: Tensor);

    /// Walks back through it and overwrites the recurrent weight's gradient, a product of this precision.
    fn backward(&self, device: &mut Device, window: &Window, weight: Tensor, weight_gradient: Tensor, precision: Precision);
}

/// What a workspace is made for.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    /// B.
    pub batch: usize,
    /// The largest T.
    pub time_steps: usize,
    /// Whether gradients will be wanted.
    pub training: bool,
    /// Whether every sentence begins with the initial state.
    pub independent: bool,
    /// Whether training's products round their factors to f16; recurrences stay as they are.
    pub mixed: bool,
}

/// A row of the table of cells.
#[derive(Debug)]
pub struct CellKind {
    /// The name in flags and files.
    pub name: &'static str,
    /// G.
    pub gates: usize,
    /// What it is, for help texts.
    pub description: &'static str,
    /// Allocates one layer's cell.
    pub allocate: fn(&mut Device, &Config, Capacity) -> Result<Box<dyn Cell>>,
}

/// Every cell there is.
pub static CELLS: &[CellKind] = &[CellKind {
    name: "elman",
    gates: 1,
    description: "s(t) = f(W x(t) + U s(t-1)) (Elman 1990, Mikolov 2010)",
    allocate: |device, config, capacity| Ok(Box::new(ElmanCell::new(device, config, capacity)?)),
}];

/// The configuration's row of [`CELLS`].
///
/// # Panics
/// If the configuration was not validated.
pub fn kind(config: &Config) -> &'static CellKind {
    CELLS.iter().find(|row| row.name == config.cell).expect("a validated configuration names a cell of the table")
}
