//! Elman trains recurrent neural network language models on any GPU, through compute shaders
//! written in WGSL, and on the CPU where there is no GPU; it measures perplexity, scores sentences
//! and writes text.
//!
//! Data flows one way: [`corpus`] → windows → [`model`]'s step on a [`device`] → [`train`]
//! → [`checkpoint`]. Sizes have one letter
//! everywhere: `B` parallel streams, `T` time steps of a window, `H` hidden units, `D` embedding
//! size, `V` vocabulary, `L` layers.

pub mod bench;
pub mod check;
pub mod checkpoint;
pub mod cli;
pub mod corpus;
pub mod data_loader;
pub mod device;
pub mod error;
pub mod evaluate;
pub mod field;
pub mod generate;
pub mod gzip;
pub mod hash;
pub mod kernels;
pub mod mixture;
pub mod model;
pub mod ngram;
pub mod onnx;
pub mod rescore;
pub mod score;
pub mod tensor;
pub mod train;
