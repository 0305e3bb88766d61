//! Scoring sentences: one log-probability a line, many lines at once.

use std::f64::consts::LN_10;

use serde::Serialize;

use crate::corpus::{Unit, Vocabulary, split};
use crate::device::Device;
use crate::error::Result;
use crate::model::{Capacity, LONGEST_HISTORY, Model, Window, WindowWords, Workspace};
use crate::tensor::{NONE, Tensor};

/// What a model says of one sentence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// The log10 probability of its tokens and its end.
    pub log10_prob: f64,
    /// Tokens predicted, the end among them.
    pub tokens: usize,
    /// Unknown words that were skipped.
    pub oov: usize,
    /// The log10 probability of each token in order; none for an unknown word.
    pub token_log10_probs: Vec<Option<f64>>,
}

/// Scores sentences in batches of similar length.
#[derive(Debug)]
pub struct Scorer {
    workspace: Workspace,
    /// `[T+1, B]`: the tokens of a window's steps, and of the step after.
    rows: Tensor<u32>,
    carry: bool,
    /// Where states are carried, the last tokens before the boundary that the next sentence begins
    /// with, the newest last.
    read: Vec<u32>,
}

/// Steps of a window; longer sentences take several.
const TIME_STEPS: usize = 64;
/// The most sentences side by side.
const BATCH: usize = 64;

impl Scorer {
    /// Makes room for up to `sentences` sentences at once. `carry`: each sentence begins with the
    /// state that the one before it left, instead of the initial one; then there is one stream.
    ///
    /// # Errors
    /// If something is too large for the device.
    pub fn new(device: &mut Device, model: &Model, sentences: usize, carry: bool) -> Result<Self> {
        let batch = if carry { 1 } else { sentences.clamp(1, BATCH) };
        let capacity = Capacity {
            batch,
            time_steps: TIME_STEPS,
            ..Capacity::default()
        };
        let workspace = Workspace::new(device, model, capacity)?;
        Ok(Self {
            workspace,
            rows: device.tensor("tokens", TIME_STEPS + 1, batch)?,
            carry,
            read: Vec::new(),
        })
    }

    /// Scores sentences given as token ids without their end; [`NONE`] is an unknown word. Results
    /// are in the order of the sentences and do not depend on which are scored together, up to
    /// rounding.
    ///
    /// # Errors
    /// If the device failed.
    pub fn score(
        &mut self,
        device: &mut Device,
        model: &Model,
        sentences: &[Vec<u32>],
    ) -> Result<Vec<Score>> {
        let mut order: Vec<usize> = (0..sentences.len()).collect();
        if !self.carry {
            order.sort_by_key(|&number| std::cmp::Reverse(sentences[number].len()));
        }
        let mut scores = vec![None; sentences.len()];
        for batch in order.chunks(self.workspace.capacity().batch) {
            let group: Vec<&[u32]> = batch
                .iter()
                .map(|&number| sentences[number].as_slice())
                .collect();
            for (&number, losses) in batch.iter().zip(self.losses(device, model, &group)?) {
                scores[number] = Some(Score::new(&sentences[number], &losses));
            }
            if let (true, [sentence]) = (self.carry, &*group) {
                self.read.push(0);
                self.read.extend(*sentence);
                self.read
                    .drain(..self.read.len().saturating_sub(LONGEST_HISTORY));
            }
        }
        Ok(scores.into_iter().flatten().collect())
    }

    /// The states after the last sentence of the last stream, before its end was read, where they
    /// are carried.
    ///
    /// # Errors
    /// If the device failed.
    pub fn carried(&self, device: &mut Device) -> Result<Vec<Vec<f32>>> {
        self.workspace
            .carried()
            .into_iter()
            .map(|state| device.download(&state))
            .collect()
    }

    /// The losses of each sentence's tokens and end, in nats.
    fn losses(
        &self,
        device: &mut Device,
        model: &Model,
        sentences: &[&[u32]],
    ) -> Result<Vec<Vec<f32>>> {
        if !self.carry {
            self.workspace.reset(device);
        }
        let batch = self.workspace.capacity().batch;
        let longest = sentences
            .iter()
            .map(|sentence| sentence.len() + 1)
            .max()
            .unwrap_or(0);
        let mut losses: Vec<Vec<f32>> = vec![Vec::new(); sentences.len()];
        let mut first = 0;
        while first < longest {
            let time_steps = TIME_STEPS.min(longest - first);
            let mut rows = vec![NONE; (time_steps + 1) * batch];
            for (stream, sentence) in sentences.iter().enumerate() {
                for step in 0..=time_steps {
                    rows[step * batch + stream] = before(sentence, first + step);
                }
            }
            device.upload(&self.rows.slice_rows(0..time_steps + 1), &rows);
            let words = WindowWords {
                targets: rows[batch..].to_vec(),
                before: Box::new(move |row, back| {
                    let step = first + row / batch;
                    match (sentences.get(row % batch), step.checked_sub(back)) {
                        (Some(sentence), Some(step)) => before(sentence, step),
                        (_, None) => self
                            .read
                            .iter()
                            .rev()
                            .nth(back - step - 1)
                            .copied()
                            .unwrap_or(0),
                        (None, _) => 0,
                    }
                }),
                draw: 0,
            };
            let window = Window {
                plan: self.workspace.plan(device, &words),
                ..Window::new(
                    time_steps,
                    self.rows.slice_rows(0..time_steps),
                    self.rows.slice_rows(1..time_steps + 1),
                )
            };
            model.forward(device, &self.workspace, &window);
            model.losses(device, &self.workspace, &window);
            let found = device.download(&self.workspace.losses(&window))?;
            for (stream, (sentence, losses)) in sentences.iter().zip(&mut losses).enumerate() {
                let wanted = (sentence.len() + 1).saturating_sub(first).min(time_steps);
                losses.extend((0..wanted).map(|step| found[step * batch + stream]));
            }
            first += time_steps;
        }
        Ok(losses)
    }
}

/// The token before step `step` of a sentence: the boundary before the first, and after the last.
fn before(sentence: &[u32], step: usize) -> u32 {
    match step {
        0 => 0,
        step if step <= sentence.len() => sentence[step - 1],
        step if step == sentence.len() + 1 => 0,
        _ => NONE,
    }
}

impl Score {
    fn new(sentence: &[u32], losses: &[f32]) -> Self {
        let targets = sentence.iter().copied().chain([0]);
        Self::of(
            targets
                .zip(losses)
                .map(|(target, &loss)| (target != NONE).then(|| -f64::from(loss) / LN_10))
                .collect(),
        )
    }

    /// From the log10 probability of each token and the end; none for an unknown word.
    pub fn of(token_log10_probs: Vec<Option<f64>>) -> Self {
        let tokens = token_log10_probs.iter().flatten().count();
        Self {
            log10_prob: token_log10_probs.iter().flatten().sum(),
            tokens,
            oov: token_log10_probs.len() - tokens,
            token_log10_probs,
        }
    }
}

/// A line's token ids, without its end.
///
/// # Errors
/// If it is not UTF-8 where the unit needs it.
pub fn sentence(line: &[u8], unit: Unit, vocabulary: &Vocabulary) -> Result<Vec<u32>> {
    let mut ids = Vec::new();
    split(line, unit, |piece| {
        vocabulary.encode(piece, |id| ids.push(id));
    })?;
    Ok(ids)
}
