//! The commands that README.md and docs/guide.md show run, in the order of the page, in a directory
//! with small texts.
//!
//! A code block whose first line begins with one of [`PROGRAMS`] consists of commands; others are
//! output. [`SKIPPED`] lists the commands that are not run and [`SHORTENED`] the ones that run with
//! less work; every row must occur on a page.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{Page, read};
use crate::command::{Run, Workbench, small_text};
use crate::harness::{apply, test};
use crate::rnnlm_files::{CASES, TestModel};

/// First words of commands.
const PROGRAMS: &[&str] = &["elman", "cargo", "bash", "echo"];

/// Commands that are not run, with the reason.
const SKIPPED: &[(&str, &str)] = &[
    ("cargo install --locked --path .", "it installs a program"),
    ("bash tests/run.sh", "it runs this test"),
    ("elman check", "it needs a GPU; tests/gpu.rs opens one"),
];

/// Parts of commands that are replaced so that the command does less.
const SHORTENED: &[(&str, &str)] = &[
    (
        "cargo run --release -- train",
        "elman train --train text.txt",
    ),
    (
        "elman bench",
        "elman bench --config d --seconds 0.05 --product 64",
    ),
    (
        "--preset awd-lstm --out",
        "--preset awd-lstm --hidden 6,5,4 --embedding 4 --batch 4 --epochs 1 --out",
    ),
    (
        "--preset awd-lstm-finetune --out",
        "--preset awd-lstm-finetune --batch 4 --epochs 1 --out",
    ),
    ("--tokens 50000000", "--tokens 20000"),
    (
        "--models seed,ptb-small --minutes 5",
        "--models seed --minutes 0.01",
    ),
    ("--minutes 1 ", "--minutes 0.01 "),
];

/// The commands of a page in its order.
fn commands(page: &str) -> Vec<String> {
    let blocks = Page::parse(&read(page)).code_blocks;
    let is_command = |line: &str| {
        let program = line.split(' ').next().unwrap_or_default();
        PROGRAMS.contains(&program)
    };
    let blocks = blocks
        .into_iter()
        .filter(|block| block.lines().next().is_some_and(is_command));
    let mut commands = Vec::new();
    for block in blocks {
        for line in block.lines() {
            assert!(
                is_command(line),
                "{page}: is {line:?} a command? Commands and output go into separate blocks, and \
                 PROGRAMS in tests/documentation/commands.rs lists the programs"
            );
            // `# …` at the end of a line is a comment for the reader; the shell ignores it.
            commands.push(line.to_owned());
        }
    }
    commands
}

fn is_skipped(command: &str) -> bool {
    let command = command.split(" #").next().unwrap_or(command).trim_end();
    SKIPPED.iter().any(|&(skipped, _)| skipped == command)
}

fn shortened(command: &str) -> String {
    SHORTENED
        .iter()
        .fold(command.to_owned(), |command, (long, short)| {
            command.replace(long, short)
        })
}

/// Runs a shell command with the program on the search path.
fn shell(workbench: &Workbench, command: &str) -> Run {
    let program = Path::new(env!("CARGO_BIN_EXE_elman"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories = vec![program.parent().expect("a directory").to_owned()];
    directories.extend(std::env::split_paths(&path));
    let output = Command::new("sh")
        .args(["-c", command])
        .env("PATH", std::env::join_paths(directories).expect("paths"))
        .current_dir(workbench.path(""))
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    Run::new(command, output)
}

fn run_commands_of(page: &str, workbench: &Workbench) {
    let commands = commands(page);
    assert!(commands.len() > 5, "{page} shows commands");
    for command in commands {
        if !is_skipped(&command) {
            shell(workbench, &shortened(&command)).succeeds();
        }
    }
}

/// A directory with the texts that the pages name, a PyTorch model and an rnnlm model.
fn workbench_with_texts() -> Workbench {
    let workbench = Workbench::new();
    for name in [
        "text.txt",
        "other.txt",
        "shakespeare.txt",
        "train.txt",
        "valid.txt",
        "test.txt",
    ] {
        workbench.write(name, small_text());
    }
    workbench.write("new.txt", small_text().replace("dog", "hound"));
    workbench.write("sentences.txt", "the boy runs\n\nthe dog sings\n");
    let list = "u1 the boy runs\nu1 the boy run\nu2 dogs sleep\n";
    workbench.write("lists.txt", list);
    let srilm = "-10.5 -3.2 3 the boy runs\n-11 -3 3 the boy run\n";
    workbench.write("lists.srilm", srilm);
    let recipes = "[gru]\ncell = \"gru\"\nhidden = 9\n[context]\ncell = \"feedforward\"\ncontext = \
                   4\nembedding = 5\nhidden = 9\n";
    workbench.write("recipes.toml", recipes);
    workbench.write("mine.toml", "hidden = 20\nlr = 0.2\nepochs = 2\n");

    let train = "train --train text.txt --device cpu --hidden 8 --epochs 1 --batch 4 --bptt 5";
    workbench
        .run(&format!("{train} --embedding 8 --bias --out torch"))
        .succeeds();
    workbench.write(
        "model.safetensors",
        workbench.read("torch/model.safetensors"),
    );
    workbench.write("words.txt", workbench.read("torch/vocab.txt"));
    let subwords = "--unit bpe --vocab-size 300 --out subwords-of-another";
    workbench.run(&format!("{train} {subwords}")).succeeds();
    workbench.write(
        "tokenizer.json",
        workbench.read("subwords-of-another/tokenizer.json"),
    );
    let case = &CASES[0];
    workbench.write("rnnlm-model", TestModel::new(case, 1).file(case.is_binary));
    // The probabilities of another model, one line per token.
    let tokens = small_text().split_whitespace().count() + small_text().lines().count();
    workbench.write("probabilities.txt", "0.01\n".repeat(tokens));
    workbench
}

#[apply(test)]
fn readme() {
    run_commands_of("README.md", &workbench_with_texts());
}

#[apply(test)]
fn guide() {
    run_commands_of("docs/guide.md", &workbench_with_texts());
}

#[apply(test)]
fn exceptions_occur_on_a_page() {
    let shown = [commands("README.md"), commands("docs/guide.md")].concat();
    for &(skipped, _) in SKIPPED {
        assert!(
            shown.iter().any(|command| command.starts_with(skipped)),
            "{skipped:?} is on no page"
        );
    }
    for &(long, _) in SHORTENED {
        assert!(
            shown.iter().any(|command| command.contains(long)),
            "{long:?} is on no page"
        );
    }
}

#[apply(test)]
fn failing_command_is_noticed() {
    let run = shell(&Workbench::new(), "elman train --train no-such-file");
    run.fails(1, &["no-such-file"]);
}
