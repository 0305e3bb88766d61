//! `checkpoints/` in a run's directory: which are kept, and what `--resume` does with them.

use crate::command::{Workbench, small_text};
use crate::harness::{apply, test};

/// Of a run with 10 windows or so in an epoch.
const TRAIN: &str = "train --train train.txt --device cpu --threads 1 --hidden 8 --optimizer adam \
                     --lr 0.01 --schedule constant --batch 4 --bptt 5";

fn workbench() -> Workbench {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench
}

/// The numbers of the older checkpoints, in order.
fn kept(workbench: &Workbench, model: &str) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir(workbench.path(model).join("checkpoints")) else {
        return Vec::new();
    };
    let mut numbers: Vec<_> = entries
        .filter_map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .parse()
                .ok()
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

/// The updates and the window of the epoch of a checkpoint.
fn position(workbench: &Workbench, model: &str) -> (u64, u64) {
    let inspect = workbench
        .run(&format!("inspect {model} --json"))
        .succeeds()
        .json();
    let progress = &inspect["training"]["progress"];
    let number = |key: &str| progress[key].as_u64().expect("a number");
    (number("step"), number("window"))
}

#[apply(test)]
fn the_last_checkpoints_are_kept_and_each_is_a_model() {
    let workbench = workbench();
    workbench.run(&format!("{TRAIN} --epochs 5")).succeeds();
    let (updates, _) = position(&workbench, "model");
    let epoch = u32::try_from(updates / 5).expect("few");
    assert_eq!(kept(&workbench, "model"), [3 * epoch, 4 * epoch]);
    // An older checkpoint is the one that a shorter run would have left.
    workbench
        .run(&format!("{TRAIN} --epochs 3 --out three"))
        .succeeds();
    let older = format!("model/checkpoints/{}", 3 * epoch);
    for file in [
        "model.safetensors",
        "training.safetensors",
        "vocab.txt",
        "config.json",
    ] {
        let files = [format!("{older}/{file}"), format!("three/{file}")];
        let [older, three] = files.map(|name| workbench.read(&name));
        assert!(older == three, "{file} differs");
    }
    workbench
        .run(&format!(
            "eval --model {older} --text train.txt --device cpu"
        ))
        .succeeds();
    workbench
        .run("train --resume model --device cpu --epochs 9 --keep-last 3")
        .succeeds();
    assert_eq!(
        kept(&workbench, "model"),
        [6, 7, 8].map(|number| number * epoch)
    );
    // A new model replaces the older ones too.
    workbench
        .run(&format!("{TRAIN} --epochs 1 --force"))
        .succeeds();
    assert_eq!(kept(&workbench, "model"), [] as [u32; 0]);
    assert!(!workbench.path("model/checkpoints").exists());
}

#[apply(test)]
fn a_run_saves_during_epochs_and_keeps_the_best() {
    let workbench = workbench();
    workbench.write("train.txt", small_text().repeat(20));
    workbench
        .run(&format!("{TRAIN} --epochs 2 --out whole"))
        .succeeds();
    // Two updates and more between two saves; the events of a run depend on the time.
    let run = format!("{TRAIN} --epochs 2 --save-every 2");
    workbench.run(&run).succeeds();
    let (updates, window) = position(&workbench, "model");
    assert_eq!((updates, window), position(&workbench, "whole"));
    let numbers = kept(&workbench, "model");
    assert!(numbers.len() >= 2, "{numbers:?}");
    let inside = numbers
        .iter()
        .filter(|number| position(&workbench, &format!("model/checkpoints/{number}")).1 > 0);
    assert!(
        inside.count() >= 1,
        "no checkpoint inside of an epoch: {numbers:?}"
    );
    for file in ["model.safetensors", "training.safetensors"] {
        let [found, expected] =
            ["model", "whole"].map(|model| workbench.read(&format!("{model}/{file}")));
        assert!(found == expected, "{file} differs");
    }
}

#[apply(test)]
fn a_damaged_run_resumes_from_the_newest_complete_checkpoint() {
    let workbench = workbench();
    workbench
        .run(&format!("{TRAIN} --epochs 4 --out whole"))
        .succeeds();
    workbench.run(&format!("{TRAIN} --epochs 3")).succeeds();
    let numbers = kept(&workbench, "model");
    assert_eq!(numbers.len(), 2);
    let half = |name: &str| {
        let bytes = workbench.read(name);
        workbench.write(name, &bytes[..bytes.len() / 2]);
    };
    // The newest older checkpoint is damaged too.
    half("model/training.safetensors");
    let newest = workbench.path(&format!("model/checkpoints/{}/vocab.txt", numbers[1]));
    std::fs::remove_file(newest).expect("removed");
    let damaged = workbench.read("model/training.safetensors");
    workbench
        .run("eval --text train.txt --device cpu --model model")
        .succeeds();
    let run = workbench
        .run("train --resume model --device cpu --threads 1 --epochs 4")
        .succeeds();
    for part in [
        "warning: model/training.safetensors",
        &format!(
            "model/checkpoints/{}, after {} updates",
            numbers[0], numbers[0]
        ),
        "model/checkpoints/damaged-1",
    ] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    assert!(workbench.read("model/checkpoints/damaged-1/training.safetensors") == damaged);
    for file in ["model.safetensors", "training.safetensors"] {
        let [found, expected] =
            ["model", "whole"].map(|model| workbench.read(&format!("{model}/{file}")));
        assert!(found == expected, "{file} differs");
    }
    let log = String::from_utf8(workbench.read("model/log.jsonl")).expect("UTF-8");
    assert_eq!(log.matches("valid_loss").count(), 4, "{log}");
    // Without any complete checkpoint, the damage is the error.
    for number in kept(&workbench, "model") {
        half(&format!("model/checkpoints/{number}/model.safetensors"));
    }
    half("model/model.safetensors");
    workbench
        .run("train --resume model --device cpu --epochs 5")
        .fails(1, &["model/model.safetensors", "bytes"]);
}

#[apply(test)]
fn wrong_intervals_and_numbers_are_refused() {
    let workbench = workbench();
    for (flags, part) in [
        ("--save-every 0", "a time above 0 such as 90s"),
        ("--save-every 10d", "a time above 0 such as 90s"),
        ("--keep-last 1", "2"),
        ("--on-divergence ignore", "rollback"),
    ] {
        workbench.run(&format!("{TRAIN} {flags}")).fails(2, &[part]);
    }
}
