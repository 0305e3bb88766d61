//! `elman train --dry-run`: it says what a run would need and do, and writes nothing.

use crate::command::{Workbench, small_text};
use crate::harness::{apply, test};

const TRAIN: &str = "train --train train.txt --device cpu --threads 1 --cell lstm --hidden 6 \
    --embedding 4 --dropout 0.2 --optimizer adam --lr 0.01 --batch 4 --bptt 5 --epochs 2";

fn with_text() -> Workbench {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench
}

#[apply(test)]
fn nothing_is_written() {
    let workbench = with_text();
    let run = workbench
        .run(&format!("{TRAIN} --dry-run --out planned"))
        .succeeds();
    for part in [
        "an epoch   ",
        "the run    ",
        "all 2 epochs",
        "memory     ",
        "  --bptt 5\n",
    ] {
        assert!(run.stdout.contains(part), "{part}: {}", run.stdout);
    }
    assert!(!workbench.path("planned").exists());
    // A model stays as it is, and the user learns that the run would not start.
    workbench.run(&format!("{TRAIN} --out model")).succeeds();
    let before = workbench.read("model/model.safetensors");
    let run = workbench
        .run(&format!("{TRAIN} --dry-run --out model"))
        .succeeds();
    assert!(
        run.stderr.contains("model exists and is not empty"),
        "{}",
        run.stderr
    );
    assert_eq!(workbench.read("model/model.safetensors"), before);
}

#[apply(test)]
fn the_printed_flags_make_the_run() {
    let workbench = with_text();
    let plan = workbench
        .run(&format!("{TRAIN} --dry-run --json --out planned"))
        .succeeds();
    for key in [
        "epoch_seconds",
        "run_seconds",
        "device_bytes",
        "saving_bytes",
    ] {
        assert!(plan.number(key) > 0.0, "{key}");
    }
    let json = plan.json();
    let flags = json["flags"].as_object().expect("an object");
    let line: String = flags
        .iter()
        .map(|(name, value)| format!(" --{name} {}", value.as_str().expect("a text")))
        .collect();
    workbench.run(&format!("{TRAIN} --out short")).succeeds();
    workbench
        .run(&format!(
            "train --train train.txt --device cpu --threads 1 --out long{line}"
        ))
        .succeeds();
    assert_eq!(
        workbench.read("short/model.safetensors"),
        workbench.read("long/model.safetensors"),
        "{line}"
    );
}

#[apply(test)]
fn it_fails_as_the_run_would() {
    let workbench = with_text();
    workbench
        .run(&format!("{TRAIN} --dry-run --train none.txt"))
        .fails(1, &["none.txt"]);
    workbench
        .run(&format!("{TRAIN} --dry-run --lr -1"))
        .fails(2, &["--lr -1"]);
    workbench
        .run("train --resume model --dry-run")
        .fails(2, &["--resume", "--dry-run"]);
    workbench.write("flags.toml", "dry-run = true");
    workbench
        .run(&format!("{TRAIN} --config flags.toml"))
        .fails(2, &["dry-run = true", "on the command line only"]);
}
