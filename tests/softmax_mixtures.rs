//! Mixtures of softmaxes: a training step against PyTorch, interrupted runs, generation, scoring in
//! every way that the program has, large logits, NaN, initial values, wrong settings. `cells` has
//! whole steps against the reference.

use elman::device::Device;
use elman::kernels::MixtureLoss;
use elman::model::{Capacity, Config, Model, Window, WindowWords, Workspace, initial_values};
use elman::tensor::Tensor;

use super::compare::assert_close;
use super::import::Tensors;
use super::pytorch_step::check_step;
use super::runs::check_resuming;
use super::step_subject::STEP;
use crate::command::{Workbench, small_text};
use crate::environment::has_python;
use crate::harness::{apply, device_test, test};

const TRAIN: &str = "train --train train.txt --device cpu";

/// PyTorch's scores, and its parameters after one update on a window that is the whole text.
#[apply(test)]
#[ignore_unless(has_python("torch, safetensors"))]
fn pytorch_agrees_with_a_step() {
    let elman = [
        "--activation tanh --mixture 2",
        "--activation tanh --mixture 3 --embedding 5 --bias",
        "--activation tanh --mixture 16 --embedding 4 --tied --layers 2",
    ];
    check_step("mixture.py", "elman", &elman);
    let lstm = [
        "--mixture 15 --embedding 7 --tied",
        "--mixture 4 --embedding 6 --tied --layers 3 --bias false",
    ];
    check_step("mixture.py", "lstm", &lstm);
}

#[apply(device_test)]
fn resumed_runs_are_bit_identical(device: &mut Device) {
    check_resuming(device, |config| Config {
        mixture: 3,
        tied: true,
        ..config
    });
}

/// A run that is interrupted in the middle of an epoch, with dropout of latents.
#[apply(test)]
fn resumed_runs_have_the_same_dropout() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let flags = "--mixture 4 --cell lstm --embedding 5 --hidden 6 --tied --dropout-latent 0.3 \
                 --variational --batch 4 --bptt 5 --lr 0.5 --seed 3";
    let train = |rest: &str| workbench.run(&format!("{TRAIN} {rest}")).succeeds();
    train(&format!("{flags} --epochs 3 --out whole"));
    train(&format!("{flags} --epochs 1 --out parts"));
    workbench
        .run("train --resume parts --epochs 3 --device cpu")
        .succeeds();
    let file = |model: &str| workbench.read(&format!("{model}/model.safetensors"));
    assert!(file("whole") == file("parts"), "the parameters differ");
    train(&format!(
        "{flags} --dropout-latent 0.2 --epochs 3 --out other"
    ));
    assert!(file("whole") != file("other"), "the rate has no effect");
}

/// All ways in which the program computes probabilities agree: lines one at a time and in batches,
/// word by word, in windows of one stream and of several, in mixtures of models.
#[apply(test)]
fn probabilities_agree() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let lines: String = small_text()
        .lines()
        .take(30)
        .map(|line| format!("{line}\n"))
        .collect();
    workbench.write("lines.txt", &lines);
    let flags = "--embedding 5 --hidden 7 --batch 4 --bptt 6 --epochs 2 --lr 0.5 --bias";
    for (model, more) in [
        ("one", "--mixture 3 --tied"),
        ("two", "--mixture 7 --cell gru"),
    ] {
        workbench
            .run(&format!("{TRAIN} {flags} {more} --out {model}"))
            .succeeds();
        let run = |command: &str| {
            workbench
                .run(&format!("{command} --model {model} --device cpu --json"))
                .succeeds()
        };
        let scores = run("score lines.txt").numbers("log10_prob");
        let total = |command: &str| [run(command).number("log10_prob")];
        let sum = [scores.iter().sum::<f64>()];
        let independent = total("eval --text lines.txt --independent");
        assert_close(model, &independent, &sum, STEP);
        let carried = run("score lines.txt --carry").numbers("log10_prob");
        let sum = [carried.iter().sum::<f64>()];
        assert_close(model, &total("eval --text lines.txt"), &sum, STEP);
        let streams = total("eval --text lines.txt --independent --streams 3");
        assert_close(model, &streams, &independent, STEP);
        let twice = format!("eval --text lines.txt --independent --model {model}");
        assert_close(model, &total(&twice), &independent, STEP);
    }
}

/// The distribution sums to 1, and has the losses of its words.
#[apply(device_test)]
fn distributions_have_the_losses(device: &mut Device) {
    let (vocab_size, rows) = (23, 5);
    let config = Config {
        vocab_size,
        embedding_size: 4,
        hidden_size: 6,
        tied: true,
        mixture: 5,
        ..Config::default()
    };
    let mut values = initial_values(&config, 3);
    values.iter_mut().flatten().for_each(|value| *value *= 9.0);
    let model = Model::new(device, config, &values).expect("a model");
    let capacity = Capacity {
        batch: 1,
        time_steps: rows,
        ..Capacity::default()
    };
    let workspace = Workspace::new(device, &model, capacity).expect("room");
    let targets = [3, 0, 22, 7, 7];
    let mut upload = |tokens: &[u32]| {
        device
            .tensor_from("tokens", rows, 1, tokens)
            .expect("a few tokens")
    };
    let window = Window::new(rows, upload(&[0, 3, 0, 22, 7]), upload(&targets));
    let words = WindowWords {
        targets: targets.to_vec(),
        before: Box::new(|_, _| 0),
        draw: 0,
    };
    model.forward(device, &workspace, &window);
    model.losses(device, &workspace, &window);
    let losses = device.download(&workspace.losses(&window)).expect("losses");
    let all = model
        .distribution(device, &workspace, rows, &words)
        .expect("a distribution");
    for (row, distribution) in all.chunks_exact(vocab_size).enumerate() {
        let sum: f64 = distribution.iter().map(|&log| f64::from(log).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "row {row} sums to {sum}");
        let want = f64::from(losses[row]);
        let got = -f64::from(distribution[targets[row] as usize]);
        assert_close("a target", &[got], &[want], STEP);
    }
}

#[apply(test)]
fn generation_adaptation_and_fine_tuning_work() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let lines: String = small_text()
        .lines()
        .take(40)
        .map(|line| format!("{line}\n"))
        .collect();
    workbench.write("lines.txt", &lines);
    workbench
        .run(&format!(
            "{TRAIN} --embedding 5 --hidden 7 --mixture 3 --tied --bias --epochs 2 --batch 4 \
             --bptt 6 --out model"
        ))
        .succeeds();
    let generate = "generate --model model --device cpu --tokens 30 --seed 5 --top-k 4";
    let text = workbench.run(generate).succeeds().stdout;
    assert!(!text.trim().is_empty() && text == workbench.run(generate).succeeds().stdout);
    let perplexity = |flags: &str| {
        workbench
            .run(&format!(
                "eval --model model --text lines.txt --device cpu --json {flags}"
            ))
            .succeeds()
            .number("perplexity")
    };
    let plain = perplexity("");
    for flags in [
        "--dynamic 0.05",
        "--dynamic 0.001 --dynamic-statistics train.txt",
        "--cache 50",
    ] {
        let adapted = perplexity(flags);
        assert!(
            adapted > 1.0 && adapted != plain,
            "{flags}: {adapted}, {plain}"
        );
    }
    let listed = workbench
        .run("eval --model model --text lines.txt --device cpu --format rnnlm")
        .succeeds()
        .tokens();
    let sum: f64 = listed
        .iter()
        .filter(|token| !token.is_unknown())
        .map(|token| token.probabilities[0].ln())
        .sum();
    let mean = (-sum / listed.len() as f64).exp();
    assert!((mean / plain - 1.0).abs() < 1e-3, "{mean}, {plain}");
    workbench.write("new.txt", "the zebra runs\nthe boy runs\n".repeat(20));
    workbench
        .run(
            "train --init model --extend-vocab --train new.txt --device cpu --epochs 1 --batch 2 \
             --bptt 5 --out tuned",
        )
        .succeeds();
    let inspected = workbench.run("inspect tuned --json").succeeds().json();
    assert_eq!(inspected["config"]["mixture"], 3);
}

/// Shifted logits have the same softmax; neither those of words nor those of the prior lose digits.
#[apply(test)]
fn large_logits_are_exact() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench
        .run(&format!(
            "{TRAIN} --hidden 6 --bias --mixture 3 --epochs 1 --batch 4 --bptt 5 --out model"
        ))
        .succeeds();
    let file = "model/model.safetensors";
    let mut perplexities = Vec::new();
    for shift in [0.0, 1e6, -1e8] {
        let mut tensors = Tensors::read(&workbench, file);
        for (name, value) in [("decoder.weight", 0.0), ("decoder.bias", shift)] {
            let shape = tensors.0[name].1.clone();
            let values = vec![value; shape.iter().product()];
            tensors.set(name, &shape, &values);
        }
        // Equal rows of large values, whose products with the states are large equal logits.
        let shape = tensors.0["prior.weight"].1.clone();
        let values = vec![shift; shape.iter().product()];
        tensors.set("prior.weight", &shape, &values);
        tensors.write(&workbench, file);
        let eval = "eval --model model --text train.txt --device cpu --json";
        perplexities.push(workbench.run(eval).succeeds().number("perplexity"));
    }
    for found in &perplexities {
        assert!(
            (found / perplexities[0] - 1.0).abs() < 1e-6,
            "{perplexities:?}"
        );
    }
}

/// A NaN in a component or in the prior reaches the loss and the gradients, even that of a softmax
/// whose weight vanishes.
#[apply(device_test)]
fn losses_keep_nan(device: &mut Device) {
    let mut matrix = |columns: usize, values: &[f32]| -> Tensor {
        device
            .tensor_from("values", values.len() / columns, columns, values)
            .expect("the device has the memory")
    };
    let nan = f32::NAN;
    let prior = matrix(3, &[1.0, nan, 0.0, 0.0, -1e9, 0.0, 0.0, 0.0, 0.0]);
    let components = matrix(3, &[1.0, 2.0, 3.0, 1.0, nan, 2.0, 1.0, 2.0, 3.0]);
    let losses = matrix(1, &[0.0; 3]);
    let targets = device.tensor_from("targets", 1, 3, &[1, 1, 1]);
    device.run(&MixtureLoss {
        prior,
        components,
        targets: targets.expect("the device has the memory"),
        losses,
        gradient: true,
        scale: 1.0,
    });
    let [losses, prior, components] =
        [losses, prior, components].map(|tensor| device.download(&tensor).expect("values"));
    let name = device.name();
    for row in [0, 1] {
        let responsibilities = &components[3 * row..3 * row + 3];
        assert!(
            losses[row].is_nan()
                && responsibilities.iter().all(|value| value.is_nan())
                && prior[3 * row..3 * row + 3]
                    .iter()
                    .all(|value| value.is_nan()),
            "row {row} on {name}: {losses:?}, {prior:?}, {components:?}"
        );
    }
    let rest = losses[2..]
        .iter()
        .chain(&prior[6..])
        .chain(&components[6..]);
    assert!(rest.into_iter().all(|value| value.is_finite()), "{name}");
}

#[apply(test)]
fn wrong_settings_are_explained() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    for (flags, parts) in [
        (
            "--mixture 0",
            &["--mixture 0", "from 2 to 16", "plain softmax"][..],
        ),
        (
            "--mixture 1",
            &["--mixture 1", "from 2 to 16", "1 is the plain softmax"],
        ),
        ("--mixture 17", &["--mixture 17", "from 2 to 16"]),
        ("--mixture 2.5", &["--mixture"]),
        ("--mixture nan", &["--mixture"]),
        (
            "--mixture 3 --output class",
            &["--mixture 3", "--output class", "--output softmax"],
        ),
        (
            "--mixture 3 --output adaptive",
            &["--mixture 3", "--output adaptive", "--output softmax"],
        ),
        (
            "--mixture 3 --output sampled",
            &["--mixture 3", "--output sampled", "--output softmax"],
        ),
        (
            "--mixture 3 --embedding 4 --projection",
            &["--mixture 3", "--projection", "--tied"],
        ),
        (
            "--mixture 3 --compression 5",
            &["--mixture 3", "--compression", "Remove"],
        ),
        ("--mixture 3 --tied", &["--tied", "no embedding"]),
        (
            "--dropout-latent 0.2",
            &["--dropout-latent 0.2", "--mixture"],
        ),
        (
            "--mixture 2 --dropout-latent 1",
            &["--dropout-latent 1", "below 1"],
        ),
    ] {
        workbench.run(&format!("{TRAIN} {flags}")).fails(2, parts);
    }
    // A rate of 0 has no effect on any model.
    let train = format!("{TRAIN} --hidden 5 --epochs 1 --dropout-latent 0 --out model");
    workbench.run(&train).succeeds();
}

/// A damaged configuration is an error, not another model.
#[apply(test)]
fn damaged_configurations_are_rejected() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let train = format!("{TRAIN} --hidden 5 --epochs 1 --mixture 3 --out model");
    workbench.run(&train).succeeds();
    let config = String::from_utf8(workbench.read("model/config.json")).expect("UTF-8");
    assert!(config.contains("\"mixture\": 3"), "{config}");
    for (value, parts) in [
        (
            "1",
            &["model/config.json: mixture = 1", "from 2 to 16", "Restore"][..],
        ),
        ("4", &["model.safetensors"]),
        ("0", &["latent.0.weight"]),
    ] {
        let damaged = config.replace("\"mixture\": 3", &format!("\"mixture\": {value}"));
        workbench.edit("model/config.json", damaged);
        let run = workbench.run("eval --model model --text train.txt --device cpu");
        let run = run.fails(1, parts);
        assert!(!run.stderr.contains("--mixture"), "{}", run.stderr);
    }
}
