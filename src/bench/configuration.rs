//! The configurations that are measured, and the random text for them.

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use serde::Serialize;

use crate::corpus::{Corpus, SentenceTags, TextReport, Tokens, Vocabulary};
use crate::error::Result;
use crate::kernels::Activation;
use crate::model::{
    CellKind, Classes, Config, DEFAULT_CONTEXT, DEFAULT_ROUNDS, ModelOptions, find_cell,
};
use crate::train::{Recipe, ScheduleKind};

/// The output layer of the configurations, whose operations can be counted.
const SOFTMAX: &str = "softmax";

/// The sizes of a model and of its windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Configuration {
    /// The name in `benches/RESULTS.md`; "-" for other sizes.
    pub name: &'static str,
    /// The name of a cell in [`CELLS`](crate::model::CELLS).
    pub cell: &'static str,
    /// Whether layers have layer normalization.
    pub layer_norm: bool,
    /// Whether input gates are capped.
    pub cap_input_gate: bool,
    /// Whether layers have residual connections.
    pub residual: bool,
    /// L, the number of layers.
    pub num_layers: usize,
    /// H, the hidden units per layer.
    pub hidden_size: usize,
    /// V, the size of the vocabulary.
    pub vocab_size: usize,
    /// D, the embedding size; 0 for one-hot input.
    pub embedding_size: usize,
    /// The name of an output layer in [`OUTPUTS`](crate::model::OUTPUTS), with the sizes that
    /// training has by default.
    pub output: &'static str,
    /// B, the number of streams of each rank.
    pub batch: usize,
    /// T, the time steps of a window.
    pub time_steps: usize,
}

const fn row(
    name: &'static str,
    (cell, num_layers, hidden_size): (&'static str, usize, usize),
    vocab_size: usize,
    batch: usize,
    time_steps: usize,
) -> Configuration {
    Configuration {
        name,
        cell,
        layer_norm: false,
        cap_input_gate: false,
        residual: false,
        num_layers,
        hidden_size,
        vocab_size,
        embedding_size: 0,
        output: SOFTMAX,
        batch,
        time_steps,
    }
}

const fn with_layer_norm(configuration: Configuration) -> Configuration {
    Configuration {
        layer_norm: true,
        ..configuration
    }
}

/// The configurations of `benches/RESULTS.md`.
pub static CONFIGURATIONS: &[Configuration] = &[
    row("a", ("elman", 1, 200), 10_000, 32, 35),
    row("b", ("elman", 1, 200), 10_000, 128, 35),
    row("c", ("elman", 1, 500), 10_000, 64, 35),
    row("d", ("elman", 1, 128), 96, 50, 50),
    row("e", ("elman", 1, 100), 17_906, 32, 35),
    row("f", ("elman", 1, 1024), 10_000, 128, 35),
    row("lstm-a", ("lstm", 1, 200), 10_000, 32, 35),
    row("lstm-b", ("lstm", 2, 650), 10_000, 32, 35),
    row("lstm-c", ("lstm", 2, 128), 96, 50, 50),
    with_layer_norm(row("lstm-norm-a", ("lstm", 1, 200), 10_000, 32, 35)),
    row("gru-a", ("gru", 1, 200), 10_000, 32, 35),
    row("gru-b", ("gru", 2, 650), 10_000, 32, 35),
    row("gru-c", ("gru", 2, 128), 96, 50, 50),
];

/// More epochs than a benchmark trains.
const MAX_EPOCHS: usize = 1_000_000;

impl Configuration {
    /// Floating-point operations of training on one token: each matrix product of the forward pass
    /// and its two products of the backward pass. Those of output layers other than a softmax
    /// depend on the words.
    pub fn flops(&self) -> Option<f64> {
        (self.output == SOFTMAX).then(|| self.flops_with_softmax())
    }

    fn flops_with_softmax(&self) -> f64 {
        let gates = find_cell(self.cell).map_or(1, |row| row.gates);
        let [h, v, d, l, g, n] = [
            self.hidden_size,
            self.vocab_size,
            self.embedding_size,
            self.num_layers,
            gates,
            self.context(),
        ]
        .map(|size| size as f64);
        let cell = find_cell(self.cell);
        if cell.is_some_and(|row| !row.has_recurrent_weight && n == 0.0) {
            // Every layer has one product, of its input.
            let pairs = cell.is_some_and(|row| row.reads_previous_input);
            let words = if pairs { 2.0 } else { 1.0 };
            return 6.0 * h * v + 6.0 * g * h * (h * (l - 1.0) + words * d);
        }
        if n > 0.0 {
            return 6.0 * h * v + 6.0 * h * n * d;
        }
        // Every round has a product of the size of the input and the size of the state.
        let rounds = self.rounds() as f64;
        let products = 6.0 * (g * h * h * l + (g + rounds) * h * (h * (l - 1.0) + d));
        6.0 * h * v + products
    }

    /// N of a feed-forward network; otherwise 0.
    fn context(&self) -> usize {
        match find_cell(self.cell).is_some_and(CellKind::is_feed_forward) {
            true => DEFAULT_CONTEXT,
            false => 0,
        }
    }

    /// The rounds of a mogrifier; otherwise 0.
    fn rounds(&self) -> usize {
        match find_cell(self.cell).is_some_and(|row| row.rounds.is_some()) {
            true => DEFAULT_ROUNDS,
            false => 0,
        }
    }

    /// The model for a text with these numbers of occurrences of each word.
    ///
    /// # Errors
    /// If the sizes do not fit the cell or the output layer.
    pub(super) fn config(&self, counts: &[u64]) -> Result<Config> {
        let has_activation = find_cell(self.cell).is_some_and(|cell| cell.has_activation);
        let options = ModelOptions {
            cell: Some(self.cell.into()),
            activation: has_activation.then_some(Activation::Tanh),
            layers: Some(self.num_layers),
            embedding: Some(self.embedding_size),
            hidden: vec![self.hidden_size],
            layer_norm: self.layer_norm.then_some(true),
            cap_input_gate: self.cap_input_gate.then_some(true),
            residual: self.residual.then_some(true),
            output: Some(self.output.into()),
            ..ModelOptions::default()
        };
        options.resolve(self.vocab_size, |count, binning| {
            Classes::new(count, binning, counts)
        })
    }

    /// SGD with gradient clipping, as in PyTorch's word_language_model example.
    pub(super) fn recipe(&self) -> Recipe {
        Recipe {
            batch: self.batch,
            bptt: self.time_steps,
            epochs: MAX_EPOCHS,
            optimizer: "sgd".into(),
            schedule: ScheduleKind::Constant,
            clip: 0.25,
            ..Recipe::default()
        }
    }
}

/// A random text of `windows` windows, in which the frequency of the word of rank r is proportional
/// to 1 / r.
pub(super) fn random_corpus(configuration: &Configuration, windows: usize) -> Result<Corpus> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let vocabulary = Vocabulary::new(
        (0..configuration.vocab_size)
            .map(|id| id.to_string())
            .collect(),
    )?;
    let scale = (configuration.vocab_size as f64).ln();
    let mut random_word = move || {
        ((random.random::<f64>() * scale).exp() as u32).min(configuration.vocab_size as u32) - 1
    };
    let train: Tokens = (0..configuration.batch * configuration.time_steps * windows)
        .map(|_| random_word())
        .collect();
    let valid: Tokens = (0..1024).map(|_| random_word()).collect();
    Ok(Corpus {
        vocabulary,
        train,
        valid,
        report: TextReport::default(),
        tags: SentenceTags::default(),
        counts: None,
    })
}
