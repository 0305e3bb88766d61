//! Files of a checkpoint with values that JSON does not have.

use serde_json::Value;

use crate::command::Workbench;
use crate::harness::{apply, test};

/// A run whose validation perplexity overflows, in `model`.
fn diverged_run() -> Workbench {
    let workbench = Workbench::new();
    let lines = [
        "the dog sings",
        "the cat sings",
        "a dog sees the cat",
        "the boy runs",
        "a boy sees a dog",
        "the cat runs",
    ];
    workbench.write("train.txt", (lines.join("\n") + "\n").repeat(30));
    workbench
        .run(
            "train --train train.txt --device cpu --cell lstm --embedding 8 --hidden 8 --batch 4 \
             --bptt 8 --optimizer sgd --lr 5000 --epochs 3",
        )
        .succeeds();
    workbench
}

fn history(workbench: &Workbench) -> Vec<Value> {
    let inspect = workbench.run("inspect --json").succeeds().json();
    let history = &inspect["training"]["progress"]["history"];
    history.as_array().expect("epochs").clone()
}

/// Resumes the run for another epoch. Whether the model can generate a sample does not matter.
fn resume(workbench: &Workbench) {
    workbench.run("train --resume model --device cpu --epochs 4");
    assert_eq!(history(workbench).len(), 4);
}

#[apply(test)]
fn loss_is_finite_where_the_perplexity_overflows() {
    let workbench = diverged_run();
    let epochs = history(&workbench);
    let overflowed: Vec<_> = epochs
        .iter()
        .filter(|epoch| epoch["valid_perplexity"].is_null())
        .collect();
    assert!(
        !overflowed.is_empty(),
        "no perplexity overflowed; the test proves nothing"
    );
    for epoch in overflowed {
        let loss = epoch["valid_loss"].as_f64().expect("a number");
        assert!(loss.is_finite() && loss > 709.0, "{loss}");
    }
    workbench.run("inspect").succeeds();
    resume(&workbench);
    assert!(history(&workbench).starts_with(&epochs));
}

/// Version 0.1.0 wrote a loss that overflowed as null.
#[apply(test)]
fn losses_that_are_null_are_read() {
    let workbench = diverged_run();
    let mut training: Value =
        serde_json::from_slice(&workbench.read("model/training.json")).expect("JSON");
    let epoch = &mut training["progress"]["history"][1];
    for key in ["train_loss", "valid_loss", "valid_perplexity"] {
        epoch[key] = Value::Null;
    }
    workbench.edit("model/training.json", training.to_string());
    workbench.run("inspect").succeeds();
    resume(&workbench);
    assert_eq!(history(&workbench)[1]["valid_loss"], Value::Null);
}
