//! The buffers that all cells have: the states of a window, and those carried between windows.

use crate::device::Device;
use crate::error::Result;
use crate::kernels::{RecurrentSchedule, Reset};
use crate::model::capacity::Capacity;
use crate::model::config::Config;
use crate::model::window::Window;
use crate::tensor::Tensor;

/// The states of one layer's cell. A buffer of states has T+2 slots of B rows: slot 0 is the state
/// before the window, slot t+1 the state after step t. The last slot is the state carried between
/// windows.
#[derive(Debug)]
pub(super) struct States {
    batch: usize,
    initial_state: f32,
    independent: bool,
    /// How the recurrence is dispatched.
    pub(super) schedule: RecurrentSchedule,
    /// `[(T+2)*B, H]`.
    states: Tensor,
    /// `[H, G*H]`: the kernels' scratch memory.
    pub(super) weight_t: Tensor,
    /// `[T*B, H]`: the previous state of every step, where sentences are independent; otherwise one
    /// element.
    previous: Tensor,
    /// `[T*B, H]`: the gradient of the states; one element outside of training.
    gradient: Tensor,
    /// `[S*B, H]`; one element outside of training.
    pub(super) carry_gradient: Tensor,
}

impl States {
    /// The buffers of a cell with G gates and S carried states.
    pub(super) fn new(
        device: &mut Device,
        config: &Config,
        layer: usize,
        capacity: &Capacity,
        gates: usize,
        states: usize,
    ) -> Result<Self> {
        let size = config.layer_size(layer);
        let batch = capacity.batch;
        let rows = capacity.rows();
        let carried = states * batch;
        let [previous_rows, previous_columns] = if capacity.independent {
            [rows, size]
        } else {
            [1, 1]
        };
        let mut gradient = |name, rows| {
            let [rows, columns] = capacity.gradient_shape(rows, size);
            device.tensor(name, rows, columns)
        };
        Ok(Self {
            gradient: gradient("gradient of the states", rows)?,
            carry_gradient: gradient("gradient of the carried states", carried)?,
            batch,
            initial_state: config.initial_state,
            independent: capacity.independent,
            schedule: RecurrentSchedule::for_layer(gates, size),
            states: Self::slots_for(device, "hidden states", capacity, size)?,
            weight_t: device.tensor("transposed recurrent weight", size, gates * size)?,
            previous: device.tensor("previous states", previous_rows, previous_columns)?,
        })
    }

    /// A buffer of T+2 slots of states of this size.
    pub(super) fn slots_for(
        device: &mut Device,
        what: &str,
        capacity: &Capacity,
        size: usize,
    ) -> Result<Tensor> {
        device.tensor(what, capacity.rows() + 2 * capacity.batch, size)
    }

    /// `[T*B, H]`: the states after each step.
    pub(super) fn output(&self) -> Tensor {
        let end = self.states.rows() - self.batch;
        self.states.slice_rows(self.batch..end)
    }

    /// `[T*B, H]`.
    pub(super) fn output_gradient(&self) -> Tensor {
        self.gradient
    }

    /// T*B of a window.
    pub(super) fn rows(&self, window: &Window) -> usize {
        window.time_steps * self.batch
    }

    /// The slots of a window, `[(T+1)*B, H]`.
    pub(super) fn slots(&self, window: &Window) -> Tensor {
        self.window_slots(self.states, window)
    }

    /// The slots of a window in another buffer of states.
    pub(super) fn window_slots(&self, buffer: Tensor, window: &Window) -> Tensor {
        buffer.slice_rows(0..self.rows(window) + self.batch)
    }

    /// `[T*B, H]`: the state before each step of a window.
    pub(super) fn previous(&self, window: &Window) -> Tensor {
        let buffer = if self.independent {
            self.previous
        } else {
            self.states
        };
        buffer.slice_rows(0..self.rows(window))
    }

    /// Where states are reset inside a window.
    pub(super) fn reset(&self, window: &Window) -> Reset {
        Reset {
            enabled: self.independent,
            initial: self.initial_state,
            tokens: window.inputs,
            previous: self.previous,
        }
    }

    /// `[B, H]`: the carried state.
    pub(super) fn carried(&self) -> Tensor {
        self.carried_in(self.states)
    }

    /// `[B, H]`: the carried state of another buffer of states.
    pub(super) fn carried_in(&self, buffer: Tensor) -> Tensor {
        buffer.slice_rows(buffer.rows() - self.batch..buffer.rows())
    }

    /// The gradients of the carried states, `[B, H]` each.
    pub(super) fn carried_gradient(&self) -> Vec<Tensor> {
        let gradient = self.carry_gradient;
        (0..gradient.rows())
            .step_by(self.batch)
            .map(|first| gradient.slice_rows(first..first + self.batch))
            .collect()
    }
}
