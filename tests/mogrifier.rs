//! Mogrifier LSTMs: `elman score` and a training step against PyTorch, scores in windows of every
//! size against the equations, interrupted runs, initial values, generated text, wrong settings;
//! capped input gates. `cells` has whole steps against the reference.

use elman::device::Device;
use elman::model::{Config, initial_values, parameter_specs};
use elman::train::Recipe;
use libtest_mimic::Trial;

use super::cells::{VARIANT_CHECKS, with_every_output};
use super::pytorch_step::check_step;
use super::reference::cells::Cell;
use super::reference::finite_differences::check_with_kinks;
use super::reference::network::Architecture;
use super::runs::{check_resuming, config, corpus, rate, resumes_bit_identically_with};
use super::scored_lines::check_lines;
use crate::command::{Workbench, small_text};
use crate::environment::has_python;
use crate::harness::{apply, device_test, device_trials_if, test, trial, trials};

const TRAIN: &str = "train --train train.txt --device cpu --cell mogrifier --batch 4 --bptt 6";

/// Networks with capped input gates: gradients by finite differences, and whole steps with every
/// output layer, dropout, penalties and overlapping windows.
#[apply(trials)]
fn capped_gates() -> Vec<Trial> {
    let mut trials = Vec::new();
    for num_layers in 1..=3 {
        let name = format!("mogrifier::finite_differences::capped_layers_{num_layers}");
        trials.push(trial(name, move || {
            check_with_kinks(&capped(Architecture {
                cell: Cell::Mogrifier,
                vocab_size: 5,
                embedding_size: 2,
                hidden_sizes: vec![3; num_layers],
                mogrifier_rounds: 2,
                ..Architecture::default()
            }));
        }));
        for (what, check) in VARIANT_CHECKS {
            let name = format!("mogrifier::capped_layers_{num_layers}_{what}");
            trials.extend(device_trials_if(num_layers == 1, &name, move |device| {
                let networks = with_every_output(Cell::Mogrifier, num_layers).into_iter();
                // On a GPU, a step of a mogrifier is some twenty dispatches.
                let every = if device.is_gpu() { 6 } else { 1 };
                check(device, networks.step_by(every).map(capped).collect());
            }));
        }
    }
    trials
}

fn capped(base: Architecture) -> Architecture {
    Architecture {
        cap_input_gate: true,
        ..base
    }
}

/// PyTorch's scores, and its parameters after one update on a window that is the whole text.
#[apply(test)]
#[ignore_unless(has_python("torch, safetensors"))]
fn pytorch_agrees_with_a_step() {
    let variants = [
        "--embedding 5",
        "--layers 2 --embedding 7 --tied --mogrifier-rounds 4 --mogrifier-rank 3",
        "--layers 3 --embedding 4 --bias false --mogrifier-rounds 1",
        "--embedding 5 --cap-input-gate",
        "--layers 2 --embedding 4 --bias false --mogrifier-rank 2 --cap-input-gate",
    ];
    check_step("mogrifier.py", "mogrifier", &variants);
}

/// The carried state has no gates.
#[apply(test)]
fn scores_are_exact_in_every_window() {
    for (flags, carries) in [
        ("--layers 2", true),
        ("--mogrifier-rounds 2 --mogrifier-rank 3", true),
        ("--layers 3 --independent", false),
        ("--cap-input-gate", true),
    ] {
        let flags = format!("--cell mogrifier --embedding 5 --hidden 7 {flags}");
        check_lines(&flags, carries, |config| Architecture {
            cell: Cell::Mogrifier,
            mogrifier_rounds: config.mogrifier_rounds,
            mogrifier_rank: config.mogrifier_rank,
            cap_input_gate: config.cap_input_gate,
            ..Architecture::default()
        });
    }
}

/// With windows that overlap, states that are reset, and masks of recurrent weights too.
#[apply(device_test)]
fn resumed_runs_are_bit_identical(device: &mut Device) {
    for (mogrifier_rounds, mogrifier_rank, cap_input_gate) in [(2, 0, false), (3, 2, true)] {
        check_resuming(device, |config| Config {
            cell: "mogrifier".into(),
            mogrifier_rounds,
            mogrifier_rank,
            cap_input_gate,
            ..config
        });
    }
    let corpus = corpus(60);
    let config = Config {
        cell: "mogrifier".into(),
        mogrifier_rounds: 2,
        embedding_size: 6,
        num_layers: 2,
        bias: true,
        initial_state: 0.0,
        ..config(&corpus)
    };
    let recipe = Recipe {
        batch: 4,
        bptt: 6,
        bptt_block: Some(4),
        epochs: 2,
        optimizer: "adam".into(),
        lr: rate("adam"),
        reset_states: 0.3,
        dropout: elman::model::DropoutRates {
            input: 0.2,
            weights: 0.1,
            variational: true,
            ..Default::default()
        },
        ..Recipe::default()
    };
    assert!(
        resumes_bit_identically_with(device, &corpus, &config, &recipe, 7),
        "interrupted between epochs"
    );
}

/// Matrices of rounds start as those of PyTorch's `nn.Linear`, their biases at 0.
#[apply(test)]
fn initial_values_are_those_of_a_linear_layer() {
    let base = Config {
        cell: "mogrifier".into(),
        mogrifier_rounds: 2,
        vocab_size: 11,
        embedding_size: 36,
        hidden_size: 64,
        bias: true,
        ..Config::default()
    };
    let low_rank = Config {
        mogrifier_rank: 25,
        ..base.clone()
    };
    for (config, expected) in [
        (base, &[("weight1", 64.0), ("weight2", 36.0)][..]),
        (
            low_rank,
            &[
                ("left1", 25.0),
                ("right1", 64.0),
                ("left2", 25.0),
                ("right2", 36.0),
            ],
        ),
    ] {
        let values = initial_values(&config, 1);
        let specs = parameter_specs(&config);
        let of = |part: &str| {
            let name = format!("rnn.mogrifier_{part}_l0");
            let place = specs.iter().position(|spec| spec.name == name);
            &values[place.expect("a parameter")]
        };
        for &(part, inputs) in expected {
            let most = of(part)
                .iter()
                .fold(0.0, |most: f32, one| most.max(one.abs()));
            let bound = 1.0 / f32::sqrt(inputs);
            assert!(
                most <= bound && most > 0.95 * bound,
                "{part}: {most} below {bound}"
            );
        }
        assert_eq!(of("bias1"), &[0.0; 36]);
        assert_eq!(of("bias2"), &[0.0; 64]);
    }
}

#[apply(test)]
fn text_is_generated() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let train = format!(
        "{TRAIN} --embedding 4 --hidden 5 --epochs 1 --mogrifier-rank 2 --forget-bias 1 --out model"
    );
    workbench.run(&train).succeeds();
    let generate = |flags: &str| {
        let run = format!("generate --tokens 40 --seed 3 --device cpu {flags}");
        workbench.run(&run).succeeds().stdout
    };
    let text = generate("");
    assert!(text.split_whitespace().count() > 20, "{text}");
    assert_eq!(text, generate(""));
    assert!(generate("--prompt the").starts_with("the "));
    let more = "--epochs 1 --out more --force";
    let train = "train --train train.txt --device cpu --batch 4 --bptt 6";
    workbench
        .run(&format!("{train} --init model {more}"))
        .succeeds();
}

#[apply(test)]
fn wrong_settings_are_explained() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    for (flags, parts) in [
        ("", &["--cell mogrifier", "no embedding", "--embedding"][..]),
        (
            "--embedding 4 --activation relu",
            &["--activation relu", "fixed"],
        ),
        (
            "--embedding 4 --mogrifier-rounds 0",
            &["--mogrifier-rounds 0", "from 1 to 20", "--cell lstm"],
        ),
        (
            "--embedding 4 --mogrifier-rounds 21",
            &["--mogrifier-rounds 21", "from 1 to 20"],
        ),
        (
            "--embedding 4 --hidden 7 --mogrifier-rank 4",
            &["--mogrifier-rank 4", "layer 1, 4 and 7", "at most 3"],
        ),
        (
            "--embedding 9 --hidden 7,5 --mogrifier-rank 6",
            &["--mogrifier-rank 6", "layer 2, 7 and 5", "at most 4"],
        ),
    ] {
        workbench.run(&format!("{TRAIN} {flags}")).fails(2, parts);
    }
    for flag in ["--mogrifier-rounds 5", "--mogrifier-rank 3"] {
        workbench
            .run(&format!(
                "train --train train.txt --device cpu --cell lstm {flag}"
            ))
            .fails(2, &[flag, "--cell mogrifier"]);
    }
}

/// Files that other programs, or other versions of this one, may have written.
#[apply(test)]
fn files_are_checked() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let train = format!("{TRAIN} --embedding 4 --hidden 5 --epochs 1 --out model");
    workbench.run(&train).succeeds();
    workbench
        .run("export --onnx --model model --out model.onnx")
        .fails(1, &["the cell mogrifier", "elman, gru, lstm"]);
    workbench
        .run("import --from pytorch model/model.safetensors --vocab model/vocab.txt --out other")
        .fails(1, &["rnn.mogrifier_weight1_l0"]);
    let config = String::from_utf8(workbench.read("model/config.json")).expect("UTF-8");
    for (old, new, parts) in [
        (
            "\"mogrifier_rounds\": 5",
            "\"mogrifier_rounds\": 0",
            &["mogrifier", "from 1 to 20"][..],
        ),
        ("\"mogrifier\"", "\"lstm\"", &["no rounds", "lstm"]),
        (
            "\"mogrifier_rounds\": 5",
            "\"mogrifier_rounds\": 5, \"mogrifier_rank\": 4",
            &["rank", "4 and 5"],
        ),
    ] {
        workbench.edit("model/config.json", config.replace(old, new));
        workbench.run("inspect model").fails(1, parts);
    }
}
