//! The buffers of cells whose units do not read one another: gates, cells and outputs of a window,
//! and the gradients of units.

use crate::device::Device;
use crate::error::Result;
use crate::kernels::{Carried, Reset, SumRows};
use crate::model::capacity::Capacity;
use crate::model::cell::Gates;
use crate::model::config::Config;
use crate::model::window::Window;
use crate::tensor::Tensor;

use super::states::States;

/// The buffers of one layer with one carried state, c.
#[derive(Debug)]
pub(super) struct UnitCells {
    batch: usize,
    initial_state: f32,
    independent: bool,
    /// `[T*B, G*H]`: z, then the gate activations, then the gradient of z.
    pub(super) gates: Tensor,
    /// `[(T+2)*B, H]`: as the buffers of [`States`].
    cells: Tensor,
    /// `[T*B, H]`: h.
    pub(super) output: Tensor,
    /// `[T*B, H]`: the gradient of h; one element outside of training.
    pub(super) gradient: Tensor,
    /// `[(1+P)*B, H]`: the gradient of the carried cells, then each stream's part of the gradients
    /// of the P values of a unit; one element outside of training.
    pub(super) unit_gradients: Tensor,
}

impl UnitCells {
    /// The buffers of a layer whose units have P values as parameters.
    pub(super) fn new(
        device: &mut Device,
        config: &Config,
        layer: usize,
        capacity: &Capacity,
        values: usize,
    ) -> Result<Self> {
        let size = config.layer_size(layer);
        let (batch, rows) = (capacity.batch, capacity.rows());
        let mut gradient = |name, rows, columns| {
            let [rows, columns] = capacity.gradient_shape(rows, columns);
            device.tensor(name, rows, columns)
        };
        Ok(Self {
            batch,
            initial_state: config.initial_state,
            independent: capacity.independent,
            gradient: gradient("gradient of the states", rows, size)?,
            unit_gradients: gradient("gradients of units", (1 + values) * batch, size)?,
            gates: device.tensor("gates", rows, config.gates(layer) * size)?,
            cells: States::slots_for(device, "cells", capacity, size)?,
            output: device.tensor("hidden states", rows, size)?,
        })
    }

    /// T*B of a window.
    pub(super) fn rows(&self, window: &Window) -> usize {
        window.time_steps * self.batch
    }

    /// The gates of cells whose second and third activations are gates.
    pub(super) fn gates(&self) -> Gates {
        Gates::sigmoids(self.gates, self.output.columns(), &[1, 2])
    }

    /// The slots of a window, `[(T+1)*B, H]`.
    pub(super) fn slots(&self, window: &Window) -> Tensor {
        self.cells.slice_rows(0..self.rows(window) + self.batch)
    }

    /// `[B, H]`: the carried cells, the last slot.
    pub(super) fn carried_cells(&self) -> Tensor {
        let end = self.cells.rows();
        self.cells.slice_rows(end - self.batch..end)
    }

    /// The carried cells, and where the next window starts.
    pub(super) fn carried(&self, window: &Window) -> Carried<1> {
        Carried {
            states: [self.carried_cells()],
            advance: window.advance,
        }
    }

    /// `[B, H]`: the gradient of the carried cells.
    pub(super) fn carried_gradient(&self) -> Tensor {
        self.unit_gradients.slice_rows(0..self.batch)
    }

    /// Where cells are reset inside a window. The kernels keep no previous states.
    pub(super) fn reset(&self, window: &Window) -> Reset {
        Reset {
            enabled: self.independent,
            initial: self.initial_state,
            tokens: window.inputs,
            previous: self.cells,
        }
    }

    /// Adds the streams' parts of the gradients of the parameters of units, which lie one after the
    /// other, and overwrites `gradients`, `[1, values*H]` each.
    pub(super) fn sum_streams(&self, device: &mut Device, gradients: &[Tensor]) {
        let mut first = self.batch;
        for &output in gradients {
            let rows = output.columns() / self.unit_gradients.columns() * self.batch;
            let streams = self.unit_gradients.slice_rows(first..first + rows);
            device.run(&SumRows {
                values: streams.reshape(self.batch, output.columns()),
                output,
                copy: None,
                accumulate: false,
            });
            first += rows;
        }
    }
}
