//! Simple recurrent units: `elman score` and a training step against PyTorch, interrupted runs,
//! initial values, wrong settings. `cells` has whole steps against the reference.

use std::process::Command;

use elman::device::Device;
use elman::model::{Config, initial_values, parameter_specs};
use elman::train::Recipe;

use super::compare::assert_close;
use super::runs::{config, corpus, rate, resumes_bit_identically_with};
use super::step_subject::STEP;
use crate::command::{Run, Workbench, small_text};
use crate::environment::{has_python, python};
use crate::harness::{apply, device_test, test};

const TRAIN: &str = "train --train train.txt --device cpu --cell sru";

/// Runs the script of the tests on models before and after an update.
fn run_pytorch(workbench: &Workbench) -> Vec<f64> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pytorch/sru.py");
    let output = Command::new(python())
        .args([script, "before", "after", "train.txt", "0.5"])
        .current_dir(workbench.path(""))
        .output()
        .expect("Python runs");
    let run = Run::new("(python sru.py)", output).succeeds();
    let number = |line: &str| line.parse().expect("a number");
    run.stdout.lines().map(number).collect()
}

/// PyTorch's scores, and its parameters after one update on a window that is the whole text: with
/// highways from one-hot words, from inputs of H values and from others.
#[apply(test)]
#[ignore_unless(has_python("torch, safetensors"))]
fn pytorch_agrees_with_a_step() {
    let workbench = Workbench::new();
    let lines: Vec<String> = small_text().lines().take(12).map(str::to_owned).collect();
    let tokens: usize = lines.iter().map(|line| line.split(' ').count() + 1).sum();
    workbench.write("train.txt", lines.join("\n") + "\n");
    for flags in [
        "",
        "--layers 2 --embedding 7 --tied",
        "--layers 3 --embedding 4 --bias false",
    ] {
        for (rate, out) in [("1e-30", "before"), ("0.5", "after")] {
            workbench
                .run(&format!(
                    "{TRAIN} --valid train.txt --hidden 7 --batch 1 --bptt {tokens} --epochs 1 \
                     --optimizer sgd --schedule constant --clip 0 --seed 1 {flags} --lr {rate} \
                     --out {out} --force"
                ))
                .succeeds();
        }
        let found = run_pytorch(&workbench);
        assert!(
            found[0] < 1e-6,
            "{flags}: parameters differ by {}",
            found[0]
        );
        let scores = workbench
            .run("score train.txt --model before --device cpu --json")
            .succeeds()
            .numbers("log10_prob");
        assert_close(flags, &scores, &found[1..], STEP);
    }
}

#[apply(device_test)]
fn resumed_runs_are_bit_identical(device: &mut Device) {
    let corpus = corpus(90);
    let config = Config {
        cell: "sru".into(),
        embedding_size: 6,
        bias: true,
        decoder_bias: true,
        initial_state: 0.0,
        ..config(&corpus)
    };
    for independent in [false, true] {
        let recipe = Recipe {
            batch: 4,
            bptt: 5,
            epochs: 2,
            optimizer: "adam".into(),
            lr: rate("adam"),
            independent,
            seed: 5,
            ..Recipe::default()
        };
        assert!(
            resumes_bit_identically_with(device, &corpus, &config, &recipe, 7),
            "interrupted between epochs"
        );
    }
}

/// The largest values of each part are near the bounds of their distributions.
#[apply(test)]
fn initial_values_have_the_published_variance() {
    let config = Config {
        cell: "sru".into(),
        vocab_size: 11,
        embedding_size: 48,
        hidden_size: 64,
        bias: true,
        ..Config::default()
    };
    let values = initial_values(&config, 1);
    let specs = parameter_specs(&config);
    let of = |name: &str| {
        let place = specs.iter().position(|spec| spec.name == name);
        &values[place.expect("a parameter")]
    };
    let largest = |values: &[f32]| {
        values
            .iter()
            .fold(0.0, |most: f32, one| most.max(one.abs()))
    };
    let bound = (3.0_f32 / 48.0).sqrt();
    let half = 0.5_f32.sqrt();
    let gates = of("rnn.weight_ih_l0").chunks_exact(64 * 48);
    let mut parts: Vec<(f32, f32)> = gates
        .map(largest)
        .zip([bound, bound * half, bound * half, bound])
        .collect();
    assert_eq!(parts.len(), 4);
    parts.push((largest(of("rnn.weight_c_l0")), 3.0_f32.sqrt() * half));
    for (found, bound) in parts {
        assert!(
            found <= bound && found > 0.95 * bound,
            "{found} below {bound}"
        );
    }
    assert_eq!(of("rnn.bias_l0"), &[0.0; 128]);
}

#[apply(test)]
fn wrong_settings_are_explained() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    for (flags, parts) in [
        ("--activation relu", &["--activation relu", "fixed"][..]),
        (
            "--dropout-weights 0.5",
            &["--dropout-weights 0.5", "no recurrent weights"],
        ),
        ("--forget-bias 2", &["--forget-bias 2", "no forget gate"]),
    ] {
        workbench.run(&format!("{TRAIN} {flags}")).fails(2, parts);
    }
}
