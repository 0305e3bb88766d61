//! The LSTM: a memory beside the state, written and read through gates.

use super::states::States;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{AddBias, LstmBackward, LstmForward, Precision, SumRows};
use crate::model::capacity::Capacity;
use crate::model::cell::{Cell, RecurrentParameters};
use crate::model::config::Config;
use crate::model::products::weight_gradient;
use crate::model::window::Window;
use crate::tensor::Tensor;

/// One layer of LSTM cells. It carries h and c.
#[derive(Debug)]
pub(super) struct LstmCell {
    states: States,
    /// `[T*B, 4H]`: z, then the gate activations, then the gradient of z.
    gates: Tensor,
    /// `[(T+1)*B, H]`: slot 0 is c(-1), slot t+1 is c(t).
    cells: Tensor,
}

impl LstmCell {
    pub(super) fn new(
        device: &mut Device,
        config: &Config,
        layer: usize,
        capacity: &Capacity,
    ) -> Result<Self> {
        let rows = capacity.rows();
        let size = config.layer_size(layer);
        Ok(Self {
            states: States::new(device, config, layer, capacity, 4, 2)?,
            gates: device.tensor("gates", rows, 4 * size)?,
            cells: device.tensor("memory cells", rows + capacity.batch, size)?,
        })
    }
}

impl Cell for LstmCell {
    fn pre_activations(&self) -> Tensor {
        self.gates
    }

    fn pre_activation_gradient(&self) -> Tensor {
        self.gates
    }

    fn output(&self) -> Tensor {
        self.states.output()
    }

    fn output_gradient(&self) -> Tensor {
        self.states.output_gradient()
    }

    fn carried(&self) -> Vec<Tensor> {
        self.states.carried()
    }

    fn carried_gradient(&self) -> Vec<Tensor> {
        self.states.carried_gradient()
    }

    fn forward(&self, device: &mut Device, window: &Window, parameters: RecurrentParameters) {
        let states = &self.states;
        let gates = self.gates.slice_rows(0..states.rows(window));
        if let Some(bias) = parameters.bias {
            device.run(&AddBias {
                bias,
                values: gates,
            });
        }
        states.load_carried(device, &[self.cells]);
        device.run(&LstmForward {
            gates,
            cells: states.window_slots(self.cells, window),
            states: states.slots(window),
            weight: parameters.weight,
            weight_t: states.weight_t,
            reset: states.reset(window),
            schedule: states.schedule,
        });
        states.store_carried(device, &[self.cells], window);
    }

    fn backward(
        &self,
        device: &mut Device,
        window: &Window,
        parameters: RecurrentParameters,
        gradients: RecurrentParameters,
        precision: Precision,
    ) {
        let states = &self.states;
        let rows = states.rows(window);
        let gates = self.gates.slice_rows(0..rows);
        device.run(&LstmBackward {
            gates,
            cells: states.window_slots(self.cells, window),
            weight: parameters.weight,
            gradient: states.output_gradient().slice_rows(0..rows),
            initial_gradient: states.carry_gradient,
            reset: states.reset(window),
            schedule: states.schedule,
        });
        // dW = Σ dz(t) h(t-1)^T: all steps and streams in one product.
        device.run(&weight_gradient(
            gates,
            states.previous(window),
            gradients.weight,
            precision,
        ));
        if let Some(output) = gradients.bias {
            device.run(&SumRows {
                values: gates,
                output,
                accumulate: false,
            });
        }
    }
}
