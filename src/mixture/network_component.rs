//! A network as a [`Component`]. It reads the text as one stream, optionally with dynamic
//! evaluation and a continuous cache, or as several streams at once.

use std::collections::VecDeque;
use std::ops::Range;

use super::cache::{Cache, CacheOptions};
use super::dynamic::{DynamicLearner, DynamicOptions};
use super::{CHUNK, Component};
use crate::corpus::{Streams, Tokens};
use crate::data_loader::{DataLoader, Mode};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::evaluate::{Evaluator, check_streams};
use crate::model::{Capacity, Model, Workspace};

/// How a network evaluates a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NetworkOptions {
    /// Whether every sentence starts from the initial state.
    pub independent: bool,
    /// Dynamic evaluation, if enabled.
    pub dynamic: Option<DynamicOptions>,
    /// The continuous cache, if enabled.
    pub cache: Option<CacheOptions>,
    /// Number of streams that read the text at once; see [`Evaluator`]. With dynamic evaluation or
    /// a cache, it must be 1.
    pub streams: usize,
}

impl Default for NetworkOptions {
    /// One stream, from sentence to sentence, without adaptation.
    fn default() -> Self {
        Self {
            independent: false,
            dynamic: None,
            cache: None,
            streams: 1,
        }
    }
}

impl NetworkOptions {
    /// Checks that the options fit each other.
    ///
    /// # Errors
    /// If several streams are to adapt to the text, or there is none.
    pub fn validate(&self) -> Result<()> {
        for (field, is_given) in [
            ("dynamic", self.dynamic.is_some()),
            ("cache", self.cache.is_some()),
        ] {
            if is_given && self.streams != 1 {
                return Err(Error::config(
                    "streams",
                    self.streams,
                    format!("with `{field}`, a token depends on all tokens before it"),
                    "Use 1",
                ));
            }
        }
        check_streams(self.streams, usize::MAX)
    }
}

/// A network that evaluates a text. Dynamic evaluation changes the parameters of the model.
#[derive(Debug)]
pub struct NetworkComponent<'a> {
    model: &'a Model,
    reader: NetworkReader<'a>,
    /// ln P of tokens that were evaluated but not yet returned.
    evaluated: VecDeque<f64>,
}

/// How the text is read.
#[derive(Debug)]
enum NetworkReader<'a> {
    /// Window after window.
    OneStream(Box<OneStream<'a>>),
    /// All at once, because the streams end together.
    SeveralStreams(Box<Evaluator>),
}

/// The text as one stream.
#[derive(Debug)]
struct OneStream<'a> {
    workspace: Workspace,
    loader: DataLoader<'a>,
    /// The index of the next window.
    window: usize,
    cache: Option<Cache>,
    learner: Option<DynamicLearner>,
}

impl<'a> NetworkComponent<'a> {
    /// Prepares to evaluate a text from its start. If `statistics` is given, dynamic evaluation
    /// scales its steps by the model's gradients on that text.
    ///
    /// # Errors
    /// If the number of streams does not fit the text or the other options, the model is to adapt
    /// and its output layer is trained on samples, or a tensor is too large for the device.
    pub fn new(
        device: &mut Device,
        model: &'a Model,
        tokens: &'a Tokens,
        options: NetworkOptions,
        statistics: Option<&Tokens>,
    ) -> Result<Self> {
        options.validate()?;
        check_streams(options.streams, tokens.len())?;
        if options.dynamic.is_some() && model.config().noise.is_some() {
            return Err(Error::config(
                "output",
                &model.config().output,
                "a network that adapts to a text needs the gradient of the full softmax",
                "Create the model with `Config::with_full_softmax`; the parameters are the same",
            ));
        }
        let reader = if options.streams == 1 {
            let stream = OneStream::new(device, model, tokens, options, statistics)?;
            NetworkReader::OneStream(Box::new(stream))
        } else {
            let evaluator = Evaluator::new(device, model, options.independent, options.streams)?;
            NetworkReader::SeveralStreams(Box::new(evaluator))
        };
        Ok(Self {
            model,
            reader,
            evaluated: VecDeque::new(),
        })
    }
}

impl<'a> OneStream<'a> {
    fn new(
        device: &mut Device,
        model: &Model,
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
            workspace,
            loader,
            window: 0,
            cache,
            learner,
        })
    }

    /// Evaluates the next window: ln P of its tokens.
    fn advance(&mut self, device: &mut Device, model: &Model) -> Result<Vec<f64>> {
        let index = self.window;
        self.window += 1;
        let (window, predicted) = self.loader.window(device, &self.workspace, index, 0)?;
        model.forward(device, &self.workspace, &window);
        model.losses(device, &self.workspace, &window);
        let losses = device.download(&self.workspace.losses(&window))?;
        let mut log_probabilities: Vec<f64> = losses.iter().map(|&loss| -f64::from(loss)).collect();
        if let Some(cache) = &mut self.cache {
            let states = device.download(&self.workspace.states(&window))?;
            let targets = self.loader.words(index, 0).targets;
            cache.mix(&states, &targets, &mut log_probabilities);
        }
        if let Some(learner) = &self.learner
            && predicted > 0
        {
            learner.step(device, model, &self.workspace, &window);
        }
        Ok(log_probabilities)
    }
}

impl Component for NetworkComponent<'_> {
    fn read(
        &mut self,
        device: &mut Device,
        tokens: &Tokens,
        chunk: Range<usize>,
    ) -> Result<Vec<f64>> {
        while self.evaluated.len() < chunk.len() {
            let log_probabilities = match &mut self.reader {
                NetworkReader::OneStream(stream) => stream.advance(device, self.model)?,
                NetworkReader::SeveralStreams(evaluator) => evaluator
                    .losses(device, self.model, tokens)?
                    .into_iter()
                    .map(|loss| -loss)
                    .collect(),
            };
            self.evaluated.extend(log_probabilities);
        }
        Ok(self.evaluated.drain(..chunk.len()).collect())
    }
}
