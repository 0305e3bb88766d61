//! Writing text: one token after the other, drawn from the model's distribution.

use std::collections::VecDeque;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use crate::device::Device;
use crate::error::{Error, Result};
use crate::model::{Capacity, LONGEST_HISTORY, Model, Window, WindowWords, Workspace};
use crate::tensor::{NONE, Tensor};

/// How a token is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Divides the log-probabilities: below 1 the likely becomes likelier; 0 takes the likeliest
    /// always.
    pub temperature: f64,
    /// Only so many of the likeliest tokens; none for all.
    pub top_k: Option<usize>,
    /// Only the likeliest tokens that together have at least this probability; 1 for all.
    pub top_p: f64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: None,
            top_p: 1.0,
        }
    }
}

impl Sampling {
    /// Checks the ranges.
    ///
    /// # Errors
    /// If a number is outside its range.
    pub fn validate(&self) -> Result<()> {
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return Err(Error::usage(
                format!("--temperature {}", self.temperature),
                "it must be a number from 0 on",
                "1 draws from the model's own distribution, 0 takes the likeliest token",
            ));
        }
        if self.top_k == Some(0) {
            return Err(Error::usage(
                "--top-k 0",
                "it must be at least 1",
                "Leave it out to draw from all tokens",
            ));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(Error::usage(
                format!("--top-p {}", self.top_p),
                "it must be above 0 and at most 1",
                "1 draws from all tokens",
            ));
        }
        Ok(())
    }

    /// Draws from a distribution given as natural logarithms; `uniform` is a random number from 0
    /// to below 1.
    pub fn draw(&self, log_probabilities: &[f32], uniform: f64) -> usize {
        let mut order: Vec<usize> = (0..log_probabilities.len()).collect();
        // Equal probabilities by number, so that a seed means one text.
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
        let enough = self.top_p * weights.iter().sum::<f64>();
        let mut sum = 0.0;
        let kept = weights.iter().take_while(|&&weight| {
            let wanted = sum < enough;
            sum += weight;
            wanted
        });
        let kept = kept.count();
        weights.truncate(kept);
        let mut rest = uniform * weights.iter().sum::<f64>();
        for (&id, weight) in order.iter().zip(&weights) {
            rest -= weight;
            if rest < 0.0 {
                return id;
            }
        }
        order[kept - 1]
    }
}

/// A model that writes.
#[derive(Debug)]
pub struct Generator {
    workspace: Workspace,
    token: Tensor<u32>,
    random: ChaCha8Rng,
    sampling: Sampling,
    /// The last tokens, the newest first.
    written: VecDeque<u32>,
    log_probabilities: Vec<f32>,
}

impl Generator {
    /// Begins at the beginning of a text: the initial state, with the boundary before it. A model
    /// of independent sentences begins each of them so.
    ///
    /// # Errors
    /// If the sampling is wrong, or something too large for the device.
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
            written: VecDeque::new(),
            log_probabilities: Vec::new(),
        };
        generator.read(device, model, 0)?;
        Ok(generator)
    }

    /// Reads a token as what has been written.
    ///
    /// # Errors
    /// If the device failed.
    pub fn read(&mut self, device: &mut Device, model: &Model, token: u32) -> Result<()> {
        device.upload(&self.token, &[token]);
        self.written.push_front(token);
        self.written.truncate(LONGEST_HISTORY);
        let before = Box::new(|_, back| self.written.get(back).copied().unwrap_or(0));
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

    /// Draws the next token and reads it.
    ///
    /// # Errors
    /// If the device failed.
    pub fn next_token(&mut self, device: &mut Device, model: &Model) -> Result<u32> {
        let drawn = self
            .sampling
            .draw(&self.log_probabilities, self.random.random());
        let token = u32::try_from(drawn).unwrap_or(u32::MAX);
        self.read(device, model, token)?;
        Ok(token)
    }
}

/// Streams that write side by side.
const WRITERS: usize = 256;

/// A model that writes much text at once, drawn from its own distribution: sentences of many
/// streams, as they end.
#[derive(Debug)]
pub struct ParallelGenerator {
    workspace: Workspace,
    tokens: Tensor<u32>,
    random: ChaCha8Rng,
    /// What each stream has read, its newest token last: its unfinished sentence, and what came
    /// before as far as a model may look back.
    written: Vec<Vec<u32>>,
    /// Where in these the unfinished sentences begin.
    begins: Vec<usize>,
}

impl ParallelGenerator {
    /// Begins at the beginning of as many texts as there are streams.
    ///
    /// # Errors
    /// If something is too large for the device.
    pub fn new(device: &mut Device, model: &Model, seed: u64) -> Result<Self> {
        let independent = model.config().independent;
        let capacity = Capacity {
            batch: WRITERS,
            time_steps: 1,
            independent,
            ..Capacity::default()
        };
        let workspace = Workspace::new(device, model, capacity)?;
        let tokens = device.tensor("tokens", 1, WRITERS)?;
        Ok(Self {
            workspace,
            tokens,
            random: ChaCha8Rng::seed_from_u64(seed),
            written: vec![vec![0]; WRITERS],
            begins: vec![1; WRITERS],
        })
    }

    /// Writes a token in every stream; the sentences that have ended, without their ends.
    ///
    /// # Errors
    /// If the device failed.
    pub fn sentences(&mut self, device: &mut Device, model: &Model) -> Result<Vec<Vec<u32>>> {
        let last: Vec<u32> = self
            .written
            .iter()
            .map(|written| written.last().copied().unwrap_or(0))
            .collect();
        device.upload(&self.tokens, &last);
        let window = Window::new(1, self.tokens, self.tokens);
        model.forward(device, &self.workspace, &window);
        let written = &self.written;
        let before = Box::new(|stream: usize, back: usize| {
            written[stream].iter().rev().nth(back).copied().unwrap_or(0)
        });
        let words = WindowWords {
            targets: vec![NONE; WRITERS],
            before,
            draw: 0,
        };
        let uniform: Vec<f64> = (0..WRITERS).map(|_| self.random.random()).collect();
        let drawn = model.draw(device, &self.workspace, &words, &uniform)?;
        drop(words);
        let mut ended = Vec::new();
        for (stream, token) in drawn.into_iter().enumerate() {
            let written = &mut self.written[stream];
            if token == 0 {
                ended.push(written[self.begins[stream]..].to_vec());
                written.push(0);
                written.drain(..written.len().saturating_sub(LONGEST_HISTORY));
                self.begins[stream] = written.len();
            } else {
                written.push(token);
            }
        }
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(sampling: Sampling) -> [usize; 4] {
        let log_probabilities = [0.1_f32, 0.4, 0.2, 0.3].map(f32::ln);
        let mut counts = [0; 4];
        for i in 0..1000 {
            counts[sampling.draw(&log_probabilities, (f64::from(i) + 0.5) / 1000.0)] += 1;
        }
        counts
    }

    #[test]
    fn draws_follow_the_distribution_and_its_cuts() {
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
    }

    #[test]
    fn wrong_numbers_are_refused() {
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
