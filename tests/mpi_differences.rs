//! Ranks with other programs, flags, texts, models or devices: one message at the start says in
//! what they differ.

use std::fs::File;
use std::io::Write;

use super::environment::{cpu_only, slow_tests};
use super::mpi::{Program, TRAIN, has_mpi, workbench};
use super::mpi_jobs::{Job, has_faults};
use super::mpi_scoring;
use crate::command::{Run, Workbench};
use crate::harness::{apply, test};

/// A run that is not to start.
fn train() -> String {
    format!("{TRAIN} --hidden 9 --epochs 1 --out different")
}

/// Runs two command lines, each on one rank, and expects one error, of the second one.
fn fails(workbench: &Workbench, first: &str, second: Program<'_>, parts: &[&str]) -> Run {
    let run = Job::start(workbench, &[Program::new(1, first), second]).end();
    let run = run.fails(1, parts);
    let errors = run.stderr.matches("error: ").count();
    assert_eq!(errors, 1, "one rank writes: {}", run.stderr);
    run
}

/// Expects an error about a property of the second of two ranks.
fn expect_difference(workbench: &Workbench, first: &str, second: Program<'_>, what: &str) -> Run {
    let property = format!("the {what} of this rank: it differs from that of rank 0 on ");
    fails(workbench, first, second, &["error: rank 1 on ", &property])
}

#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn different_programs_and_texts_are_named() {
    let workbench = workbench();
    let train = train();
    // Bytes after the end of a program do not change it.
    let copy = workbench.path("elman");
    std::fs::copy(env!("CARGO_BIN_EXE_elman"), &copy).expect("copied");
    let mut file = File::options().append(true).open(&copy).expect("opened");
    file.write_all(b"x").expect("written");
    drop(file);
    let other = Program {
        program: copy,
        ..Program::new(1, &train)
    };
    expect_difference(&workbench, &train, other, "program");
    let text = workbench.read("train.txt");
    workbench.write("valid.txt", &text);
    workbench.write("other.txt", text.repeat(2));
    let [valid, other] = ["valid", "other"].map(|name| format!("{train} --valid {name}.txt"));
    expect_difference(
        &workbench,
        &valid,
        Program::new(1, &other),
        "validation text",
    );
    let other = train.replace("train.txt", "other.txt");
    expect_difference(&workbench, &train, Program::new(1, &other), "training text");
}

#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn different_flags_are_named() {
    let workbench = workbench();
    let train = train();
    for (flag, what) in [
        ("--lr 0.01", "model or recipe"),
        ("--rank-timeout 5s", "--rank-timeout"),
    ] {
        let other = format!("{train} {flag}");
        expect_difference(&workbench, &train, Program::new(1, &other), what);
    }
}

/// A schedule that is timed first is compared before.
#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn different_comparisons_are_named() {
    let workbench = workbench();
    let flags = "epochs = 2\nbatch = 6\nbptt = 5\nhidden = 8\nschedule = 'cosine'\n";
    for (file, recipes) in [
        ("first", format!("[small]\n{flags}[other]\n{flags}")),
        ("lr", format!("[small]\n{flags}lr = 0.3\n[other]\n{flags}")),
        ("fewer", format!("[small]\n{flags}")),
    ] {
        workbench.write(&format!("{file}.toml"), recipes);
    }
    let text = workbench.read("train.txt");
    workbench.write("other.txt", text.repeat(2));
    let compare = "compare train.txt --recipe first.toml --minutes 1 --device cpu --threads 1 \
                   --rank-timeout 20s";
    for (from, to, what) in [
        ("first.toml", "lr.toml", "recipe of small"),
        ("first.toml", "fewer.toml", "list of models"),
        ("--minutes 1", "--minutes 2", "--minutes"),
        ("train.txt", "other.txt", "training text"),
    ] {
        let other = compare.replace(from, to);
        let run = expect_difference(&workbench, compare, Program::new(1, &other), what);
        assert!(!run.stderr.contains("an epoch takes"), "{}", run.stderr);
    }
}

#[apply(test)]
#[ignore_unless(has_faults())]
fn different_capabilities_are_named() {
    let workbench = workbench();
    let train = train();
    let other = Program::with_faults(&train, "capability@0");
    expect_difference(&workbench, &train, other, "vector instructions");
}

#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests() && !cpu_only())]
fn different_kinds_of_devices_are_named() {
    let workbench = workbench();
    let train = train();
    let adapter = &elman::device::adapters()[0].name;
    let word = adapter.split_whitespace().next().expect("a name");
    let gpu = train.replace("--device cpu", &format!("--device {word}"));
    let gpu = format!("{gpu} --share-adapter");
    expect_difference(&workbench, &train, Program::new(1, &gpu), "kind of device");
}

/// The text of a rank is not that of the first one.
#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn different_texts_to_evaluate_are_named() {
    let workbench = Workbench::with_model();
    workbench.write("other.txt", workbench.read("train.txt").repeat(2));
    let [first, other] = ["train.txt", "other.txt"]
        .map(|text| format!("eval --device cpu --threads 1 --independent --text {text}"));
    let parts = ["train.txt on rank 1 on ", "it differs from that on rank 0"];
    fails(&workbench, &first, Program::new(1, &other), &parts);
}

/// Ranks with other models would print a mixture of two results.
#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn different_models_are_named() {
    let workbench = mpi_scoring::workbench();
    let [first, other] =
        ["model", "other"].map(|model| format!("score --device cpu --model {model} train.txt"));
    expect_difference(&workbench, &first, Program::new(1, &other), "model");
}
