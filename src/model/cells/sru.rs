//! The simple recurrent unit: gates read a unit's own memory, and a highway the layer's input.

use super::unit_cells::UnitCells;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{SruBackward, SruForward};
use crate::model::capacity::Capacity;
use crate::model::cell::{Cell, Gates, RecurrentParameters};
use crate::model::config::Config;
use crate::model::window::Window;
use crate::tensor::Tensor;

/// One layer of simple recurrent units.
#[derive(Debug)]
pub(super) struct SruCell {
    /// The backward pass overwrites the gradient of h with the highway's part of that of x.
    buffers: UnitCells,
    /// `[T*B, H]`: x, if it is not a part of z.
    input: Option<Tensor>,
}

/// Values of v and b for each unit.
const UNIT_VALUES: usize = 4;

impl SruCell {
    pub(super) fn new(
        device: &mut Device,
        config: &Config,
        layer: usize,
        capacity: &Capacity,
    ) -> Result<Self> {
        Ok(Self {
            buffers: UnitCells::new(device, config, layer, capacity, UNIT_VALUES)?,
            input: None,
        })
    }
}

impl Cell for SruCell {
    fn pre_activations(&self) -> Tensor {
        self.buffers.gates
    }

    fn pre_activation_gradient(&self) -> Tensor {
        self.buffers.gates
    }

    fn output(&self) -> Tensor {
        self.buffers.output
    }

    fn output_gradient(&self) -> Tensor {
        self.buffers.gradient
    }

    fn read_input(&mut self, input: Tensor, _gradient: Tensor) {
        self.input = Some(input);
    }

    fn input_gradient(&self) -> Option<Tensor> {
        self.input.map(|_| self.buffers.gradient)
    }

    fn gates(&self) -> Option<Gates> {
        Some(self.buffers.gates())
    }

    fn carried(&self) -> Vec<Tensor> {
        vec![self.buffers.carried_cells()]
    }

    fn carried_gradient(&self) -> Vec<Tensor> {
        vec![self.buffers.carried_gradient()]
    }

    fn forward(&self, device: &mut Device, window: &Window, parameters: RecurrentParameters) {
        let buffers = &self.buffers;
        let rows = buffers.rows(window);
        device.run(&SruForward {
            gates: buffers.gates.slice_rows(0..rows),
            cells: buffers.slots(window),
            output: buffers.output.slice_rows(0..rows),
            carried: buffers.carried(window),
            input: self.input.map(|input| input.slice_rows(0..rows)),
            weight: parameters.units[0],
            bias: parameters.units.get(1).copied(),
            reset: buffers.reset(window),
        });
    }

    fn backward(
        &self,
        device: &mut Device,
        window: &Window,
        parameters: RecurrentParameters,
        gradients: RecurrentParameters,
    ) {
        let buffers = &self.buffers;
        let rows = buffers.rows(window);
        device.run(&SruBackward {
            gates: buffers.gates.slice_rows(0..rows),
            cells: buffers.slots(window),
            gradient: buffers.gradient.slice_rows(0..rows),
            input: self.input.map(|input| input.slice_rows(0..rows)),
            weight: parameters.units[0],
            unit_gradients: buffers.unit_gradients,
            reset: buffers.reset(window),
        });
        buffers.sum_streams(device, &gradients.units);
    }
}
