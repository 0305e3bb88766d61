//! Generation of text: tokens sampled one by one from a model's distribution.
//!
//! In: a model, [`Sampling`] options, a seed. Out: token ids.

mod ranking;
mod sampling;

use std::collections::VecDeque;
use std::ops::Range;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use crate::device::Device;
use crate::error::{Error, Result};
use crate::model::{Capacity, LONGEST_HISTORY, Model, Window, WindowWords, Workspace};
use crate::parallel::Ranks;
use crate::tensor::{NONE, Tensor};
pub use sampling::Sampling;

/// Generates one text.
///
/// The model is passed to every call, so that one model can serve several generators.
#[derive(Debug)]
pub struct Generator {
    workspace: Workspace,
    token: Tensor<u32>,
    random: ChaCha8Rng,
    sampling: Sampling,
    /// The last tokens, most recent first.
    recent: VecDeque<u32>,
    log_probabilities: Vec<f32>,
}

impl Generator {
    /// Starts a text: the initial state, after a boundary token. A model of independent sentences
    /// starts every sentence this way.
    ///
    /// # Errors
    /// If the sampling options are invalid, or something is too large for the device.
    pub fn new(device: &mut Device, model: &Model, sampling: Sampling, seed: u64) -> Result<Self> {
        sampling.validate()?;
        let independent = model.config().independent;
        let capacity = Capacity {
            batch: 1,
            time_steps: 1,
            independent,
            ..Capacity::default()
        };
        let workspace = Workspace::new(device, model, capacity)?;
        let token = device.tensor("token", 1, 1)?;
        let random = ChaCha8Rng::seed_from_u64(seed);
        let mut generator = Self {
            workspace,
            token,
            random,
            sampling,
            recent: VecDeque::new(),
            log_probabilities: Vec::new(),
        };
        generator.read(device, model, 0)?;
        Ok(generator)
    }

    /// Appends a token to the text, such as one of a prompt.
    ///
    /// # Errors
    /// If the device fails.
    pub fn read(&mut self, device: &mut Device, model: &Model, token: u32) -> Result<()> {
        device.install(|device| self.read_installed(device, model, token))
    }

    fn read_installed(&mut self, device: &mut Device, model: &Model, token: u32) -> Result<()> {
        device.upload(&self.token, &[token]);
        self.recent.push_front(token);
        self.recent.truncate(LONGEST_HISTORY);
        let before = Box::new(|_, back| self.recent.get(back).copied().unwrap_or(0));
        let words = WindowWords {
            targets: vec![NONE],
            before,
            draw: 0,
        };
        let window = Window::new(1, self.token, self.token);
        model.forward(device, &self.workspace, &window);
        self.log_probabilities = model.distribution(device, &self.workspace, 1, &words)?;
        Ok(())
    }

    /// Samples the next token and appends it to the text.
    ///
    /// # Errors
    /// If the device fails.
    pub fn next_token(&mut self, device: &mut Device, model: &Model) -> Result<u32> {
        let uniform = self.random.random();
        let index = self.sampling.sample(&self.log_probabilities, uniform);
        let token = u32::try_from(index).unwrap_or(u32::MAX);
        self.read(device, model, token)?;
        Ok(token)
    }

    /// Samples tokens up to the next boundary, at most `max_tokens` of them, and returns them
    /// without the boundary.
    ///
    /// # Errors
    /// If the device fails.
    pub fn sentence(
        &mut self,
        device: &mut Device,
        model: &Model,
        max_tokens: usize,
    ) -> Result<Vec<u32>> {
        let mut tokens = Vec::new();
        while tokens.len() < max_tokens {
            match self.next_token(device, model)? {
                0 => break,
                token => tokens.push(token),
            }
        }
        Ok(tokens)
    }
}

/// Sentences generated in parallel.
const STREAMS: usize = 256;

/// Generates many texts in parallel, sampled from the model's distribution, and returns sentences
/// as they are completed.
#[derive(Debug)]
pub struct ParallelGenerator {
    workspace: Workspace,
    tokens: Tensor<u32>,
    random: ChaCha8Rng,
    /// The streams that are generated here.
    part: Range<usize>,
    /// The last tokens of each stream, most recent last: its current sentence, and before it the
    /// history that a model may use.
    texts: Vec<Vec<u32>>,
    /// Where in each of `texts` the current sentence starts.
    sentence_starts: Vec<usize>,
}

impl ParallelGenerator {
    /// Starts all texts.
    ///
    /// # Errors
    /// If something is too large for the device.
    pub fn new(device: &mut Device, model: &Model, seed: u64) -> Result<Self> {
        Self::of_rank(device, model, seed, &Ranks::default())
    }

    /// Starts this rank's part of the texts. They are those that one process generates, unless
    /// rounding changes a draw: a product of fewer rows may round otherwise.
    ///
    /// # Errors
    /// If something is too large for the device, or there are more ranks than texts.
    pub fn of_rank(device: &mut Device, model: &Model, seed: u64, ranks: &Ranks) -> Result<Self> {
        let (rank, count) = (ranks.index(), ranks.count());
        if count > STREAMS {
            return Err(Error::invalid(
                format!("{count} ranks"),
                format!("they divide {STREAMS} texts, which are generated together"),
                format!("Start at most {STREAMS}"),
            ));
        }
        let part = rank * STREAMS / count..(rank + 1) * STREAMS / count;
        let independent = model.config().independent;
        let capacity = Capacity {
            batch: part.len(),
            time_steps: 1,
            independent,
            ..Capacity::default()
        };
        let workspace = Workspace::new(device, model, capacity)?;
        let tokens = device.tensor("tokens", 1, part.len())?;
        Ok(Self {
            workspace,
            tokens,
            random: ChaCha8Rng::seed_from_u64(seed),
            texts: vec![vec![0]; part.len()],
            sentence_starts: vec![1; part.len()],
            part,
        })
    }

    /// Appends a token to every text and returns the sentences that are now complete, without
    /// `</s>`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn sentences(&mut self, device: &mut Device, model: &Model) -> Result<Vec<Vec<u32>>> {
        device.install(|device| self.sentences_installed(device, model))
    }

    fn sentences_installed(&mut self, device: &mut Device, model: &Model) -> Result<Vec<Vec<u32>>> {
        let last_token = |text: &Vec<u32>| text.last().copied().unwrap_or(0);
        let last: Vec<u32> = self.texts.iter().map(last_token).collect();
        device.upload(&self.tokens, &last);
        let window = Window::new(1, self.tokens, self.tokens);
        model.forward(device, &self.workspace, &window);
        let texts = &self.texts;
        let before = Box::new(|stream: usize, back: usize| {
            texts[stream].iter().rev().nth(back).copied().unwrap_or(0)
        });
        let words = WindowWords {
            targets: vec![NONE; self.part.len()],
            before,
            draw: 0,
        };
        // One sequence of random numbers is for all texts, wherever they are generated.
        let uniform: Vec<f64> = (0..STREAMS).map(|_| self.random.random()).collect();
        let uniform = &uniform[self.part.clone()];
        let tokens = model.draw(device, &self.workspace, &words, uniform)?;
        drop(words);
        let mut completed = Vec::new();
        for (stream, token) in tokens.into_iter().enumerate() {
            let text = &mut self.texts[stream];
            if token == 0 {
                completed.push(text[self.sentence_starts[stream]..].to_vec());
                text.push(0);
                text.drain(..text.len().saturating_sub(LONGEST_HISTORY));
                self.sentence_starts[stream] = text.len();
            } else {
                text.push(token);
            }
        }
        Ok(completed)
    }
}
