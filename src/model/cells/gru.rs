//! The GRU: two gates mix the state with a new one.

use super::states::States;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{Carried, GruBackward, GruForward, Precision, SumRows};
use crate::model::capacity::Capacity;
use crate::model::cell::{Cell, Gates, RecurrentParameters};
use crate::model::config::Config;
use crate::model::products::weight_gradient;
use crate::model::window::Window;
use crate::tensor::Tensor;

/// One layer of GRU cells.
#[derive(Debug)]
pub(super) struct GruCell {
    states: States,
    /// `[T*B, 3H]`: z, then the gate activations, then the gradient of z.
    gates: Tensor,
    /// `[T*B, 3H]`: `U h(t-1)` with its bias, then its gradient.
    recurrent: Tensor,
}

impl GruCell {
    pub(super) fn new(
        device: &mut Device,
        config: &Config,
        layer: usize,
        capacity: &Capacity,
    ) -> Result<Self> {
        let rows = capacity.rows();
        let columns = 3 * config.layer_size(layer);
        Ok(Self {
            states: States::new(device, config, layer, capacity, 3, 1)?,
            gates: device.tensor("gates", rows, columns)?,
            recurrent: device.tensor("recurrent part of the gates", rows, columns)?,
        })
    }
}

impl Cell for GruCell {
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
        let size = self.states.output().columns();
        Some(Gates::sigmoids(self.gates, size, &[0, 1]))
    }

    fn carried(&self) -> Vec<Tensor> {
        vec![self.states.carried()]
    }

    fn carried_gradient(&self) -> Vec<Tensor> {
        self.states.carried_gradient()
    }

    fn forward(&self, device: &mut Device, window: &Window, parameters: RecurrentParameters) {
        let states = &self.states;
        let rows = states.rows(window);
        device.run(&GruForward {
            gates: self.gates.slice_rows(0..rows),
            recurrent: self.recurrent.slice_rows(0..rows),
            states: states.slots(window),
            carried: Carried {
                states: [states.carried()],
                advance: window.advance,
            },
            weight: parameters.recurrent_weight(),
            weight_t: states.weight_t,
            bias: parameters.bias,
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
        let recurrent_gradient = self.recurrent.slice_rows(0..rows);
        device.run(&GruBackward {
            gates: self.gates.slice_rows(0..rows),
            recurrent: recurrent_gradient,
            states: states.slots(window),
            weight: parameters.recurrent_weight(),
            gradient: states.output_gradient().slice_rows(0..rows),
            initial_gradient: states.carry_gradient,
            reset: states.reset(window),
            schedule: states.schedule,
        });
        // dU = Σ du(t) h(t-1)^T: all steps and streams in one product.
        device.run(&weight_gradient(
            recurrent_gradient,
            states.previous(window),
            gradients.recurrent_weight(),
            Precision::Full,
        ));
        if let Some(output) = gradients.bias {
            device.run(&SumRows {
                values: recurrent_gradient,
                output,
                copy: None,
                accumulate: false,
            });
        }
    }
}
