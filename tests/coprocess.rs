//! `elman score` and `elman rescore` as a coprocess: an answer for each line or list before the
//! next is written, with the bits that a file gives.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use crate::command::{Workbench, small_text};
use crate::harness::{apply, test};

/// A running program that answers.
struct Coprocess {
    child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Coprocess {
    fn start(workbench: &Workbench, arguments: &str) -> Self {
        let mut child = workbench
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, answers) = channel();
        thread::spawn(move || {
            let mut lines = output.lines().map_while(Result::ok);
            lines.try_for_each(|line| sender.send(line))
        });
        Self {
            input: child.stdin.take(),
            child,
            answers,
        }
    }

    /// Writes some text and waits for a number of lines.
    fn ask(&mut self, text: &str, lines: usize) -> Vec<String> {
        let input = self.input.as_mut().expect("a pipe");
        input.write_all(text.as_bytes()).expect("it reads");
        input.flush().expect("it reads");
        (0..lines).map(|_| self.answer(text)).collect()
    }

    fn answer(&self, text: &str) -> String {
        let limit = Duration::from_secs(120);
        let answer = self.answers.recv_timeout(limit);
        answer.unwrap_or_else(|error| panic!("no answer to {text:?}: {error}"))
    }

    /// Closes the program's input, and returns the rest of its output.
    fn end(mut self) -> Vec<String> {
        self.input = None;
        assert!(self.child.wait().expect("it ends").success());
        self.answers.iter().collect()
    }
}

impl Drop for Coprocess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Models of every kind of output layer, whose products have different shapes.
const MODELS: [(&str, &str); 5] = [
    ("plain", "--hidden 8"),
    ("wide", "--hidden 80 --cell lstm --embedding 20"),
    ("sixteen", "--hidden 16 --cell gru"),
    (
        "class",
        "--hidden 70 --output class --classes 4 --direct 640",
    ),
    ("adaptive", "--hidden 40 --output adaptive --cutoffs 8,20"),
];

fn workbench() -> Workbench {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    for (name, flags) in MODELS {
        let train = "train --train train.txt --device cpu --epochs 1 --batch 4 --bptt 6 --out";
        workbench.run(&format!("{train} {name} {flags}")).succeeds();
    }
    workbench
}

#[apply(test)]
fn every_line_is_answered() {
    let workbench = Workbench::with_model();
    let lines = [
        "the boy runs\n",
        "\n",
        "(\n",
        "the xylophone\n",
        "dogs bark\n",
    ];
    for flags in ["", "--per-token", "--carry", "--format rnnlm"] {
        let file = lines.concat();
        workbench.write("lines.txt", &file);
        let score = format!("score --device cpu {flags}");
        let whole = workbench
            .run(&format!("{score} lines.txt"))
            .succeeds()
            .stdout;
        let mut coprocess = Coprocess::start(&workbench, &score);
        let mut answers = Vec::new();
        for line in lines {
            let tokens = line.split_whitespace().count() + 1;
            let expected = if flags == "--format rnnlm" { tokens } else { 1 };
            answers.extend(coprocess.ask(line, expected));
        }
        // A last line without a newline.
        let rest = coprocess.end();
        assert!(rest.is_empty(), "{rest:?}");
        assert_eq!(answers.join("\n") + "\n", whole, "{flags}");
    }
}

#[apply(test)]
fn every_list_is_answered() {
    let workbench = Workbench::with_model();
    let lists = [
        "the boy runs\nthe boy run\n\n",
        "dogs bark\n\n",
        "the cat\nthe cats\na cat\n\n",
    ];
    for flags in ["", "--carry best"] {
        let rescore = format!("rescore --device cpu --ids none --output best {flags}");
        workbench.write("lists.txt", lists.concat());
        let whole = workbench
            .run(&format!("{rescore} lists.txt"))
            .succeeds()
            .stdout;
        let mut coprocess = Coprocess::start(&workbench, &rescore);
        let answers: Vec<_> = lists
            .iter()
            .flat_map(|list| coprocess.ask(list, 1))
            .collect();
        assert!(coprocess.end().is_empty());
        assert_eq!(answers.join("\n") + "\n", whole);
    }
    // With names, a list is known when the next one begins.
    let mut coprocess = Coprocess::start(&workbench, "rescore --device cpu --ids first-column");
    let input = coprocess.input.as_mut().expect("a pipe");
    input
        .write_all(b"a the boy\na the boys\n")
        .expect("it reads");
    assert_eq!(coprocess.ask("b dogs\n", 2).len(), 2);
    assert_eq!(coprocess.end().len(), 1);
}

#[apply(test)]
fn scores_do_not_depend_on_batches() {
    let workbench = workbench();
    let text = small_text();
    let mut lines: Vec<&str> = text.lines().take(90).collect();
    lines.extend(["", "the", "dogs bark", ""]);
    workbench.write("lines.txt", lines.join("\n") + "\n");
    for (name, _) in MODELS {
        for threads in [1, 2, 4] {
            let score = format!("score --device cpu --threads {threads} --model {name}");
            let bits = |lines: &[&str]| -> Vec<u64> {
                let input = lines.join("\n") + "\n";
                let run = workbench.run_with_input(&format!("{score} --json"), input.as_bytes());
                let numbers = run.succeeds().numbers("log10_prob");
                numbers.into_iter().map(f64::to_bits).collect()
            };
            let file = workbench
                .run(&format!("{score} --json lines.txt"))
                .succeeds();
            let whole: Vec<_> = file
                .numbers("log10_prob")
                .iter()
                .map(|x| x.to_bits())
                .collect();
            assert!(bits(&lines) == whole, "{name}, {threads} threads: a pipe");
            for size in [3, 40] {
                let parts: Vec<_> = lines.chunks(size).flat_map(&bits).collect();
                assert!(
                    parts == whole,
                    "{name}, {threads} threads: {size} lines each"
                );
            }
            for line in [0, 57, 90, 91, 92] {
                assert!(
                    bits(&lines[line..=line]) == whole[line..=line],
                    "{name}: line {line}"
                );
            }
        }
    }
}
