//! What a terminal shows while a command trains, reads or evaluates. Python opens the
//! pseudo-terminal.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::command::{Run, Workbench, small_text};
use crate::environment::{has_python, python, slow_tests};
use crate::harness::{apply, test};

/// Runs a program on a terminal with this number of columns and copies what it writes.
const TERMINAL: &str = r"
import fcntl, os, pty, struct, sys, termios
columns, *program = sys.argv[1:]
process, terminal = pty.fork()
if process == 0:
    fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack('HHHH', 24, int(columns), 0, 0))
    os.execv(program[0], program)
while True:
    try:
        data = os.read(terminal, 65536)
    except OSError:
        break
    if not data:
        break
    sys.stdout.buffer.write(data)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
";

/// Runs a program on a terminal with 80 columns. Its standard input has the content of the first
/// file, and of the second file once the terminal shows the given text. Copies what the program
/// writes.
const WAITING: &str = r"
import os, pty, sys
shown, first, second, *program = sys.argv[1:]
input, output = os.pipe()
process, terminal = pty.fork()
if process == 0:
    os.dup2(input, 0)
    os.close(output)
    os.execv(program[0], program)
os.close(input)
os.write(output, open(first, 'rb').read())
text = b''
while True:
    try:
        data = os.read(terminal, 65536)
    except OSError:
        break
    if not data:
        break
    text += data
    if output is not None and shown.encode() in text:
        with os.fdopen(output, 'wb') as pipe:
            pipe.write(open(second, 'rb').read())
        output = None
sys.stdout.buffer.write(text)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
";

/// What a command writes to a terminal of this kind. It has the rest of its standard input when the
/// terminal shows the text.
fn wait(workbench: &Workbench, kind: &str, line: &str, shown: &str) -> String {
    let output = Command::new(python())
        .args(["-c", WAITING, shown, "first.txt", "second.txt"])
        .arg(env!("CARGO_BIN_EXE_elman"))
        .args(line.split(' '))
        .current_dir(workbench.path(""))
        .env("TERM", kind)
        .output();
    Run::new(line, output.expect("Python runs"))
        .succeeds()
        .stdout
}

/// What a training run writes to a terminal of this kind and width.
fn train(kind: &str, columns: usize) -> String {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let line = "train --train train.txt --device cpu --hidden 4 --epochs 2 --batch 4 --bptt 5";
    let output = Command::new(python())
        .args(["-c", TERMINAL, &columns.to_string()])
        .arg(env!("CARGO_BIN_EXE_elman"))
        .args(line.split(' '))
        .current_dir(workbench.path(""))
        .env("TERM", kind)
        .output();
    Run::new(line, output.expect("Python runs"))
        .succeeds()
        .stdout
}

#[apply(test)]
#[ignore_unless(has_python("pty"))]
fn the_progress_line_fits_the_terminal() {
    for columns in [30, 60, 80, 200] {
        let text = train("xterm", columns);
        let lines = text
            .split(['\r', '\n'])
            .map(|line| line.trim_start_matches("\u{1b}[2K"));
        let progress: Vec<&str> = lines.filter(|line| line.contains("epoch 1/2 [")).collect();
        assert!(!progress.is_empty(), "{text}");
        let has_times = progress.iter().any(|line| line.contains(" left, run "));
        assert!(has_times || columns < 60, "{text}");
        for line in progress {
            // An epoch's line before it is padded to full lines of the terminal.
            let start = line.rfind("epoch 1/2 [").expect("the progress");
            let width = line[start..].trim_end().chars().count();
            assert!(width < columns, "{width} of {columns} columns: {line:?}");
        }
        assert!(text.contains("epoch  2  train loss"), "{text}");
    }
}

/// A file has a line for each epoch, but none about the windows of a long one.
#[apply(test)]
#[ignore_unless(slow_tests())]
fn a_file_has_no_lines_about_windows() {
    let workbench = Workbench::new();
    // The first epoch takes longer than the interval of these lines, and does not end.
    workbench.write("train.txt", small_text().repeat(1000));
    let path = workbench.path("messages.txt");
    let file = std::fs::File::create(&path).expect("a file");
    let mut child = workbench
        .command("train --train train.txt --device cpu --threads 1 --hidden 400 --batch 1 --bptt 5")
        .stdout(Stdio::null())
        .stderr(file)
        .spawn()
        .expect("it starts");
    let log = workbench.path("model/log.jsonl");
    let has_record = || std::fs::read(&log).is_ok_and(|log| !log.is_empty());
    while !has_record() {
        let state = child.try_wait().expect("its state");
        assert!(state.is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().expect("killed");
    child.wait().expect("its state");
    let text = std::fs::read_to_string(path).expect("messages");
    assert!(text.contains("corpus: "), "{text}");
    assert!(
        !text.contains("window 1") && !text.contains(" left"),
        "{text}"
    );
}

#[apply(test)]
#[ignore_unless(has_python("pty"))]
fn a_dumb_terminal_has_lines() {
    let text = train("dumb", 80);
    for epoch in ["epoch  1  train loss", "epoch  2  train loss"] {
        assert!(text.contains(epoch), "{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[apply(test)]
#[ignore_unless(has_python("pty"))]
fn reading_is_shown_until_there_are_results() {
    let workbench = Workbench::with_model();
    workbench.write("first.txt", "");
    workbench.write("second.txt", small_text());
    let reading = "reading standard input  ";
    for (line, shown, result) in [
        ("eval --device cpu --text -", reading, "perplexity  "),
        (
            "train --train - --device cpu --hidden 4 --epochs 1 --batch 4 --bptt 5 --out other",
            reading,
            "epoch  1  train loss",
        ),
        (
            "ngram --text - --order 2 --test train.txt",
            reading,
            "perplexity  ",
        ),
        ("ngram --text train.txt --test -", reading, "perplexity  "),
        ("score --device cpu", "scoring standard input  ", "-1"),
        (
            "rescore --device cpu --ids none",
            "rescoring standard input  ",
            "-1",
        ),
    ] {
        let text = wait(&workbench, "xterm", line, shown);
        let (_, rest) = text.rsplit_once(shown).expect("the activity");
        let (removed, rest) = rest.split_once("\u{1b}[2K").expect("a cleared line");
        assert!(!removed.contains('\n'), "{line}: {text:?}");
        assert!(rest.contains(result), "{line}: {text:?}");
    }
}

#[apply(test)]
#[ignore_unless(has_python("pty"))]
fn evaluating_shows_the_percentage() {
    let workbench = Workbench::with_model();
    let probabilities = |count| "0.01\n".repeat(count);
    let text = small_text();
    let tokens = text.split_whitespace().count() + text.lines().count();
    // A chunk of 512 tokens is evaluated, and the next one waits.
    workbench.write("first.txt", probabilities(600));
    workbench.write("second.txt", probabilities(tokens - 600));
    let shown = format!("evaluating  {:>3} %", 51200 / tokens);
    let line = "eval --device cpu --text train.txt --lm-prob -";
    let on_terminal = wait(&workbench, "xterm", line, &shown);
    assert!(on_terminal.contains(" left"), "{on_terminal:?}");
    let on_dumb_terminal = wait(&workbench, "dumb", line, &shown);
    assert!(!on_dumb_terminal.contains('\u{1b}'), "{on_dumb_terminal:?}");
    let lines = on_dumb_terminal.lines();
    assert_eq!(lines.filter(|line| line.starts_with(&shown)).count(), 1);
}

#[apply(test)]
fn nothing_is_shown_elsewhere() {
    let workbench = Workbench::with_model();
    let mut command = workbench.command("eval --device cpu --text -");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    // Longer than the time after which a terminal shows an activity.
    std::thread::sleep(Duration::from_secs(2));
    let mut pipe = child.stdin.take().expect("a pipe");
    pipe.write_all(small_text().as_bytes()).expect("written");
    drop(pipe);
    let run = Run::new("eval", child.wait_with_output().expect("it ends")).succeeds();
    assert!(!run.stderr.contains("reading"), "{}", run.stderr);
}
