//! The GRU: two gates mix the state with a new one.

use super::cell::{Capacity, Cell, Recurrent};
use super::config::Config;
use super::products;
use super::window::Window;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{
    CopyValues, GruBackward, GruForward, Precision, RecurrentSchedule, Reset, SumRows,
};
use crate::tensor::Tensor;

/// One layer of GRU cells.
#[derive(Debug)]
pub struct GruCell {
    initial_state: f32,
    independent: bool,
    batch: usize,
    schedule: RecurrentSchedule,
    /// `[T*B, 3H]`: the inputs' part, the gates, then the gradient of the inputs.
    gates: Tensor,
    /// `[T*B, 3H]`: the recurrent part, then its gradient.
    recurrent: Tensor,
    /// `[(T+1)*B, H]`: slot 0 is h(-1), slot t+1 h(t).
    states: Tensor,
    /// `[B, H]`: the state from window to window.
    carry: Tensor,
    /// `[H, 3H]`: scratch of the kernel.
    weight_t: Tensor,
    /// `[T*B, H]` where sentences are independent, else one number: the previous states as used.
    previous: Tensor,
    /// `[T*B, H]`: the gradient of h from above. One number where nothing is trained.
    gradient: Tensor,
    /// `[B, H]`, or one number.
    carry_gradient: Tensor,
}

impl GruCell {
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
        let previous = if capacity.independent {
            [steps * batch, size]
        } else {
            [1, 1]
        };
        Ok(Self {
            initial_state: config.initial_state,
            independent: capacity.independent,
            batch,
            schedule: RecurrentSchedule::for_size(size),
            gates: device.tensor("gates", steps * batch, 3 * size)?,
            recurrent: device.tensor("recurrent part of the gates", steps * batch, 3 * size)?,
            states: device.tensor("hidden states", (steps + 1) * batch, size)?,
            carry: device.tensor("carried states", batch, size)?,
            weight_t: device.tensor("transposed recurrent weight", size, 3 * size)?,
            previous: device.tensor("previous states", previous[0], previous[1])?,
            gradient: device.tensor("gradient of the states", gradient[0], gradient[1])?,
            carry_gradient: device.tensor(
                "gradient of the carried states",
                carry_gradient[0],
                carry_gradient[1],
            )?,
        })
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

impl Cell for GruCell {
    fn inputs(&self, time_steps: usize) -> Tensor {
        self.gates.slice_rows(0..time_steps * self.batch)
    }

    fn outputs(&self, time_steps: usize) -> Tensor {
        self.states
            .slice_rows(self.batch..(time_steps + 1) * self.batch)
    }

    fn output_gradient(&self, time_steps: usize) -> Tensor {
        self.gradient.slice_rows(0..time_steps * self.batch)
    }

    fn input_gradient(&self, time_steps: usize) -> Tensor {
        self.inputs(time_steps)
    }

    fn carried(&self) -> Vec<Tensor> {
        vec![self.carry]
    }

    fn carried_gradient(&self) -> Vec<Tensor> {
        vec![self.carry_gradient]
    }

    fn forward(&self, device: &mut Device, window: &Window, Recurrent { weight, bias }: Recurrent) {
        let gates = self.inputs(window.time_steps);
        device.run(&CopyValues {
            input: self.carry,
            output: self.slot(0),
        });
        device.run(&GruForward {
            gates,
            recurrent: self.recurrent.slice_rows(0..gates.rows()),
            states: self.slots(window.time_steps),
            weight,
            weight_t: self.weight_t,
            bias,
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
        let gates = self.inputs(window.time_steps);
        let of_recurrent = self.recurrent.slice_rows(0..gates.rows());
        device.run(&GruBackward {
            gates,
            recurrent: of_recurrent,
            states: self.slots(window.time_steps),
            weight: recurrent.weight,
            gradient: self.output_gradient(window.time_steps),
            initial_gradient: self.carry_gradient,
            reset: self.reset(window),
            schedule: self.schedule,
        });
        let previous = if self.independent {
            self.previous
        } else {
            self.states
        }
        .slice_rows(0..gates.rows());
        // dW = Σ du(t) h(t-1)^T: all steps and streams in one product.
        device.run(&products::weight_gradient(
            of_recurrent,
            previous,
            of.weight,
            precision,
        ));
        if let Some(output) = of.bias {
            device.run(&SumRows {
                values: of_recurrent,
                output,
                accumulate: false,
            });
        }
    }
}
