//! What an output layer is, and the table of those that exist.
//!
//! An output layer turns hidden states into the distribution over the next word. The interface asks
//! for the loss of given words, for its gradient, and for the whole distribution, never for the
//! logits, so that layers need not have any for every word. Before a window is walked a layer may
//! look at its words on the host and plan: which rows of a table they touch, and in which order.

use std::fmt::Debug;

use super::adaptive::AdaptiveSoftmax;
use super::cell::Capacity;
use super::class::ClassSoftmax;
use super::config::Config;
use super::parameters::{ParameterSpec, Parameters};
use super::plan::{OutputPlan, WindowWords};
use super::sampled::Sampled;
use super::softmax::Softmax;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{Gradient, Rows};
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
    /// What the layer planned for these targets.
    pub plan: OutputPlan,
}

/// The last layer with its scratch memory.
pub trait OutputLayer: Debug + Send + Sync {
    /// Looks at a window's words before it is walked, and uploads what the layer needs of them.
    fn plan(&self, _device: &mut Device, _words: &WindowWords<'_>) -> OutputPlan {
        OutputPlan::default()
    }

    /// The most rows that a window touches of the parameter called `name`, where its gradient is
    /// one of rows: at least 1.
    fn most_rows(&self, _name: &str) -> Option<usize> {
        None
    }

    /// The rows that a planned window touches of the parameter called `name`, where its gradient is
    /// one of rows, each once.
    fn touched_rows(&self, _name: &str, _plan: OutputPlan) -> Option<Rows> {
        None
    }

    /// The loss of every target.
    fn losses(&self, device: &mut Device, parameters: &Parameters, predictions: Predictions);

    /// The loss of every target; the gradient of `scale` times their sum overwrites
    /// `hidden_gradient` `[rows, H]` and the layer's entries of `gradients`.
    fn losses_and_gradient(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        predictions: Predictions,
        scale: f32,
        hidden_gradient: Tensor,
        gradients: &[Gradient],
    );

    /// ln P of every word after each of the hidden states `[rows, H]`: `rows` × V numbers. `words`
    /// says what came before.
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

    /// A word after each of the hidden states, drawn from its distribution with a number of
    /// `uniform`, from 0 to below 1, for each.
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
        let rows = all
            .chunks_exact(all.len() / uniform.len().max(1))
            .zip(uniform);
        Ok(rows
            .map(|(row, &uniform)| {
                draw_from(row.iter().map(|&log| f64::from(log).exp()), uniform).0 as u32
            })
            .collect())
    }
}

/// Draws from probabilities, or numbers in their proportion whose sum is 1 about: the place drawn,
/// and where in its share the number fell, from 0 to below 1, which is as random as the number was.
pub(super) fn draw_from(probabilities: impl Iterator<Item = f64>, uniform: f64) -> (usize, f64) {
    let (mut rest, mut last) = (uniform, (0, 0.0));
    for (place, probability) in probabilities.enumerate() {
        if probability > 0.0 {
            if rest < probability {
                return (place, rest / probability);
            }
            last = (place, 0.5);
        }
        rest -= probability;
    }
    // Rounding may leave a little over.
    last
}

/// Allocates an output layer's scratch memory for up to `rows` hidden states. `counts` says how
/// often each word occurs in what is trained on; it is empty where nobody knows.
pub type AllocateOutput =
    fn(&mut Device, &Config, rows: usize, Capacity, counts: &[u64]) -> Result<Box<dyn OutputLayer>>;

/// A row of the table of output layers.
#[derive(Debug)]
pub struct OutputKind {
    /// The name in flags and files.
    pub name: &'static str,
    /// What it is, for help texts.
    pub description: &'static str,
    /// Its parameters, in the order of the file.
    pub parameter_specs: fn(&Config) -> Vec<ParameterSpec>,
    /// Allocates its scratch memory.
    pub allocate: AllocateOutput,
}

/// Every output layer there is.
pub static OUTPUTS: &[OutputKind] = &[
    OutputKind {
        name: "softmax",
        description: "the full softmax over the vocabulary",
        parameter_specs: Softmax::parameter_specs,
        allocate: |device, config, rows, capacity, _| {
            Ok(Box::new(Softmax::new(
                device,
                config,
                rows,
                capacity.mixed,
            )?))
        },
    },
    OutputKind {
        name: "class",
        description: "a softmax over classes of words and one over the words of a class (Goodman \
            2001, Mikolov 2011)",
        parameter_specs: ClassSoftmax::parameter_specs,
        allocate: |device, config, rows, capacity, _| {
            Ok(Box::new(ClassSoftmax::new(device, config, rows, capacity)?))
        },
    },
    OutputKind {
        name: "adaptive",
        description: "a softmax over frequent words and clusters, and in a cluster one that sees \
            less of the state the rarer its words are \
                      (Grave 2017): exact, and made for vocabularies of many thousands",
        parameter_specs: AdaptiveSoftmax::parameter_specs,
        allocate: |device, config, rows, capacity, _| {
            Ok(Box::new(AdaptiveSoftmax::new(
                device, config, rows, capacity,
            )?))
        },
    },
    OutputKind {
        name: "sampled",
        description: "the full softmax, trained on each window's words and a sample of the others \
            (Jean 2015, Mnih and Teh 2012). With \
                      --optimizer sgd or adagrad a window costs the same whatever the vocabulary's \
                      size; the other optimizers, --l2, \
                      --accumulate and --average walk all of its weights. The training loss is the \
                      sample's and compares with nothing; \
                      validation is of the full softmax",
        parameter_specs: Sampled::parameter_specs,
        allocate: |device, config, rows, capacity, counts| match capacity.training {
            true => Ok(Box::new(Sampled::new(
                device, config, rows, capacity, counts,
            )?)),
            false => Ok(Box::new(Softmax::new(
                device,
                config,
                rows,
                capacity.mixed,
            )?)),
        },
    },
];

/// The configuration's row of [`OUTPUTS`].
///
/// # Panics
/// If the configuration was not validated.
pub fn kind(config: &Config) -> &'static OutputKind {
    OUTPUTS
        .iter()
        .find(|row| row.name == config.output)
        .expect("a validated configuration names an output layer of the table")
}

impl Predictions {
    /// The predictions of some of the rows.
    pub(super) fn slice_rows(&self, rows: std::ops::Range<usize>) -> Self {
        let Self {
            hidden,
            targets,
            losses,
            plan,
        } = self;
        Self {
            plan: *plan,
            hidden: hidden.slice_rows(rows.clone()),
            targets: targets.reshape(targets.len(), 1).slice_rows(rows.clone()),
            losses: losses.reshape(losses.len(), 1).slice_rows(rows),
        }
    }
}
