//! The simple recurrent unit: gates read a unit's own memory, and a highway the layer's input.

use super::states::States;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{Carried, Reset, SruBackward, SruForward, SumRows};
use crate::model::capacity::Capacity;
use crate::model::cell::{Cell, RecurrentParameters};
use crate::model::config::Config;
use crate::model::window::Window;
use crate::tensor::Tensor;

/// One layer of simple recurrent units.
#[derive(Debug)]
pub(super) struct SruCell {
    batch: usize,
    initial_state: f32,
    independent: bool,
    /// `[T*B, G*H]`: z, then the gate activations, then the gradient of z.
    gates: Tensor,
    /// `[(T+2)*B, H]`: as the buffers of [`States`].
    cells: Tensor,
    /// `[T*B, H]`: h.
    output: Tensor,
    /// `[T*B, H]`: the gradient of h, then the highway's part of that of x; one element outside of
    /// training.
    gradient: Tensor,
    /// `[T*B, H]`: x, if it is not a part of z.
    input: Option<Tensor>,
    /// `[5*B, H]`: the gradient of the carried cells, then each stream's part of the gradients of
    /// the parameters of units; one element outside of training.
    unit_gradients: Tensor,
}

impl SruCell {
    pub(super) fn new(
        device: &mut Device,
        config: &Config,
        layer: usize,
        capacity: &Capacity,
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
            unit_gradients: gradient("gradients of units", 5 * batch, size)?,
            gates: device.tensor("gates", rows, config.gates(layer) * size)?,
            cells: States::slots_for(device, "cells", capacity, size)?,
            output: device.tensor("hidden states", rows, size)?,
            input: None,
        })
    }

    /// T*B of a window.
    fn rows(&self, window: &Window) -> usize {
        window.time_steps * self.batch
    }

    /// The slots of a window, `[(T+1)*B, H]`.
    fn slots(&self, window: &Window) -> Tensor {
        self.cells.slice_rows(0..self.rows(window) + self.batch)
    }

    /// `[B, H]`: the carried cells, the last slot.
    fn carried_cells(&self) -> Tensor {
        let end = self.cells.rows();
        self.cells.slice_rows(end - self.batch..end)
    }

    /// Where cells are reset inside a window. The kernels keep no previous states.
    fn reset(&self, window: &Window) -> Reset {
        Reset {
            enabled: self.independent,
            initial: self.initial_state,
            tokens: window.inputs,
            previous: self.cells,
        }
    }
}

impl Cell for SruCell {
    fn pre_activations(&self) -> Tensor {
        self.gates
    }

    fn pre_activation_gradient(&self) -> Tensor {
        self.gates
    }

    fn output(&self) -> Tensor {
        self.output
    }

    fn output_gradient(&self) -> Tensor {
        self.gradient
    }

    fn read_input(&mut self, input: Tensor) {
        self.input = Some(input);
    }

    fn input_gradient(&self) -> Option<Tensor> {
        self.input.map(|_| self.gradient)
    }

    fn carried(&self) -> Vec<Tensor> {
        vec![self.carried_cells()]
    }

    fn carried_gradient(&self) -> Vec<Tensor> {
        vec![self.unit_gradients.slice_rows(0..self.batch)]
    }

    fn forward(&self, device: &mut Device, window: &Window, parameters: RecurrentParameters) {
        let rows = self.rows(window);
        device.run(&SruForward {
            gates: self.gates.slice_rows(0..rows),
            cells: self.slots(window),
            output: self.output.slice_rows(0..rows),
            carried: Carried {
                states: [self.carried_cells()],
                advance: window.advance,
            },
            input: self.input.map(|input| input.slice_rows(0..rows)),
            weight: parameters.units[0],
            bias: parameters.units.get(1).copied(),
            reset: self.reset(window),
        });
    }

    fn backward(
        &self,
        device: &mut Device,
        window: &Window,
        parameters: RecurrentParameters,
        gradients: RecurrentParameters,
    ) {
        let rows = self.rows(window);
        device.run(&SruBackward {
            gates: self.gates.slice_rows(0..rows),
            cells: self.slots(window),
            gradient: self.gradient.slice_rows(0..rows),
            input: self.input.map(|input| input.slice_rows(0..rows)),
            weight: parameters.units[0],
            unit_gradients: self.unit_gradients,
            reset: self.reset(window),
        });
        for (part, &output) in gradients.units.iter().enumerate() {
            let first = self.batch + 2 * part * self.batch;
            let streams = self
                .unit_gradients
                .slice_rows(first..first + 2 * self.batch);
            device.run(&SumRows {
                values: streams.reshape(self.batch, output.columns()),
                output,
                copy: None,
                accumulate: false,
            });
        }
    }
}
