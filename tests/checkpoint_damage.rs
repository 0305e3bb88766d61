//! Damaged files of a checkpoint: each is noticed, or changes nothing.

use std::path::Path;

use elman::checkpoint::{Checkpoint, CheckpointFiles, TrainingState};
use elman::error::Result;
use libtest_mimic::Trial;

use crate::command::Workbench;
use crate::environment::slow_tests;
use crate::harness::{apply, ignore_unless, test, trial, trials};

const FILES: [&str; 6] = [
    "config.json",
    "manifest.json",
    "model.safetensors",
    "training.json",
    "training.safetensors",
    "vocab.txt",
];

/// Everything that a checkpoint has.
fn read(directory: &Path) -> Result<(Checkpoint, TrainingState)> {
    let files = CheckpointFiles::open(directory)?;
    let checkpoint = files.checkpoint()?;
    let state = files.training_state(&checkpoint)?;
    Ok((checkpoint, state))
}

fn small_model() -> Workbench {
    let workbench = Workbench::new();
    workbench.write("train.txt", "a b c\nb c\n".repeat(20));
    workbench
        .run(
            "train --train train.txt --device cpu --threads 1 --hidden 3 --batch 2 --bptt 3 \
             --epochs 1 --optimizer momentum",
        )
        .succeeds();
    workbench
}

#[apply(trials)]
fn damage() -> Vec<Trial> {
    let mut all = vec![trial("checkpoint_damage::some_bytes_and_prefixes", || {
        assert_damage_is_noticed(7);
    })];
    let slow = vec![trial("checkpoint_damage::every_byte_and_prefix", || {
        assert_damage_is_noticed(1);
    })];
    all.extend(ignore_unless(slow_tests(), slow));
    all
}

/// Changes every `stride`th byte of each file, and shortens the files to every `stride`th length:
/// the checkpoint is rejected, or is the same.
fn assert_damage_is_noticed(stride: usize) {
    let workbench = small_model();
    let directory = workbench.path("model");
    let original = read(&directory).expect("an intact checkpoint");
    let mut rejected = 0;
    for file in FILES {
        let name = format!("model/{file}");
        let bytes = workbench.read(&name);
        let mut assert_noticed = |damaged: &[u8], what: String| {
            workbench.write(&name, damaged);
            match read(&directory) {
                Ok(answer) => assert!(answer == original, "{file}, {what}: another answer"),
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains("model/"), "{file}, {what}: {text}");
                    rejected += 1;
                }
            }
        };
        for index in (0..bytes.len()).step_by(stride) {
            let mut damaged = bytes.clone();
            damaged[index] ^= 1 << (index % 8);
            assert_noticed(&damaged, format!("byte {index}"));
        }
        for length in (0..bytes.len()).step_by(stride) {
            assert_noticed(&bytes[..length], format!("{length} bytes"));
        }
        workbench.write(&name, &bytes);
    }
    assert!(rejected > 100, "{rejected} rejections");
    assert!(read(&directory).expect("intact again") == original);
}

#[apply(test)]
fn the_message_names_the_file_and_how_to_accept_a_change() {
    let workbench = small_model();
    let eval = "eval --text train.txt --device cpu";
    let run = workbench.run(eval).succeeds();
    assert!(!run.stderr.contains("manifest"), "{}", run.stderr);
    let config = String::from_utf8(workbench.read("model/config.json")).expect("UTF-8");
    workbench.write("model/config.json", config.replace("sigmoid", "tanh"));
    workbench.run(eval).fails(
        1,
        &[
            "model/config.json",
            "when it was written",
            "remove model/manifest.json",
        ],
    );
    std::fs::remove_file(workbench.path("model/manifest.json")).expect("removed");
    let run = workbench.run(eval).succeeds();
    assert!(
        run.stderr.contains("note: model has no manifest.json"),
        "{}",
        run.stderr
    );
    // The next save writes a manifest.
    workbench
        .run("train --resume model --device cpu --epochs 2")
        .succeeds();
    let run = workbench.run(eval).succeeds();
    assert!(!run.stderr.contains("manifest"), "{}", run.stderr);
}

#[apply(test)]
fn a_model_can_be_used_without_its_training_state() {
    let workbench = small_model();
    for file in ["training.json", "training.safetensors"] {
        std::fs::remove_file(workbench.path("model").join(file)).expect("removed");
    }
    workbench
        .run("eval --text train.txt --device cpu")
        .succeeds();
    workbench
        .run("train --resume model --device cpu")
        .fails(1, &["model/training.json", "missing"]);
}
