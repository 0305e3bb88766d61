//! Residual connections: gradients by finite differences, whole steps against the reference, scores
//! in windows of every size against the equations and PyTorch, interrupted runs, wrong settings.
//! `onnx` has exported networks.

use elman::device::Device;
use elman::model::{CELLS, Config, DEFAULT_ROUNDS};
use libtest_mimic::Trial;

use super::cells::{VARIANT_CHECKS, with_every_output};
use super::pytorch_step::check_step;
use super::reference::cells::Cell;
use super::reference::finite_differences::check_layout;
use super::reference::network::Architecture;
use super::runs::check_resuming;
use super::scored_lines::check_lines;
use crate::command::{Workbench, small_text};
use crate::environment::{has_python, slow_tests};
use crate::harness::{apply, device_test, device_trials_if, ignore_unless, test, trial, trials};

const TRAIN: &str = "train --train train.txt --device cpu --batch 4 --bptt 6 --epochs 1";

/// The sizes of embeddings beside layers of three units: one-hot words, a first layer without a
/// residual connection, one with it.
const EMBEDDINGS: [usize; 3] = [0, 2, 3];

/// The gradients of networks of one to three layers.
#[apply(trials)]
fn finite_differences() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, cell) in Cell::TABLE {
        for num_layers in 1..=3 {
            trials.push(trial(
                format!("residual::finite_differences::{name}_layers_{num_layers}"),
                move || {
                    for embedding_size in EMBEDDINGS {
                        let architecture = Architecture {
                            cell,
                            vocab_size: 5,
                            embedding_size,
                            hidden_sizes: vec![3; num_layers],
                            residual: true,
                            ..Architecture::default()
                        };
                        let needs_embedding = architecture.reads_previous_input();
                        let has_any = (0..num_layers).any(|k| architecture.has_residual(k));
                        if has_any && (embedding_size > 0 || !needs_embedding) {
                            check_layout(&architecture);
                        }
                    }
                },
            ));
        }
    }
    trials
}

/// Networks with every output layer. A single layer needs an embedding of its size.
fn architectures(cell: Cell, num_layers: usize) -> Vec<Architecture> {
    let mut all = with_every_output(cell, num_layers);
    all.retain(|one| one.hidden_sizes.iter().all(|&size| size == 5));
    for (index, one) in all.iter_mut().enumerate() {
        one.residual = true;
        if num_layers == 1 || index % 2 == 0 {
            one.embedding_size = 5;
        }
    }
    all
}

/// Whole steps, with dropout, penalties and overlapping windows too. A connection uses the same
/// kernels beside every cell, so that those of cells other than the LSTM have fewer trials.
#[apply(trials)]
fn whole_steps() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, cell) in Cell::TABLE {
        for num_layers in 1..=3 {
            for (what, check) in VARIANT_CHECKS {
                let is_lstm = cell == Cell::Lstm;
                let on_gpu = is_lstm && num_layers == 2;
                let name = format!("residual::{name}_layers_{num_layers}_{what}");
                let of_cell = device_trials_if(on_gpu, &name, move |device| {
                    check(device, architectures(cell, num_layers));
                });
                let is_short = is_lstm || ["windows", "dropout"].contains(&what);
                trials.extend(ignore_unless(is_short || slow_tests(), of_cell));
            }
        }
    }
    trials
}

/// PyTorch's scores, and its parameters after one update on a window that is the whole text.
#[apply(test)]
#[ignore_unless(has_python("torch, safetensors"))]
fn pytorch_agrees_with_a_step() {
    let variants = [
        "--residual --embedding 7",
        "--residual --layers 3",
        "--residual --layers 2 --embedding 4 --tied --projection",
    ];
    check_step("lstm.py", "lstm", &variants);
}

#[apply(test)]
fn scores_are_exact_in_every_window() {
    for (name, cell) in Cell::TABLE {
        for (flags, carries) in [
            ("--embedding 7", true),
            ("--layers 2 --embedding 5 --independent", false),
        ] {
            let flags = format!("--cell {name} --hidden 7 --residual {flags}");
            // The states of Elman's units start from other values, which the trial does not know.
            if cell == Cell::Elman {
                continue;
            }
            check_lines(&flags, carries, |_| Architecture {
                cell,
                residual: true,
                mogrifier_rounds: DEFAULT_ROUNDS,
                ..Architecture::default()
            });
        }
    }
}

#[apply(device_test)]
fn resumed_runs_are_bit_identical(device: &mut Device) {
    for cell in ["gru", "lstm", "qrnn"] {
        check_resuming(device, |config| Config {
            cell: cell.into(),
            embedding_size: config.hidden_size,
            num_layers: 2,
            residual: true,
            ..config
        });
    }
}

/// `elman inspect` says so, the text that is generated depends on them, and so does what `elman
/// import` makes of the parameters' file.
#[apply(test)]
fn they_are_a_property_of_the_model() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let train = format!("{TRAIN} --cell gru --hidden 6 --layers 2 --embedding 4 --residual");
    workbench.run(&train).succeeds();
    let inspect = |model: &str| workbench.run(&format!("inspect {model}")).succeeds().stdout;
    assert!(inspect("model").contains("gru cells with residual connections"));
    let generate = |model: &str| {
        let run = format!("generate --model {model} --tokens 30 --seed 3 --device cpu");
        workbench.run(&run).succeeds().stdout
    };
    let text = generate("model");
    assert_eq!(text, generate("model"));
    workbench
        .run("import --from pytorch model/model.safetensors --vocab model/vocab.txt --out other")
        .succeeds();
    assert_eq!(text, generate("other"));
    assert!(inspect("other").contains("residual connections"));
    let config = String::from_utf8(workbench.read("model/config.json")).expect("UTF-8");
    assert!(config.contains("\"residual\": true"), "{config}");
    workbench.edit(
        "model/config.json",
        config.replace("\"residual\": true", "\"residual\": false"),
    );
    assert_ne!(text, generate("model"));
    assert!(!inspect("model").contains("residual"));
}

#[apply(test)]
fn wrong_settings_are_explained() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let sum = "cannot be added";
    for (flags, parts) in [
        (
            "--hidden 6",
            &[
                "--residual",
                "6 units",
                "one-hot words",
                sum,
                "--embedding 6",
            ][..],
        ),
        (
            "--cell lstm --hidden 6 --embedding 5",
            &["--residual", "6 units", "5 values", sum, "--layers"],
        ),
        (
            "--cell gru --hidden 6,6,5 --embedding 6",
            &["--residual", "layer 3 has 5 units", "6 values", sum],
        ),
        (
            "--cell feedforward --hidden 6 --embedding 6",
            &["--residual", "--cell feedforward", "--skip-connection"],
        ),
    ] {
        workbench
            .run(&format!("{TRAIN} --residual {flags}"))
            .fails(2, parts);
    }
    // Every recurrent cell can have them.
    for cell in CELLS.iter().filter(|cell| !cell.is_feed_forward()) {
        workbench
            .run(&format!(
                "{TRAIN} --residual --cell {} --hidden 4 --embedding 4 --layers 2 --out {}",
                cell.name, cell.name
            ))
            .succeeds();
    }
}
