//! The buffers that all cells have: the states of a window, and those carried between windows.

use crate::device::Device;
use crate::error::Result;
use crate::kernels::{CopyValues, RecurrentSchedule, Reset};
use crate::model::capacity::Capacity;
use crate::model::config::Config;
use crate::model::window::Window;
use crate::tensor::Tensor;

/// The states of one layer's cell. Slot 0 of a buffer of T+1 slots of B rows is the state before
/// the window, slot t+1 the state after step t.
#[derive(Debug)]
pub(super) struct States {
    batch: usize,
    initial_state: f32,
    independent: bool,
    /// How the recurrence is dispatched.
    pub(super) schedule: RecurrentSchedule,
    /// `[(T+1)*B, H]`.
    states: Tensor,
    /// `[S*B, H]`: the S carried states, one after the other.
    carry: Tensor,
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
            states: device.tensor("hidden states", rows + batch, size)?,
            carry: device.tensor("carried states", carried, size)?,
            weight_t: device.tensor("transposed recurrent weight", size, gates * size)?,
            previous: device.tensor("previous states", previous_rows, previous_columns)?,
        })
    }

    /// `[T*B, H]`: the states after each step.
    pub(super) fn output(&self) -> Tensor {
        self.states.slice_rows(self.batch..self.states.rows())
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

    /// The slots of a window in another buffer of T+1 slots.
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

    /// The carried states, `[B, H]` each.
    pub(super) fn carried(&self) -> Vec<Tensor> {
        self.split(self.carry)
    }

    /// Their gradients.
    pub(super) fn carried_gradient(&self) -> Vec<Tensor> {
        self.split(self.carry_gradient)
    }

    fn split(&self, carried: Tensor) -> Vec<Tensor> {
        let count = self.carry.rows() / self.batch;
        (0..count).map(|index| self.slot(carried, index)).collect()
    }

    fn slot(&self, buffer: Tensor, index: usize) -> Tensor {
        buffer.slice_rows(index * self.batch..(index + 1) * self.batch)
    }

    /// Copies the carried states to slot 0 of their buffers: that of the states, then `others`.
    pub(super) fn load_carried(&self, device: &mut Device, others: &[Tensor]) {
        self.copy_carried(device, others, |carried, buffer| CopyValues {
            input: carried,
            output: self.slot(buffer, 0),
        });
    }

    /// Copies the states at which the next window starts to the carried states.
    pub(super) fn store_carried(&self, device: &mut Device, others: &[Tensor], window: &Window) {
        self.copy_carried(device, others, |carried, buffer| CopyValues {
            input: self.slot(buffer, window.advance),
            output: carried,
        });
    }

    fn copy_carried(
        &self,
        device: &mut Device,
        others: &[Tensor],
        copy: impl Fn(Tensor, Tensor) -> CopyValues,
    ) {
        let buffers = [&[self.states], others].concat();
        for (carried, buffer) in self.carried().into_iter().zip(buffers) {
            device.run(&copy(carried, buffer));
        }
    }
}
