//! Past decode regularization: whole steps against the reference, a training step against PyTorch,
//! interrupted runs, what it leaves unchanged, fine-tuning, export, wrong settings.

use elman::device::Device;
use elman::model::{Config, DropoutRates, add_past_decoder, initial_values, parameter_specs};
use elman::train::{Recipe, Trainer};
use libtest_mimic::Trial;

use super::cell_architectures::{architectures, feed_forward_architectures};
use super::cells::{PenalizedSteps, VARIANT_CHECKS, check_penalized_steps};
use super::fine_tuning::losses;
use super::import::Tensors;
use super::pytorch_step::check_step;
use super::reference::cells::Cell;
use super::reference::network::Architecture;
use super::reference::penalties::Penalties;
use super::runs::{config, corpus, rate, resumes_bit_identically_with};
use crate::command::{Workbench, small_text};
use crate::environment::has_python;
use crate::harness::{apply, device_test, device_trials, device_trials_if, test, trials};

const TRAIN: &str = "train --train train.txt --device cpu --batch 4 --bptt 6";
const TIED: &str = "--cell lstm --embedding 6 --hidden 6 --tied";

/// Networks that can have it.
fn with_past(architectures: Vec<Architecture>) -> Vec<Architecture> {
    let tied = architectures.into_iter().filter(|one| one.tied);
    tied.map(|one| Architecture {
        past_decode: true,
        ..one
    })
    .collect()
}

/// Every cell in one to three layers with all checks of variants; of most of them without the
/// penalty, where the gradients of its parameters are zero. Feed-forward networks, with it.
#[apply(trials)]
fn whole_steps() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (cell_name, cell) in Cell::TABLE {
        for num_layers in 1..=3 {
            let networks = move || with_past(architectures(cell, num_layers));
            let on_gpu = cell == Cell::Lstm && num_layers == 2;
            let mut add = |what: &str, check: fn(&mut Device, Vec<Architecture>)| {
                let name = format!("past_decode::{cell_name}_layers_{num_layers}_{what}");
                trials.extend(device_trials_if(on_gpu, &name, move |device| {
                    check(device, networks());
                }));
            };
            VARIANT_CHECKS
                .iter()
                .for_each(|&(what, check)| add(what, check));
            add("alone", check_alone);
        }
    }
    trials.extend(device_trials("past_decode::feed_forward", |device| {
        check_alone(device, with_past_of_softmax(feed_forward_architectures()));
    }));
    trials
}

/// Those of the networks with a plain softmax.
fn with_past_of_softmax(mut architectures: Vec<Architecture>) -> Vec<Architecture> {
    use super::reference::outputs::Output;
    architectures.retain(|one| matches!(one.output, Output::Softmax));
    with_past(architectures)
}

/// Steps with this penalty alone, with dropout and steps that predict nothing.
fn check_alone(device: &mut Device, architectures: Vec<Architecture>) {
    let penalties = Penalties {
        activation: 0.0,
        temporal: 0.0,
        past: 1.5,
    };
    let some = DropoutRates {
        input: 0.25,
        output: 0.5,
        ..DropoutRates::default()
    };
    for architecture in architectures {
        for (dropout, history) in [(DropoutRates::default(), 0), (some, 2)] {
            let steps = PenalizedSteps {
                penalties,
                dropout,
                seed: 5,
                history,
                lengths: [5, 3],
            };
            check_penalized_steps(device, &architecture, &steps);
        }
    }
}

/// PyTorch's scores, and its parameters after one update on a window that is the whole text.
#[apply(test)]
#[ignore_unless(has_python("torch, safetensors"))]
fn pytorch_agrees_with_a_step() {
    let variants = [
        "--embedding 7 --tied --past-decode 0.5",
        "--embedding 5 --projection --tied --layers 2 --past-decode 2",
        "--embedding 7 --tied --bias false --past-decode 0.25",
    ];
    check_step("past_decode.py", "lstm", &variants);
}

#[apply(device_test)]
fn resumed_runs_are_bit_identical(device: &mut Device) {
    let corpus = corpus(90);
    let config = Config {
        cell: "lstm".into(),
        embedding_size: 6,
        hidden_size: 6,
        tied: true,
        past_decode: true,
        bias: true,
        decoder_bias: true,
        initial_state: 0.0,
        ..config(&corpus)
    };
    let recipe = Recipe {
        batch: 4,
        bptt: 5,
        epochs: 2,
        optimizer: "adam".into(),
        lr: rate("adam"),
        past_decode: 0.5,
        dropout: DropoutRates {
            output: 0.25,
            ..DropoutRates::default()
        },
        ..Recipe::default()
    };
    assert!(
        resumes_bit_identically_with(device, &corpus, &config, &recipe, 7),
        "interrupted between epochs"
    );
}

/// Its parameters follow those of the model, whose initial values are the same with it, and so are
/// the losses that are reported.
#[apply(test)]
fn losses_are_reported_without_it() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let train = |flags: &str, out: &str| {
        let run = format!("{TRAIN} {TIED} {flags} --epochs 2 --out {out}");
        workbench.run(&run).succeeds();
        [
            losses(&workbench, out, "train_loss"),
            losses(&workbench, out, "valid_loss"),
        ]
    };
    let still = "--optimizer sgd --lr 1e-30";
    let plain = train(still, "plain");
    assert_eq!(plain, train(&format!("{still} --past-decode 5"), "past"));
    let read = |model: &str| Tensors::read(&workbench, &format!("{model}/model.safetensors"));
    let (plain, past) = (read("plain"), read("past"));
    for name in plain.0.keys() {
        // The run has updated what a value of 0 does not hide.
        let is_near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-20;
        let (values, with) = (plain.values(name), past.values(name));
        assert!(values.iter().zip(&with).all(is_near), "{name}");
    }
    let more = past.0.keys().filter(|name| !plain.0.contains_key(*name));
    let more: Vec<_> = more.collect();
    assert_eq!(more, ["past.bias", "past.decoder_bias", "past.weight"]);

    let learned = train("--lr 0.3 --optimizer sgd", "plain-2");
    let with = train("--lr 0.3 --optimizer sgd --past-decode 0.5", "past-2");
    assert_ne!(learned, with, "it has no effect");
}

/// A model that was trained with it scores, generates and is exported as one without its
/// parameters.
#[apply(test)]
fn only_training_reads_its_parameters() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let train = format!("{TRAIN} {TIED} --past-decode 0.1 --epochs 1 --out model");
    workbench.run(&train).succeeds();
    let inspected = workbench.run("inspect model").succeeds().stdout;
    for part in ["past_decode", "past.weight", "past.decoder_bias"] {
        assert!(inspected.contains(part), "{inspected}");
    }
    let mut tensors = Tensors::read(&workbench, "model/model.safetensors");
    tensors.0.retain(|name, _| !name.starts_with("past."));
    let train = format!("{TRAIN} {TIED} --epochs 1 --out bare");
    workbench.run(&train).succeeds();
    for file in ["config.json", "vocab.txt"] {
        let text = String::from_utf8(workbench.read(&format!("model/{file}"))).expect("UTF-8");
        assert!(
            file != "config.json" || text.contains("\"past_decode\": true"),
            "{text}"
        );
        workbench.edit(
            &format!("bare/{file}"),
            text.replace("\"past_decode\": true", "\"past_decode\": false"),
        );
    }
    tensors.write(&workbench, "bare/model.safetensors");
    let outputs = ["model", "bare"].map(|model| {
        let run = |command: &str| {
            let run = workbench.run(&format!("{command} --model {model} --device cpu"));
            run.succeeds().stdout
        };
        let export = format!("export --onnx --model {model} --out {model}.onnx");
        workbench.run(&export).succeeds();
        let texts = ["generate --tokens 40 --seed 3", "score train.txt"];
        let perplexities = ["", "--dynamic 0.01"].map(|flags| {
            let eval = format!("eval --text train.txt --json --device cpu --model {model} {flags}");
            let perplexity = workbench.run(&eval).succeeds().number("perplexity");
            perplexity.to_bits()
        });
        (
            texts.map(run),
            perplexities,
            workbench.read(&format!("{model}.onnx")),
        )
    });
    let [model, bare] = outputs;
    assert_eq!((model.0, model.1), (bare.0, bare.1));
    assert!(model.2 == bare.2, "the ONNX files differ");
}

/// A model that is fine-tuned gets the parameters if it has none, and keeps them if it has some.
#[apply(test)]
fn models_are_fine_tuned() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench.write("new.txt", "the zebra runs\nthe boy runs\n".repeat(20));
    let run = |command: &str| workbench.run(command).succeeds();
    run(&format!("{TRAIN} {TIED} --epochs 1 --out plain"));
    let tune = "train --train train.txt --device cpu --batch 4 --bptt 6 --epochs 1";
    run(&format!("{tune} --init plain --past-decode 0.5 --out past"));
    run(
        "train --train new.txt --device cpu --batch 2 --bptt 5 --epochs 1 --init past \
         --extend-vocab --past-decode 0.5 --out more",
    );
    run(&format!("{tune} --init past --out kept"));
    let read = |model: &str| Tensors::read(&workbench, &format!("{model}/model.safetensors"));
    let words = |model: &str| {
        workbench
            .read(&format!("{model}/vocab.txt"))
            .split(|&b| b == b'\n')
            .count()
            - 1
    };
    for model in ["past", "more", "kept"] {
        assert_eq!(
            read(model).values("past.decoder_bias").len(),
            words(model),
            "{model}"
        );
        assert_eq!(read(model).values("past.weight").len(), 36, "{model}");
    }
    assert!(words("more") > words("past"));
    let weight = |model: &str| read(model).values("past.weight");
    assert_eq!(
        weight("past"),
        weight("kept"),
        "parameters that nothing trains"
    );
    assert_ne!(
        weight("past"),
        weight("more"),
        "parameters that training changes"
    );
    run("train --resume past --epochs 2 --device cpu");
    // The flags of its run, without those of the model it started from.
    run(&format!(
        "{TRAIN} {TIED} --past-decode 0.5 --epochs 1 --out first"
    ));
    run("train --config first --epochs 1 --device cpu --out again");
    assert!(
        workbench.read("first/model.safetensors") == workbench.read("again/model.safetensors"),
        "a repeated run differs"
    );
}

/// The library demands the parameters that the recipe trains.
#[apply(test)]
fn trainers_check_the_model() {
    let corpus = corpus(40);
    let mut config = Config {
        embedding_size: 5,
        hidden_size: 5,
        tied: true,
        ..config(&corpus)
    };
    let recipe = Recipe {
        past_decode: 0.01,
        batch: 2,
        bptt: 4,
        ..Recipe::default()
    };
    let mut values = initial_values(&config, 1);
    let device = &mut Device::cpu(1);
    let error = Trainer::new(device, config.clone(), &values, recipe.clone(), &corpus)
        .expect_err("there are no parameters")
        .to_string();
    assert!(
        error.contains("`past_decode`") || error.contains("past_decode"),
        "{error}"
    );
    let count = values.len();
    add_past_decoder(&mut config, &mut values, 1);
    assert_eq!(values, initial_values(&config, 1));
    assert_eq!(values.len(), count + 1, "{:?}", parameter_specs(&config));
    add_past_decoder(&mut config, &mut values, 1);
    assert_eq!(values.len(), count + 1);
    Trainer::new(device, config, &values, recipe, &corpus).expect("a trainer");
}

#[apply(test)]
fn wrong_settings_are_explained() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    for flags in [
        "",
        "--embedding 5",
        "--embedding 5 --output class",
        "--embedding 5 --output adaptive",
        "--embedding 100 --tied --output sampled",
        "--embedding 5 --tied --mixture 2",
    ] {
        workbench
            .run(&format!("{TRAIN} {flags} --past-decode 0.001"))
            .fails(
                2,
                &[
                    "--past-decode 0.001",
                    "--tied",
                    "--output softmax",
                    "--mixture",
                ],
            );
        // A coefficient of 0 is none.
        if flags.is_empty() {
            let run = format!("{TRAIN} --hidden 5 --past-decode 0 --epochs 1 --out none");
            workbench.run(&run).succeeds();
        }
    }
    workbench
        .run(&format!(
            "{TRAIN} {TIED} --epochs 1 --past-decode 1 --out model"
        ))
        .succeeds();
    let config = String::from_utf8(workbench.read("model/config.json")).expect("UTF-8");
    for (old, new, part) in [
        ("\"tied\": true", "\"tied\": false", "past_decode"),
        (
            "\"past_decode\": true",
            "\"past_decode\": false",
            "past.bias",
        ),
    ] {
        assert!(config.contains(old), "{config}");
        workbench.edit("model/config.json", config.replace(old, new));
        workbench.run("inspect model").fails(1, &[part]);
    }
}
