//! Training that diverges: it is said in words, and losses stay numbers.

use crate::command::Workbench;
use crate::harness::{apply, test};

const TRAIN: &str = "train --train train.txt --device cpu --cell lstm --embedding 8 --hidden 8 \
     --batch 4 --bptt 8 --optimizer sgd --epochs 2";

fn workbench() -> Workbench {
    let workbench = Workbench::new();
    let sentences = [
        "the dog sings",
        "the cat sings",
        "a dog sees the cat",
        "the boy runs",
        "a boy sees a dog",
        "the boy sings",
    ];
    workbench.write("train.txt", (sentences.join("\n") + "\n").repeat(30));
    workbench
}

#[apply(test)]
fn a_diverged_epoch_is_reported_with_what_to_do() {
    let workbench = workbench();
    // At this learning rate the first perplexities are too large for a number.
    let run = workbench.run(&format!("{TRAIN} --lr 5000"));
    let is_epoch = |line: &&str| line.starts_with("epoch ") && line.ends_with("diverged");
    assert!(
        run.stderr.lines().any(|line| is_epoch(&line)),
        "{}",
        run.stderr
    );
    let warnings = run
        .stderr
        .matches("warning: training diverged in epoch")
        .count();
    assert_eq!(warnings, 1, "{}", run.stderr);
    for hint in ["--lr below 5000", "--clip 1", "ln V"] {
        assert!(run.stderr.contains(hint), "{hint}: {}", run.stderr);
    }
    let log = String::from_utf8(workbench.read("model/log.jsonl")).expect("UTF-8");
    for line in log.lines() {
        let record: serde_json::Value = serde_json::from_str(line).expect("a record");
        let loss = record["valid_loss"].as_f64();
        assert!(loss.is_some_and(|loss| loss > 100.0), "{record}");
        assert_eq!(record["diverged"], true);
    }
    // With a clipped gradient there is nothing to report.
    let flags = "--out clipped --lr 1 --clip 1 --json";
    let run = workbench.run(&format!("{TRAIN} {flags}")).succeeds();
    assert!(!run.stderr.contains("diverged"), "{}", run.stderr);
    assert_eq!(run.json()["diverged"], false);
}

#[apply(test)]
fn a_validation_loss_that_is_no_number_ends_the_run() {
    let workbench = workbench();
    // The only window of an epoch is trained before its update ruins the weights.
    workbench.write("short.txt", "the dog sings\nthe cat sings\n");
    workbench
        .run(
            "train --train short.txt --valid short.txt --device cpu --activation relu --hidden 4 \
             --batch 1 --bptt 8 --lr 1e30 --epochs 3",
        )
        .fails(
            1,
            &[
                "training diverged",
                "the validation loss",
                "epoch 1",
                "--lr",
                "--clip 1",
            ],
        );
}
