//! The wheel for Python's pip, which carries the program. It is built in release mode.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::environment::{has_python, python, slow_tests};
use crate::harness::{apply, test};

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

fn succeeds(command: &mut Command) -> Output {
    let output = command.output().expect("it starts");
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Checks that the program runs without the repository.
fn check_program(program: &Path) {
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let mut train = Command::new(program);
    train
        .args([
            "train", "--train", "text.txt", "--hidden", "4", "--epochs", "1",
        ])
        .args(["--device", "cpu", "--quiet"])
        .current_dir(&elsewhere);
    let text = crate::command::small_text();
    std::fs::write(elsewhere.path().join("text.txt"), text).expect("written");
    succeeds(&mut train);
    assert!(elsewhere.path().join("model/model.safetensors").is_file());
}

/// The only file in a directory with this ending.
fn only_file(directory: &TempDir, ending: &str) -> std::path::PathBuf {
    let entries = std::fs::read_dir(directory).expect("a directory").flatten();
    let mut files = entries
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(ending));
    let file = files.next().expect("a file");
    assert_eq!(files.next(), None);
    file
}

#[apply(test)]
#[ignore_unless(slow_tests() && has_python("maturin, venv"))]
fn wheel_installs_the_program() {
    let wheels = tempfile::tempdir().expect("a temporary directory");
    succeeds(
        Command::new(python())
            .args(["-m", "maturin", "build", "--release", "--out"])
            .arg(wheels.path())
            .current_dir(REPOSITORY),
    );
    let environment = tempfile::tempdir().expect("a temporary directory");
    succeeds(
        Command::new(python())
            .args(["-m", "venv"])
            .arg(environment.path()),
    );
    let binaries = environment.path().join("bin");
    succeeds(
        Command::new(binaries.join("pip"))
            .args(["install", "--no-index", "--no-deps"])
            .arg(only_file(&wheels, ".whl")),
    );
    check_program(&binaries.join("elman"));
}
