//! The integration tests: one binary, because each test binary links wgpu.
//!
//! Chain of trust, tightest link first: finite differences -> the f64 reference -> the CPU -> every
//! GPU kernel -> whole steps -> PyTorch's values. The other tests check the shaders' layout,
//! training runs, the command line, and the handling of bad input. [`harness`] explains how a test
//! is registered. Tests that cannot run here are listed as ignored.

mod adaptation;
mod architecture;
mod bad_input;
mod cells;
mod cli;
mod command;
mod compare;
mod environment;
mod expected;
mod expected_cells;
mod expected_ragged;
mod expected_sampled;
mod fine_tuning;
mod flag_files;
mod gpu;
mod harness;
mod import;
mod kernels;
mod kneser_ney;
mod large_vocabularies;
mod mixtures;
mod ngram;
mod ngram_command;
mod onnx;
mod reference;
mod rescoring;
mod rnnlm_models;
mod schedules;
mod scoring;
mod shaders;
mod steps;
mod subwords;
mod training;
mod updates;
mod vectors;

use libtest_mimic::Arguments;

fn main() {
    libtest_mimic::run(&Arguments::from_args(), harness::registered()).exit();
}
