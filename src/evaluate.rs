//! Measuring a text: log-probability, entropy, perplexity.

use serde::Serialize;

use crate::corpus::{Streams, Tokens};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::feed::{Feed, Purpose};
use crate::model::{Capacity, Model, Window, Workspace};

/// What a model says of a text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Evaluation {
    /// Tokens that were predicted, sentence ends among them.
    pub tokens: usize,
    /// Unknown words that were skipped.
    pub oov: usize,
    /// The text's log10 probability.
    pub log10_prob: f64,
    /// Bits a token.
    pub entropy_bits: f64,
    /// 2 to the entropy.
    pub perplexity: f64,
}

impl Evaluation {
    /// From the sum of losses in nats.
    ///
    /// # Errors
    /// If the sum is not finite or nothing was predicted.
    pub fn new(nats: f64, tokens: usize, oov: usize) -> Result<Self> {
        if tokens == 0 {
            return Err(Error::refused(
                "the text",
                "none of its words is in the vocabulary",
                "Give a text like the one the model was trained on",
            ));
        }
        if !nats.is_finite() {
            return Err(Error::refused(
                format!("a sum of losses of {nats}"),
                "it must be finite",
                "The model is damaged or its training diverged",
            ));
        }
        let mean = nats / tokens as f64;
        Ok(Self {
            tokens,
            oov,
            log10_prob: -nats / std::f64::consts::LN_10,
            entropy_bits: mean / std::f64::consts::LN_2,
            perplexity: mean.exp(),
        })
    }

    /// Nats a token.
    pub fn loss(&self) -> f64 {
        self.perplexity.ln()
    }
}

/// Reads texts with one stream, the state carried from sentence to sentence or begun afresh with each.
#[derive(Debug)]
pub struct Evaluator {
    workspace: Workspace,
}

impl Evaluator {
    /// Steps of a window: enough rows for a good product, few enough for one dispatch.
    const TIME_STEPS: usize = 512;

    /// Makes room for windows of one stream. `independent`: every sentence begins with the initial state.
    ///
    /// # Errors
    /// If something is too large for the device.
    pub fn new(device: &mut Device, model: &Model, independent: bool) -> Result<Self> {
        let capacity = Capacity { batch: 1, time_steps: Self::TIME_STEPS, independent, ..Capacity::default() };
        Ok(Self { workspace: Workspace::new(device, model, capacity)? })
    }

    /// Measures a text from the initial state on; before it stands the boundary.
    ///
    /// # Errors
    /// If the device failed, nothing could be predicted, or the losses are not finite.
    pub fn evaluate(&self, device: &mut Device, model: &Model, tokens: &Tokens) -> Result<Evaluation> {
        let mut reading = self.read(device, tokens)?;
        let mut nats = 0.0;
        for number in 0..reading.feed.streams().windows() {
            nats += reading.losses(device, model, number)?.iter().map(|&loss| f64::from(loss)).sum::<f64>();
        }
        reading.feed.release(device);
        Evaluation::new(nats, tokens.known(), tokens.len() - tokens.known())
    }

    /// Begins to read a text.
    fn read<'a>(&'a self, device: &mut Device, tokens: &'a Tokens) -> Result<Reading<'a>> {
        self.workspace.reset(device);
        let feed = Feed::new(device, Streams::single(tokens, Self::TIME_STEPS), Purpose::Reading)?;
        Ok(Reading { workspace: &self.workspace, feed })
    }
}

/// A text that one model is reading, window by window.
struct Reading<'a> {
    workspace: &'a Workspace,
    feed: Feed<'a>,
}

impl Reading<'_> {
    /// The losses of the next window in nats, one a token.
    fn losses(&mut self, device: &mut Device, model: &Model, number: usize) -> Result<Vec<f32>> {
        let (window, _) = self.feed.window(device, number);
        let window = Window { plan: self.workspace.plan(device, &self.feed.words(number, 0)), ..window };
        model.forward(device, self.workspace, &window);
        model.losses(device, self.workspace, &window);
        device.download(&self.workspace.losses(&window))
    }
}
