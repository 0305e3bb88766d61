//! Runs the program in a temporary directory. A failed expectation prints everything that the
//! program printed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A temporary directory with texts and models, in which the program runs.
pub struct Workbench {
    directory: TempDir,
}

/// The output and the exit code of a run.
pub struct Run {
    pub line: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Workbench {
    pub fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
        }
    }

    /// A workbench with a small text of the built-in grammar in `train.txt` and a model trained on
    /// it in `model`.
    pub fn with_model() -> Self {
        let workbench = Self::new();
        workbench.write("train.txt", small_text());
        workbench
            .run("train --train train.txt --device cpu --hidden 12 --epochs 2 --batch 4 --bptt 5")
            .succeeds();
        workbench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("a file written");
    }

    /// Changes a file of a model on purpose: without the manifest, which would reject it.
    pub fn edit(&self, name: &str, content: impl AsRef<[u8]>) {
        let _ = std::fs::remove_file(self.path(name).with_file_name("manifest.json"));
        self.write(name, content);
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The program with arguments split at spaces, not started yet.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_elman"));
        command
            .args(arguments.split_whitespace())
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &str) -> Run {
        let output = self
            .command(arguments)
            .output()
            .expect("the program starts");
        Run::new(arguments, output)
    }

    /// Runs the program with this standard input.
    pub fn run_with_input(&self, arguments: &str, input: &[u8]) -> Run {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut pipe = child.stdin.take().expect("a pipe");
        // A program that refuses its arguments does not read.
        let _ = pipe.write_all(input);
        drop(pipe);
        Run::new(arguments, child.wait_with_output().expect("it ends"))
    }

    /// Copies the model directory, for tests that damage it.
    pub fn copy_model(&self, to: &str) {
        self.copy("model", to);
    }

    /// Copies a directory.
    pub fn copy(&self, from: &str, to: &str) {
        copy(&self.path(from), &self.path(to));
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory made");
    for entry in std::fs::read_dir(from).expect("a directory").flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(from, to).expect("a file copied");
        }
    }
}

impl Run {
    pub fn new(line: &str, output: Output) -> Self {
        Self {
            line: line.to_owned(),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn fail(&self, what: &str) -> ! {
        panic!(
            "elman {}\n{what}\nexit code {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.line, self.code, self.stdout, self.stderr
        )
    }

    pub fn succeeds(self) -> Self {
        if self.code != Some(0) {
            self.fail("should have succeeded");
        }
        self
    }

    /// Demands that the run failed with this code and a message with all of these parts, and did
    /// not panic.
    pub fn fails(self, code: i32, parts: &[&str]) -> Self {
        if self.code != Some(code) {
            self.fail(&format!("should have failed with {code}"));
        }
        if self.stderr.contains("panicked") {
            self.fail("panicked");
        }
        if let Some(part) = parts.iter().find(|part| !self.stderr.contains(**part)) {
            self.fail(&format!("should have said {part:?}"));
        }
        self
    }

    /// The last line of standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        let last = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last)
            .unwrap_or_else(|error| self.fail(&format!("the last line is no JSON: {error}")))
    }

    /// The tokens of `--format rnnlm`.
    pub fn tokens(&self) -> Vec<ListedToken> {
        self.stdout.lines().filter_map(ListedToken::parse).collect()
    }

    /// The numbers in an array of the JSON object.
    pub fn numbers(&self, key: &str) -> Vec<f64> {
        let json = self.json();
        let Some(values) = json[key].as_array() else {
            self.fail(&format!("{key} is no array"))
        };
        values
            .iter()
            .map(|value| {
                value
                    .as_f64()
                    .unwrap_or_else(|| self.fail(&format!("{value} of {key} is no number")))
            })
            .collect()
    }

    /// A finite number of the JSON object.
    pub fn number(&self, key: &str) -> f64 {
        match self.json()[key].as_f64() {
            Some(number) if number.is_finite() => number,
            _ => self.fail(&format!("{key} is no finite number")),
        }
    }
}

/// A token as rnnlm prints it with `-debug 2`.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedToken {
    /// Its index; -1 for an unknown word.
    pub index: i64,
    /// The probability by the network and, if there is one, by another model.
    pub probabilities: Vec<f64>,
    /// The word; `OOV` for an unknown one.
    pub word: String,
}

impl ListedToken {
    /// Parses the line of a token; none for another line.
    pub fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [index, middle @ .., word] = fields.as_slice() else {
            return None;
        };
        let probabilities = middle
            .iter()
            .filter(|field| !field.is_empty())
            .map(|field| field.parse().ok());
        Some(Self {
            index: index.parse().ok()?,
            probabilities: probabilities.collect::<Option<_>>()?,
            word: (*word).to_owned(),
        })
    }

    /// Whether the vocabulary lacks the word.
    pub fn is_unknown(&self) -> bool {
        self.index == -1
    }
}

/// 400 sentences of the built-in grammar.
pub fn small_text() -> String {
    elman::corpus::builtin::draw(400, 7)
        .expect("the grammar draws")
        .text
}
