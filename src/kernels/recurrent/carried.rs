//! The states that are carried from window to window.

use super::RecurrentSchedule;
use crate::device::{Cpu, to_u32};
use crate::tensor::Tensor;

/// The states of a layer that are carried from window to window, S of them. A kernel copies them to
/// slot 0 of their buffers, processes the window, and replaces them by the states at which the next
/// window starts.
#[derive(Debug, Clone, Copy)]
pub struct Carried<const S: usize> {
    /// `[B, H]` each, in the buffers of the states that they are carried to, behind their slots and
    /// at the same offset in all of them.
    pub states: [Tensor; S],
    /// The number of steps from the start of this window to that of the next, at most T.
    pub advance: usize,
}

impl<const S: usize> Carried<S> {
    /// The carried states, each with slot `slot` of its buffer.
    fn pairs(&self, buffers: [Tensor; S], slot: usize) -> impl Iterator<Item = (Tensor, Tensor)> {
        self.states
            .into_iter()
            .zip(buffers)
            .map(move |(carried, buffer)| {
                let batch = carried.rows();
                (carried, buffer.slice_rows(slot * batch..(slot + 1) * batch))
            })
    }

    /// Copies the carried states to slot 0 of `buffers`.
    pub(in crate::kernels) fn load_on_cpu(&self, cpu: &Cpu, buffers: [Tensor; S]) {
        for (input, output) in self.pairs(buffers, 0) {
            cpu.copy(&input, &output);
        }
    }

    /// Replaces the carried states by those at which the next window starts, from `buffers`.
    pub(in crate::kernels) fn store_on_cpu(&self, cpu: &Cpu, buffers: [Tensor; S]) {
        for (output, input) in self.pairs(buffers, self.advance) {
            cpu.copy(&input, &output);
        }
    }

    /// The shaders' arguments `carried_offset` and `advance`.
    ///
    /// # Panics
    /// If the carried states are elsewhere.
    pub(in crate::kernels) fn arguments(
        &self,
        schedule: RecurrentSchedule,
        buffers: [Tensor; S],
    ) -> CarriedArguments {
        let offset = self.states[0].offset;
        assert!(
            self.states.iter().zip(&buffers).all(|(state, buffer)| {
                (state.buffer, state.offset) == (buffer.buffer, offset)
                    && offset >= buffer.offset + buffer.len()
            }),
            "carried states are behind the slots of their buffers"
        );
        CarriedArguments {
            offset: to_u32(offset),
            advance: match self.is_stored_last(schedule) {
                true => 0,
                false => to_u32(self.advance),
            },
            is_stored_last: self.is_stored_last(schedule),
        }
    }

    /// Whether a dispatch after the window's steps replaces the carried states: where the dispatch
    /// that computes those at which the next window starts is that of the first step alone. Its
    /// workgroups read the carried states of all units, so none may replace them.
    fn is_stored_last(&self, schedule: RecurrentSchedule) -> bool {
        schedule == RecurrentSchedule::PerStep && self.advance == 1
    }
}

/// Arguments of the shaders of recurrences.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::kernels) struct CarriedArguments {
    /// Where the carried states begin in their buffers.
    pub(in crate::kernels) offset: u32,
    /// The number of steps after which the states replace them; 0 if none do.
    pub(in crate::kernels) advance: u32,
    /// Whether a dispatch after the window's steps replaces the carried states.
    pub(in crate::kernels) is_stored_last: bool,
}

impl CarriedArguments {
    /// Where the states before a step begin that a dispatch of one step reads, in slots of
    /// `elements`: slot 0 is written by the dispatch of step 0.
    pub(in crate::kernels) fn previous_offset(&self, step: u32, elements: usize) -> u32 {
        match step {
            0 => self.offset,
            _ => to_u32(step as usize * elements),
        }
    }
}
