//! Loads a text's windows onto a device.
//!
//! In: [`Streams`] of a corpus. Out: [`Window`]s. Many consecutive windows are uploaded together,
//! as a chunk, and a window is a view of it. A chunk is small enough for any adapter's bindings and
//! for bounded memory, and large enough to make the cost of uploads negligible.

use std::ops::Range;

use rayon::prelude::*;

use crate::corpus::{Streams, order_by_token};
use crate::device::Device;
use crate::error::Result;
use crate::model::{Window, WindowWords, Workspace};
use crate::tensor::{NONE, Tensor};

/// Tokens in a chunk.
const CHUNK_TOKENS: usize = 256 * 1024;

/// A text as windows on a device.
#[derive(Debug)]
pub struct DataLoader<'a> {
    streams: Streams<'a>,
    /// Steps before those a window predicts; see [`Mode::Train`].
    history: usize,
    /// Windows in a chunk.
    chunk: usize,
    /// Indices of the windows on the device.
    resident: Range<usize>,
    /// The step of the first row of `rows`.
    first_step: usize,
    /// `[steps, B]`: the tokens of the resident windows, of the first one's history, and of the
    /// step after the last one.
    rows: Tensor<u32>,
    /// `[windows, T*B]`: for each resident window, its positions sorted by token; only for
    /// training.
    order: Option<Tensor<u32>>,
    /// The number of tokens that each resident window predicts, in all streams of the text.
    predicted: Vec<usize>,
    /// The same without the first step of each window.
    changes: Vec<usize>,
}

/// What the windows are used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Losses only.
    Eval,
    /// Losses and gradients.
    Train {
        /// The number of steps through which gradients flow back before the steps that a window
        /// predicts: `bptt - bptt_block` of the recipe. Windows overlap by this many steps. The
        /// first windows of a text have fewer.
        history: usize,
    },
}

impl<'a> DataLoader<'a> {
    /// Allocates memory on the device.
    ///
    /// # Errors
    /// If a chunk is too large for the device.
    pub fn new(device: &mut Device, streams: Streams<'a>, mode: Mode) -> Result<Self> {
        let history = match mode {
            Mode::Eval => 0,
            Mode::Train { history } => history,
        };
        let batch = streams.batch();
        let positions = (history + streams.time_steps()) * batch;
        let chunk = (CHUNK_TOKENS / positions).clamp(1, streams.windows().max(1));
        let steps = history + chunk * streams.time_steps() + 1;
        let rows = device.tensor("tokens", steps, batch)?;
        let order = match mode {
            Mode::Eval => None,
            Mode::Train { .. } => Some(device.tensor("order of tokens", chunk, positions)?),
        };
        Ok(Self {
            streams,
            history,
            chunk,
            resident: 0..0,
            first_step: 0,
            rows,
            order,
            predicted: Vec::new(),
            changes: Vec::new(),
        })
    }

    /// The text and its segmentation.
    pub fn streams(&self) -> &Streams<'a> {
        &self.streams
    }

    /// Changes the segmentation as [`Streams::resegment`] does.
    pub fn resegment(&mut self, lengths: impl Iterator<Item = usize>) {
        self.streams.resegment(lengths);
        self.resident = 0..0;
    }

    /// The first step of a window: the first one it predicts, or up to `history` steps before.
    fn first_step_of(&self, index: usize) -> usize {
        self.streams
            .window_start(index)
            .saturating_sub(self.history)
    }

    /// The steps that a window predicts.
    fn predicted_steps(&self, index: usize) -> Range<usize> {
        self.streams.steps_of_windows(index..index + 1)
    }

    /// All steps of a window.
    fn steps(&self, index: usize) -> Range<usize> {
        self.first_step_of(index)..self.predicted_steps(index).end
    }

    /// The window with this index, planned for `workspace`, and the number of tokens that it
    /// predicts. `draw` selects the random numbers for the window: dropout masks and sampled words.
    ///
    /// # Errors
    /// If the text is in a file that cannot be read.
    pub fn window(
        &mut self,
        device: &mut Device,
        workspace: &Workspace,
        index: usize,
        draw: u32,
    ) -> Result<(Window, usize)> {
        if !self.resident.contains(&index) {
            self.upload_chunk(device, index);
        }
        let steps = self.steps(index);
        let row = index - self.resident.start;
        let first = steps.start - self.first_step;
        let last = first + steps.len();
        let positions = steps.len() * self.streams.batch();
        let inputs = self.rows.slice_rows(first..last);
        let targets = self.rows.slice_rows(first + 1..last + 1);
        let window = Window {
            draw,
            predicted: self.predicted[row],
            changes: self.changes[row],
            plan: workspace.plan(device, &self.words(index, draw)),
            history: self.streams.window_start(index) - steps.start,
            advance: (self.first_step_of(index + 1) - steps.start).min(steps.len()),
            order: self
                .order
                .map(|order| order.slice_rows(row..row + 1).reshape(1, positions)),
            ..Window::new(steps.len(), inputs, targets)
        };
        self.streams.check()?;
        Ok((window, self.predicted[row]))
    }

    /// The words of a window for the output layer's plan.
    pub fn words(&self, index: usize, draw: u32) -> WindowWords<'_> {
        let steps = self.predicted_steps(index);
        let batch = self.streams.batch();
        WindowWords {
            targets: self.streams.rows(steps.start + 1..steps.end),
            before: Box::new(move |row, back| {
                let stream = row % batch;
                let step = steps.start + row / batch;
                self.streams.history(stream, step, back)
            }),
            draw,
        }
    }

    /// Uploads the chunk that starts with the window with index `first`.
    fn upload_chunk(&mut self, device: &mut Device, first: usize) {
        self.resident = first..(first + self.chunk).min(self.streams.windows());
        self.first_step = self.first_step_of(first);
        let batch = self.streams.batch();
        let end_step = self.streams.steps_of_windows(self.resident.clone()).end;
        let rows = self.streams.rows(self.first_step..end_step);
        device.upload(&self.rows.reshape(rows.len() / batch, batch), &rows);
        let tokens = |steps: Range<usize>| {
            let first = steps.start - self.first_step;
            let last = steps.end - self.first_step;
            &rows[first * batch..last * batch]
        };
        (self.predicted, self.changes) = match self.streams.all() == batch {
            true => self.counts(&rows),
            false => self.counts(&self.streams.whole().rows(self.first_step..end_step)),
        };
        if let Some(order) = &self.order {
            let columns = order.columns();
            let mut sorted = vec![0; self.resident.len() * columns];
            self.resident
                .clone()
                .into_par_iter()
                .zip(sorted.par_chunks_exact_mut(columns))
                .for_each(|(index, row)| {
                    let positions = order_by_token(tokens(self.steps(index)));
                    row[..positions.len()].copy_from_slice(&positions);
                });
            device.upload(&order.slice_rows(0..self.resident.len()), &sorted);
        }
    }

    /// For each resident window, the number of tokens that it predicts, and that number without its
    /// first step. `rows` has the tokens of the resident windows in all streams.
    fn counts(&self, rows: &[u32]) -> (Vec<usize>, Vec<usize>) {
        let all = self.streams.all();
        let count = |steps: Range<usize>| {
            let [first, end] = [steps.start, steps.end].map(|step| step + 1 - self.first_step);
            let targets = &rows[first * all..end * all];
            targets.iter().filter(|&&target| target != NONE).count()
        };
        let of_windows = self.resident.clone().map(|index| {
            let steps = self.predicted_steps(index);
            let second = steps.start.max(self.first_step_of(index) + 1);
            (count(steps.clone()), count(second..steps.end))
        });
        of_windows.unzip()
    }

    /// Releases the memory on the device.
    pub fn release(self, device: &mut Device) {
        device.release(self.rows);
        if let Some(order) = self.order {
            device.release(order);
        }
    }
}
