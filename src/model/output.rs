//! The interface of output layers.
//!
//! An output layer computes the distribution over the next word from hidden states. The interface
//! has the loss of given words, its gradient, and the whole distribution, but no logits, so that a
//! layer need not compute a logit for every word. Before a window is processed, a layer may inspect
//! its words on the host and plan: which rows of a table they touch, and in which order. The table
//! of output layers is [`OUTPUTS`](super::OUTPUTS).

use std::fmt::Debug;
use std::ops::Range;

use super::config::Config;
use super::layer::LayerContext;
use super::parameter_spec::{ParameterId, ParameterSpec};
use super::parameters::Parameters;
use super::plan::{OutputPlan, WindowWords};
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{Gradient, SparseRows};
use crate::tensor::Tensor;

/// Hidden states, the words that follow them, and where the losses go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Predictions {
    /// `[rows, H]`.
    pub(super) hidden: Tensor,
    /// `rows` tokens; [`NONE`](crate::tensor::NONE) is not predicted.
    pub(super) targets: Tensor<u32>,
    /// `rows` values, overwritten: -ln P(target), 0 where there is no target.
    pub(super) losses: Tensor,
    /// The layer's plan for these targets.
    pub(super) plan: OutputPlan,
    /// The index of the window's dropout masks.
    pub(super) draw: u32,
}

impl Predictions {
    /// The predictions of some of the rows.
    pub(super) fn slice_rows(&self, rows: Range<usize>) -> Self {
        let targets = self.targets.reshape(self.targets.len(), 1);
        let losses = self.losses.reshape(self.losses.len(), 1);
        Self {
            hidden: self.hidden.slice_rows(rows.clone()),
            targets: targets.slice_rows(rows.clone()),
            losses: losses.slice_rows(rows),
            plan: self.plan,
            draw: self.draw,
        }
    }
}

/// The last layer, with its scratch memory.
pub(super) trait OutputLayer: Debug + Send + Sync {
    /// Inspects a window's words before the window is processed, and uploads what the layer needs
    /// of them.
    fn plan(&self, _device: &mut Device, _words: &WindowWords<'_>) -> OutputPlan {
        OutputPlan::default()
    }

    /// If the gradient of this parameter consists of rows: the largest number of rows that a window
    /// touches, at least 1.
    fn max_touched_rows(&self, _id: ParameterId) -> Option<usize> {
        None
    }

    /// If the gradient of this parameter consists of rows: those that a planned window touches,
    /// each once.
    fn touched_rows(&self, _id: ParameterId, _plan: OutputPlan) -> Option<SparseRows> {
        None
    }

    /// Computes the loss of every target.
    fn losses(&self, device: &mut Device, parameters: &Parameters, predictions: Predictions);

    /// Computes the loss of every target. The gradient of `scale` times their sum overwrites
    /// `hidden_gradient`, `[rows, H]`, and the entries of the layer's parameters in `gradients`.
    fn losses_and_gradient(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        predictions: Predictions,
        scale: f32,
        hidden_gradient: Tensor,
        gradients: &[Gradient],
    );

    /// ln P of every word after each of the hidden states `[rows, H]`: rows * V values. `words` has
    /// the words before.
    ///
    /// # Errors
    /// If the device failed.
    fn distribution(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        hidden: Tensor,
        words: &WindowWords<'_>,
    ) -> Result<Vec<f32>>;

    /// Draws a word after each of the hidden states. `uniform` has a random value in [0, 1) for
    /// each.
    ///
    /// # Errors
    /// If the device failed.
    fn draw(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        hidden: Tensor,
        words: &WindowWords<'_>,
        uniform: &[f64],
    ) -> Result<Vec<u32>> {
        let all = self.distribution(device, parameters, hidden, words)?;
        let vocabulary = all.len() / uniform.len().max(1);
        let rows = all.chunks_exact(vocabulary).zip(uniform);
        Ok(rows
            .map(|(row, &uniform)| {
                let probabilities = row.iter().map(|&log| f64::from(log).exp());
                draw_index(probabilities, uniform).0 as u32
            })
            .collect())
    }
}

/// Draws an index from a distribution whose probabilities sum to about 1, and returns it with where
/// `uniform` falls within its probability, from 0 to below 1, which is again uniformly distributed.
pub(super) fn draw_index(probabilities: impl Iterator<Item = f64>, uniform: f64) -> (usize, f64) {
    let mut rest = uniform;
    let mut last = (0, 0.0);
    for (index, probability) in probabilities.enumerate() {
        if probability > 0.0 {
            if rest < probability {
                return (index, rest / probability);
            }
            last = (index, 0.5);
        }
        rest -= probability;
    }
    // The sum may be less than `uniform` by rounding.
    last
}

/// Allocates an output layer's scratch memory for the context's capacity. `counts` has the number
/// of occurrences of each word in the training text; it is empty if unknown.
pub(super) type NewOutput =
    fn(&mut LayerContext<'_>, counts: &[u64]) -> Result<Box<dyn OutputLayer>>;

/// A row of the table of output layers.
#[derive(Debug)]
pub struct OutputKind {
    /// The name in flags and files.
    pub name: &'static str,
    /// A description for help texts. Fields of configurations are in backticks.
    pub description: &'static str,
    /// Whether it needs [`Config::classes`].
    pub has_classes: bool,
    /// Whether it needs [`Config::clusters`].
    pub has_clusters: bool,
    /// Whether it needs [`Config::noise`].
    pub has_noise: bool,
    /// Whether it can have direct connections, [`Config::direct_size`].
    pub supports_direct: bool,
    /// Whether its weight can be the embedding, [`Config::tied`].
    pub supports_tied: bool,
    /// Whether it can be a mixture, [`Config::mixture`].
    pub supports_mixture: bool,
    /// Whether training can be regularized by decoding the past, [`Config::past_decode`].
    pub supports_past_decode: bool,
    /// Whether its parameters are those of a full softmax, or of a mixture of them.
    pub is_full_softmax: bool,
    /// Its parameters, in the order of the file.
    pub(super) parameter_specs: fn(&Config) -> Vec<ParameterSpec>,
    /// Allocates its scratch memory.
    pub(super) new: NewOutput,
}
