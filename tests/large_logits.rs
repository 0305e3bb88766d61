//! A softmax does not depend on a number that is added to all logits: models whose output biases
//! are large lose no digits.

use crate::command::Workbench;
use crate::harness::{apply, test};
use crate::import::{Tensors, workbench};

/// Sets every output bias of a model to `bias` and its output weights to 0, so that all logits are
/// equal.
fn set_logits(workbench: &Workbench, model: &str, bias: f32) {
    let file = format!("{model}/model.safetensors");
    let mut tensors = Tensors::read(workbench, &file);
    let names: Vec<String> = tensors.0.keys().cloned().collect();
    for name in names.iter().filter(|name| name.starts_with("decoder.")) {
        let shape = tensors.0[name.as_str()].1.clone();
        let value = if name.ends_with("bias") { bias } else { 0.0 };
        let values = vec![value; shape.iter().product()];
        tensors.set(name, &shape, &values);
    }
    tensors.write(workbench, &file);
}

/// The perplexity of a model, and the training loss of an epoch that hardly changes it.
fn losses(workbench: &Workbench, model: &str) -> [f64; 2] {
    let eval = format!("eval --model {model} --text train.txt --device cpu --json");
    let perplexity = workbench.run(&eval).succeeds().json()["perplexity"].clone();
    let train = format!(
        "train --init {model} --train train.txt --device cpu --epochs 1 --batch 4 --bptt 5 \
         --optimizer sgd --lr 1e-20 --schedule constant --out {model}-again --force"
    );
    workbench.run(&train).succeeds();
    let inspect = format!("inspect {model}-again --json");
    let inspected = workbench.run(&inspect).succeeds().json();
    let loss = inspected["training"]["progress"]["history"][0]["train_loss"].clone();
    [perplexity, loss].map(|value| value.as_f64().expect("a number"))
}

#[apply(test)]
fn shifted_logits_have_the_same_losses() {
    for (model, flags) in [
        ("softmax", ""),
        ("class", "--output class"),
        ("adaptive", "--output adaptive --cutoffs 40,90"),
        ("sampled", "--output sampled --samples 20"),
    ] {
        let flags = format!("--bias --hidden 6 {flags}");
        let workbench = workbench(&[(model, &flags)]);
        set_logits(&workbench, model, 0.0);
        let [perplexity, loss] = losses(&workbench, model);
        for bias in [1e6, 1e8, -1e8] {
            set_logits(&workbench, model, bias);
            let shifted = losses(&workbench, model);
            let differs = |a: f64, b: f64| (a / b - 1.0).abs() > 1e-6 || !a.is_finite();
            // The sampled objective adds a correction to each logit, which rounds large ones.
            let trained = model == "sampled" || !differs(shifted[1], loss);
            assert!(
                !differs(shifted[0], perplexity) && trained,
                "{model}, bias {bias}: {shifted:?}, not {perplexity} and {loss}"
            );
        }
    }
}
