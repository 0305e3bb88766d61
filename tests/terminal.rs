//! What `elman train` shows on a terminal. Python opens the pseudo-terminal.

use std::process::Command;

use crate::command::{Run, Workbench, small_text};
use crate::environment::{has_python, python};
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

#[apply(test)]
#[ignore_unless(has_python("pty"))]
fn a_dumb_terminal_has_lines() {
    let text = train("dumb", 80);
    for epoch in ["epoch  1  train loss", "epoch  2  train loss"] {
        assert!(text.contains(epoch), "{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");
}
