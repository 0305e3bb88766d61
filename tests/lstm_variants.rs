//! LSTM cells with capped input gates: gradients by finite differences, whole steps against the
//! reference, scores in windows of every size against the equations and PyTorch, interrupted runs,
//! wrong settings.

use elman::device::Device;
use elman::model::{CELLS, Config};
use libtest_mimic::Trial;

use super::cells::{VARIANT_CHECKS, with_every_output};
use super::pytorch_step::check_step;
use super::reference::cells::Cell;
use super::reference::finite_differences::check_with_kinks;
use super::reference::network::Architecture;
use super::runs::check_resuming;
use super::scored_lines::check_lines;
use crate::command::{Workbench, small_text};
use crate::environment::has_python;
use crate::harness::{apply, device_test, device_trials_if, test, trial, trials};

const TRAIN: &str = "train --train train.txt --device cpu --batch 4 --bptt 6 --epochs 1";

/// A variant of the LSTM: a name, its flags, and its options in the reference.
#[derive(Clone, Copy)]
struct Variant {
    name: &'static str,
    flags: &'static str,
    of: fn(Architecture) -> Architecture,
}

const VARIANTS: [Variant; 1] = [Variant {
    name: "capped",
    flags: "--cap-input-gate",
    of: |base| Architecture {
        cap_input_gate: true,
        ..base
    },
}];

/// The gradients of networks of one to three layers.
#[apply(trials)]
fn finite_differences() -> Vec<Trial> {
    let mut trials = Vec::new();
    for Variant { name, of, .. } in VARIANTS {
        for num_layers in 1..=3 {
            for embedding_size in [0, 2] {
                trials.push(trial(
                    format!(
                        "lstm_variants::finite_differences::{name}_layers_{num_layers}\
                         _embedding_{embedding_size}"
                    ),
                    move || {
                        check_with_kinks(&of(Architecture {
                            cell: Cell::Lstm,
                            vocab_size: 5,
                            embedding_size,
                            hidden_sizes: vec![3; num_layers],
                            ..Architecture::default()
                        }));
                    },
                ));
            }
        }
    }
    trials
}

/// Whole steps with every output layer, dropout, penalties and overlapping windows.
#[apply(trials)]
fn whole_steps() -> Vec<Trial> {
    let mut trials = Vec::new();
    for Variant { name, of, .. } in VARIANTS {
        for num_layers in 1..=3 {
            for (what, check) in VARIANT_CHECKS {
                let name = format!("lstm_variants::{name}_layers_{num_layers}_{what}");
                trials.extend(device_trials_if(num_layers == 2, &name, move |device| {
                    let networks = with_every_output(Cell::Lstm, num_layers);
                    check(device, networks.into_iter().map(of).collect());
                }));
            }
        }
    }
    trials
}

/// PyTorch's scores, and its parameters after one update on a window that is the whole text.
#[apply(test)]
#[ignore_unless(has_python("torch, safetensors"))]
fn pytorch_agrees_with_a_step() {
    for variant in VARIANTS {
        let flags = [
            "",
            "--layers 2 --embedding 7 --tied --residual",
            "--layers 3 --embedding 4 --bias false",
        ]
        .map(|flags| format!("{} {flags}", variant.flags));
        check_step("lstm.py", "lstm", &flags.each_ref().map(String::as_str));
    }
}

#[apply(test)]
fn scores_are_exact_in_every_window() {
    for variant in VARIANTS {
        for (flags, carries) in [("--layers 2", true), ("--independent", false)] {
            let flags = format!(
                "--cell lstm --embedding 5 --hidden 7 {} {flags}",
                variant.flags
            );
            check_lines(&flags, carries, |_| {
                (variant.of)(Architecture {
                    cell: Cell::Lstm,
                    ..Architecture::default()
                })
            });
        }
    }
}

/// The configuration of a variant as the program knows it.
fn configured(variant: Variant, base: Config) -> Config {
    let options = (variant.of)(Architecture::default());
    Config {
        cell: "lstm".into(),
        cap_input_gate: options.cap_input_gate,
        ..base
    }
}

#[apply(device_test)]
fn resumed_runs_are_bit_identical(device: &mut Device) {
    for variant in VARIANTS {
        check_resuming(device, |config| configured(variant, config));
    }
}

/// `elman inspect` says so, and texts that are generated depend on it.
#[apply(test)]
fn a_capped_gate_is_a_property_of_the_model() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let train = format!("{TRAIN} --cell lstm --hidden 6 --cap-input-gate --residual --layers 2");
    workbench.run(&train).succeeds();
    let inspect = |model: &str| workbench.run(&format!("inspect {model}")).succeeds().stdout;
    let named = "lstm cells with residual connections and capped input gates on words";
    assert!(inspect("model").contains(named), "{}", inspect("model"));
    let generate = |model: &str| {
        let run = format!("generate --model {model} --tokens 60 --seed 3 --device cpu");
        workbench.run(&run).succeeds().stdout
    };
    let text = generate("model");
    workbench
        .run("import --from pytorch model/model.safetensors --vocab model/vocab.txt --out other")
        .succeeds();
    assert_eq!(text, generate("other"));
    let config = String::from_utf8(workbench.read("model/config.json")).expect("UTF-8");
    let setting = "\"cap_input_gate\": true";
    assert!(config.contains(setting), "{config}");
    workbench
        .run("export --onnx --model model --out model.onnx")
        .fails(1, &["capped input gates", "ONNX", "--cap-input-gate"]);
    let perplexity = || {
        let eval = "eval --text train.txt --model model --device cpu --json";
        workbench.run(eval).succeeds().number("perplexity")
    };
    let capped = perplexity();
    workbench.write(
        "model/config.json",
        config.replace(setting, "\"cap_input_gate\": false"),
    );
    assert!((perplexity() - capped).abs() > 1e-4 * capped);
    workbench.write("model/config.json", config.replace("\"lstm\"", "\"gru\""));
    workbench
        .run("inspect model")
        .fails(1, &["model/config.json", "cap_input_gate", "gru"]);
}

#[apply(test)]
fn other_cells_have_no_capped_gate() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    for cell in CELLS.iter().filter(|cell| !cell.has_capped_gate) {
        workbench
            .run(&format!(
                "{TRAIN} --cell {} --embedding 4 --cap-input-gate",
                cell.name
            ))
            .fails(2, &["--cap-input-gate", cell.name, "--cell lstm"]);
    }
    workbench
        .run(&format!("{TRAIN} --cap-input-gate"))
        .fails(2, &["--cap-input-gate", "--cell lstm"]);
}
