//! Standard streams that cannot be written: a lost message ends no command; lost results do.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use crate::command::{Run, Workbench};
use crate::harness::{apply, test};

/// Whether the system has a file that is always full.
fn has_full_file() -> bool {
    std::path::Path::new("/dev/full").exists()
}

fn full_file() -> Stdio {
    let file = OpenOptions::new().write(true).open("/dev/full");
    file.expect("the system has /dev/full").into()
}

/// The writing end of a pipe that nobody reads.
fn broken_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

fn output(arguments: &str, command: &mut Command) -> Run {
    Run::new(arguments, command.output().expect("the program starts"))
}

const TRAIN: &str =
    "train --train train.txt --device cpu --hidden 4 --epochs 2 --batch 4 --bptt 5 --json";

/// Commands with results on standard output and messages on standard error.
const COMMANDS: &[&str] = &[
    "eval --model model --text train.txt --device cpu",
    "score --model model train.txt --device cpu",
    "generate --model model --sentences 1 --seed 1 --prompt xyzzy --device cpu",
    "ngram --text train.txt --test train.txt --order 2 --device cpu",
    "corpus --sentences 10 --seed 3",
];

#[apply(test)]
#[ignore_unless(has_full_file())]
fn a_lost_message_ends_no_command() {
    let workbench = Workbench::with_model();
    for line in COMMANDS {
        let complete = workbench.run(line).succeeds();
        for stderr in [full_file(), broken_pipe()] {
            let run = output(line, workbench.command(line).stderr(stderr)).succeeds();
            assert_eq!(run.stdout, complete.stdout, "{line}");
        }
    }
    let parameters = || workbench.read("trained/model.safetensors");
    let line = format!("{TRAIN} --out trained --force");
    workbench.run(&line).succeeds();
    let complete = parameters();
    for stderr in [full_file(), broken_pipe()] {
        let run = output(&line, workbench.command(&line).stderr(stderr)).succeeds();
        assert_eq!(run.json()["finished"], true);
        assert!(parameters() == complete, "the run is the same");
    }
    // A message about a failure may be lost; its exit code is not.
    for (line, code) in [("train --oops", 2), ("eval --model absent --text no", 1)] {
        let run = output(line, workbench.command(line).stderr(full_file()));
        assert_eq!(run.code, Some(code), "{line}");
    }
}

#[apply(test)]
#[ignore_unless(has_full_file())]
fn lost_results_are_an_error_unless_nobody_reads() {
    let workbench = Workbench::with_model();
    let train = format!("{TRAIN} --out full --force");
    let help = ["--help", "train --help", "--version"];
    for line in COMMANDS.iter().chain(&help).chain(&[train.as_str()]) {
        output(line, workbench.command(line).stdout(full_file())).fails(1, &["standard output"]);
        let run = output(line, workbench.command(line).stdout(broken_pipe())).succeeds();
        assert!(!run.stderr.contains("error"), "{line}: {}", run.stderr);
    }
    let inspect = workbench.run("inspect full").succeeds();
    assert!(inspect.stdout.contains("epoch"), "the model was saved");
}
