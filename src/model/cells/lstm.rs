//! The LSTM: a memory beside the state, written and read through gates.

use super::states::States;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{Carried, LstmBackward, LstmForward, Precision};
use crate::model::capacity::Capacity;
use crate::model::cell::{Cell, Gates, RecurrentParameters};
use crate::model::config::Config;
use crate::model::products::weight_gradient;
use crate::model::window::Window;
use crate::tensor::Tensor;

/// One layer of LSTM cells. It carries h and c.
#[derive(Debug)]
pub(super) struct LstmCell {
    states: States,
    /// Whether at most 1 - f is written to the memory.
    capped: bool,
    /// `[T*B, 4H]`: z, then the gate activations, then the gradient of z.
    gates: Tensor,
    /// `[(T+2)*B, H]`: slot 0 is c(-1), slot t+1 is c(t), the last one is carried.
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
            capped: config.cap_input_gate,
            states: States::new(device, config, layer, capacity, 4, 2)?,
            gates: device.tensor("gates", rows, 4 * size)?,
            cells: States::slots_for(device, "memory cells", capacity, size)?,
        })
    }

    fn carried_states(&self) -> [Tensor; 2] {
        [self.states.carried(), self.states.carried_in(self.cells)]
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

    fn gates(&self) -> Option<Gates> {
        Some(Gates::of_lstm(self.gates))
    }

    fn carried(&self) -> Vec<Tensor> {
        self.carried_states().to_vec()
    }

    fn carried_gradient(&self) -> Vec<Tensor> {
        self.states.carried_gradient()
    }

    fn forward(&self, device: &mut Device, window: &Window, parameters: RecurrentParameters) {
        let states = &self.states;
        let gates = self.gates.slice_rows(0..states.rows(window));
        device.run(&LstmForward {
            gates,
            cells: states.window_slots(self.cells, window),
            states: states.slots(window),
            carried: Carried {
                states: self.carried_states(),
                advance: window.advance,
            },
            weight: parameters.recurrent_weight(),
            weight_t: states.weight_t,
            capped: self.capped,
            reset: states.reset(window),
            schedule: states.schedule,
        });
    }

    fn backward(
        &self,
        device: &mut Device,
        window: &Window,
        parameters: RecurrentParameters,
        gradients: RecurrentParameters,
    ) {
        let states = &self.states;
        let rows = states.rows(window);
        let gates = self.gates.slice_rows(0..rows);
        device.run(&LstmBackward {
            gates,
            cells: states.window_slots(self.cells, window),
            weight: parameters.recurrent_weight(),
            gradient: states.output_gradient().slice_rows(0..rows),
            initial_gradient: states.carry_gradient,
            capped: self.capped,
            reset: states.reset(window),
            schedule: states.schedule,
        });
        // dW = Σ dz(t) h(t-1)^T: all steps and streams in one product.
        device.run(&weight_gradient(
            gates,
            states.previous(window),
            gradients.recurrent_weight(),
            Precision::Full,
        ));
    }
}
