//! Simple recurrent units: `elman score` and a training step against PyTorch, interrupted runs,
//! initial values, wrong settings. `cells` has whole steps against the reference.

use elman::device::Device;
use elman::model::{Config, initial_values, parameter_specs};

use super::pytorch_step::check_step;
use super::runs::check_resuming;
use crate::command::{Workbench, small_text};
use crate::environment::has_python;
use crate::harness::{apply, device_test, test};

const TRAIN: &str = "train --train train.txt --device cpu --cell sru";

/// PyTorch's scores, and its parameters after one update on a window that is the whole text: with
/// highways from one-hot words, from inputs of H values and from others.
#[apply(test)]
#[ignore_unless(has_python("torch, safetensors"))]
fn pytorch_agrees_with_a_step() {
    let variants = [
        "",
        "--layers 2 --embedding 7 --tied",
        "--layers 3 --embedding 4 --bias false",
    ];
    check_step("sru.py", "sru", &variants);
}

#[apply(device_test)]
fn resumed_runs_are_bit_identical(device: &mut Device) {
    check_resuming(device, |config| Config {
        cell: "sru".into(),
        ..config
    });
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
