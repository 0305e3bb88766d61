//! Elman trains recurrent neural network language models on any GPU, with compute shaders written
//! in WGSL, and on the CPU. It evaluates the models, scores sentences and generates text.
//!
//! # Example
//!
//! Train a small model, then compare the probabilities of two sentences:
//!
//! ```
//! use elman::{
//!     Config, Corpus, Device, LanguageModel, Limits, Recipe, Scorer, TextSource, Trainer, Unit,
//! };
//!
//! let text = "the cat sleeps\nthe dog sleeps\nthe dog sees the cat\n".repeat(20);
//! let mut device = Device::cpu(1);
//!
//! let source = TextSource::Memory(text.as_bytes());
//! let corpus = Corpus::read(source, None, Unit::Word, Limits::default())?;
//! let config = Config {
//!     vocab_size: corpus.vocabulary.len(),
//!     hidden_size: 8,
//!     ..Config::default()
//! };
//! let recipe = Recipe { batch: 4, bptt: 4, epochs: 3, ..Recipe::default() };
//! let mut trainer = Trainer::from_scratch(&mut device, config, recipe, &corpus)?;
//! trainer.train(&mut device, |epoch| println!("perplexity {:.2}", epoch.valid_perplexity))?;
//!
//! let model = LanguageModel::new(trainer.into_model(), corpus.vocabulary.clone(), Unit::Word);
//! let sentences = [model.encode("the dog sleeps")?, model.encode("sleeps dog the")?];
//! let mut scorer = Scorer::new(&mut device, model.network(), false)?;
//! let scores = scorer.score(&mut device, model.network(), &sentences)?;
//! assert!(scores[0].log10_prob > scores[1].log10_prob);
//! # Ok::<(), elman::Error>(())
//! ```
//!
//! The directory `examples` has longer programs: `train`, `score` and `generate`.
//!
//! # Overview
//!
//! | To … | use … |
//! | --- | --- |
//! | choose a GPU or the CPU | [`Device`], [`DeviceChoice`] |
//! | read a text | [`Corpus`], [`Vocabulary`], [`Unit`] |
//! | tokenize a text once, whatever its size | [`prepared`] |
//! | describe a network | [`Config`] |
//! | train | [`Trainer`], [`Recipe`] |
//! | load and save a model | [`LanguageModel`] |
//! | evaluate, score, generate | [`Evaluator`], [`Scorer`], [`Generator`] |
//! | show what a model has learned | [`report`] |
//! | combine models | [`mixture`], [`ngram`], [`rescore`] |
//!
//! Data flows in one direction: [`corpus`] → windows → a training step of the [`model`] on a
//! [`device`] → [`train`] → [`checkpoint`]. Sizes have the same letters everywhere: `B`
//! parallel streams, `T` time steps of a window, `H` hidden units, `D` embedding size, `V`
//! vocabulary size, `L` layers.
//!
//! # Features
//!
//! These are enabled by default; without them the library trains and runs models of words,
//! characters and bytes.
//!
//! - `cli`: the `elman` program.
//! - `tokenizers`: subword vocabularies (`unit = bpe`).
//! - `onnx`: export to ONNX.
//! - `tensorboard`: event files for TensorBoard; part of `cli`.
//! - `report`: the page of a [`report`]; part of `cli`.
//!
//! One is not:
//!
//! - `mpi`: training on several processes that `mpirun` starts; needs an MPI library and its
//!   headers.

// They panic where the stream cannot be written; see src/cli/stderr.rs and src/cli/output.rs.
#![warn(clippy::print_stderr, clippy::print_stdout)]

pub mod activity;
pub mod bench;
pub mod check;
pub mod checkpoint;
#[cfg(feature = "cli")]
#[doc(hidden)] // For src/main.rs.
#[allow(
    rustdoc::invalid_html_tags,
    reason = "the doc comments of flags are help texts and not HTML"
)]
pub mod cli;
pub mod corpus;
#[doc(hidden)] // For the integration tests.
pub mod data_loader;
pub(crate) mod decompress;
pub mod device;
pub mod error;
pub mod evaluate;
#[cfg(feature = "fault-injection")]
mod faults;
pub mod field;
pub mod generate;
pub(crate) mod hash;
#[doc(hidden)] // For the integration tests and the benchmarks.
pub mod kernels;
mod language_model;
pub mod mixture;
pub mod model;
pub mod ngram;
#[cfg(feature = "onnx")]
pub mod onnx;
pub(crate) mod output_file;
pub mod parallel;
pub mod prepared;
pub mod report;
pub mod rescore;
pub mod score;
pub mod tensor;
#[cfg(feature = "tensorboard")]
pub mod tensorboard;
pub mod train;

pub use checkpoint::Checkpoint;
pub use corpus::{Corpus, Limits, TextSource, Unit, Vocabulary};
pub use device::{Device, DeviceChoice};
pub use error::{Error, Result};
pub use evaluate::{Evaluation, Evaluator};
pub use generate::{Generator, Sampling};
pub use language_model::LanguageModel;
pub use model::{Config, Model};
pub use score::{Score, Scorer};
pub use train::{EpochRecord, Event, Recipe, Trainer};
