//! One pass of a model over a text: losses, distributions and units, window by window.
//!
//! The windows are those of `elman eval` with one stream, so the losses are the same to the bit.

use std::ops::Range;

use crate::activity::Activity;
use crate::corpus::{Streams, Tokens};
use crate::data_loader::{DataLoader, Mode};
use crate::device::Device;
use crate::error::Result;
use crate::mixture::CHUNK;
use crate::model::{Capacity, Model, Workspace};

/// The most values of the distributions of a window.
const MAX_VALUES: usize = 1 << 26;
/// About this many tokens have their distribution computed, besides those of the excerpt.
const SAMPLED_TOKENS: usize = 16 * 1024;

/// What a model computed for the tokens of a window.
pub(super) struct WindowValues<'a> {
    /// The positions of the tokens that the window's steps predict.
    pub(super) positions: Range<usize>,
    /// -ln P of each token; 0 for an unknown one.
    pub(super) losses: &'a [f32],
    /// ln P of every type at each step, `[positions, V]`; not of every window.
    pub(super) log_probs: Option<&'a [f32]>,
    /// The units of each recurrent layer at each step, `[positions, H]`: after the token before.
    pub(super) units: &'a [Vec<f32>],
}

/// How a text is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct PassOptions {
    /// Whether every sentence starts from the initial state.
    pub(super) independent: bool,
    /// The number of tokens at the start of the text that have distributions.
    pub(super) excerpt: usize,
}

/// Reads a text and calls `take` with every window.
///
/// # Errors
/// If the device fails or the model is too large for it.
pub(super) fn read(
    device: &mut Device,
    model: &Model,
    tokens: &Tokens,
    options: PassOptions,
    take: &mut (dyn FnMut(&WindowValues<'_>) + Send),
) -> Result<()> {
    let vocab_size = model.config().vocab_size;
    let time_steps = (MAX_VALUES / vocab_size).clamp(1, CHUNK);
    let capacity = Capacity {
        batch: 1,
        time_steps,
        independent: options.independent,
        ..Capacity::default()
    };
    let activity = Activity::start("reading with the model", Some(tokens.len() as u64));
    device.install(|device| {
        let workspace = Workspace::new(device, model, capacity)?;
        let mut loader = DataLoader::new(device, Streams::single(tokens, time_steps), Mode::Eval)?;
        let windows = loader.streams().windows();
        let stride = (windows * time_steps).div_ceil(SAMPLED_TOKENS).max(1);
        for index in 0..windows {
            let positions = loader.streams().steps_of_windows(index..index + 1);
            let (window, _) = loader.window(device, &workspace, index, 0)?;
            model.forward(device, &workspace, &window);
            model.losses(device, &workspace, &window);
            let losses = device.download(&workspace.losses(&window))?;
            let units = workspace.units(&window);
            let units = units.iter().map(|layer| device.download(layer));
            let units = units.collect::<Result<Vec<_>>>()?;
            let is_wanted = positions.start < options.excerpt || index % stride == 0;
            let log_probs = match is_wanted {
                true => {
                    let words = loader.words(index, 0);
                    Some(model.distribution(device, &workspace, positions.len(), &words)?)
                }
                false => None,
            };
            activity.advance(positions.len() as u64);
            take(&WindowValues {
                positions,
                losses: &losses,
                log_probs: log_probs.as_deref(),
                units: &units,
            });
        }
        loader.release(device);
        Ok(())
    })
}
