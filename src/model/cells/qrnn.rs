//! The quasi-recurrent unit: gates read nothing but the layer's input.

use super::unit_cells::UnitCells;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{QrnnBackward, QrnnForward, Zoneout};
use crate::model::capacity::Capacity;
use crate::model::cell::{Cell, Gates, RecurrentParameters};
use crate::model::config::Config;
use crate::model::dropout::DropoutPlacement;
use crate::model::dropout_mask::DropoutMask;
use crate::model::window::Window;
use crate::tensor::Tensor;

/// One layer of quasi-recurrent units.
#[derive(Debug)]
pub(super) struct QrnnCell {
    buffers: UnitCells,
    /// The masks of f in training with zoneout.
    mask: Option<DropoutMask>,
    /// What multiplies f where there are no masks.
    factor: f32,
}

/// Biases of a unit.
const UNIT_VALUES: usize = 3;

impl QrnnCell {
    pub(super) fn new(
        device: &mut Device,
        config: &Config,
        layer: usize,
        capacity: &Capacity,
    ) -> Result<Self> {
        let placement = DropoutPlacement::Zoneout(layer);
        Ok(Self {
            buffers: UnitCells::new(device, config, layer, capacity, UNIT_VALUES)?,
            mask: DropoutMask::new(capacity, placement, config.num_layers),
            factor: 1.0 - config.zoneout,
        })
    }

    /// What multiplies f in a window.
    fn zoneout(&self, window: &Window) -> Zoneout {
        match &self.mask {
            Some(mask) => Zoneout::Mask(mask.mask(window)),
            None => Zoneout::Factor(self.factor),
        }
    }
}

impl Cell for QrnnCell {
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
        device.run(&QrnnForward {
            gates: buffers.gates.slice_rows(0..rows),
            cells: buffers.slots(window),
            output: buffers.output.slice_rows(0..rows),
            carried: buffers.carried(window),
            bias: parameters.units.first().copied(),
            reset: buffers.reset(window),
            zoneout: self.zoneout(window),
        });
    }

    fn backward(
        &self,
        device: &mut Device,
        window: &Window,
        _parameters: RecurrentParameters,
        gradients: RecurrentParameters,
    ) {
        let buffers = &self.buffers;
        let rows = buffers.rows(window);
        device.run(&QrnnBackward {
            gates: buffers.gates.slice_rows(0..rows),
            cells: buffers.slots(window),
            gradient: buffers.gradient.slice_rows(0..rows),
            unit_gradients: buffers.unit_gradients,
            reset: buffers.reset(window),
            factor: self.zoneout(window).factor(),
        });
        buffers.sum_streams(device, &gradients.units);
    }
}
