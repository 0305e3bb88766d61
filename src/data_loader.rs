//! Tokens on their way to a device: a run of windows lies there at a time, and a window is an
//! offset into it.
//!
//! In: [`Streams`] of a corpus. Out: [`Window`]s. The run is short enough for any adapter's
//! bindings and for a bounded memory, and long enough that uploads cost nothing.

use std::ops::Range;

use crate::corpus::{Streams, order_by_token};
use crate::device::Device;
use crate::error::Result;
use crate::model::{Window, WindowWords, Workspace};
use crate::tensor::{NONE, Tensor};

/// Tokens of a run of windows.
const RUN: usize = 256 * 1024;

/// A text's windows on a device.
#[derive(Debug)]
pub struct DataLoader<'a> {
    streams: Streams<'a>,
    /// Steps before a window's own that it walks again, where there are as many.
    history: usize,
    /// Windows of a run.
    run: usize,
    /// Windows that lie on the device.
    resident: Range<usize>,
    /// The step of the first row of tokens.
    first_step: usize,
    /// Their tokens and those of the history of the first, a row of B for each step and one more.
    rows: Tensor<u32>,
    /// For each window, its positions sorted by token; only where gradients are wanted.
    order: Option<Tensor<u32>>,
    /// Targets of each resident window that are predicted.
    predicted: Vec<usize>,
}

/// What windows are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Losses.
    Eval,
    /// Gradients too, which flow back through so many steps before a window's own.
    Train {
        /// The steps.
        history: usize,
    },
}

impl<'a> DataLoader<'a> {
    /// Makes room on the device.
    ///
    /// # Errors
    /// If a run of windows is too large for the device.
    pub fn new(device: &mut Device, streams: Streams<'a>, mode: Mode) -> Result<Self> {
        let history = if let Mode::Train { history } = mode {
            history
        } else {
            0
        };
        let longest = (history + streams.time_steps()) * streams.batch();
        let run = (RUN / longest).clamp(1, streams.windows().max(1));
        let rows = device.tensor(
            "tokens",
            history + run * streams.time_steps() + 1,
            streams.batch(),
        )?;
        let order = if mode == Mode::Eval {
            None
        } else {
            Some(device.tensor("order of tokens", run, longest)?)
        };
        Ok(Self {
            streams,
            history,
            run,
            resident: 0..0,
            first_step: 0,
            rows,
            order,
            predicted: Vec::new(),
        })
    }

    /// The text's cut.
    pub fn streams(&self) -> &Streams<'a> {
        &self.streams
    }

    /// Cuts the text anew, as [`Streams::cut`] does.
    pub fn resegment(&mut self, lengths: impl Iterator<Item = usize>) {
        self.streams.resegment(lengths);
        self.resident = 0..0;
    }

    /// The first step that a window walks: its own, or as many before it as there are and the
    /// history asks for.
    fn begin(&self, number: usize) -> usize {
        self.streams
            .window_start(number)
            .saturating_sub(self.history)
    }

    /// The steps that a window walks.
    fn steps(&self, number: usize) -> Range<usize> {
        self.begin(number)..self.streams.steps_of_windows(number..number + 1).end
    }

    /// A window of the text, planned by the workspace that is to walk it, and the number of its
    /// targets that are predicted. `draw` is the number of the draw of what is drawn for it.
    pub fn window(
        &mut self,
        device: &mut Device,
        workspace: &Workspace,
        number: usize,
        draw: u32,
    ) -> (Window, usize) {
        if !self.resident.contains(&number) {
            self.upload(device, number);
        }
        let steps = self.steps(number);
        let local = number - self.resident.start;
        let first = steps.start - self.first_step;
        let positions = steps.len() * self.streams.batch();
        let window = Window {
            draw,
            plan: workspace.plan(device, &self.words(number, draw)),
            history: self.streams.window_start(number) - steps.start,
            advance: (self.begin(number + 1) - steps.start).min(steps.len()),
            order: self
                .order
                .map(|order| order.slice_rows(local..local + 1).reshape(1, positions)),
            ..Window::new(
                steps.len(),
                self.rows.slice_rows(first..first + steps.len()),
                self.rows.slice_rows(first + 1..first + 1 + steps.len()),
            )
        };
        (window, self.predicted[local])
    }

    /// The words of a window for the output layer's plan; `draw` is the number of the draw.
    pub fn words(&self, number: usize, draw: u32) -> WindowWords<'_> {
        let (own, batch) = (
            self.streams.steps_of_windows(number..number + 1),
            self.streams.batch(),
        );
        WindowWords {
            targets: self.streams.rows(own.start + 1..own.end),
            before: Box::new(move |row, back| {
                self.streams
                    .history(row % batch, own.start + row / batch, back)
            }),
            draw,
        }
    }

    fn upload(&mut self, device: &mut Device, first: usize) {
        self.resident = first..(first + self.run).min(self.streams.windows());
        self.first_step = self.begin(first);
        let batch = self.streams.batch();
        let rows = self
            .streams
            .rows(self.first_step..self.streams.steps_of_windows(self.resident.clone()).end);
        device.upload(&self.rows.reshape(rows.len() / batch, batch), &rows);
        let tokens = |steps: Range<usize>| {
            &rows[(steps.start - self.first_step) * batch..(steps.end - self.first_step) * batch]
        };
        self.predicted = self
            .resident
            .clone()
            .map(|number| {
                let own = self.streams.steps_of_windows(number..number + 1);
                tokens(own.start + 1..own.end + 1)
                    .iter()
                    .filter(|&&target| target != NONE)
                    .count()
            })
            .collect();
        if let Some(order) = &self.order {
            let longest = order.columns();
            let mut sorted = vec![0; self.resident.len() * longest];
            for (number, row) in self.resident.clone().zip(sorted.chunks_exact_mut(longest)) {
                let positions = order_by_token(tokens(self.steps(number)));
                row[..positions.len()].copy_from_slice(&positions);
            }
            device.upload(&order.slice_rows(0..self.resident.len()), &sorted);
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
