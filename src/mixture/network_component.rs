//! A network as a [`Component`]. It reads the text as one stream, optionally with dynamic
//! evaluation and a continuous cache, or as several streams at once.

use std::collections::VecDeque;
use std::ops::Range;

use super::cache::{Cache, CacheOptions};
use super::dynamic::{DynamicLearner, DynamicOptions};
use super::part::TextPart;
use super::{CHUNK, Component};
use crate::activity::Activity;
use crate::corpus::{Streams, Tokens};
use crate::data_loader::{DataLoader, Mode};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::evaluate::{Evaluator, check_streams};
use crate::model::{Capacity, Model, Workspace};
use crate::parallel::Ranks;

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

    /// Whether no token depends on tokens of other sentences.
    pub fn has_independent_sentences(&self) -> bool {
        self.independent && self.dynamic.is_none() && self.cache.is_none()
    }

    /// Checks that ranks can divide a text.
    ///
    /// # Errors
    /// If each token depends on all tokens before it, or not all ranks have as many streams.
    pub fn check_ranks(&self, ranks: &Ranks) -> Result<()> {
        let count = ranks.count();
        if self.streams == 1 && !self.has_independent_sentences() && !ranks.is_alone() {
            return Err(Error::config(
                "streams",
                1,
                format!(
                    "{count} ranks cannot divide a text in which a token depends on all tokens \
                     before it"
                ),
                format!("Use `streams = {count}` or a multiple of it, or one process"),
            ));
        }
        match self.streams {
            1 => Ok(()),
            streams => ranks.streams("streams", streams).map(|_| ()),
        }
    }
}

/// A network that evaluates a text. Dynamic evaluation changes the parameters of the model.
#[derive(Debug)]
pub struct NetworkComponent<'a> {
    model: &'a Model,
    reader: NetworkReader<'a>,
    /// The tokens that are evaluated; all, unless other ranks evaluate the others.
    positions: Range<usize>,
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
    /// The number of tokens of the next windows that are read only for the state after them.
    skipped: usize,
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
        Self::of_part(
            device,
            model,
            tokens,
            (options, TextPart::Whole),
            statistics,
        )
    }

    /// The same for a part of the text: [`Component::read`] starts with the part.
    ///
    /// # Errors
    /// As [`NetworkComponent::new`].
    pub(super) fn of_part(
        device: &mut Device,
        model: &'a Model,
        tokens: &'a Tokens,
        (options, part): (NetworkOptions, TextPart),
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
        let (reader, positions) = if options.streams == 1 {
            let mut stream = OneStream::new(device, model, tokens, options, statistics)?;
            let positions = stream.start_at(tokens, part);
            (NetworkReader::OneStream(Box::new(stream)), positions)
        } else {
            let streams = (options.streams, part.range(options.streams));
            let evaluator = Evaluator::of_part(device, model, options.independent, streams)?;
            let positions = evaluator.positions(tokens);
            (
                NetworkReader::SeveralStreams(Box::new(evaluator)),
                positions,
            )
        };
        Ok(Self {
            model,
            reader,
            positions,
            evaluated: VecDeque::new(),
        })
    }

    /// ln P of each token of the part.
    ///
    /// # Errors
    /// As [`Component::read`].
    pub(super) fn read_all(mut self, device: &mut Device, tokens: &Tokens) -> Result<Vec<f64>> {
        let activity = Activity::start("evaluating", Some(self.positions.len() as u64));
        let mut all = Vec::with_capacity(self.positions.len());
        for first in self.positions.clone().step_by(CHUNK) {
            let chunk = first..(first + CHUNK).min(self.positions.end);
            activity.advance(chunk.len() as u64);
            all.extend(self.read(device, tokens, chunk)?);
        }
        Ok(all)
    }
}

/// ln P of each token of a part of a text, as the network gives it when it reads the whole text.
///
/// # Errors
/// As those of [`NetworkComponent::new`] and [`Component::read`].
pub fn read_part(
    device: &mut Device,
    model: &Model,
    tokens: &Tokens,
    options: NetworkOptions,
    statistics: Option<&Tokens>,
    part: TextPart,
) -> Result<Vec<f64>> {
    NetworkComponent::of_part(device, model, tokens, (options, part), statistics)?
        .read_all(device, tokens)
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
            skipped: 0,
            cache,
            learner,
        })
    }

    /// Starts at a part of the windows, and returns the positions of its tokens. Their first
    /// sentence may start in a window before.
    fn start_at(&mut self, tokens: &Tokens, part: TextPart) -> Range<usize> {
        let streams = self.loader.streams();
        let steps = streams.steps_of_windows(part.range(streams.windows()));
        let starts_sentence = |step: &usize| *step == 0 || tokens.get(step - 1) == 0;
        let sentence = (0..=steps.start).rev().find(starts_sentence).unwrap_or(0);
        self.window = sentence / streams.time_steps();
        self.skipped = steps.start - streams.window_start(self.window);
        steps
    }

    /// Evaluates the next window: ln P of its tokens, unless they are skipped.
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
        let skipped = self.skipped.min(log_probabilities.len());
        self.skipped -= skipped;
        log_probabilities.drain(..skipped);
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
                NetworkReader::SeveralStreams(evaluator) => {
                    let losses = evaluator.losses(device, self.model, tokens)?;
                    let losses = losses[self.positions.clone()].iter();
                    losses.map(|loss| -loss).collect()
                }
            };
            self.evaluated.extend(log_probabilities);
        }
        Ok(self.evaluated.drain(..chunk.len()).collect())
    }
}
