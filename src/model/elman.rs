//! The simple recurrent cell: `s(t) = f(z(t) + W s(t-1))`.

use super::cell::{Capacity, Cell, Recurrent};
use super::config::Config;
use super::products;
use super::window::Window;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{
    Activation, AddBias, CopyValues, Precision, RecurrenceBackward, RecurrenceForward,
    RecurrentSchedule, Reset, SumRows,
};
use crate::tensor::Tensor;

/// One layer of Elman cells.
#[derive(Debug)]
pub struct ElmanCell {
    activation: Activation,
    initial_state: f32,
    independent: bool,
    batch: usize,
    schedule: RecurrentSchedule,
    /// `[(T+1)*B, H]`: slot 0 is s(-1), slot t+1 holds z(t) and then s(t).
    states: Tensor,
    /// `[B, H]`: the state from window to window.
    carry: Tensor,
    /// `[H, H]`: scratch of the recurrence kernel.
    weight_t: Tensor,
    /// `[T*B, H]` where sentences are independent, else one number: the previous states as used.
    previous: Tensor,
    /// `[T*B, H]`: the gradient of s, then that of z. One number where nothing is trained.
    gradient: Tensor,
    /// `[B, H]`, or one number.
    carry_gradient: Tensor,
}

impl ElmanCell {
    pub(super) fn new(
        device: &mut Device,
        config: &Config,
        layer: usize,
        capacity: Capacity,
    ) -> Result<Self> {
        let (batch, steps, size) = (
            capacity.batch,
            capacity.time_steps,
            config.layer_size(layer),
        );
        let if_training = |[rows, columns]: [usize; 2]| {
            if capacity.training {
                [rows, columns]
            } else {
                [1, 1]
            }
        };
        let [gradient, carry_gradient] = [[steps * batch, size], [batch, size]].map(if_training);
        let schedule = RecurrentSchedule::for_size(size);
        let previous = if capacity.independent {
            [steps * batch, size]
        } else {
            [1, 1]
        };
        let cell = Self {
            activation: config.activation,
            initial_state: config.initial_state,
            independent: capacity.independent,
            batch,
            schedule,
            states: device.tensor("hidden states", (steps + 1) * batch, size)?,
            carry: device.tensor("carried states", batch, size)?,
            weight_t: device.tensor("transposed recurrent weight", size, size)?,
            previous: device.tensor("previous states", previous[0], previous[1])?,
            gradient: device.tensor("gradient of the states", gradient[0], gradient[1])?,
            carry_gradient: device.tensor(
                "gradient of the carried states",
                carry_gradient[0],
                carry_gradient[1],
            )?,
        };
        Ok(cell)
    }

    fn reset(&self, window: &Window) -> Reset {
        Reset {
            enabled: self.independent,
            initial: self.initial_state,
            tokens: window.inputs,
            previous: self.previous,
        }
    }

    fn slot(&self, number: usize) -> Tensor {
        self.states
            .slice_rows(number * self.batch..(number + 1) * self.batch)
    }

    fn slots(&self, time_steps: usize) -> Tensor {
        self.states.slice_rows(0..(time_steps + 1) * self.batch)
    }
}

impl Cell for ElmanCell {
    fn inputs(&self, time_steps: usize) -> Tensor {
        self.outputs(time_steps)
    }

    fn outputs(&self, time_steps: usize) -> Tensor {
        self.states
            .slice_rows(self.batch..(time_steps + 1) * self.batch)
    }

    fn output_gradient(&self, time_steps: usize) -> Tensor {
        self.gradient.slice_rows(0..time_steps * self.batch)
    }

    fn input_gradient(&self, time_steps: usize) -> Tensor {
        self.output_gradient(time_steps)
    }

    fn carried(&self) -> Vec<Tensor> {
        vec![self.carry]
    }

    fn carried_gradient(&self) -> Vec<Tensor> {
        vec![self.carry_gradient]
    }

    fn forward(&self, device: &mut Device, window: &Window, Recurrent { weight, bias }: Recurrent) {
        if let Some(bias) = bias {
            device.run(&AddBias {
                bias,
                values: self.inputs(window.time_steps),
            });
        }
        device.run(&CopyValues {
            input: self.carry,
            output: self.slot(0),
        });
        device.run(&RecurrenceForward {
            activation: self.activation,
            states: self.slots(window.time_steps),
            weight,
            weight_t: self.weight_t,
            reset: self.reset(window),
            schedule: self.schedule,
        });
        device.run(&CopyValues {
            input: self.slot(window.advance),
            output: self.carry,
        });
    }

    fn backward(
        &self,
        device: &mut Device,
        window: &Window,
        recurrent: Recurrent,
        of: Recurrent,
        precision: Precision,
    ) {
        let gradient = self.output_gradient(window.time_steps);
        device.run(&RecurrenceBackward {
            activation: self.activation,
            states: self.slots(window.time_steps),
            weight: recurrent.weight,
            gradient,
            initial_gradient: self.carry_gradient,
            reset: self.reset(window),
            schedule: self.schedule,
        });
        let previous = if self.independent {
            self.previous
        } else {
            self.states
        }
        .slice_rows(0..gradient.rows());
        // dW = Σ dz(t) s(t-1)^T: all steps and streams in one product.
        device.run(&products::weight_gradient(
            gradient, previous, of.weight, precision,
        ));
        if let Some(output) = of.bias {
            device.run(&SumRows {
                values: gradient,
                output,
                accumulate: false,
            });
        }
    }
}
