//! Signals during `elman train`: the run saves, and its exit code says what ended it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::command::{Run, Workbench, small_text};
use crate::harness::{apply, test};

const TRAIN: &str = "train --train train.txt --device cpu --hidden 24 --batch 1 --bptt 4 --json";

fn workbench() -> Workbench {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench
}

/// A training run that would take minutes, after its first epoch.
fn start(workbench: &Workbench, arguments: &str) -> Child {
    let mut run = workbench
        .command(&format!(
            "{TRAIN} --schedule constant --epochs 10000 {arguments}"
        ))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let stderr = run.stderr.take().expect("a pipe");
    let mut lines = BufReader::new(stderr).lines();
    let is_epoch = |line: &String| line.starts_with("epoch  1 ");
    lines
        .by_ref()
        .map(|line| line.expect("text"))
        .find(is_epoch)
        .expect("an epoch");
    // The rest is read, so that the pipe neither fills nor breaks.
    std::thread::spawn(move || lines.count());
    run
}

/// Sends a signal with the system's program for it.
fn send(signal: &str, run: &Child) {
    let id = run.id().to_string();
    let sent = Command::new("kill").args([signal, &id]).status();
    assert!(sent.is_ok_and(|status| status.success()), "kill {signal}");
}

fn end(run: Child) -> Run {
    Run::new(TRAIN, run.wait_with_output().expect("the run ends"))
}

#[apply(test)]
#[ignore_unless(cfg!(unix))]
fn two_signals_at_once_save_and_exit_with_130() {
    let workbench = workbench();
    let run = start(&workbench, "");
    send("-INT", &run);
    send("-INT", &run);
    std::thread::sleep(Duration::from_millis(200));
    send("-INT", &run);
    let run = end(run);
    assert_eq!(run.code, Some(130));
    assert_eq!(run.json()["finished"], false);
    let epochs = run.number("epochs");
    // It resumes from where it was.
    let resumed = start_resumed(&workbench);
    assert!(resumed.number("epochs") >= epochs);
}

/// Resumes the run and ends it with SIGTERM.
fn start_resumed(workbench: &Workbench) -> Run {
    let mut run = workbench
        .command("train --resume model --device cpu --json")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let stderr = run.stderr.take().expect("a pipe");
    let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("epoch ")), "an epoch");
    std::thread::spawn(move || lines.count());
    send("-TERM", &run);
    let run = end(run);
    assert_eq!(run.code, Some(143));
    run
}

#[apply(test)]
#[ignore_unless(cfg!(unix))]
fn shells_stop_after_an_interrupted_run() {
    let workbench = workbench();
    let program = env!("CARGO_BIN_EXE_elman");
    let script = format!(
        "{{ sleep 2; kill -INT $(cat id); }} & sh -c 'echo $$ > id; exec {program} {TRAIN} \
         --schedule constant --epochs 100000' && echo went on"
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(workbench.path(""));
    let run = Run::new(&script, shell.output().expect("a shell"));
    assert_eq!(run.code, Some(130), "{}", run.stderr);
    assert!(!run.stdout.contains("went on"), "{}", run.stdout);
}

#[apply(test)]
#[ignore_unless(cfg!(unix))]
fn a_hang_up_that_nohup_ignores_ends_nothing() {
    let workbench = workbench();
    let program = env!("CARGO_BIN_EXE_elman");
    let script = format!(
        "trap '' HUP; {program} {TRAIN} --schedule constant --epochs 60 & sleep 1; kill -HUP $!; \
         wait $!"
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(workbench.path(""));
    let run = Run::new(&script, shell.output().expect("a shell")).succeeds();
    assert_eq!(run.json()["finished"], true);
}
