//! A network as a component: it reads with one stream, and may go on learning (Mikolov 2010's dynamic models) or remember (a continuous
//! cache).

use std::collections::VecDeque;
use std::ops::Range;

use super::cache::{Cache, CacheOptions};
use super::{Component, RUN};
use crate::corpus::{Streams, Tokens};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::feed::{Feed, Purpose};
use crate::kernels::{Clip, Reduce, Reduction, Sgd};
use crate::model::{Capacity, Model, Window, Workspace};
use crate::tensor::{NONE, Tensor};

/// How a model goes on learning from what it reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dynamic {
    /// The learning rate of plain gradient descent on the sum over a window's tokens.
    pub rate: f32,
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
            return Err(Error::usage(format!("--dynamic {}", self.rate), rule, "0.1 is rnnlm's for sigmoid units; begin lower for others"));
        }
        if !(1..=RUN).contains(&self.window) {
            let rule = format!("it must be from 1 to {RUN} tokens");
            return Err(Error::usage(format!("--dynamic-window {}", self.window), rule, "5 to 20 are usual"));
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
    feed: Feed<'a>,
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
}

impl<'a> Network<'a> {
    /// Makes room for a text and begins it.
    ///
    /// # Errors
    /// If something is too large for the device.
    pub fn new(device: &mut Device, model: &'a Model, tokens: &'a Tokens, options: NetworkOptions) -> Result<Self> {
        let time_steps = options.dynamic.map_or(RUN, |dynamic| dynamic.window);
        let training = options.dynamic.is_some();
        let capacity = Capacity { batch: 1, time_steps, training, independent: options.independent, ..Capacity::default() };
        let workspace = Workspace::new(device, model, capacity)?;
        let purpose = if training { Purpose::Training { history: 0 } } else { Purpose::Reading };
        let feed = Feed::new(device, Streams::single(tokens, time_steps), purpose)?;
        let learner = match options.dynamic {
            None => None,
            Some(dynamic) => Some(Learner {
                rate: dynamic.rate,
                squares: device.tensor("squares of gradients", model.parameters().tensors().len(), 1)?,
                partial: device.tensor("partial sums", 1, Reduce::PARTIAL_SUMS)?,
                scale: device.tensor_from("scale of gradients", 1, 1, &[1.0])?,
            }),
        };
        let cache = options.cache.map(Cache::new);
        Ok(Self { model, workspace, feed, window: 0, ready: VecDeque::new(), cache, learner })
    }

    /// Reads the next window.
    fn advance(&mut self, device: &mut Device) -> Result<()> {
        let (window, _) = self.feed.window(device, self.window);
        let words = self.feed.words(self.window, 0);
        let window = Window { plan: self.workspace.plan(device, &words), ..window };
        self.window += 1;
        self.model.forward(device, &self.workspace, &window);
        self.model.losses(device, &self.workspace, &window);
        let losses = device.download(&self.workspace.losses(&window))?;
        let mut found: Vec<f64> = losses.iter().map(|&loss| -f64::from(loss)).collect();
        if let Some(cache) = &mut self.cache {
            let states = device.download(&self.workspace.states(&window))?;
            cache.mix(&states, &words.targets, &mut found);
        }
        self.ready.extend(found);
        if let Some(learner) = &self.learner
            && words.targets.iter().any(|&target| target != NONE)
        {
            learner.learn(device, self.model, &self.workspace, &window);
        }
        Ok(())
    }
}

impl Learner {
    /// A step of gradient descent on what was just read.
    fn learn(&self, device: &mut Device, model: &Model, workspace: &Workspace, window: &Window) {
        model.backward(device, workspace, window, 1.0);
        let gradients = workspace.gradients(window);
        for (number, gradient) in gradients.iter().enumerate() {
            let (values, output) = (gradient.values(), self.squares.element(number));
            device.run(&Reduce { reduction: Reduction::SumOfSquares, values, partial: self.partial, output });
        }
        device.run(&Clip { squares: self.squares, maximum: LARGEST_NORM, scale: self.scale });
        for (&parameter, &gradient) in model.parameters().tensors().iter().zip(&gradients) {
            device.run(&Sgd { parameter, gradient, scale: self.scale, rate: self.rate });
        }
        device.submit();
    }
}

impl Component for Network<'_> {
    fn read(&mut self, device: &mut Device, _tokens: &Tokens, run: Range<usize>) -> Result<Vec<f64>> {
        while self.ready.len() < run.len() {
            self.advance(device)?;
        }
        Ok(self.ready.drain(..run.len()).collect())
    }
}
