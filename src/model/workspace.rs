//! What a run of a model needs besides its parameters: activations, carried states, gradients, scratch.

use super::Model;
use super::cell::{self, Capacity, Cell};
use super::output::{self, OutputLayer, Predictions};
use super::window::Window;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::Gradient;
use crate::tensor::Tensor;

/// Memory for windows of B streams and up to T steps. One model may have several: one to train in, one to evaluate in.
#[derive(Debug)]
pub struct Workspace {
    capacity: Capacity,
    initial_state: f32,
    pub(super) cells: Vec<Box<dyn Cell>>,
    pub(super) output: Box<dyn OutputLayer>,
    /// `[T*B, D]`: the looked-up rows where there is an embedding.
    embedded: Option<Tensor>,
    /// `[T*B, 1]`.
    losses: Tensor,
    /// The parameters' gradients; none where nothing is trained. That of the looked-up table has a row for each position of the window.
    gradients: Vec<Tensor>,
    /// The number of the looked-up table.
    table: usize,
}

impl Workspace {
    /// Allocates the memory; every carried state is the initial one.
    ///
    /// # Errors
    /// If something is too large for the device.
    pub fn new(device: &mut Device, model: &Model, capacity: Capacity) -> Result<Self> {
        let config = model.config();
        let rows = capacity.time_steps * capacity.batch;
        let allocate = cell::kind(config).allocate;
        let cells = (0..config.num_layers).map(|_| allocate(device, config, capacity)).collect::<Result<_>>()?;
        let output = (output::kind(config).allocate)(device, config, rows, capacity.mixed)?;
        let embedded = match config.embedding_size {
            0 => None,
            size => Some(device.tensor("embedded words", rows, size)?),
        };
        // The first parameter is the looked-up table, with an embedding and without.
        let table = 0;
        let mut gradients = Vec::new();
        if capacity.training {
            for (number, specification) in model.parameters().specifications().iter().enumerate() {
                let what = format!("gradient of {}", specification.name);
                gradients.push(match number == table {
                    true => device.tensor(&what, rows, specification.memory_shape()[1])?,
                    false => specification.allocate(device, &what)?,
                });
            }
        }
        let losses = device.tensor("losses", rows, 1)?;
        let workspace = Self { capacity, initial_state: config.initial_state, cells, output, embedded, losses, gradients, table };
        workspace.reset(device);
        Ok(workspace)
    }

    /// What this workspace was made for.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Puts the initial state into every unit of every stream.
    pub fn reset(&self, device: &mut Device) {
        for tensor in self.carried() {
            device.upload(&tensor, &vec![self.initial_state; tensor.len()]);
        }
    }

    /// The carried states of all layers, `[B, H]` each.
    pub fn carried(&self) -> Vec<Tensor> {
        self.cells.iter().flat_map(|cell| cell.carried()).collect()
    }

    /// The gradients of the carried states as they were before the window, in the same order.
    pub fn carried_gradient(&self) -> Vec<Tensor> {
        self.cells.iter().flat_map(|cell| cell.carried_gradient()).collect()
    }

    /// The losses of a window in nats, T*B numbers; 0 where nothing was predicted.
    pub fn losses(&self, time_steps: usize) -> Tensor {
        self.losses.slice_rows(0..time_steps * self.capacity.batch)
    }

    /// The parameters' gradients after a window's backward step, in the parameters' order.
    pub fn gradients(&self, window: &Window) -> Vec<Gradient> {
        let rows = window.time_steps * self.capacity.batch;
        self.gradients
            .iter()
            .enumerate()
            .map(|(number, &values)| match number {
                number if number == self.table => Gradient::Rows(values.slice_rows(0..rows), window.rows()),
                _ => Gradient::Dense(values),
            })
            .collect()
    }

    pub(super) fn embedded(&self, time_steps: usize) -> Option<Tensor> {
        self.embedded.map(|tensor| tensor.slice_rows(0..time_steps * self.capacity.batch))
    }

    pub(super) fn top(&self) -> &dyn Cell {
        self.cells.last().expect("a model has a layer").as_ref()
    }

    pub(super) fn predictions(&self, window: &Window) -> Predictions {
        let steps = window.time_steps;
        Predictions { hidden: self.top().outputs(steps), targets: window.targets, losses: self.losses(steps) }
    }
}
