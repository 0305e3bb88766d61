//! The mogrifier LSTM: before every step, the input and the state gate each other in rounds.

use super::rounds::{Rounds, full};
use super::states::States;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{
    Carried, CopyValues, LstmCellBackward, LstmCellEnd, LstmCellForward, LstmCellStart, Matmul,
};
use crate::model::capacity::Capacity;
use crate::model::cell::{Cell, Gates, RecurrentParameters};
use crate::model::config::Config;
use crate::model::products::{input_gradient, product, weight_gradient};
use crate::model::window::Window;
use crate::tensor::Tensor;

/// One layer of mogrifier LSTM cells. It carries h, which is not gated, and c.
#[derive(Debug)]
pub(super) struct MogrifierCell {
    states: States,
    batch: usize,
    /// Whether at most 1 - f is written to the memory.
    capped: bool,
    /// `[T*B, 4H]`: the biases, then z, then the gate activations, then the gradient of z.
    gates: Tensor,
    /// `[(T+2)*B, H]`: slot 0 is c(-1), slot t+1 is c(t), the last one is carried.
    cells: Tensor,
    /// The layer's input and its gradient, which may be one tensor.
    input: Option<[Tensor; 2]>,
    /// `[T*B, in]`: the input, which the backward pass reads after parts of its gradient have been
    /// written.
    before_rounds: Tensor,
    rounds: Rounds,
}

impl MogrifierCell {
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
            batch: capacity.batch,
            capped: config.cap_input_gate,
            gates: device.tensor("gates", rows, 4 * size)?,
            cells: States::slots_for(device, "memory cells", capacity, size)?,
            input: None,
            before_rounds: device.tensor(
                "input before its rounds",
                rows,
                config.input_size(layer),
            )?,
            rounds: Rounds::new(device, config, layer, capacity)?,
        })
    }

    fn carried_states(&self) -> [Tensor; 2] {
        [self.states.carried(), self.states.carried_in(self.cells)]
    }

    /// The input and the state before the rounds of all steps of a window.
    fn before(&self, window: &Window) -> [Tensor; 2] {
        let rows = self.states.rows(window);
        [
            self.before_rounds.slice_rows(0..rows),
            self.states.previous(window),
        ]
    }

    /// The layer's input and its gradient.
    fn input(&self) -> [Tensor; 2] {
        self.input.expect("a layer with rounds reads its input")
    }
}

impl Cell for MogrifierCell {
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

    fn read_input(&mut self, input: Tensor, gradient: Tensor) {
        self.input = Some([input, gradient]);
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
        let all = 0..states.rows(window);
        let gates = self.gates.slice_rows(all.clone());
        let steps = LstmCellStart {
            gates,
            cells: states.window_slots(self.cells, window),
            states: states.slots(window),
            carried: Carried {
                states: self.carried_states(),
                advance: window.advance,
            },
            capped: self.capped,
            reset: states.reset(window),
        };
        let before = self.before(window);
        device.run(&CopyValues {
            input: self.input()[0].slice_rows(all),
            output: before[0],
        });
        device.run(&steps);
        let last = self.rounds.last(before);
        for step in 0..window.time_steps {
            let rows = step * self.batch..(step + 1) * self.batch;
            self.rounds.forward(device, &parameters, before, &rows);
            let weights = [parameters.input_weight, parameters.recurrent_weight()];
            for (values, weight) in last.into_iter().zip(weights) {
                let [values, z] = [values, gates].map(|tensor| tensor.slice_rows(rows.clone()));
                device.run(&Matmul {
                    accumulate: true,
                    ..full(product, values, weight, z)
                });
            }
            device.run(&LstmCellForward {
                step,
                window: steps,
            });
        }
    }

    fn backward(
        &self,
        device: &mut Device,
        window: &Window,
        parameters: RecurrentParameters,
        gradients: RecurrentParameters,
    ) {
        let states = &self.states;
        let all = states.rows(window);
        let gates = self.gates.slice_rows(0..all);
        let first = LstmCellBackward {
            step: 0,
            gates,
            cells: states.window_slots(self.cells, window),
            gradient: states.output_gradient().slice_rows(0..all),
            initial_gradient: states.carry_gradient,
            capped: self.capped,
            reset: states.reset(window),
        };
        let before = self.before(window);
        for step in (0..window.time_steps).rev() {
            let rows = step * self.batch..(step + 1) * self.batch;
            device.run(&LstmCellBackward { step, ..first });
            let dz = gates.slice_rows(rows.clone());
            let dx = self.input()[1].slice_rows(rows.clone());
            let dh = states.carry_gradient.slice_rows(0..self.batch);
            device.run(&full(input_gradient, dz, parameters.input_weight, dx));
            device.run(&full(input_gradient, dz, parameters.recurrent_weight(), dh));
            self.rounds
                .backward(device, &parameters, before, &rows, [dx, dh]);
        }
        device.run(&LstmCellEnd { first });
        // dW = Σ dz(t) v(t)^T: all steps and streams in one product.
        let weights = [gradients.input_weight, gradients.recurrent_weight()];
        for (values, weight) in self.rounds.last(before).into_iter().zip(weights) {
            let values = values.slice_rows(0..all);
            device.run(&full(weight_gradient, gates, values, weight));
        }
        self.rounds
            .parameter_gradients(device, &gradients, before, all);
    }
}
