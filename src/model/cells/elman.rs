//! The simple recurrent cell: `s(t) = f(z(t) + W s(t-1))`.

use super::states::States;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{Activation, Carried, Precision, RecurrenceBackward, RecurrenceForward};
use crate::model::capacity::Capacity;
use crate::model::cell::{Cell, Gates, RecurrentParameters};
use crate::model::config::Config;
use crate::model::products::weight_gradient;
use crate::model::window::Window;
use crate::tensor::Tensor;

/// One layer of Elman cells. Slot t+1 of its states holds z(t), then s(t); their gradient is that
/// of s, then that of z.
#[derive(Debug)]
pub(super) struct ElmanCell {
    activation: Activation,
    states: States,
}

impl ElmanCell {
    pub(super) fn new(
        device: &mut Device,
        config: &Config,
        layer: usize,
        capacity: &Capacity,
    ) -> Result<Self> {
        Ok(Self {
            activation: config.activation,
            states: States::new(device, config, layer, capacity, 1, 1)?,
        })
    }
}

impl Cell for ElmanCell {
    fn pre_activations(&self) -> Tensor {
        self.states.output()
    }

    fn pre_activation_gradient(&self) -> Tensor {
        self.states.output_gradient()
    }

    fn output(&self) -> Tensor {
        self.states.output()
    }

    fn output_gradient(&self) -> Tensor {
        self.states.output_gradient()
    }

    fn gates(&self) -> Option<Gates> {
        let range = match self.activation {
            Activation::Sigmoid | Activation::RnnlmSigmoid => Gates::SIGMOID,
            Activation::Tanh => Gates::TANH,
            Activation::Relu => return None,
        };
        let values = self.states.output();
        Some(Gates {
            values,
            size: values.columns(),
            blocks: &[0],
            range,
        })
    }

    fn carried(&self) -> Vec<Tensor> {
        vec![self.states.carried()]
    }

    fn carried_gradient(&self) -> Vec<Tensor> {
        self.states.carried_gradient()
    }

    fn forward(&self, device: &mut Device, window: &Window, parameters: RecurrentParameters) {
        let states = &self.states;
        device.run(&RecurrenceForward {
            activation: self.activation,
            states: states.slots(window),
            carried: Carried {
                states: [states.carried()],
                advance: window.advance,
            },
            weight: parameters.recurrent_weight(),
            weight_t: states.weight_t,
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
        let gradient = states.output_gradient().slice_rows(0..states.rows(window));
        device.run(&RecurrenceBackward {
            activation: self.activation,
            states: states.slots(window),
            weight: parameters.recurrent_weight(),
            gradient,
            initial_gradient: states.carry_gradient,
            reset: states.reset(window),
            schedule: states.schedule,
        });
        // dW = Σ dz(t) s(t-1)^T: all steps and streams in one product.
        device.run(&weight_gradient(
            gradient,
            states.previous(window),
            gradients.recurrent_weight(),
            Precision::Full,
        ));
    }
}
