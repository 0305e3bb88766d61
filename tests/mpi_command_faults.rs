//! Ranks that hang, die or take long in other commands than `elman train`.

use std::io::Write;
use std::thread::sleep;
use std::time::Duration;

use super::environment::slow_tests;
use super::mpi::{Program, has_mpi, send};
use super::mpi_jobs::{Job, has_faults, host};
use super::mpi_scoring::{LINES, lines, lists, workbench};
use crate::command::{Run, Workbench};
use crate::harness::{apply, test};

const FLAGS: &str = "--device cpu --threads 1 --rank-timeout 1s";

/// What a rank says at the end where nothing is saved.
const AGAIN: &str = "Start the command again, also on fewer ranks";

/// A workbench with a model, and files for commands.
fn workbench_with_files() -> Workbench {
    let workbench = workbench();
    workbench.write("many.txt", lines(&workbench, LINES).join("\n"));
    workbench.write("lists.txt", lists(&workbench));
    let recipe = "epochs = 2\nbatch = 6\nbptt = 5\nhidden = 8\n";
    workbench.write("recipe.toml", format!("[small]\n{recipe}"));
    workbench
}

/// A job of two ranks, of which one has these faults.
fn with_fault(workbench: &Workbench, arguments: &str, faults: &str, rank: usize) -> Run {
    let mut programs = [Program::new(1, arguments), Program::new(1, arguments)];
    programs[rank] = Program::with_faults(arguments, faults);
    Job::start(workbench, &programs).end()
}

/// Expects one error, about a rank that hangs.
fn expect_hang(run: Run, rank: usize, hint: &str) {
    let name = format!("error: rank {rank} on {} (process ", host());
    let run = run.fails(1, &[&name, "not answered for 1 s (--rank-timeout)", hint]);
    let errors = run.stderr.matches("error: ").count();
    assert_eq!(errors, 1, "one rank writes: {}", run.stderr);
}

#[apply(test)]
#[ignore_unless(has_faults())]
fn a_rank_that_hangs_is_named() {
    let workbench = workbench_with_files();
    let resume = "The same command with --resume continues";
    for (command, fault, rank, hint) in [
        ("eval --text train.txt many.txt", "hang-in-work@1", 1, AGAIN),
        (
            "eval --text many.txt --streams 4",
            "hang-in-work@1",
            0,
            AGAIN,
        ),
        ("score many.txt", "hang-in-work@2", 1, AGAIN),
        (
            "rescore --ids first-column lists.txt",
            "hang-in-work@2",
            0,
            AGAIN,
        ),
        (
            "ngram --model model --tokens 90000 --out x.arpa",
            "hang-in-work@1",
            1,
            AGAIN,
        ),
        (
            "compare train.txt --recipe recipe.toml --force",
            "hang@20",
            1,
            resume,
        ),
        (
            "compare train.txt --recipe recipe.toml --force",
            "hang-in-work@0",
            0,
            resume,
        ),
        (
            "bench --hidden 8 --vocab-size 50 --seconds 0.5 --training-only --product 64",
            "hang@5",
            1,
            AGAIN,
        ),
    ] {
        let arguments = format!("{command} {FLAGS}");
        expect_hang(with_fault(&workbench, &arguments, fault, rank), rank, hint);
    }
}

/// A process is stopped, as if its host did not answer.
#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn a_rank_that_is_stopped_is_named() {
    let workbench = workbench_with_files();
    workbench.write("endless.txt", workbench.read("many.txt").repeat(500));
    for rank in [0, 1] {
        let arguments = format!("score endless.txt {FLAGS}");
        let job = Job::start(&workbench, &[Program::new(3, &arguments)]);
        job.wait_for_output();
        send("-STOP", job.ranks[rank]);
        expect_hang(job.end(), rank, AGAIN);
    }
}

/// A rank that takes longer than the limit, but goes on, is waited for.
#[apply(test)]
#[ignore_unless(has_faults())]
fn a_rank_that_works_is_waited_for() {
    let workbench = workbench_with_files();
    for (command, rank) in [
        ("eval --text train.txt many.txt", 1),
        ("eval --text many.txt --independent --arpa kn.arpa", 0),
        ("eval --text many.txt --streams 4", 1),
        (
            "eval --text train.txt --streams 4 --arpa kn.arpa --tune many.txt",
            0,
        ),
        ("score many.txt", 0),
        ("rescore --ids first-column lists.txt", 1),
        ("ngram --model model --tokens 90000 --out x.arpa --force", 1),
    ] {
        let arguments = format!("{command} {FLAGS}");
        let one = workbench.run(&arguments).succeeds();
        let run = with_fault(&workbench, &arguments, "slow@1", rank).succeeds();
        assert!(run.stdout == one.stdout, "{arguments} differs");
    }
}

/// Standard input may come after any time.
#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn input_is_waited_for() {
    let workbench = workbench();
    let text = String::from_utf8(workbench.read("train.txt")).expect("UTF-8");
    let one = workbench.run("score train.txt --device cpu").succeeds();
    let mut job = Job::start(&workbench, &[Program::new(2, &format!("score {FLAGS}"))]);
    let (first, second) = text.split_at(text.find('\n').expect("a line") + 1);
    for part in [first, second] {
        // Longer than the limit and the time for answers.
        sleep(Duration::from_secs(6));
        job.input.write_all(part.as_bytes()).expect("written");
    }
    let run = job.end().succeeds();
    assert!(run.stdout == one.stdout, "{}", run.stdout);
}

#[apply(test)]
#[ignore_unless(has_faults())]
fn a_rank_that_dies_is_named() {
    let workbench = workbench_with_files();
    for (command, rank) in [("eval --text train.txt many.txt", 1), ("score many.txt", 0)] {
        let arguments = format!("{command} {FLAGS}");
        let run = with_fault(&workbench, &arguments, "die-in-work@1", rank);
        assert!(run.code != Some(0), "{arguments}: {}", run.stderr);
        let name = format!("process rank {rank} with PID");
        assert!(run.stderr.contains(&name), "{arguments}: {}", run.stderr);
    }
}

#[apply(test)]
fn timeouts_have_units() {
    let workbench = Workbench::new();
    for command in ["train", "eval --text x", "score", "compare x", "bench"] {
        let bad = format!("{command} --rank-timeout 600");
        workbench
            .run(&bad)
            .fails(2, &["--rank-timeout", "600", "90s, 10m or 2h"]);
    }
}
