//! LSTM cells with capped input gates and with layer normalization: gradients by finite
//! differences, whole steps against the reference, scores in windows of every size against the
//! equations and PyTorch, interrupted runs, wrong settings.

use elman::device::Device;
use elman::model::{CELLS, CellKind, Config};
use libtest_mimic::Trial;

use super::cells::{VARIANT_CHECKS, with_every_output};
use super::import::Tensors;
use super::pytorch_step::check_step;
use super::reference::cells::Cell;
use super::reference::finite_differences::check_with_kinks;
use super::reference::network::{Architecture, Network, Window};
use super::runs::check_resuming;
use super::scored_lines::check_lines;
use super::step_subject::{INITIAL, check_windows};
use crate::command::{Workbench, small_text};
use crate::environment::{every_combination_on_gpu, has_python};
use crate::harness::{apply, device_test, device_trials, device_trials_if, test, trial, trials};

const TRAIN: &str = "train --train train.txt --device cpu --batch 4 --bptt 6 --epochs 1";

/// A variant of the LSTM: a name, its flags, and its options in the reference.
#[derive(Clone, Copy)]
struct Variant {
    name: &'static str,
    flags: &'static str,
    of: fn(Architecture) -> Architecture,
}

impl Variant {
    fn has_layer_norm(self) -> bool {
        (self.of)(Architecture::default()).layer_norm
    }
}

const VARIANTS: [Variant; 3] = [
    Variant {
        name: "capped",
        flags: "--cap-input-gate",
        of: |base| Architecture {
            cap_input_gate: true,
            ..base
        },
    },
    Variant {
        name: "normalized",
        flags: "--layer-norm",
        of: |base| Architecture {
            layer_norm: true,
            ..base
        },
    },
    Variant {
        name: "normalized_and_capped",
        flags: "--layer-norm --cap-input-gate",
        of: |base| Architecture {
            cap_input_gate: true,
            layer_norm: true,
            ..base
        },
    },
];

/// The gradients of networks of one to three layers.
#[apply(trials)]
fn finite_differences() -> Vec<Trial> {
    let mut trials = Vec::new();
    for variant in VARIANTS {
        let Variant { name, of, .. } = variant;
        let hidden_size = if variant.has_layer_norm() { 5 } else { 3 };
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
                            hidden_sizes: vec![hidden_size; num_layers],
                            ..Architecture::default()
                        }));
                    },
                ));
            }
        }
    }
    trials
}

/// Networks of a variant with output layers of every kind. Rows of few units may deviate little, so
/// that normalized ones have more. As a step of these is several dispatches on a GPU, and the
/// output layers do not depend on it, there are fewer of them.
fn networks(device: &Device, variant: Variant, num_layers: usize) -> Vec<Architecture> {
    const MORE_UNITS: usize = 16;
    let all = with_every_output(Cell::Lstm, num_layers).into_iter();
    let all = all.map(variant.of);
    if !variant.has_layer_norm() {
        return all.collect();
    }
    let every = if device.is_gpu() && !every_combination_on_gpu() {
        8
    } else {
        2
    };
    let enlarged = |mut one: Architecture| {
        one.hidden_sizes
            .iter_mut()
            .for_each(|size| *size += MORE_UNITS);
        if one.embedding_size > 0 {
            one.embedding_size += MORE_UNITS;
        }
        one
    };
    all.step_by(every).map(enlarged).collect()
}

/// Whole steps with every output layer, dropout, penalties and overlapping windows.
#[apply(trials)]
fn whole_steps() -> Vec<Trial> {
    let mut trials = Vec::new();
    for variant in VARIANTS {
        let name = variant.name;
        for num_layers in 1..=3 {
            for (what, check) in VARIANT_CHECKS {
                let name = format!("lstm_variants::{name}_layers_{num_layers}_{what}");
                trials.extend(device_trials_if(num_layers == 2, &name, move |device| {
                    let networks = networks(device, variant, num_layers);
                    check(device, networks);
                }));
            }
        }
        if variant.has_layer_norm() {
            trials.extend(device_trials(
                &format!("lstm_variants::{name}_wide"),
                move |device| check_wide(device, variant.of),
            ));
        }
    }
    trials
}

/// Layers of more units than workgroups have invocations, and rows for every thread.
fn check_wide(device: &mut Device, of: fn(Architecture) -> Architecture) {
    for (embedding_size, hidden_sizes) in [(0, vec![67]), (33, vec![300, 40])] {
        let architecture = of(Architecture {
            cell: Cell::Lstm,
            vocab_size: 31,
            embedding_size,
            hidden_sizes,
            bias: true,
            ..Architecture::default()
        });
        let network = Network::new(architecture, 5, 0.5);
        let window = |time_steps| Window::random(3, time_steps, 7, 31, Some(f64::from(INITIAL)));
        check_windows(device, "wide", &network, &[window(5), window(2)]);
    }
}

/// PyTorch's scores, and its parameters after one update on a window that is the whole text.
#[apply(test)]
#[ignore_unless(has_python("torch, safetensors"))]
fn pytorch_agrees_with_a_step() {
    for variant in VARIANTS {
        // Over a whole text, normalization amplifies rounding errors, PyTorch's too, in all but
        // small networks.
        let flags = match variant.has_layer_norm() {
            true => [
                "",
                "--layers 2 --embedding 4 --residual",
                "--embedding 4 --bias false",
            ],
            false => [
                "",
                "--layers 2 --embedding 7 --tied --residual",
                "--layers 3 --embedding 4 --bias false",
            ],
        }
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
        layer_norm: options.layer_norm,
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
    workbench.edit(
        "model/config.json",
        config.replace(setting, "\"cap_input_gate\": false"),
    );
    assert!((perplexity() - capped).abs() > 1e-4 * capped);
    workbench.edit("model/config.json", config.replace("\"lstm\"", "\"gru\""));
    workbench
        .run("inspect model")
        .fails(1, &["model/config.json", "cap_input_gate", "gru"]);
}

#[apply(test)]
fn other_cells_have_no_variants() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let has = |flag: &str, cell: &CellKind| match flag {
        "--cap-input-gate" => cell.has_capped_gate,
        _ => cell.has_layer_norm,
    };
    for flag in ["--cap-input-gate", "--layer-norm"] {
        for cell in CELLS.iter().filter(|cell| !has(flag, cell)) {
            let name = cell.name;
            workbench
                .run(&format!("{TRAIN} --cell {name} --embedding 4 {flag}"))
                .fails(2, &[flag, name, "--cell lstm"]);
        }
        workbench
            .run(&format!("{TRAIN} {flag}"))
            .fails(2, &[flag, "--cell lstm"]);
    }
}

/// A new network has gains of 1 and a bias of 0; files and messages name the normalization.
#[apply(test)]
fn a_normalized_network_is_described() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let train = format!("{TRAIN} --cell lstm --hidden 6 --layer-norm");
    workbench
        .run(&format!("{train} --optimizer sgd --lr 1e-30"))
        .succeeds();
    let tensors = Tensors::read(&workbench, "model/model.safetensors");
    for (name, size, value) in [
        ("rnn.gain_ih_l0", 24, 1.0),
        ("rnn.gain_hh_l0", 24, 1.0),
        ("rnn.gain_c_l0", 6, 1.0),
        ("rnn.bias_c_l0", 6, 0.0),
    ] {
        let values = tensors.values(name);
        assert_eq!(values.len(), size, "{name}");
        // The run has updated what a value of 0 does not hide.
        let is_near = |found: &f32| (found - value).abs() < 1e-20;
        assert!(values.iter().all(is_near), "{name}: {values:?}");
    }
    let inspect = workbench.run("inspect model").succeeds().stdout;
    assert!(
        inspect.contains("lstm cells with layer normalization on words"),
        "{inspect}"
    );
    workbench
        .run("export --onnx --model model --out model.onnx")
        .fails(1, &["layer normalization", "ONNX", "--layer-norm"]);
    workbench
        .run("import --from pytorch model/model.safetensors --vocab model/vocab.txt --out other")
        .fails(1, &["rnn.gain_"]);
    let generate = "generate --tokens 30 --seed 3 --device cpu";
    let text = workbench.run(generate).succeeds().stdout;
    assert_eq!(text, workbench.run(generate).succeeds().stdout);
    let config = String::from_utf8(workbench.read("model/config.json")).expect("UTF-8");
    let perplexity = || {
        let eval = "eval --text train.txt --model model --device cpu --json";
        workbench.run(eval).succeeds().number("perplexity")
    };
    assert!(perplexity().is_finite());
    let setting = "\"layer_norm\": true";
    assert!(config.contains(setting), "{config}");
    workbench.edit(
        "model/config.json",
        config.replace(setting, "\"layer_norm\": false"),
    );
    workbench
        .run("eval --text train.txt --model model --device cpu")
        .fails(1, &["model/model.safetensors", "rnn.", "no such tensor"]);
    workbench.edit("model/config.json", config.replace("\"lstm\"", "\"gru\""));
    workbench
        .run("inspect model")
        .fails(1, &["model/config.json", "layer_norm", "gru"]);
    workbench.edit(
        "model/config.json",
        config.replace(setting, "\"layer_norm\": 1"),
    );
    workbench
        .run("inspect model")
        .fails(1, &["model/config.json", "boolean"]);
}
