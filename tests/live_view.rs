//! `elman train --live` takes the whole terminal and gives it back as it was. Python opens the
//! pseudo-terminal.

use std::process::Command;

use crate::command::{Run, Workbench, small_text};
use crate::environment::{has_python, python};
use crate::harness::{apply, test};

/// Runs a program on a terminal of 80 columns and 24 lines, sends it some keys once it shows the
/// view, and copies what it writes. Fails if the terminal's settings have changed.
const TERMINAL: &str = r#"
import fcntl, os, pty, struct, sys, termios
keys, *program = sys.argv[1:]
terminal, inside = pty.openpty()
fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
before = termios.tcgetattr(inside)
process = os.fork()
if process == 0:
    os.setsid()
    fcntl.ioctl(inside, termios.TIOCSCTTY, 0)
    for stream in range(3):
        os.dup2(inside, stream)
    os.execv(program[0], program)
text, sent, status = b"", not keys, None
os.set_blocking(terminal, False)
while status is None:
    ended, code = os.waitpid(process, os.WNOHANG)
    if ended:
        status = os.waitstatus_to_exitcode(code)
    try:
        text += os.read(terminal, 65536)
    except BlockingIOError:
        pass
    if not sent and b"tokens/s" in text:
        os.write(terminal, keys.encode())
        sent = True
sys.stdout.buffer.write(text)
assert termios.tcgetattr(inside) == before, "the terminal has other settings"
sys.exit(status)
"#;

/// Terminals switch to their second screen and back.
const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";

fn train(workbench: &Workbench, keys: &str, flags: &str) -> Run {
    workbench.write("train.txt", small_text().repeat(20));
    let line = format!("train --train train.txt --device cpu --live --batch 4 --bptt 5 {flags}");
    let output = Command::new(python())
        .args(["-c", TERMINAL, keys])
        .arg(env!("CARGO_BIN_EXE_elman"))
        .args(line.split(' '))
        .current_dir(workbench.path(""))
        .env("TERM", "xterm-256color")
        .output();
    Run::new(&line, output.expect("Python runs"))
}

/// What was written before, on and after the second screen.
fn parts(text: &str) -> [&str; 3] {
    let (before, rest) = text.split_once(ENTER).expect("a second screen");
    let (view, after) = rest.split_once(LEAVE).expect("the first screen again");
    [before, view, after]
}

#[apply(test)]
#[ignore_unless(has_python("pty"))]
fn the_terminal_is_taken_and_given_back() {
    let run = train(&Workbench::new(), "", "--hidden 4 --epochs 2").succeeds();
    let [before, view, after] = parts(&run.stdout);
    assert!(before.contains("device: CPU"), "{before}");
    // Spaces are movements of the cursor.
    assert!(view.contains("tokens/s"), "{view}");
    assert!(after.contains("epoch  1  train loss"), "{after}");
    assert!(after.contains("validation perplexity"), "{after}");
    assert!(!after.contains(ENTER), "{after}");
}

#[apply(test)]
#[ignore_unless(has_python("pty"))]
fn control_c_saves_and_gives_the_terminal_back() {
    let workbench = Workbench::new();
    let run = train(&workbench, "\u{3}", "--hidden 200 --epochs 1000").fails(130, &[]);
    let [_, view, after] = parts(&run.stdout);
    assert!(view.contains("tokens/s"), "{view}");
    assert!(after.contains("interrupted: saving"), "{after}");
    assert!(after.contains("--resume model continues"), "{after}");
    assert!(workbench.path("model/training.json").exists());
}

#[apply(test)]
fn a_file_has_lines() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let line = "train --train train.txt --device cpu --live --hidden 4 --epochs 1";
    let run = workbench.run(line).succeeds();
    for part in ["note: --live needs a terminal", "epoch  1  train loss"] {
        assert!(run.stderr.contains(part), "{}", run.stderr);
    }
    assert!(!run.stderr.contains(ENTER));
}
