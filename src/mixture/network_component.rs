//! A network as a [`Component`]. It reads the text as one stream, optionally with dynamic
//! evaluation and a continuous cache.

use std::collections::VecDeque;
use std::ops::Range;

use super::cache::{Cache, CacheOptions};
use super::dynamic::{DynamicLearner, DynamicOptions};
use super::{CHUNK, Component};
use crate::corpus::{Streams, Tokens};
use crate::data_loader::{DataLoader, Mode};
use crate::device::Device;
use crate::error::Result;
use crate::model::{Capacity, Model, Workspace};

/// How a network evaluates a text.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct NetworkOptions {
    /// Whether every sentence starts from the initial state.
    pub independent: bool,
    /// Dynamic evaluation, if enabled.
    pub dynamic: Option<DynamicOptions>,
    /// The continuous cache, if enabled.
    pub cache: Option<CacheOptions>,
}

/// A network that evaluates a text. Dynamic evaluation changes the parameters of the model.
#[derive(Debug)]
pub struct NetworkComponent<'a> {
    model: &'a Model,
    workspace: Workspace,
    loader: DataLoader<'a>,
    /// The index of the next window.
    window: usize,
    /// ln P of tokens that were evaluated but not yet returned.
    evaluated: VecDeque<f64>,
    cache: Option<Cache>,
    learner: Option<DynamicLearner>,
}

impl<'a> NetworkComponent<'a> {
    /// Prepares to evaluate a text from its start. If `statistics` is given, dynamic evaluation
    /// scales its steps by the model's gradients on that text.
    ///
    /// # Errors
    /// If a tensor is too large for the device.
    pub fn new(
        device: &mut Device,
        model: &'a Model,
        tokens: &'a Tokens,
        options: NetworkOptions,
        statistics: Option<&Tokens>,
    ) -> Result<Self> {
        let time_steps = options.dynamic.map_or(CHUNK, |dynamic| dynamic.window);
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
            Some(dynamic) => Some(DynamicLearner::new(
                device, model, &workspace, dynamic, statistics,
            )?),
        };
        let cache = options.cache.map(Cache::new);
        Ok(Self {
            model,
            workspace,
            loader,
            window: 0,
            evaluated: VecDeque::new(),
            cache,
            learner,
        })
    }

    /// Evaluates the next window.
    fn advance(&mut self, device: &mut Device) -> Result<()> {
        let index = self.window;
        self.window += 1;
        let (window, predicted) = self.loader.window(device, &self.workspace, index, 0);
        self.model.forward(device, &self.workspace, &window);
        self.model.losses(device, &self.workspace, &window);
        let losses = device.download(&self.workspace.losses(&window))?;
        let mut log_probabilities: Vec<f64> = losses.iter().map(|&loss| -f64::from(loss)).collect();
        if let Some(cache) = &mut self.cache {
            let states = device.download(&self.workspace.states(&window))?;
            let targets = self.loader.words(index, 0).targets;
            cache.mix(&states, &targets, &mut log_probabilities);
        }
        self.evaluated.extend(log_probabilities);
        if let Some(learner) = &self.learner
            && predicted > 0
        {
            learner.step(device, self.model, &self.workspace, &window);
        }
        Ok(())
    }
}

impl Component for NetworkComponent<'_> {
    fn read(
        &mut self,
        device: &mut Device,
        _tokens: &Tokens,
        chunk: Range<usize>,
    ) -> Result<Vec<f64>> {
        while self.evaluated.len() < chunk.len() {
            self.advance(device)?;
        }
        Ok(self.evaluated.drain(..chunk.len()).collect())
    }
}
