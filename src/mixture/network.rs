//! A network as a component: it reads with one stream, and may go on learning (Mikolov 2010's
//! dynamic models) or remember (a continuous cache).

use std::collections::VecDeque;
use std::ops::Range;

use super::cache::{Cache, CacheOptions};
use super::{Component, RUN};
use crate::corpus::{Streams, Tokens};
use crate::data_loader::{DataLoader, Mode};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::{
    Adagrad, AddSquares, Average, ClipGradNorm, CopyValues, PARTIAL_SUMS, Sgd, SumOfSquares,
};
use crate::model::{Capacity, Model, Window, Workspace};
use crate::tensor::Tensor;

/// How a model goes on learning from what it reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dynamic {
    /// The learning rate of gradient descent on the sum over a window's tokens: plain, or where
    /// there are statistics in units of each number's root mean square of gradients.
    pub rate: f32,
    /// How far, after every step, weights go back to what they were: 0 not at all, 1 all the way.
    pub decay: f32,
    /// Tokens of a window, after which the model learns; gradients flow back through as many.
    pub window: usize,
}

/// The largest norm of a gradient that is learnt from: a text's oddity must not undo a model.
const LARGEST_NORM: f32 = 5.0;

impl Dynamic {
    /// Checks the ranges.
    ///
    /// # Errors
    /// If a number is outside its range.
    pub fn validate(&self) -> Result<()> {
        if !(self.rate.is_finite() && self.rate > 0.0) {
            let rule = "a learning rate must be a positive number";
            return Err(Error::usage(
                format!("--dynamic {}", self.rate),
                rule,
                "0.1 is rnnlm's for sigmoid units; begin lower for others",
            ));
        }
        if !(0.0..=1.0).contains(&self.decay) {
            let rule = "it must be from 0 to 1";
            return Err(Error::usage(
                format!("--dynamic-decay {}", self.decay),
                rule,
                "0 never goes back; 0.001 is a usual one",
            ));
        }
        if !(1..=RUN).contains(&self.window) {
            let rule = format!("it must be from 1 to {RUN} tokens");
            return Err(Error::usage(
                format!("--dynamic-window {}", self.window),
                rule,
                "5 to 20 are usual",
            ));
        }
        Ok(())
    }
}

/// How a network reads.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct NetworkOptions {
    /// Whether every sentence begins with the initial state.
    pub independent: bool,
    /// Whether and how it goes on learning.
    pub dynamic: Option<Dynamic>,
    /// Whether and what it remembers.
    pub cache: Option<CacheOptions>,
}

/// A network that reads a text. Where it goes on learning, the model is another one afterwards.
#[derive(Debug)]
pub struct Network<'a> {
    model: &'a Model,
    workspace: Workspace,
    loader: DataLoader<'a>,
    /// The number of the next window.
    window: usize,
    /// ln P of tokens that were read and not asked for yet.
    ready: VecDeque<f64>,
    cache: Option<Cache>,
    learner: Option<Learner>,
}

/// What learning needs.
#[derive(Debug)]
struct Learner {
    rate: f32,
    /// `[parameters, 1]`: the gradients' sums of squares.
    squares: Tensor,
    partial: Tensor,
    scale: Tensor,
    /// Sums of squared gradients over a text, a tensor for each parameter, where steps are measured
    /// by them (Krause 2018).
    statistics: Option<Vec<Tensor>>,
    /// The weights as they were, and how far every step goes back to them.
    start: Option<(Vec<Tensor>, f32)>,
}

impl<'a> Network<'a> {
    /// Makes room for a text and begins it. A dynamic model's steps are measured by its gradients
    /// on the text of `statistics`, where there is one.
    ///
    /// # Errors
    /// If something is too large for the device.
    pub fn new(
        device: &mut Device,
        model: &'a Model,
        tokens: &'a Tokens,
        options: NetworkOptions,
        statistics: Option<&Tokens>,
    ) -> Result<Self> {
        let time_steps = options.dynamic.map_or(RUN, |dynamic| dynamic.window);
        let training = options.dynamic.is_some();
        let capacity = Capacity {
            batch: 1,
            time_steps,
            training,
            independent: options.independent,
            ..Capacity::default()
        };
        let workspace = Workspace::new(device, model, capacity)?;
        let mode = if training {
            Mode::Train { history: 0 }
        } else {
            Mode::Eval
        };
        let loader = DataLoader::new(device, Streams::single(tokens, time_steps), mode)?;
        let learner = match options.dynamic {
            None => None,
            Some(dynamic) => Some(Learner::new(
                device, model, &workspace, dynamic, statistics,
            )?),
        };
        let cache = options.cache.map(Cache::new);
        Ok(Self {
            model,
            workspace,
            loader,
            window: 0,
            ready: VecDeque::new(),
            cache,
            learner,
        })
    }

    /// Reads the next window.
    fn advance(&mut self, device: &mut Device) -> Result<()> {
        let number = self.window;
        self.window += 1;
        let (window, predicted) = self.loader.window(device, &self.workspace, number, 0);
        self.model.forward(device, &self.workspace, &window);
        self.model.losses(device, &self.workspace, &window);
        let losses = device.download(&self.workspace.losses(&window))?;
        let mut found: Vec<f64> = losses.iter().map(|&loss| -f64::from(loss)).collect();
        if let Some(cache) = &mut self.cache {
            let states = device.download(&self.workspace.states(&window))?;
            cache.mix(&states, &self.loader.words(number, 0).targets, &mut found);
        }
        self.ready.extend(found);
        if let Some(learner) = &self.learner
            && predicted > 0
        {
            learner.learn(device, self.model, &self.workspace, &window);
        }
        Ok(())
    }
}

impl Learner {
    fn new(
        device: &mut Device,
        model: &Model,
        workspace: &Workspace,
        dynamic: Dynamic,
        statistics: Option<&Tokens>,
    ) -> Result<Self> {
        let parameters = model.parameters();
        let mut like_parameters = |what: &str| -> Result<Vec<Tensor>> {
            parameters
                .parameter_specs()
                .iter()
                .map(|one| one.allocate(device, &format!("{what} of {}", one.name)))
                .collect()
        };
        let sums = statistics
            .map(|_| like_parameters("squared gradients"))
            .transpose()?;
        let start = if dynamic.decay > 0.0 {
            Some((like_parameters("first weights")?, dynamic.decay))
        } else {
            None
        };
        if let Some((first, _)) = &start {
            for (&input, &output) in parameters.tensors().iter().zip(first) {
                device.run(&CopyValues { input, output });
            }
        }
        let mut learner = Self {
            rate: dynamic.rate,
            squares: device.tensor("squares of gradients", parameters.tensors().len(), 1)?,
            partial: device.tensor("partial sums", 1, PARTIAL_SUMS)?,
            scale: device.tensor_from("scale of gradients", 1, 1, &[1.0])?,
            statistics: sums,
            start,
        };
        if let Some(tokens) = statistics {
            learner.measure(device, model, workspace, tokens, dynamic.window)?;
        }
        Ok(learner)
    }

    /// Sums the squared gradients over a text. In proportion to the sum over its windows, steps are
    /// in units of the root of the mean: what is still to be read adds little to it.
    fn measure(
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
        for number in 0..windows {
            let (window, _) = loader.window(device, workspace, number, 0);
            model.forward(device, workspace, &window);
            model.backward(device, workspace, &window, 1.0);
            let gradients = workspace.gradients(&window);
            for (&output, input) in sums.iter().zip(gradients) {
                device.run(&AddSquares { input, output });
            }
            device.submit();
        }
        loader.release(device);
        self.rate *= (windows.max(1) as f32).sqrt();
        workspace.reset(device);
        Ok(())
    }

    /// A step of gradient descent on what was just read.
    fn learn(&self, device: &mut Device, model: &Model, workspace: &Workspace, window: &Window) {
        model.backward(device, workspace, window, 1.0);
        let gradients = workspace.gradients(window);
        for (number, gradient) in gradients.iter().enumerate() {
            let (values, output) = (gradient.values(), self.squares.element(number));
            device.run(&SumOfSquares {
                values,
                partial: self.partial,
                output,
            });
        }
        device.run(&ClipGradNorm {
            squares: self.squares,
            maximum: LARGEST_NORM,
            scale: self.scale,
        });
        let (scale, rate) = (self.scale, self.rate);
        for (number, (&parameter, &gradient)) in model
            .parameters()
            .tensors()
            .iter()
            .zip(&gradients)
            .enumerate()
        {
            match &self.statistics {
                Some(squares) => device.run(&Adagrad {
                    parameter,
                    squares: squares[number],
                    gradient,
                    scale,
                    rate,
                }),
                None => device.run(&Sgd {
                    parameter,
                    gradient,
                    scale,
                    rate,
                }),
            }
            if let Some((start, decay)) = &self.start {
                device.run(&Average {
                    average: parameter,
                    values: start[number],
                    weight: *decay,
                });
            }
        }
        device.submit();
    }
}

impl Component for Network<'_> {
    fn read(
        &mut self,
        device: &mut Device,
        _tokens: &Tokens,
        run: Range<usize>,
    ) -> Result<Vec<f64>> {
        while self.ready.len() < run.len() {
            self.advance(device)?;
        }
        Ok(self.ready.drain(..run.len()).collect())
    }
}
