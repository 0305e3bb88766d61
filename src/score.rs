//! Scoring of sentences: a log-probability for each, many in parallel.
//!
//! In: a model and sentences as token ids. Out: a [`Score`] per sentence.

use std::f64::consts::LN_10;

use serde::Serialize;

use crate::activity;
use crate::corpus::{SentenceTags, Unit, UnknownWords, Vocabulary, split, split_line};
use crate::device::Device;
use crate::error::Result;
use crate::kernels::batch_invariant_rows;
use crate::model::{Capacity, LONGEST_HISTORY, Model, Window, WindowWords, Workspace};
use crate::tensor::{NONE, Tensor};

/// The score of a sentence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// log10 probability of its tokens and the boundary after it.
    pub log10_prob: f64,
    /// Tokens predicted, including the boundary.
    pub tokens: usize,
    /// Unknown words, which are skipped.
    pub oov: usize,
    /// log10 probability of each token and the boundary, in order; none for an unknown word.
    pub token_log10_probs: Vec<Option<f64>>,
}

/// Scores sentences in batches of similar length.
#[derive(Debug)]
pub struct Scorer {
    workspace: Workspace,
    /// `[T+1, B]`: the inputs of a window's steps, and the targets one row below.
    rows: Tensor<u32>,
    shape: BatchShape,
    carry: bool,
    /// If states are carried, the last tokens before the boundary in front of the next sentence,
    /// most recent last.
    history: Vec<u32>,
}

/// The shape of a batch. It is constant, whatever the sentences are, because a row of a matrix
/// product is bit-identical only among products of one shape.
#[derive(Debug, Clone, Copy)]
struct BatchShape {
    /// The most sentences.
    sentences: usize,
    /// Steps of a window; longer sentences take several windows.
    time_steps: usize,
    /// Whether windows that need fewer steps are padded.
    pads_windows: bool,
}

impl BatchShape {
    fn new(device: &Device, carry: bool) -> Self {
        if carry {
            // One sentence has no company.
            return Self {
                sentences: 1,
                time_steps: 64,
                pads_windows: false,
            };
        }
        if device.is_gpu() {
            return Self {
                sentences: 64,
                time_steps: 64,
                pads_windows: false,
            };
        }
        // Enough rows for products in which rows do not depend on each other, and no more, for a
        // single sentence costs as much as a full batch.
        Self {
            sentences: batch_invariant_rows(MIN_GEMM_COLUMNS),
            time_steps: 4,
            pads_windows: true,
        }
    }
}

/// Narrower products on the CPU compute every row alone.
const MIN_GEMM_COLUMNS: usize = 16;

impl Scorer {
    /// Allocates memory on the device for a batch of sentences.
    ///
    /// `carry`: each sentence starts from the state after the previous one instead of the initial
    /// state; sentences are then scored one by one.
    ///
    /// # Errors
    /// If something is too large for the device.
    pub fn new(device: &mut Device, model: &Model, carry: bool) -> Result<Self> {
        let shape = BatchShape::new(device, carry);
        let batch = shape.sentences;
        let capacity = Capacity {
            batch,
            time_steps: shape.time_steps,
            ..Capacity::default()
        };
        let workspace = Workspace::new(device, model, capacity)?;
        Ok(Self {
            workspace,
            rows: device.tensor("tokens", shape.time_steps + 1, batch)?,
            shape,
            carry,
            history: Vec::new(),
        })
    }

    /// Scores sentences given as token ids without the boundary; [`NONE`] is an unknown word.
    /// Scores are in the order of the sentences. On the CPU, the bits of a score do not depend on
    /// the other sentences; on a GPU, it does not depend on them up to rounding.
    ///
    /// # Errors
    /// If the device fails.
    pub fn score(
        &mut self,
        device: &mut Device,
        model: &Model,
        sentences: &[Vec<u32>],
    ) -> Result<Vec<Score>> {
        device.install(|device| self.score_installed(device, model, sentences))
    }

    fn score_installed(
        &mut self,
        device: &mut Device,
        model: &Model,
        sentences: &[Vec<u32>],
    ) -> Result<Vec<Score>> {
        let mut order: Vec<usize> = (0..sentences.len()).collect();
        if !self.carry {
            // Sentences of similar length share a batch.
            order.sort_by_key(|&index| std::cmp::Reverse(sentences[index].len()));
        }
        let mut scores = vec![None; sentences.len()];
        for indices in order.chunks(self.workspace.capacity().batch) {
            let batch: Vec<&[u32]> = indices
                .iter()
                .map(|&index| sentences[index].as_slice())
                .collect();
            for (&index, losses) in indices.iter().zip(self.losses(device, model, &batch)?) {
                scores[index] = Some(Score::from_losses(&sentences[index], &losses));
            }
            if let (true, [sentence]) = (self.carry, &*batch) {
                self.history.push(0);
                self.history.extend(*sentence);
                let excess = self.history.len().saturating_sub(LONGEST_HISTORY);
                self.history.drain(..excess);
            }
        }
        Ok(scores.into_iter().flatten().collect())
    }

    /// If states are carried, the states after the last token of the last sentence; its boundary is
    /// not read yet.
    ///
    /// # Errors
    /// If the device fails.
    pub fn carried(&self, device: &mut Device) -> Result<Vec<Vec<f32>>> {
        self.workspace
            .carried()
            .into_iter()
            .map(|state| device.download(&state))
            .collect()
    }

    /// The losses of each sentence's tokens and of the boundary after it, in nats.
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
            activity::advanced();
            let needed = self.shape.time_steps.min(longest - first);
            let time_steps = match self.shape.pads_windows {
                true => self.shape.time_steps,
                false => needed,
            };
            let mut rows = vec![NONE; (time_steps + 1) * batch];
            for (stream, sentence) in sentences.iter().enumerate() {
                for step in 0..=time_steps {
                    rows[step * batch + stream] = input_at(sentence, first + step);
                }
            }
            device.upload(&self.rows.slice_rows(0..time_steps + 1), &rows);
            let words = WindowWords {
                targets: rows[batch..].to_vec(),
                before: Box::new(move |row, back| {
                    let step = first + row / batch;
                    match (sentences.get(row % batch), step.checked_sub(back)) {
                        (Some(sentence), Some(step)) => input_at(sentence, step),
                        (_, None) => self
                            .history
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
            let window_losses = device.download(&self.workspace.losses(&window))?;
            for (stream, (sentence, losses)) in sentences.iter().zip(&mut losses).enumerate() {
                let steps = (sentence.len() + 1).saturating_sub(first).min(time_steps);
                losses.extend((0..steps).map(|step| window_losses[step * batch + stream]));
            }
            first += time_steps;
        }
        Ok(losses)
    }
}

/// The input of step `step` of a sentence, which predicts the token at `step`: the boundary at the
/// first step and after the last token, then [`NONE`].
fn input_at(sentence: &[u32], step: usize) -> u32 {
    match step {
        0 => 0,
        step if step <= sentence.len() => sentence[step - 1],
        step if step == sentence.len() + 1 => 0,
        _ => NONE,
    }
}

impl Score {
    fn from_losses(sentence: &[u32], losses: &[f32]) -> Self {
        let targets = sentence.iter().copied().chain([0]);
        Self::new(
            targets
                .zip(losses)
                .map(|(target, &loss)| (target != NONE).then(|| -f64::from(loss) / LN_10))
                .collect(),
        )
    }

    /// The score of a sentence from the log10 probability of each of its tokens and the boundary;
    /// none for an unknown word.
    pub fn new(token_log10_probs: Vec<Option<f64>>) -> Self {
        let tokens = token_log10_probs.iter().flatten().count();
        Self {
            log10_prob: token_log10_probs.iter().flatten().sum(),
            tokens,
            oov: token_log10_probs.len() - tokens,
            token_log10_probs,
        }
    }
}

/// A line of a text as token ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenizedLine {
    /// The ids of its tokens, without the boundary at its end.
    pub ids: Vec<u32>,
    /// The words that the vocabulary lacks.
    pub unknown: UnknownWords,
    /// The sentence tags of the line.
    pub tags: SentenceTags,
}

/// Tokenizes a line of a text. A byte order mark is an ordinary character.
///
/// # Errors
/// If the line is not UTF-8 and the unit requires UTF-8.
pub fn tokenize_line(line: &[u8], unit: Unit, vocabulary: &Vocabulary) -> Result<TokenizedLine> {
    let mut tokenized = TokenizedLine::default();
    let tags = split_line(line, unit, |piece| tokenized.add(piece, vocabulary))?;
    Ok(TokenizedLine { tags, ..tokenized })
}

/// Tokenizes a text that continues, such as a prompt, without a boundary at its end.
///
/// # Errors
/// If the text is not UTF-8 and the unit requires UTF-8.
pub fn tokenize_prompt(text: &[u8], unit: Unit, vocabulary: &Vocabulary) -> Result<TokenizedLine> {
    let mut tokenized = TokenizedLine::default();
    split(text, unit, |piece| tokenized.add(piece, vocabulary))?;
    Ok(tokenized)
}

impl TokenizedLine {
    fn add(&mut self, piece: &str, vocabulary: &Vocabulary) {
        vocabulary.count_unknown(piece, &mut self.unknown);
        vocabulary.encode(piece, |id| self.ids.push(id));
    }
}
