//! Tokens on their way to a device: a run of windows lies there at a time, and a window is an offset into it.
//!
//! In: [`Streams`] of a corpus. Out: [`Window`]s. The run is short enough for any adapter's bindings and for a bounded memory, and long enough
//! that uploads cost nothing.

use std::ops::Range;

use crate::corpus::{Streams, order_by_token};
use crate::device::Device;
use crate::error::Result;
use crate::model::Window;
use crate::tensor::{NONE, Tensor};

/// Tokens of a run of windows.
const RUN: usize = 256 * 1024;

/// A text's windows on a device.
#[derive(Debug)]
pub struct Feed<'a> {
    streams: Streams<'a>,
    /// Windows of a run.
    run: usize,
    /// Windows that lie on the device.
    resident: Range<usize>,
    /// Their tokens, a row of B for each step and one more.
    rows: Tensor<u32>,
    /// For each window, its positions sorted by token; only where gradients are wanted.
    order: Option<Tensor<u32>>,
    /// Targets of each resident window that are not [`NONE`].
    predicted: Vec<usize>,
}

impl<'a> Feed<'a> {
    /// Makes room on the device. `training` says whether windows carry the order that gradients need.
    ///
    /// # Errors
    /// If a run of windows is too large for the device.
    pub fn new(device: &mut Device, streams: Streams<'a>, training: bool) -> Result<Self> {
        let window = streams.time_steps() * streams.batch();
        let run = (RUN / window).clamp(1, streams.windows().max(1));
        let rows = device.tensor("tokens", run * streams.time_steps() + 1, streams.batch())?;
        let order = if training { Some(device.tensor("order of tokens", run, window)?) } else { None };
        Ok(Self { streams, run, resident: 0..0, rows, order, predicted: Vec::new() })
    }

    /// The text's cut.
    pub fn streams(&self) -> &Streams<'a> {
        &self.streams
    }

    /// A window of the text and the number of its targets that are predicted.
    pub fn window(&mut self, device: &mut Device, number: usize) -> (Window, usize) {
        if !self.resident.contains(&number) {
            self.upload(device, number);
        }
        let (batch, longest) = (self.streams.batch(), self.streams.time_steps());
        let (local, time_steps) = (number - self.resident.start, self.streams.steps_of(number));
        let first = local * longest;
        let window = Window {
            time_steps,
            inputs: self.rows.slice_rows(first..first + time_steps),
            targets: self.rows.slice_rows(first + 1..first + 1 + time_steps),
            order: self.order.map(|order| order.slice_rows(local..local + 1).reshape(1, time_steps * batch)),
            draw: 0,
        };
        (window, self.predicted[local])
    }

    fn upload(&mut self, device: &mut Device, first: usize) {
        self.resident = first..(first + self.run).min(self.streams.windows());
        let rows = self.streams.rows(self.resident.clone());
        let batch = self.streams.batch();
        device.upload(&self.rows.reshape(rows.len() / batch, batch), &rows);
        let window = self.streams.time_steps() * batch;
        let inputs = rows[..rows.len() - batch].chunks(window);
        self.predicted = inputs
            .clone()
            .enumerate()
            .map(|(number, inputs)| rows[number * window + batch..][..inputs.len()].iter().filter(|&&target| target != NONE).count())
            .collect();
        if let Some(order) = &self.order {
            let sorted: Vec<u32> = inputs.flat_map(order_by_token).collect();
            device.upload(&order.reshape(1, sorted.len()), &sorted);
        }
    }

    /// Gives the device's memory back.
    pub fn release(self, device: &mut Device) {
        device.release(self.rows);
        if let Some(order) = self.order {
            device.release(order);
        }
    }
}
