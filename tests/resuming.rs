//! What `elman train --resume` says of a finished run, of fewer epochs and of another device, and
//! how a run reports the words that it skips.

use crate::command::{Workbench, small_text};
use crate::harness::{apply, test};

const RESUME: &str = "train --resume model --device cpu";

#[apply(test)]
fn a_finished_run_is_reported() {
    let workbench = Workbench::with_model();
    let before = workbench.read("model/model.safetensors");
    let run = workbench.run(RESUME).succeeds();
    for part in ["is finished", "all 2 epochs", "--epochs"] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    assert!(workbench.read("model/model.safetensors") == before);
    let more = workbench.run(&format!("{RESUME} --epochs 3")).succeeds();
    assert!(!more.stderr.contains("is finished"), "{}", more.stderr);
    workbench
        .run(&format!("{RESUME} --epochs 2"))
        .fails(2, &["--epochs 2", "already completed 3 epochs", "--out"]);
    let same = workbench.run(&format!("{RESUME} --epochs 3")).succeeds();
    assert!(same.stderr.contains("is finished"), "{}", same.stderr);
}

#[apply(test)]
fn the_schedule_that_ended_a_run_is_reported() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench
        .run(
            "train --train train.txt --device cpu --hidden 4 --batch 4 --bptt 5 \
             --schedule constant --patience 1 --lr 1e-30 --epochs 20",
        )
        .succeeds();
    let run = workbench.run(&format!("{RESUME} --epochs 30")).succeeds();
    for part in ["is finished", "its schedule ended it", "--init model"] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
}

/// The precision of a run cannot change, and the CPU has one.
#[apply(test)]
fn a_mixed_run_does_not_continue_on_the_cpu() {
    let workbench = Workbench::with_model();
    let record = String::from_utf8(workbench.read("model/training.json")).expect("UTF-8");
    let mixed = record.replace("\"precision\": \"full\"", "\"precision\": \"mixed\"");
    assert!(mixed != record, "{record}");
    workbench.edit("model/training.json", mixed);
    let run = workbench.run(&format!("{RESUME} --epochs 3")).fails(
        1,
        &[
            "--resume model on CPU",
            "--precision mixed",
            "f16",
            "--init model",
        ],
    );
    assert!(!run.stderr.contains("--precision full"), "{}", run.stderr);
}

#[apply(test)]
fn another_number_of_threads_is_reported() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let train = "train --train train.txt --device cpu --threads 1 --hidden 4 --epochs 1 --batch 4";
    workbench.run(train).succeeds();
    let other = workbench
        .run(&format!("{RESUME} --threads 2 --epochs 2"))
        .succeeds();
    for part in ["the CPU with 1 thread ", "2 threads", "bits may differ"] {
        assert!(other.stderr.contains(part), "{part}: {}", other.stderr);
    }
    let same = workbench
        .run(&format!("{RESUME} --threads 2 --epochs 3"))
        .succeeds();
    assert!(!same.stderr.contains("bits"), "{}", same.stderr);

    // A training state of version 0.1.0 does not say where it was written.
    let state = String::from_utf8(workbench.read("model/training.json")).expect("UTF-8");
    let mut state: serde_json::Value = serde_json::from_str(&state).expect("JSON");
    let progress = state["progress"].as_object_mut().expect("an object");
    assert!(progress.remove("device").is_some());
    workbench.edit("model/training.json", state.to_string());
    let old = workbench
        .run(&format!("{RESUME} --threads 1 --epochs 4"))
        .succeeds();
    assert!(!old.stderr.contains("bits"), "{}", old.stderr);
}

#[apply(test)]
fn more_threads_than_processors_are_a_warning() {
    let workbench = Workbench::with_model();
    let eval = "eval --text train.txt --device cpu --threads";
    let run = workbench.run(&format!("{eval} 1000")).succeeds();
    for part in ["warning: --threads 1000", "processors"] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    let run = workbench.run(&format!("{eval} 1")).succeeds();
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
}

#[apply(test)]
fn skipped_words_are_counted() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench.write("valid.txt", "the boy runs\nthe xyzzy runs\nplugh\n");
    let train = "train --train train.txt --valid valid.txt --device cpu --hidden 4 --epochs 1 \
                 --batch 4 --bptt 5 --json";
    let run = workbench.run(train).succeeds();
    // 7 words and 3 line endings, of which 2 are unknown.
    for part in [" 8 validation tokens", "2 other validation tokens", "<unk>"] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    assert_eq!(run.json()["valid_tokens"], 8);
    assert_eq!(run.json()["valid_oov"], 2);
    assert_eq!(run.json()["train_oov"], 0);
    let run = workbench
        .run(&format!("{train} --vocab-size 10 --out unknown"))
        .succeeds();
    assert_eq!(run.json()["valid_oov"], 0, "{}", run.stderr);
    assert_eq!(run.json()["valid_tokens"], 10);

    // A vocabulary without a word of the training text.
    workbench.write("words.txt", "the boy runs\n");
    let run = workbench
        .run(&format!("{train} --vocab words.txt --out few"))
        .succeeds();
    assert!(run.number("train_oov") > 0.0);
    assert!(
        run.stderr.contains("other training tokens"),
        "{}",
        run.stderr
    );
}
