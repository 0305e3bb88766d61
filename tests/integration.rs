//! The one integration test binary: a table of trials, so that what is left out is listed by name.
//!
//! The chain of trust, tightest link first: finite differences -> the f64 reference -> the CPU ->
//! every GPU kernel -> whole steps -> PyTorch's numbers. Beside it the shaders' layout, training
//! runs, the command line, and what bad input gets.

mod adaptation;
mod architecture;
mod bad_input;
mod cells;
mod cli;
mod command;
mod compare;
mod expected;
mod expected_cells;
mod expected_ragged;
mod expected_sampled;
mod fine_tuning;
mod flag_files;
mod gpu;
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
mod support;
mod training;
mod updates;
mod vectors;

use libtest_mimic::{Arguments, Trial};

/// A trial of a plain function; `left_out` lists it as ignored.
fn trial(module: &str, name: &str, left_out: bool, run: impl FnOnce() + Send + 'static) -> Trial {
    let run = move || {
        run();
        Ok(())
    };
    Trial::test(format!("{module}::{name}"), run).with_ignored_flag(left_out)
}

fn main() {
    let mut trials = Vec::new();
    for (name, run) in reference::tests().into_iter().chain(compare::tests()) {
        trials.push(Trial::test(name, move || {
            run();
            Ok(())
        }));
    }
    let plain = [
        ("cli", cli::TESTS),
        ("flag_files", flag_files::TESTS),
        ("bad_input", bad_input::TESTS),
        ("training", training::TESTS),
        ("schedules", schedules::TESTS),
        ("large_vocabularies", large_vocabularies::TESTS),
        ("import", import::TESTS),
        ("ngram", ngram::TESTS),
        ("kneser_ney", kneser_ney::TESTS),
        ("onnx", onnx::TESTS),
        ("subwords", subwords::TESTS),
        ("rnnlm_models", rnnlm_models::TESTS),
        ("fine_tuning", fine_tuning::TESTS),
        ("ngram_command", ngram_command::TESTS),
        ("rescoring", rescoring::TESTS),
        ("scoring", scoring::TESTS),
        ("adaptation", adaptation::TESTS),
        ("mixtures", mixtures::TESTS),
        ("vectors", vectors::TESTS),
    ];
    for (module, tests) in plain {
        trials.extend(
            tests
                .iter()
                .map(|&(name, run)| trial(module, name, false, run)),
        );
    }
    // What lies outside the repository may not be there.
    let of_shared = [
        (
            "rnnlm_models",
            rnnlm_models::SHARED_TESTS,
            rnnlm_models::SHARED,
        ),
        (
            "ngram_command",
            ngram_command::SHARED_TESTS,
            ngram_command::SHARED,
        ),
    ];
    for (module, tests, material) in of_shared {
        let left_out = !support::shared(material).exists();
        trials.extend(
            tests
                .iter()
                .map(|&(name, run)| trial(module, name, left_out, run)),
        );
    }
    let of_python = [
        ("cli", cli::PYTHON_TESTS, "numpy, safetensors"),
        ("import", import::TORCH_TESTS, "torch, safetensors"),
        ("onnx", onnx::PYTHON_TESTS, "numpy, onnx, onnxruntime"),
    ];
    for (module, tests, packages) in of_python {
        let left_out = !cli::has_python(packages);
        trials.extend(
            tests
                .iter()
                .map(|&(name, run)| trial(module, name, left_out, run)),
        );
    }
    for variant in gpu::VARIANTS {
        for (module, tests) in [
            ("training", training::GPU_TESTS),
            ("schedules", schedules::GPU_TESTS),
            ("large_vocabularies", large_vocabularies::GPU_TESTS),
        ] {
            trials.extend(tests.iter().map(|&(name, run)| {
                trial(
                    module,
                    &format!("gpu_{}_{name}", variant.name),
                    gpu::left_out(),
                    move || gpu::with_device(variant, run),
                )
            }));
        }
    }
    for more in [
        architecture::trials(),
        shaders::trials(),
        kernels::trials(),
        steps::trials(),
        cells::trials(),
        updates::trials(),
    ] {
        trials.extend(more);
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
