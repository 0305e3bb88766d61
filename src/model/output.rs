//! What an output layer is, and the table of those that exist.
//!
//! An output layer turns hidden states into the distribution over the next word. The interface asks for the loss of given words, for its
//! gradient, and for the whole distribution, never for the logits, so that layers need not have any for every word.

use std::fmt::Debug;

use super::config::Config;
use super::parameters::Parameters;
use super::softmax::Softmax;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::Gradient;
use crate::tensor::Tensor;

/// Hidden states with the words that follow them, and where the losses go.
#[derive(Debug, Clone, Copy)]
pub struct Predictions {
    /// `[rows, H]`.
    pub hidden: Tensor,
    /// `rows` tokens; [`NONE`](crate::tensor::NONE) is not predicted.
    pub targets: Tensor<u32>,
    /// `rows` numbers, overwritten: -ln P(target), 0 where there is none.
    pub losses: Tensor,
}

/// The last layer with its scratch memory.
pub trait OutputLayer: Debug {
    /// The loss of every target.
    fn losses(&self, device: &mut Device, parameters: &Parameters, predictions: Predictions);

    /// The loss of every target; the gradient of `scale` times their sum overwrites `hidden_gradient` `[rows, H]` and the layer's entries of
    /// `gradients`.
    fn losses_and_gradient(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        predictions: Predictions,
        scale: f32,
        hidden_gradient: Tensor,
        gradients: &[Gradient],
    );

    /// ln P of every word after each of the hidden states `[rows, H]`: `rows` × V numbers.
    ///
    /// # Errors
    /// If the device failed.
    fn distribution(&self, device: &mut Device, parameters: &Parameters, hidden: Tensor) -> Result<Vec<f32>>;
}

/// Allocates an output layer's scratch memory for up to `rows` hidden states. `mixed`: whether training's products are of mixed precision.
pub type AllocateOutput = fn(&mut Device, &Config, rows: usize, mixed: bool) -> Result<Box<dyn OutputLayer>>;

/// A row of the table of output layers.
#[derive(Debug)]
pub struct OutputKind {
    /// The name in flags and files.
    pub name: &'static str,
    /// What it is, for help texts.
    pub description: &'static str,
    /// Allocates its scratch memory.
    pub allocate: AllocateOutput,
}

/// Every output layer there is.
pub static OUTPUTS: &[OutputKind] = &[OutputKind {
    name: "softmax",
    description: "the full softmax over the vocabulary",
    allocate: |device, config, rows, mixed| Ok(Box::new(Softmax::new(device, config, rows, mixed)?)),
}];

/// The configuration's row of [`OUTPUTS`].
///
/// # Panics
/// If the configuration was not validated.
pub fn kind(config: &Config) -> &'static OutputKind {
    OUTPUTS.iter().find(|row| row.name == config.output).expect("a validated configuration names an output layer of the table")
}

impl Predictions {
    /// The predictions of some of the rows.
    pub(super) fn slice_rows(&self, rows: std::ops::Range<usize>) -> Self {
        let Self { hidden, targets, losses } = self;
        Self {
            hidden: hidden.slice_rows(rows.clone()),
            targets: targets.reshape(targets.len(), 1).slice_rows(rows.clone()),
            losses: losses.reshape(losses.len(), 1).slice_rows(rows),
        }
    }
}
