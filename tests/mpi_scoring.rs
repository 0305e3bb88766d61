//! `mpirun elman score` and `rescore`: the output of one process, and errors.

use std::io::Write;
use std::process::Stdio;

use super::environment::slow_tests;
use super::mpi::{Program, has_mpi, launcher, on};
use crate::command::{Run, Workbench};
use crate::harness::{apply, test};

/// Lines of a text, enough for several batches on each rank.
pub const LINES: usize = 5000;

pub fn lines(workbench: &Workbench, count: usize) -> Vec<String> {
    let text = String::from_utf8(workbench.read("train.txt")).expect("UTF-8");
    let lines: Vec<&str> = text.lines().collect();
    let line = |index: usize| lines[index * 7 % lines.len()].to_owned();
    (0..count).map(line).collect()
}

/// Lists of one to five hypotheses.
pub fn lists(workbench: &Workbench) -> String {
    let mut lists = String::new();
    for (index, line) in lines(workbench, LINES).into_iter().enumerate() {
        lists += &format!("list{} {line}\n", index / (1 + index % 5));
    }
    lists
}

/// Runs the program on some ranks with this standard input.
fn with_input(workbench: &Workbench, count: usize, arguments: &str, input: &str) -> Run {
    let mut child = launcher(workbench, &[Program::new(count, arguments)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("mpirun starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || {
        let _ = pipe.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("written");
    Run::new(&format!("{arguments} on {count} ranks"), output)
}

/// Compares the output on 2 and 3 ranks with that of one process.
pub fn assert_equal_output(workbench: &Workbench, arguments: &str) {
    let one = workbench.run(arguments).succeeds();
    for count in [2, 3] {
        let run = on(workbench, count, arguments).succeeds();
        assert!(run.stdout == one.stdout, "{} differs", run.line);
    }
}

/// A workbench with a model, another one, and an n-gram model.
pub fn workbench() -> Workbench {
    let workbench = Workbench::with_model();
    workbench
        .run(
            "train --train train.txt --device cpu --cell gru --hidden 9 --epochs 1 --batch 4 \
             --bptt 5 --out other --seed 3",
        )
        .succeeds();
    workbench
        .run("ngram --text train.txt --order 3 --out kn.arpa")
        .succeeds();
    workbench
}

#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn scores_are_those_of_one_process() {
    let workbench = workbench();
    let text = lines(&workbench, LINES);
    workbench.write("many.txt", text.join("\n"));
    workbench.write("one.txt", &text[0]);
    workbench.write("none.txt", "");
    let tokens: usize = text.iter().map(|line| line.split(' ').count() + 1).sum();
    workbench.write("probs.txt", "0.25\n".repeat(tokens));
    let score = "score --device cpu --threads 1";
    for flags in [
        "",
        "--per-token",
        "--json --per-token",
        "--format rnnlm",
        "--model model --model other --arpa kn.arpa --tune one.txt",
        "--lm-prob probs.txt --lambda 0.7",
    ] {
        assert_equal_output(&workbench, &format!("{score} {flags} many.txt"));
    }
    for file in ["one.txt", "none.txt"] {
        assert_equal_output(&workbench, &format!("{score} {file}"));
    }
    let input = text.join("\n");
    let one = workbench.run(&format!("{score} many.txt")).succeeds();
    let run = with_input(&workbench, 3, score, &input).succeeds();
    assert!(run.stdout == one.stdout, "{} differs", run.line);
}

#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn rescored_lists_are_those_of_one_process() {
    let workbench = workbench();
    workbench.write("lists.txt", lists(&workbench));
    workbench.write("one.txt", "list1 a b\n");
    workbench.write("none.txt", "");
    let rescore = "rescore --device cpu --threads 1 --ids first-column";
    for flags in [
        "",
        "--output best",
        "--output ranked --word-penalty 0.5",
        "--json",
        "--model model --model other --arpa kn.arpa",
    ] {
        assert_equal_output(&workbench, &format!("{rescore} {flags} lists.txt"));
    }
    for file in ["one.txt", "none.txt"] {
        assert_equal_output(&workbench, &format!("{rescore} {file}"));
    }
    let one = workbench.run(&format!("{rescore} lists.txt")).succeeds();
    let run = with_input(&workbench, 2, rescore, &lists(&workbench)).succeeds();
    assert!(run.stdout == one.stdout, "{} differs", run.line);
}

/// What precedes an error is printed, and one rank says what is wrong.
#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn errors_come_once_after_what_precedes_them() {
    let workbench = workbench();
    let mut text = lines(&workbench, LINES).join("\n").into_bytes();
    let middle = text.len() / 2;
    text[middle] = 0xff;
    workbench.write("bad.txt", &text);
    let mut bad_lists = lists(&workbench).into_bytes();
    let middle = bad_lists.len() / 2;
    bad_lists[middle] = 0xff;
    workbench.write("bad-lists.txt", &bad_lists);
    workbench.write("short.txt", "0.5\n".repeat(20_000));
    for arguments in [
        "score --device cpu --threads 1 bad.txt",
        "score --device cpu --threads 1 --lm-prob short.txt train.txt",
        "rescore --device cpu --threads 1 --ids first-column bad-lists.txt",
    ] {
        let one = workbench.run(arguments);
        let code = one.code.expect("a code");
        assert!(code > 0 && !one.stdout.is_empty(), "{arguments}");
        let message = one.stderr.lines().find(|line| line.starts_with("error"));
        let message = message.expect("a message");
        for count in [2, 3] {
            let run = on(&workbench, count, arguments).fails(code, &[message]);
            assert!(run.stdout == one.stdout, "{} differs", run.line);
            let errors = run.stderr.matches("error: ").count();
            assert_eq!(errors, 1, "one rank writes: {}", run.stderr);
        }
    }
}

/// Checks that the program fails on two ranks, and that one of them says why.
pub fn fails_once(workbench: &Workbench, arguments: &str, code: i32, parts: &[&str]) {
    let run = on(workbench, 2, arguments).fails(code, parts);
    let errors = run.stderr.matches("error: ").count();
    assert_eq!(errors, 1, "one rank writes: {}", run.stderr);
}

#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn what_ranks_cannot_divide_is_an_error() {
    let workbench = Workbench::with_model();
    for (arguments, flag) in [
        ("score --carry train.txt", "--carry"),
        ("score --dynamic 0.1 train.txt", "--dynamic"),
        ("score --cache 10 train.txt", "--cache"),
        ("rescore --ids none --carry best train.txt", "--carry"),
    ] {
        let what = format!("{flag} on 2 ranks");
        let hint = format!("Remove {flag}");
        fails_once(&workbench, arguments, 2, &[&what, &hint]);
    }
    fails_once(&workbench, "score missing.txt", 1, &["missing.txt"]);
}
