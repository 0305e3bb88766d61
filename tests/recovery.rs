//! What a run does when training diverges, when its device fails and when its directory cannot be
//! written. The faults are those of the feature `fault-injection`.

use libtest_mimic::Trial;

use crate::command::{Run, Workbench, small_text};
use crate::harness::{apply, ignore_unless, test, trial, trials};

const TRAIN: &str = "train --train train.txt --device cpu --threads 1 --hidden 8 --optimizer sgd \
                     --lr 0.1 --schedule constant --batch 4 --bptt 5 --epochs 3";

fn workbench() -> Workbench {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench
}

/// A run in which these faults happen.
fn run(workbench: &Workbench, faults: &str, flags: &str) -> Run {
    let line = format!("{TRAIN} {flags}");
    let mut command = workbench.command(&line);
    let output = command.env("ELMAN_FAULTS", faults).output();
    Run::new(&line, output.expect("it starts"))
}

/// The updates in an epoch of [`TRAIN`].
fn updates_per_epoch(workbench: &Workbench) -> u64 {
    workbench.run(&format!("{TRAIN} --out whole")).succeeds();
    let inspect = workbench.run("inspect whole --json").succeeds().json();
    inspect["training"]["progress"]["step"]
        .as_u64()
        .expect("a number")
        / 3
}

/// The learning rates of the epochs of `model`.
fn rates(workbench: &Workbench) -> Vec<f64> {
    let inspect = workbench.run("inspect --json").succeeds().json();
    let history = inspect["training"]["progress"]["history"]
        .as_array()
        .expect("epochs")
        .clone();
    history
        .iter()
        .map(|epoch| epoch["lr"].as_f64().expect("a number"))
        .collect()
}

fn assert_same_model(workbench: &Workbench) {
    for file in ["model.safetensors", "training.safetensors"] {
        let [found, expected] =
            ["model", "whole"].map(|model| workbench.read(&format!("{model}/{file}")));
        assert!(found == expected, "{file} differs");
    }
}

#[apply(trials)]
fn faults() -> Vec<Trial> {
    let all = vec![
        trial("recovery::nan_goes_back_with_half_the_rate", nan_goes_back),
        trial(
            "recovery::nan_before_the_first_checkpoint",
            nan_at_the_start,
        ),
        trial("recovery::training_that_always_diverges_stops", always_nan),
        trial("recovery::rate_is_kept_when_the_device_fails", rate_is_kept),
        trial("recovery::device_that_fails_is_opened_again", device_fails),
        trial(
            "recovery::device_that_fails_for_good",
            device_fails_for_good,
        ),
    ];
    ignore_unless(cfg!(feature = "fault-injection"), all)
}

fn nan_goes_back() {
    let workbench = workbench();
    let epoch = updates_per_epoch(&workbench);
    let run = run(&workbench, &format!("nan@{}", epoch + 1), "").succeeds();
    for part in [
        "training diverged: ",
        "Back to the end of epoch 1 with half of the learning rate",
    ] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    let found = rates(&workbench);
    let expected = [0.1, 0.05, 0.05];
    assert!(
        found
            .iter()
            .zip(expected)
            .all(|(a, b)| (a - b).abs() < 1e-7),
        "{found:?}"
    );
    // The first epoch is that of the run without a fault, and the log has each epoch once.
    let log = String::from_utf8(workbench.read("model/log.jsonl")).expect("UTF-8");
    assert_eq!(log.matches("valid_loss").count(), 3, "{log}");
    // A resumed run keeps the rate.
    workbench
        .run("train --resume model --device cpu --epochs 4")
        .succeeds();
    assert!((rates(&workbench)[3] - 0.05).abs() < 1e-7);
}

fn nan_at_the_start() {
    let workbench = workbench();
    let run = run(&workbench, "nan@0", "").succeeds();
    assert!(run.stderr.contains("Back to the start"), "{}", run.stderr);
    assert!((rates(&workbench)[0] - 0.05).abs() < 1e-7);
}

fn always_nan() {
    let workbench = workbench();
    let epoch = updates_per_epoch(&workbench);
    let faults = vec![format!("nan@{}", epoch + 1); 4].join(",");
    let failed = run(&workbench, &faults, "");
    assert!(
        failed
            .stderr
            .contains("an eighth of the learning rate (3 of 3 times)")
    );
    failed.fails(
        1,
        &["training diverged", "is not finite in window", "epoch 2"],
    );
    // The last checkpoint is as it was.
    workbench
        .run("eval --text train.txt --device cpu")
        .succeeds();
    let stopped = run(&workbench, &faults, "--force --on-divergence stop");
    assert!(!stopped.stderr.contains("Back to"), "{}", stopped.stderr);
    stopped.fails(1, &["training diverged"]);
}

/// The checkpoint to which the run goes back is older than the divergence.
fn rate_is_kept() {
    let workbench = workbench();
    let first = updates_per_epoch(&workbench) + 1;
    run(&workbench, &format!("nan@{first},device@{first}"), "").succeeds();
    let found = rates(&workbench);
    let expected = [0.1, 0.05, 0.05];
    let is_near = |(a, b): (&f64, f64)| (a - b).abs() < 1e-7;
    assert!(found.iter().zip(expected).all(is_near), "{found:?}");
}

fn device_fails() {
    let workbench = workbench();
    let epoch = updates_per_epoch(&workbench);
    let faults = format!("device@0,device@{},device@{}", epoch + 1, 2 * epoch + 1);
    let run = run(&workbench, &faults, "").succeeds();
    for part in [
        "the device was lost",
        "Back to the start",
        "Back to the end of epoch 2",
    ] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    assert_same_model(&workbench);
}

fn device_fails_for_good() {
    let workbench = workbench();
    let epoch = updates_per_epoch(&workbench);
    let faults = vec![format!("device@{}", epoch + 1); 4].join(",");
    run(&workbench, &faults, "").fails(1, &["the GPU failed", "the device was lost"]);
    let inspect = workbench.run("inspect --json").succeeds().json();
    assert_eq!(inspect["training"]["progress"]["epochs"], 1);
    let run = run(&workbench, &faults, "--force --on-device-loss cpu").succeeds();
    assert!(
        run.stderr.contains("continues on the CPU"),
        "{}",
        run.stderr
    );
    assert_same_model(&workbench);
}

/// The directory of the model is a file's, or is removed while the run trains.
#[cfg(unix)]
#[apply(test)]
fn a_directory_that_vanishes_does_not_end_the_run() {
    // A directory that is created, and one that cannot be created.
    assert_rescued("rescue", "rescue");
    assert_rescued("train.txt", "temporary");
}

/// Removes the directory of a run with this --rescue-dir, and expects the model in `place`.
#[cfg(unix)]
fn assert_rescued(rescue: &str, place: &str) {
    let workbench = workbench();
    workbench.write("train.txt", small_text().repeat(4));
    let line = format!("{TRAIN} --epochs 300 --rescue-dir {rescue}");
    let mut command = workbench.command(&line);
    command
        .env("TMPDIR", workbench.path("temporary"))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    while !workbench.path("model/training.json").exists() {
        assert!(
            child.try_wait().expect("its state").is_none(),
            "it ended by itself"
        );
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    std::fs::rename(workbench.path("model"), workbench.path("moved")).expect("renamed");
    let run = Run::new(&line, child.wait_with_output().expect("its output"));
    let message = run.stderr.clone();
    assert!(
        message.contains("Training continues; saving is tried again"),
        "{message}"
    );
    run.fails(
        1,
        &[
            "the model: cannot write",
            &format!("{place}/elman-rescue-"),
            "--resume",
        ],
    );
    assert!(!workbench.path("model").exists());
    let mut entries = std::fs::read_dir(workbench.path(place)).expect("a directory");
    let rescued = entries
        .next()
        .expect("the rescued model")
        .expect("an entry")
        .path();
    let inspect = workbench
        .run(&format!("inspect {} --json", rescued.display()))
        .succeeds();
    assert_eq!(inspect.json()["training"]["progress"]["epochs"], 300);
    // The moved directory has the last checkpoint that could be written.
    workbench
        .run("eval --model moved --text train.txt --device cpu")
        .succeeds();
}

/// Files may not grow beyond 4 KiB, as on a full disk: a shell sets the limit.
#[cfg(target_os = "linux")]
#[apply(test)]
fn a_full_disk_does_not_end_the_run() {
    let workbench = workbench();
    let line = format!("{TRAIN} --rescue-dir missing");
    let command = workbench.command(&line);
    let program = command.get_program().to_string_lossy().into_owned();
    let arguments: Vec<_> = command
        .get_args()
        .map(|word| word.to_string_lossy())
        .collect();
    let script = format!(
        "trap '' XFSZ; ulimit -f 4; exec {program} {}",
        arguments.join(" ")
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &script])
        .current_dir(workbench.path("."))
        .output()
        .expect("it starts");
    let run = Run::new(&line, output);
    let message = run.stderr.clone();
    assert!(
        message.contains("Training continues; saving is tried again"),
        "{message}"
    );
    assert!(message.contains("epoch  3"), "{message}");
    run.fails(1, &["the model of model", "it is lost", "--rescue-dir DIR"]);
    // Nothing half written is left.
    let names: Vec<_> = std::fs::read_dir(workbench.path("model"))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["log.jsonl"]);
}
