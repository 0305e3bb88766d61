//! Dynamic evaluation: a model keeps learning from the text that it reads (Mikolov et al. 2010;
//! Krause et al. 2018).
//!
//! In: the windows of a text, after each has been evaluated. Out: one gradient step per window.

use super::CHUNK;
use crate::activity::Activity;
use crate::corpus::{Streams, Tokens};
use crate::data_loader::{DataLoader, Mode};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::{
    Adagrad, AddSquares, Average, ClipGradNorm, CopyValues, Gradient, PARTIAL_SUMS, Sgd, Summand,
    Sums, Updates,
};
use crate::model::{Model, Window, Workspace};
use crate::tensor::Tensor;

/// Options of dynamic evaluation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DynamicOptions {
    /// The learning rate of gradient descent on the sum of the losses of a window. With gradient
    /// statistics, it is in units of each parameter element's root mean square gradient.
    pub rate: f32,
    /// The fraction by which each step moves the parameters back to their initial values: 0 for not
    /// at all, 1 for all the way.
    pub decay: f32,
    /// Tokens per window. The model learns after each window, and gradients are propagated through
    /// one window.
    pub window: usize,
}

/// Maximum norm of a gradient, so that an unusual passage does not ruin the model.
const MAX_GRAD_NORM: f32 = 5.0;

impl DynamicOptions {
    /// Checks the ranges of the options.
    ///
    /// # Errors
    /// If an option is out of range.
    pub fn validate(&self) -> Result<()> {
        if !(self.rate.is_finite() && self.rate > 0.0) {
            return Err(Error::config(
                "dynamic",
                self.rate,
                "a learning rate must be a positive number",
                "rnnlm uses 0.1 for sigmoid units; start with a lower value for others",
            ));
        }
        if !(0.0..=1.0).contains(&self.decay) {
            return Err(Error::config(
                "dynamic_decay",
                self.decay,
                "it must be from 0 to 1",
                "0 disables decay; 0.001 is a common value",
            ));
        }
        if !(1..=CHUNK).contains(&self.window) {
            return Err(Error::config(
                "dynamic_window",
                self.window,
                format!("it must be from 1 to {CHUNK} tokens"),
                "5 to 20 are common values",
            ));
        }
        Ok(())
    }
}

/// The state of dynamic evaluation.
#[derive(Debug)]
pub(super) struct DynamicLearner {
    rate: f32,
    /// `[parameters, 1]`: the sum of squares of each gradient.
    squares: Tensor,
    partial: Tensor,
    scale: Tensor,
    /// Sums of squared gradients over the statistics text, one tensor per parameter, by which steps
    /// are scaled (Krause et al. 2018).
    statistics: Option<Vec<Tensor>>,
    /// The decay to the initial parameters, if any.
    decay: Option<Decay>,
}

/// Moves the parameters back to their initial values after every step.
#[derive(Debug)]
struct Decay {
    initial: Vec<Tensor>,
    fraction: f32,
}

impl DynamicLearner {
    /// Allocates the tensors, and collects gradient statistics over `statistics` if it is given.
    ///
    /// # Errors
    /// If a tensor is too large for the device.
    pub(super) fn new(
        device: &mut Device,
        model: &Model,
        workspace: &Workspace,
        options: DynamicOptions,
        statistics: Option<&Tokens>,
    ) -> Result<Self> {
        let parameters = model.parameters();
        let sums = statistics
            .map(|_| allocate_like(device, model, "squared gradients"))
            .transpose()?;
        let decay = if options.decay > 0.0 {
            Some(Decay {
                initial: allocate_like(device, model, "first weights")?,
                fraction: options.decay,
            })
        } else {
            None
        };
        if let Some(decay) = &decay {
            for (&input, &output) in parameters.tensors().iter().zip(&decay.initial) {
                device.run(&CopyValues { input, output });
            }
        }
        let mut learner = Self {
            rate: options.rate,
            squares: device.tensor("squares of gradients", parameters.tensors().len(), 1)?,
            partial: device.tensor("partial sums", parameters.tensors().len(), PARTIAL_SUMS)?,
            scale: device.tensor_from("scale of gradients", 1, 1, &[1.0])?,
            statistics: sums,
            decay,
        };
        if let Some(tokens) = statistics {
            learner.collect_statistics(device, model, workspace, tokens, options.window)?;
        }
        Ok(learner)
    }

    /// Sums the squared gradients over a text. The learning rate is multiplied by the square root
    /// of the number of windows, so that steps are in units of the root mean square gradient. The
    /// gradients of the text that is evaluated later change these sums only slightly.
    fn collect_statistics(
        &mut self,
        device: &mut Device,
        model: &Model,
        workspace: &Workspace,
        tokens: &Tokens,
        time_steps: usize,
    ) -> Result<()> {
        let Some(sums) = &self.statistics else {
            return Ok(());
        };
        let mut loader = DataLoader::new(
            device,
            Streams::single(tokens, time_steps),
            Mode::Train { history: 0 },
        )?;
        let windows = loader.streams().windows();
        let activity = Activity::start("collecting statistics of gradients", Some(windows as u64));
        for index in 0..windows {
            let (window, _) = loader.window(device, workspace, index, 0)?;
            model.forward(device, workspace, &window);
            model.backward(device, workspace, &window, 1.0);
            let gradients = workspace.gradients(&window);
            for (&output, input) in sums.iter().zip(gradients) {
                device.run(&AddSquares { input, output });
            }
            device.submit();
            activity.advance(1);
        }
        loader.release(device);
        self.rate *= (windows.max(1) as f32).sqrt();
        workspace.reset(device);
        Ok(())
    }

    /// Takes one step of gradient descent on the window that was just evaluated.
    pub(super) fn step(
        &self,
        device: &mut Device,
        model: &Model,
        workspace: &Workspace,
        window: &Window,
    ) {
        model.backward(device, workspace, window, 1.0);
        let gradients = workspace.gradients(window);
        device.run(&Sums {
            summands: &Summand::squares(&gradients).collect::<Vec<_>>(),
            partial: self.partial,
            output: self.squares,
            clip: Some(ClipGradNorm {
                maximum: MAX_GRAD_NORM,
                scale: self.scale,
            }),
        });
        let parameters = model.parameters().tensors();
        self.update(device, parameters, &gradients);
        if let Some(decay) = &self.decay {
            for (&average, &values) in parameters.iter().zip(&decay.initial) {
                device.run(&Average {
                    average,
                    values,
                    weight: decay.fraction,
                });
            }
        }
        device.submit();
    }

    /// Updates the parameters: by SGD, or scaled by the statistics if there are any.
    fn update(&self, device: &mut Device, parameters: &[Tensor], gradients: &[Gradient]) {
        let Self { scale, rate, .. } = *self;
        let pairs = parameters.iter().zip(gradients);
        match &self.statistics {
            Some(squares) => {
                let updates = pairs.zip(squares);
                let updates = updates.map(|((&parameter, &gradient), &squares)| Adagrad {
                    parameter,
                    squares,
                    gradient,
                    scale,
                    rate,
                });
                device.run(&Updates(&updates.collect::<Vec<_>>()));
            }
            None => {
                let updates = pairs.map(|(&parameter, &gradient)| Sgd {
                    parameter,
                    gradient,
                    scale,
                    rate,
                });
                device.run(&Updates(&updates.collect::<Vec<_>>()));
            }
        }
    }
}

/// Allocates a tensor of the same shape for each parameter of a model.
fn allocate_like(device: &mut Device, model: &Model, what: &str) -> Result<Vec<Tensor>> {
    model
        .parameters()
        .specs()
        .iter()
        .map(|spec| spec.allocate(device, &format!("{what} of {}", spec.name)))
        .collect()
}
