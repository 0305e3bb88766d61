//! Reads a text with a model, in one stream or in several at once.
//!
//! In: a model and a tokenized text. Out: the loss of each token. One stream is exact, but takes
//! one step per token: the next step needs the state after this one. Several streams share the
//! steps. All but the first start in the middle of the text, where the state is not known; they
//! read the tokens before their part first, until what they cannot know hardly matters.

use std::ops::Range;

use super::Evaluation;
use crate::activity;
use crate::corpus::{Streams, Tokens};
use crate::data_loader::{DataLoader, Mode};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::CopyValues;
use crate::model::{Capacity, Config, Model, Window, Workspace};
use crate::tensor::Tensor;

/// Number of tokens that a stream of a recurrent network reads before those it predicts.
/// docs/model.md has measurements.
const WARM_UP: usize = 128;
/// Number of warm-ups in a stream's part of the text for which the warm-up takes little time and
/// the difference from one stream is below 1e-4 of the perplexity.
const WARM_UPS_IN_PART: usize = 8;
/// Positions of a window: enough for fast matrix products.
const POSITIONS: usize = 512;
/// The minimum number of steps of a window, so that a GPU has enough to do between two windows.
const MIN_TIME_STEPS: usize = 16;
/// Windows whose losses are downloaded together: a download waits for the device.
const WINDOWS_IN_DOWNLOAD: usize = 32;

/// Number of tokens that a stream reads before those it predicts: at least the words of a
/// feed-forward network's context.
pub fn warm_up(config: &Config) -> usize {
    WARM_UP.max(config.context.saturating_sub(1))
}

/// The largest number of streams up to `wanted` whose result on a text of this length is nearly
/// exact.
pub fn nearly_exact_streams(tokens: usize, wanted: usize) -> usize {
    (tokens / (WARM_UPS_IN_PART * WARM_UP)).clamp(1, wanted.max(1))
}

/// Checks the number of streams for a text.
///
/// # Errors
/// If it is 0 or more than the number of tokens.
pub fn check_streams(streams: usize, tokens: usize) -> Result<()> {
    if streams == 0 {
        return Err(Error::config(
            "streams",
            0,
            "it must be at least 1",
            "Use 1 for the exact result, or more to be faster",
        ));
    }
    if streams > tokens.max(1) {
        return Err(Error::config(
            "streams",
            streams,
            format!("the text has {tokens} tokens, and every stream needs at least one"),
            format!(
                "Use at most {}, where the result is nearly exact",
                nearly_exact_streams(tokens, streams)
            ),
        ));
    }
    Ok(())
}

/// Evaluates models on texts.
#[derive(Debug)]
pub struct Evaluator {
    workspace: Workspace,
    streams: usize,
    /// The streams that this process reads; the others are read elsewhere.
    part: Range<usize>,
    warm_up: usize,
    time_steps: usize,
    /// The losses of windows that were not downloaded, `[WINDOWS_IN_DOWNLOAD * T*B, 1]`.
    losses: Tensor,
}

/// A window whose losses are on the device.
struct Evaluated {
    first_step: usize,
    losses: Tensor,
}

/// Takes the positions and the losses of the tokens of a window.
type TakeLosses<'a> = dyn FnMut(&[(usize, f64)]) + Send + 'a;

impl Evaluator {
    /// Allocates memory on the device. `independent`: every sentence starts from the initial state;
    /// otherwise the state is carried from sentence to sentence. `streams`: number of streams that
    /// read a text at once; 1 is exact.
    ///
    /// # Errors
    /// If `streams` is 0, or something is too large for the device.
    pub fn new(
        device: &mut Device,
        model: &Model,
        independent: bool,
        streams: usize,
    ) -> Result<Self> {
        Self::of_part(device, model, independent, (streams, 0..streams))
    }

    /// The same for a process that reads a part of the streams: it evaluates the tokens that they
    /// predict.
    ///
    /// # Errors
    /// As [`Evaluator::new`].
    pub(crate) fn of_part(
        device: &mut Device,
        model: &Model,
        independent: bool,
        (streams, part): (usize, Range<usize>),
    ) -> Result<Self> {
        check_streams(streams, usize::MAX)?;
        let time_steps = (POSITIONS / part.len()).max(MIN_TIME_STEPS);
        let capacity = Capacity {
            batch: part.len(),
            time_steps,
            independent,
            ..Capacity::default()
        };
        let rows = WINDOWS_IN_DOWNLOAD * time_steps * part.len();
        Ok(Self {
            workspace: Workspace::new(device, model, capacity)?,
            streams,
            part,
            // A single stream has nothing to warm up for.
            warm_up: match streams {
                1 => 0,
                _ => warm_up(model.config()),
            },
            time_steps,
            losses: device.tensor("losses of several windows", rows, 1)?,
        })
    }

    /// The number of streams.
    pub fn streams(&self) -> usize {
        self.streams
    }

    /// Whether other processes read some of the streams.
    pub(crate) fn is_part(&self) -> bool {
        self.part.len() < self.streams
    }

    /// The tokens that the streams of this process predict.
    pub(crate) fn positions(&self, tokens: &Tokens) -> Range<usize> {
        self.streams_of(tokens).predicted_positions()
    }

    /// The streams of a text that this process reads.
    fn streams_of<'a>(&self, tokens: &'a Tokens) -> Streams<'a> {
        Streams::overlapping(tokens, self.streams, self.warm_up, self.time_steps)
            .part(self.part.clone())
    }

    /// Evaluates `model` on a text, which starts from the initial state after a boundary token.
    ///
    /// # Errors
    /// If the device fails, no token can be predicted, or the losses are not finite.
    pub fn evaluate(
        &self,
        device: &mut Device,
        model: &Model,
        tokens: &Tokens,
    ) -> Result<Evaluation> {
        let nats = self.sum_of_losses(device, model, tokens)?;
        Evaluation::new(nats, tokens.known(), tokens.len() - tokens.known())
    }

    /// The sum of the losses of all tokens, in nats. It is not finite where a loss is not.
    pub(crate) fn sum_of_losses(
        &self,
        device: &mut Device,
        model: &Model,
        tokens: &Tokens,
    ) -> Result<f64> {
        let mut nats = 0.0;
        self.for_each_window(device, model, tokens, &mut |losses| {
            nats += losses.iter().map(|&(_, loss)| loss).sum::<f64>();
        })?;
        Ok(nats)
    }

    /// The loss of each token in nats; 0 for unknown words.
    ///
    /// # Errors
    /// If the device fails.
    pub(crate) fn losses(
        &self,
        device: &mut Device,
        model: &Model,
        tokens: &Tokens,
    ) -> Result<Vec<f64>> {
        let mut losses = vec![0.0; tokens.len()];
        self.for_each_window(device, model, tokens, &mut |window| {
            for &(position, loss) in window {
                losses[position] = loss;
            }
        })?;
        Ok(losses)
    }

    /// Calls `take` for every window with the positions and the losses of the tokens it predicts.
    fn for_each_window(
        &self,
        device: &mut Device,
        model: &Model,
        tokens: &Tokens,
        take: &mut TakeLosses<'_>,
    ) -> Result<()> {
        device.install(|device| {
            self.workspace.reset(device);
            let mut loader = DataLoader::new(device, self.streams_of(tokens), Mode::Eval)?;
            let mut evaluated = Vec::with_capacity(WINDOWS_IN_DOWNLOAD);
            for index in 0..loader.streams().windows() {
                activity::advanced();
                let first_step = loader.streams().window_start(index);
                let (window, _) = loader.window(device, &self.workspace, index, 0)?;
                let losses = self.evaluate_window(device, model, &window, evaluated.len());
                evaluated.push(Evaluated { first_step, losses });
                if evaluated.len() == WINDOWS_IN_DOWNLOAD {
                    self.download(device, loader.streams(), &mut evaluated, take)?;
                }
            }
            self.download(device, loader.streams(), &mut evaluated, take)?;
            loader.release(device);
            Ok(())
        })
    }

    /// Computes the losses of a window, and keeps them on the device behind those of the `kept`
    /// windows before.
    fn evaluate_window(
        &self,
        device: &mut Device,
        model: &Model,
        window: &Window,
        kept: usize,
    ) -> Tensor {
        model.forward(device, &self.workspace, window);
        model.losses(device, &self.workspace, window);
        let input = self.workspace.losses(window);
        let start = kept * self.time_steps * self.part.len();
        let output = self.losses.slice_rows(start..start + input.rows());
        device.run(&CopyValues { input, output });
        output
    }

    /// Downloads the losses of windows and empties the list.
    fn download(
        &self,
        device: &mut Device,
        streams: &Streams<'_>,
        evaluated: &mut Vec<Evaluated>,
        take: &mut TakeLosses<'_>,
    ) -> Result<()> {
        let Some(last) = evaluated.last() else {
            return Ok(());
        };
        let full = (evaluated.len() - 1) * self.time_steps * self.part.len();
        let losses = device.download(&self.losses.slice_rows(0..full + last.losses.rows()))?;
        let windows = losses.chunks(self.time_steps * self.part.len());
        for (window, losses) in evaluated.drain(..).zip(windows) {
            let predicted = losses.iter().enumerate().filter_map(|(row, &loss)| {
                let (stream, step) = (row % self.part.len(), row / self.part.len());
                let position = streams.predicted_position(stream, window.first_step + step)?;
                Some((position, f64::from(loss)))
            });
            take(&predicted.collect::<Vec<_>>());
        }
        Ok(())
    }
}
