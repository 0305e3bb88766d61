//! The LSTM with layer normalization of the products of its states and of its memory (Ba 2016). The
//! products of the inputs are normalized by the layer.
//!
//! A step is a product, its normalization, and what follows them: three kernels, each for all
//! streams.

use crate::device::Device;
use crate::error::Result;
use crate::kernels::{
    CopyValues, Fill, LayerNormBackward, LayerNormForward, NormalizedLstmBackward,
    NormalizedLstmForward, NormalizedStep, Precision, ResetRows, SumRows,
};
use crate::model::capacity::Capacity;
use crate::model::cell::{Cell, Gates, RecurrentParameters};
use crate::model::config::Config;
use crate::model::products::{input_gradient, product, weight_gradient};
use crate::model::window::Window;
use crate::tensor::Tensor;

/// The places of the gains and of the memory's bias, if there is one, among the cell's parameters.
/// The first gain is the layer's.
const GAIN_HH: usize = 1;
const GAIN_C: usize = 2;
const BIAS_C: usize = 3;

/// One layer of cells. It carries h and c.
#[derive(Debug)]
pub(super) struct NormalizedLstmCell {
    batch: usize,
    initial_state: f32,
    independent: bool,
    /// Whether at most 1 - f is written to the memory.
    capped: bool,
    /// `[T*B, 4H]`: z, then the gate activations, then the gradient of z.
    gates: Tensor,
    /// `[T*B, 4H]`: W h(t-1), then the terms of the gain's gradient.
    products: Tensor,
    /// `[T*B, 4H]`: the gradient of the products; one element outside of training.
    products_gradient: Tensor,
    /// `[T*B, H]`: h(t), and c(t), then the terms of its gain's gradient.
    states: Tensor,
    cells: Tensor,
    /// `[(T+1)*B, H]`: slot t has h(t-1) and c(t-1), as step t reads them.
    previous_states: Tensor,
    previous_cells: Tensor,
    /// `[B, H]`: h and c before a window.
    carried: [Tensor; 2],
    /// `[T*B, H]`: the gradient of h(t), then that of the normalized c(t); one element outside of
    /// training.
    gradient: Tensor,
    /// `[2*B, H]`: as `gradient`.
    carried_gradient: Tensor,
}

impl NormalizedLstmCell {
    pub(super) fn new(
        device: &mut Device,
        config: &Config,
        layer: usize,
        capacity: &Capacity,
    ) -> Result<Self> {
        let (rows, batch) = (capacity.rows(), capacity.batch);
        let size = config.layer_size(layer);
        let mut gradient = |name, rows, columns| {
            let [rows, columns] = capacity.gradient_shape(rows, columns);
            device.tensor(name, rows, columns)
        };
        Ok(Self {
            products_gradient: gradient("gradient of the recurrent products", rows, 4 * size)?,
            gradient: gradient("gradient of the states", rows, size)?,
            carried_gradient: gradient("gradient of the carried states", 2 * batch, size)?,
            batch,
            initial_state: config.initial_state,
            independent: capacity.independent,
            capped: config.cap_input_gate,
            gates: device.tensor("gates", rows, 4 * size)?,
            products: device.tensor("recurrent products", rows, 4 * size)?,
            states: device.tensor("hidden states", rows, size)?,
            cells: device.tensor("memory cells", rows, size)?,
            previous_states: device.tensor("previous states", rows + batch, size)?,
            previous_cells: device.tensor("previous memory cells", rows + batch, size)?,
            carried: [
                device.tensor("carried states", batch, size)?,
                device.tensor("carried memory cells", batch, size)?,
            ],
        })
    }

    /// T*B of a window.
    fn rows(&self, window: &Window) -> usize {
        window.time_steps * self.batch
    }

    /// The rows of a step in a buffer of steps or slots.
    fn step(&self, buffer: Tensor, t: usize) -> Tensor {
        buffer.slice_rows(t * self.batch..(t + 1) * self.batch)
    }

    /// What the kernels of the first step of a window read; other steps differ in the step only.
    fn first_step(&self, window: &Window, parameters: &RecurrentParameters) -> NormalizedStep {
        let rows = self.rows(window);
        NormalizedStep {
            step: 0,
            gates: self.gates.slice_rows(0..rows),
            cells: self.cells.slice_rows(0..rows),
            previous_cells: self.previous_cells.slice_rows(0..rows + self.batch),
            gain: parameters.units[GAIN_C],
            bias: parameters.units.get(BIAS_C).copied(),
            capped: self.capped,
        }
    }

    /// Sets the rows of streams that are reset at step t, if there are any.
    fn reset(&self, device: &mut Device, window: &Window, t: usize, rows: [Tensor; 2], value: f32) {
        if !self.independent {
            return;
        }
        let tokens = window.inputs.reshape(window.time_steps, self.batch);
        for values in rows {
            device.run(&ResetRows {
                values,
                tokens: tokens.slice_rows(t..t + 1),
                value,
            });
        }
    }

    /// The gradients of h and c that a step receives from the next one.
    fn carried_gradients(&self) -> [Tensor; 2] {
        [0, 1].map(|state| self.step(self.carried_gradient, state))
    }
}

impl Cell for NormalizedLstmCell {
    fn pre_activations(&self) -> Tensor {
        self.gates
    }

    fn pre_activation_gradient(&self) -> Tensor {
        self.gates
    }

    fn output(&self) -> Tensor {
        self.states
    }

    fn output_gradient(&self) -> Tensor {
        self.gradient
    }

    fn gates(&self) -> Option<Gates> {
        Some(Gates::of_lstm(self.gates))
    }

    fn carried(&self) -> Vec<Tensor> {
        self.carried.to_vec()
    }

    fn carried_gradient(&self) -> Vec<Tensor> {
        self.carried_gradients().to_vec()
    }

    fn forward(&self, device: &mut Device, window: &Window, parameters: RecurrentParameters) {
        let rows = self.rows(window);
        let steps = self.first_step(window, &parameters);
        let previous = [self.previous_states, self.previous_cells];
        for (carried, previous) in self.carried.into_iter().zip(previous) {
            device.run(&CopyValues {
                input: carried,
                output: self.step(previous, 0),
            });
        }
        for t in 0..window.time_steps {
            let read = previous.map(|buffer| self.step(buffer, t));
            self.reset(device, window, t, read, self.initial_state);
            let products = self.step(self.products, t);
            let weight = parameters.recurrent_weight();
            device.run(&product(read[0], weight, products, Precision::Full));
            device.run(&LayerNormForward {
                input: products,
                gain: parameters.units[GAIN_HH],
                output: self.step(self.gates, t),
                accumulate: true,
            });
            device.run(&NormalizedLstmForward {
                step: NormalizedStep { step: t, ..steps },
                states: self.states.slice_rows(0..rows),
                previous_states: self.previous_states.slice_rows(0..rows + self.batch),
            });
        }
        if let Some(last) = window.advance.checked_sub(1) {
            let after = [self.states, self.cells].map(|buffer| self.step(buffer, last));
            for (input, output) in after.into_iter().zip(self.carried) {
                device.run(&CopyValues { input, output });
            }
        }
    }

    fn backward(
        &self,
        device: &mut Device,
        window: &Window,
        parameters: RecurrentParameters,
        gradients: RecurrentParameters,
    ) {
        let rows = self.rows(window);
        let steps = self.first_step(window, &parameters);
        let weight = parameters.recurrent_weight();
        device.run(&Fill {
            values: self.carried_gradient,
            value: 0.0,
        });
        for t in (0..window.time_steps).rev() {
            device.run(&NormalizedLstmBackward {
                step: NormalizedStep { step: t, ..steps },
                gradient: self.gradient.slice_rows(0..rows),
                carried_gradient: self.carried_gradient,
            });
            let products_gradient = self.step(self.products_gradient, t);
            device.run(&LayerNormBackward {
                input: self.step(self.products, t),
                gain: parameters.units[GAIN_HH],
                output_gradient: self.step(self.gates, t),
                input_gradient: products_gradient,
            });
            let carried = self.carried_gradients();
            let to_state = carried[0];
            device.run(&input_gradient(
                products_gradient,
                weight,
                to_state,
                Precision::Full,
            ));
            self.reset(device, window, t, carried, 0.0);
        }
        device.run(&weight_gradient(
            self.products_gradient.slice_rows(0..rows),
            self.previous_states.slice_rows(0..rows),
            gradients.recurrent_weight(),
            Precision::Full,
        ));
        let terms = [self.products, self.cells, self.gradient];
        for (terms, &output) in terms.into_iter().zip(&gradients.units[GAIN_HH..]) {
            device.run(&SumRows {
                values: terms.slice_rows(0..rows),
                output,
                copy: None,
                accumulate: false,
            });
        }
    }
}
