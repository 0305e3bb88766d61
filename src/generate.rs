//! Generation of text: tokens sampled one by one from a model's distribution.
//!
//! In: a model, [`Sampling`] options, a seed. Out: token ids.

use std::collections::VecDeque;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use crate::device::Device;
use crate::error::{Error, Result};
use crate::model::{Capacity, LONGEST_HISTORY, Model, Window, WindowWords, Workspace};
use crate::tensor::{NONE, Tensor};

/// How a token is sampled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Divides the log-probabilities. Values below 1 make likely tokens likelier; 0 always takes
    /// the most likely token.
    pub temperature: f64,
    /// Restricts sampling to this number of most likely tokens; none for all.
    pub top_k: Option<usize>,
    /// Restricts sampling to the most likely tokens that together have at least this probability;
    /// 1 for all.
    pub top_p: f64,
    /// A token that is never sampled, such as the unknown token.
    pub excluded: Option<u32>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: None,
            top_p: 1.0,
            excluded: None,
        }
    }
}

impl Sampling {
    /// Checks that every value is in its range.
    ///
    /// # Errors
    /// If a value is outside its range.
    pub fn validate(&self) -> Result<()> {
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return Err(Error::config(
                "temperature",
                self.temperature,
                "it must be at least 0",
                "1 samples from the model's distribution, 0 takes the most likely token",
            ));
        }
        if self.top_k == Some(0) {
            return Err(Error::config(
                "top_k",
                0,
                "it must be at least 1",
                "Omit it to sample from all tokens",
            ));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(Error::config(
                "top_p",
                self.top_p,
                "it must be above 0 and at most 1",
                "1 samples from all tokens",
            ));
        }
        Ok(())
    }

    /// Samples from a distribution given as natural logarithms. `uniform` is a random number in
    /// [0, 1). Returns an index into `log_probabilities`, of which one at least is not excluded.
    pub fn sample(&self, log_probabilities: &[f32], uniform: f64) -> usize {
        let is_allowed = |&id: &usize| self.excluded.is_none_or(|excluded| id != excluded as usize);
        let mut order: Vec<usize> = (0..log_probabilities.len()).filter(is_allowed).collect();
        // Ties are broken by index, so that a seed always gives the same text.
        order.sort_by(|&a, &b| {
            log_probabilities[b]
                .total_cmp(&log_probabilities[a])
                .then(a.cmp(&b))
        });
        if self.temperature == 0.0 {
            return order[0];
        }
        order.truncate(self.top_k.unwrap_or(order.len()));
        let top = f64::from(log_probabilities[order[0]]);
        let mut weights: Vec<f64> = order
            .iter()
            .map(|&id| ((f64::from(log_probabilities[id]) - top) / self.temperature).exp())
            .collect();
        let threshold = self.top_p * weights.iter().sum::<f64>();
        let mut sum = 0.0;
        let in_nucleus = weights.iter().take_while(|&&weight| {
            let is_below = sum < threshold;
            sum += weight;
            is_below
        });
        let candidates = in_nucleus.count();
        weights.truncate(candidates);
        let mut remaining = uniform * weights.iter().sum::<f64>();
        for (&id, weight) in order.iter().zip(&weights) {
            remaining -= weight;
            if remaining < 0.0 {
                return id;
            }
        }
        order[candidates - 1]
    }
}

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
        let independent = model.config().independent;
        let capacity = Capacity {
            batch: STREAMS,
            time_steps: 1,
            independent,
            ..Capacity::default()
        };
        let workspace = Workspace::new(device, model, capacity)?;
        let tokens = device.tensor("tokens", 1, STREAMS)?;
        Ok(Self {
            workspace,
            tokens,
            random: ChaCha8Rng::seed_from_u64(seed),
            texts: vec![vec![0]; STREAMS],
            sentence_starts: vec![1; STREAMS],
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
            targets: vec![NONE; STREAMS],
            before,
            draw: 0,
        };
        let uniform: Vec<f64> = (0..STREAMS).map(|_| self.random.random()).collect();
        let tokens = model.draw(device, &self.workspace, &words, &uniform)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(sampling: Sampling) -> [usize; 4] {
        let log_probabilities = [0.1_f32, 0.4, 0.2, 0.3].map(f32::ln);
        let mut counts = [0; 4];
        for i in 0..1000 {
            counts[sampling.sample(&log_probabilities, (f64::from(i) + 0.5) / 1000.0)] += 1;
        }
        counts
    }

    #[test]
    fn samples_follow_the_truncated_distribution() {
        let near = |got: [usize; 4], want: [usize; 4]| {
            got.iter()
                .zip(want)
                .all(|(&got, want)| got.abs_diff(want) <= 1)
        };
        let all = Sampling::default();
        assert!(near(counts(all), [100, 400, 200, 300]));
        assert!(near(
            counts(Sampling {
                top_k: Some(2),
                ..all
            }),
            [0, 571, 0, 429]
        ));
        assert!(near(
            counts(Sampling { top_p: 0.65, ..all }),
            [0, 571, 0, 429]
        ));
        assert!(near(
            counts(Sampling { top_p: 0.75, ..all }),
            [0, 444, 222, 333]
        ));
        assert_eq!(
            counts(Sampling {
                temperature: 0.0,
                ..all
            }),
            [0, 1000, 0, 0]
        );
        // At temperature 1/2 probabilities are squared: 1, 16, 4, 9 of 30.
        assert!(near(
            counts(Sampling {
                temperature: 0.5,
                ..all
            }),
            [33, 533, 133, 300]
        ));
        assert_eq!(counts(Sampling { top_p: 1e-9, ..all }), [0, 1000, 0, 0]);
        // The others share the probability of an excluded token.
        let excluded = Some(1);
        assert!(near(
            counts(Sampling { excluded, ..all }),
            [167, 0, 333, 500]
        ));
        let coldest = Sampling {
            excluded,
            temperature: 0.0,
            ..all
        };
        assert_eq!(counts(coldest), [0, 0, 0, 1000]);
    }

    #[test]
    fn invalid_options_are_rejected() {
        let all = Sampling::default();
        for wrong in [
            Sampling {
                temperature: -1.0,
                ..all
            },
            Sampling {
                temperature: f64::NAN,
                ..all
            },
            Sampling {
                top_k: Some(0),
                ..all
            },
            Sampling { top_p: 0.0, ..all },
            Sampling { top_p: 1.1, ..all },
        ] {
            assert!(wrong.validate().is_err(), "{wrong:?}");
        }
    }
}
