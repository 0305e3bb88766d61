//! The integration tests: one binary, because each test binary links wgpu.
//!
//! Chain of trust, tightest link first: finite differences -> the f64 reference -> the CPU -> every
//! GPU kernel -> whole steps -> PyTorch's values. The other tests check the shaders' layout,
//! training runs, the command line, and the handling of bad input. [`harness`] explains how a test
//! is registered. Tests that cannot run here are listed as ignored.

mod activations;
mod adaptation;
mod allocations;
mod architecture;
mod arpa_dialects;
mod averaging;
mod awd_lstm;
mod bad_input;
mod bench;
mod cell_architectures;
mod cell_sizes;
mod cells;
mod checkpoint_damage;
mod checkpoint_files;
mod cli;
mod combined_flags;
mod command;
mod command_pages;
mod compare;
mod comparison;
mod coprocess;
mod corpus_command;
mod dawn;
mod divergence;
mod documentation;
mod dry_run;
mod environment;
mod evaluation;
mod evaluation_streams;
mod expected;
mod external_probabilities;
mod feed_forward;
mod fine_tuning;
mod flag_errors;
mod flag_files;
mod fuzz_seeds;
mod generation;
mod given_vocabularies;
mod gpu;
mod harness;
mod hostile_files;
mod import;
mod import_errors;
mod import_pytorch;
mod inspection;
mod interruption;
mod kernels;
mod kneser_ney;
mod large_logits;
mod large_vocabularies;
mod last_update;
mod live_runs;
mod live_view;
mod lstm_variants;
mod messages;
mod mixture_errors;
mod mixture_vocabularies;
mod mixtures;
mod mogrifier;
mod mpi;
mod mpi_command_faults;
mod mpi_commands;
mod mpi_differences;
mod mpi_faults;
mod mpi_jobs;
mod mpi_scoring;
mod nan;
mod ngram;
mod ngram_command;
mod ngram_errors;
mod ngram_usage;
mod older_checkpoints;
mod onnx;
mod onnx_runtime;
mod output_files;
mod packages;
mod partial_results;
mod past_decode;
mod prepare;
mod pytorch_step;
mod qrnn;
mod ranks;
mod ranks_runs;
mod recovery;
mod reference;
mod report;
mod report_browser;
mod report_memory;
mod rescoring;
mod rescoring_errors;
mod rescoring_lists;
mod residual;
mod resuming;
mod rnnlm_errors;
mod rnnlm_files;
mod rnnlm_models;
mod runs;
mod schedules;
mod scored_lines;
mod scoring;
mod shaders;
mod softmax_mixtures;
mod sru;
mod standard_streams;
mod state_resets;
mod step_subject;
mod steps;
mod submissions;
mod subwords;
mod subwords_command;
mod subwords_errors;
mod table_updates;
mod tensorboard;
mod terminal;
mod text_files;
mod training;
mod unknown_words;
mod updates;
mod validation_layers;
mod vectors;
mod window_updates;
mod words_of_a_text;
mod workgroup_memory;

use libtest_mimic::Arguments;

#[global_allocator]
static ALLOCATOR: allocations::NotingAllocator = allocations::NotingAllocator;

fn main() {
    libtest_mimic::run(&Arguments::from_args(), harness::registered()).exit();
}
