//! Quasi-recurrent networks: `elman score` and a training step against PyTorch, scores in windows
//! of every size against the equations, interrupted runs, initial values, zoneout of models that
//! are trained further, wrong settings. `cells` has whole steps against the reference.

use elman::device::Device;
use elman::model::{
    Capacity, Config, DropoutRates, Model, Workspace, initial_values, parameter_specs,
};
use elman::train::{Recipe, Trainer};

use super::pytorch_step::check_step;
use super::reference::cells::Cell;
use super::reference::network::Architecture;
use super::runs::{check_resuming, config, corpus, rate, resumes_bit_identically_with};
use super::scored_lines::check_lines;
use crate::command::{Workbench, small_text};
use crate::environment::has_python;
use crate::harness::{apply, device_test, test};

const TRAIN: &str = "train --train train.txt --device cpu --cell qrnn --batch 4 --bptt 6";

/// PyTorch's scores, and its parameters after one update on a window that is the whole text.
#[apply(test)]
#[ignore_unless(has_python("torch, safetensors"))]
fn pytorch_agrees_with_a_step() {
    let variants = [
        "--embedding 5",
        "--layers 2 --embedding 7 --tied",
        "--layers 3 --embedding 4 --bias false",
    ];
    check_step("qrnn.py", "qrnn", &variants);
}

/// The word before a window is not forgotten, and neither is the memory; zoneout is a factor.
#[apply(test)]
fn scores_are_exact_in_every_window() {
    for (flags, carries) in [
        ("--layers 2", true),
        ("--zoneout 0.25", true),
        ("--layers 3 --zoneout 0.5 --independent", false),
    ] {
        let flags = format!("--cell qrnn --embedding 5 --hidden 7 {flags}");
        check_lines(&flags, carries, |config| Architecture {
            cell: Cell::Qrnn,
            zoneout: f64::from(config.zoneout),
            ..Architecture::default()
        });
    }
}

/// The factor of zoneout in the place of its masks too.
#[apply(device_test)]
fn resumed_runs_are_bit_identical(device: &mut Device) {
    for zoneout in [0.0, 0.25] {
        check_resuming(device, |config| Config {
            cell: "qrnn".into(),
            zoneout,
            ..config
        });
    }
    let corpus = corpus(90);
    let config = Config {
        cell: "qrnn".into(),
        embedding_size: 6,
        num_layers: 2,
        bias: true,
        initial_state: 0.0,
        zoneout: 0.25,
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
        dropout: DropoutRates {
            zoneout: 0.25,
            input: 0.2,
            weights: 0.1,
            variational: true,
            ..DropoutRates::default()
        },
        ..Recipe::default()
    };
    assert!(
        resumes_bit_identically_with(device, &corpus, &config, &recipe, 7),
        "interrupted between epochs"
    );
}

/// The largest values of each part are near the bounds of PyTorch's `nn.Linear`.
#[apply(test)]
fn initial_values_are_those_of_a_linear_layer() {
    let config = Config {
        cell: "qrnn".into(),
        vocab_size: 11,
        embedding_size: 18,
        hidden_size: 64,
        num_layers: 2,
        bias: true,
        ..Config::default()
    };
    let values = initial_values(&config, 1);
    for (spec, values) in parameter_specs(&config).iter().zip(&values) {
        let inputs = match spec.name.as_str() {
            "rnn.weight_ih_l0" | "rnn.bias_l0" => 36.0_f32,
            "rnn.weight_ih_l1" | "rnn.bias_l1" => 64.0,
            _ => continue,
        };
        let most = values
            .iter()
            .fold(0.0, |most: f32, one| most.max(one.abs()));
        let bound = 1.0 / inputs.sqrt();
        assert!(
            most <= bound && most > 0.95 * bound,
            "{}: {most} below {bound}",
            spec.name
        );
    }
}

/// A model keeps its factor where it is trained further, unless another rate is given.
#[apply(test)]
fn zoneout_is_a_property_of_the_model() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let rate = |model: &str| {
        let config = workbench.read(&format!("{model}/config.json"));
        let config: Config = serde_json::from_slice(&config).expect("a configuration");
        config.zoneout
    };
    let small = "--embedding 4 --hidden 5 --epochs 1";
    let train = format!("{TRAIN} {small} --zoneout 0.25 --out first");
    workbench.run(&train).succeeds();
    assert_eq!(rate("first"), 0.25);
    for (flags, expected) in [
        ("", 0.25),
        ("--zoneout 0.5", 0.5),
        ("--zoneout 0", 0.0),
        ("--dropout 0.1", 0.25),
    ] {
        let train = "train --train train.txt --device cpu --batch 4 --bptt 6 --epochs 1";
        workbench
            .run(&format!("{train} --init first {flags} --out more --force"))
            .succeeds();
        assert_eq!(rate("more"), expected, "{flags}");
    }
    // The rate is used: as good as without it the model would be by chance only.
    let perplexity = |model: &str| {
        let eval = format!("eval --text train.txt --model {model} --device cpu --json");
        workbench.run(&eval).succeeds().number("perplexity")
    };
    let with = perplexity("first");
    let config = String::from_utf8(workbench.read("first/config.json")).expect("UTF-8");
    workbench.edit("first/config.json", config.replace("0.25", "0.5"));
    assert!((perplexity("first") - with).abs() > 1e-4 * with);
}

/// Stored states are those of the first input and of each layer.
#[apply(device_test)]
fn texts_start_from_stored_states(device: &mut Device) {
    let config = Config {
        cell: "qrnn".into(),
        embedding_size: 3,
        hidden_size: 2,
        num_layers: 2,
        ..Config::default()
    };
    let values = initial_values(&config, 1);
    let mut model = |states: &[Vec<f32>]| {
        let model = Model::new(device, config.clone(), &values);
        model.and_then(|model| model.with_initial_states(Some(states.to_vec())))
    };
    let states = [vec![0.5, 0.25, -1.0], vec![0.125, 2.0], vec![3.0, -0.5]];
    let error = model(&states[1..]).expect_err("no first input");
    assert!(error.to_string().contains("3,2,2"), "{error}");
    let model = model(&states).expect("a model");
    let capacity = Capacity {
        batch: 2,
        time_steps: 1,
        ..Capacity::default()
    };
    let workspace = Workspace::new(device, &model, capacity).expect("a workspace");
    for (tensor, state) in workspace.carried().iter().zip(&states) {
        let carried = device.download(tensor).expect("the device works");
        assert_eq!(carried, state.repeat(2));
    }
}

#[apply(test)]
fn text_is_generated() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let train = format!("{TRAIN} --embedding 4 --hidden 5 --epochs 1 --zoneout 0.1 --out model");
    workbench.run(&train).succeeds();
    let generate = |flags: &str| {
        let run = format!("generate --tokens 40 --seed 3 --device cpu {flags}");
        workbench.run(&run).succeeds().stdout
    };
    let text = generate("");
    assert!(text.split_whitespace().count() > 20, "{text}");
    assert_eq!(text, generate(""));
    assert!(generate("--prompt the").starts_with("the "));
}

#[apply(test)]
fn wrong_settings_are_explained() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    for (flags, parts) in [
        ("", &["--cell qrnn", "no embedding", "--embedding"][..]),
        (
            "--embedding 4 --activation relu",
            &["--activation relu", "fixed"],
        ),
        (
            "--embedding 4 --forget-bias 2",
            &["--forget-bias 2", "no forget gate"],
        ),
        (
            "--embedding 4 --zoneout 1",
            &["--zoneout 1", "at least 0 and below 1"],
        ),
        (
            "--embedding 4 --context 2",
            &["--context 2 with --cell qrnn", "--cell feedforward"],
        ),
    ] {
        workbench.run(&format!("{TRAIN} {flags}")).fails(2, parts);
    }
    workbench
        .run("train --train train.txt --device cpu --cell lstm --zoneout 0.1")
        .fails(2, &["--zoneout 0.1", "no zoneout", "--cell qrnn"]);
}

/// Files that other programs, or other versions of this one, may have written.
#[apply(test)]
fn files_are_checked() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let train = format!("{TRAIN} --embedding 4 --hidden 5 --epochs 1 --zoneout 0.25 --out model");
    workbench.run(&train).succeeds();
    workbench
        .run("export --onnx --model model --out model.onnx")
        .fails(1, &["the cell qrnn", "elman, gru, lstm"]);
    workbench
        .run("import --from pytorch model/model.safetensors --vocab model/vocab.txt --out other")
        .fails(1, &["rnn.weight_hh_l0", "rnn.bias_l0"]);
    let config = String::from_utf8(workbench.read("model/config.json")).expect("UTF-8");
    for (old, new, exit_code, parts) in [
        ("0.25", "1.5", 1, &["zoneout", "1.5", "below 1"][..]),
        ("\"qrnn\"", "\"gru\"", 1, &["zoneout", "0.25", "gru"]),
        (
            "\"embedding_size\": 4",
            "\"embedding_size\": 0",
            1,
            &["config.json: cell = qrnn", "no embedding"],
        ),
    ] {
        workbench.edit("model/config.json", config.replace(old, new));
        workbench.run("inspect model").fails(exit_code, parts);
    }
}

/// A recipe and a configuration that contradict each other.
#[apply(test)]
fn a_trainer_needs_one_rate() {
    let corpus = corpus(20);
    let config = Config {
        cell: "qrnn".into(),
        embedding_size: 4,
        zoneout: 0.5,
        ..config(&corpus)
    };
    let recipe = Recipe {
        batch: 2,
        bptt: 3,
        dropout: DropoutRates {
            zoneout: 0.25,
            ..DropoutRates::default()
        },
        ..Recipe::default()
    };
    let error = Trainer::from_scratch(&mut Device::cpu(1), config, recipe, &corpus)
        .expect_err("two rates")
        .to_string();
    assert!(
        error.contains("0.25") && error.contains("0.5") && error.contains("zoneout"),
        "{error}"
    );
}
