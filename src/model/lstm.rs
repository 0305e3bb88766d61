//! The LSTM: a memory beside the state, written and read through gates.

use super::cell::{Capacity, Cell, Recurrent};
use super::config::Config;
use super::products;
use super::window::Window;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{
    AddBias, CopyValues, LstmBackward, LstmForward, Precision, RecurrentSchedule, Reset, SumRows,
};
use crate::tensor::Tensor;

/// One layer of LSTM cells.
#[derive(Debug)]
pub struct LstmCell {
    initial_state: f32,
    independent: bool,
    batch: usize,
    schedule: RecurrentSchedule,
    /// `[T*B, 4H]`: the inputs' part, the gates, then the gradient of the inputs.
    gates: Tensor,
    /// `[(T+1)*B, H]`: slot 0 is c(-1), slot t+1 c(t).
    cells: Tensor,
    /// `[(T+1)*B, H]`: slot 0 is h(-1), slot t+1 h(t).
    states: Tensor,
    /// `[2*B, H]`: h, and behind it c, from window to window.
    carry: Tensor,
    /// `[H, 4H]`: scratch of the kernel.
    weight_t: Tensor,
    /// `[T*B, H]` where sentences are independent, else one number: the previous states as used.
    previous: Tensor,
    /// `[T*B, H]`: the gradient of h from above. One number where nothing is trained.
    gradient: Tensor,
    /// `[2*B, H]`, or one number.
    carry_gradient: Tensor,
}

impl LstmCell {
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
        let [gradient, carry_gradient] =
            [[steps * batch, size], [2 * batch, size]].map(if_training);
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
            gates: device.tensor("gates", steps * batch, 4 * size)?,
            cells: device.tensor("memory cells", (steps + 1) * batch, size)?,
            states: device.tensor("hidden states", (steps + 1) * batch, size)?,
            carry: device.tensor("carried states", 2 * batch, size)?,
            weight_t: device.tensor("transposed recurrent weight", size, 4 * size)?,
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

    /// h and c of `carry` or of its gradient.
    fn halves(&self, both: Tensor) -> [Tensor; 2] {
        [
            both.slice_rows(0..self.batch),
            both.slice_rows(self.batch..2 * self.batch),
        ]
    }

    /// A slot of h and the one of c.
    fn slot(&self, number: usize) -> [Tensor; 2] {
        [self.states, self.cells]
            .map(|slots| slots.slice_rows(number * self.batch..(number + 1) * self.batch))
    }

    fn slots(&self, slots: Tensor, window: &Window) -> Tensor {
        slots.slice_rows(0..(window.time_steps + 1) * self.batch)
    }
}

impl Cell for LstmCell {
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
        self.halves(self.carry).to_vec()
    }

    fn carried_gradient(&self) -> Vec<Tensor> {
        self.halves(self.carry_gradient).to_vec()
    }

    fn forward(&self, device: &mut Device, window: &Window, Recurrent { weight, bias }: Recurrent) {
        let gates = self.inputs(window.time_steps);
        if let Some(bias) = bias {
            device.run(&AddBias {
                bias,
                values: gates,
            });
        }
        for (input, output) in self.halves(self.carry).into_iter().zip(self.slot(0)) {
            device.run(&CopyValues { input, output });
        }
        device.run(&LstmForward {
            gates,
            cells: self.slots(self.cells, window),
            states: self.slots(self.states, window),
            weight,
            weight_t: self.weight_t,
            reset: self.reset(window),
            schedule: self.schedule,
        });
        for (input, output) in self
            .slot(window.advance)
            .into_iter()
            .zip(self.halves(self.carry))
        {
            device.run(&CopyValues { input, output });
        }
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
        device.run(&LstmBackward {
            gates,
            cells: self.slots(self.cells, window),
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
        // dW = Σ dz(t) h(t-1)^T: all steps and streams in one product.
        device.run(&products::weight_gradient(
            gates, previous, of.weight, precision,
        ));
        if let Some(output) = of.bias {
            device.run(&SumRows {
                values: gates,
                output,
                accumulate: false,
            });
        }
    }
}
