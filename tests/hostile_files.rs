//! Files that were changed at random: no reader panics, or asks for memory far beyond their size.
//!
//! Each reader has valid files, which are changed byte by byte, cut, repeated and spliced with
//! words that their formats use. Readers may accept the result; what they may not do is panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

use elman::checkpoint::MANIFEST;
use libtest_mimic::Trial;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::allocations::largest_allocation;
use crate::command::Workbench;
use crate::environment::{RandomSeed, has_shared, shared, slow_tests};
use crate::fuzz_seeds::targets::readers::{self, Read};
use crate::fuzz_seeds::targets::{ALLOWANCE, MULTIPLE};
use crate::harness::{apply, ignore_unless, trial, trials};

/// Cases for each file, and among the slow tests.
const CASES: usize = 150;
const SLOW_CASES: usize = 2000;
/// Words that the formats use, or that break them.
const WORDS: [&str; 24] = [
    "NaN",
    "-1",
    "1e999",
    "inf",
    "4294967295",
    "18446744073709551616",
    "\u{feff}",
    "\0",
    "\\",
    "\"",
    "{",
    "[",
    "null",
    "\n",
    "\t",
    " ",
    "\r\n",
    "</s>",
    "<s>",
    "<unk>",
    "\\data\\",
    "ngram 1=",
    ":[9",
    "\u{10ffff}",
];

/// A valid file and its reader. Files that are read together are in the same directory.
struct Hostile {
    name: &'static str,
    file: String,
    read: Read,
}

fn changed(bytes: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..random.random_range(1..4) {
        let length = bytes.len();
        let at = random.random_range(0..=length);
        let end = at + random.random_range(0..=(length - at).min(40));
        match random.random_range(0..6) {
            0 if at < length => bytes[at] ^= 1 << random.random_range(0..8),
            1 if at < length => bytes[at] = random.random(),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let part = bytes[at..end].to_vec();
                let to = random.random_range(0..=length);
                bytes.splice(to..to, part);
            }
            _ => {
                let word = WORDS[random.random_range(0..WORDS.len())];
                bytes.splice(at..end.min(at + word.len()), word.bytes());
            }
        }
    }
    bytes
}

/// Valid files of every format.
fn workbench() -> Workbench {
    let workbench = Workbench::new();
    let text = "a b c\nb c\nc a\n".repeat(12);
    workbench.write("text.txt", &text);
    let train = "train --train text.txt --device cpu --threads 1 --batch 2 --bptt 3 --epochs 1";
    for (model, flags) in [
        ("elman", "--hidden 3 --optimizer adam --output class"),
        ("lstm", "--cell lstm --hidden 3 --embedding 2"),
        ("subwords", "--unit bpe --vocab-size 260 --hidden 2"),
    ] {
        workbench
            .run(&format!("{train} {flags} --out {model}"))
            .succeeds();
        std::fs::remove_file(workbench.path(model).join(MANIFEST)).expect("removed");
    }
    workbench
        .run("ngram --order 3 --text text.txt --out model.arpa")
        .succeeds();
    workbench
        .run("ngram --order 2 --text text.txt --out model.arpa.gz")
        .succeeds();
    workbench
        .run("prepare text.txt --valid text.txt --out prepared")
        .succeeds();
    std::fs::remove_file(workbench.path("prepared").join(MANIFEST)).expect("removed");
    workbench.write("vectors.txt", "3 2\na 0.5 1\nb -1 2\nc 1e-3 4\n");
    workbench.write("lists.txt", "1 a b\n1 b c\n2 c\n");
    workbench.write("srilm.txt", "-2.5 -1 2 a b\n-3 -2 1 b\n\n-1 -1 1 c\n");
    workbench.write("probabilities.txt", "0.5\n0.25\n1e-3\n1\n");
    workbench
}

fn all() -> Vec<Hostile> {
    let mut all = Vec::new();
    for (model, files) in [
        (
            "elman",
            [
                "config.json",
                "model.safetensors",
                "training.safetensors",
                "training.json",
            ],
        ),
        (
            "lstm",
            [
                "config.json",
                "model.safetensors",
                "training.safetensors",
                "vocab.txt",
            ],
        ),
        (
            "subwords",
            [
                "config.json",
                "tokenizer.json",
                "vocab.txt",
                "training.json",
            ],
        ),
    ] {
        all.extend(files.map(|file| Hostile {
            name: "checkpoint",
            file: format!("{model}/{file}"),
            read: readers::checkpoint,
        }));
    }
    for file in ["corpus.json", "vocab.txt", "text.tokens", "valid.tokens"] {
        all.push(Hostile {
            name: "prepared",
            file: format!("prepared/{file}"),
            read: readers::prepared,
        });
    }
    for (name, file, read) in [
        (
            "pytorch",
            "lstm/model.safetensors",
            readers::pytorch_tensors as Read,
        ),
        ("vectors", "vectors.txt", readers::vectors),
        ("ngrams", "model.arpa", readers::ngrams),
        ("ngrams", "model.arpa.gz", readers::ngrams),
        ("lists", "lists.txt", readers::lists),
        ("lists", "srilm.txt", readers::lists),
        ("tokenizer", "subwords/tokenizer.json", readers::tokenizer),
        ("text", "text.txt", readers::text),
        ("probabilities", "probabilities.txt", readers::probabilities),
    ] {
        let file = file.to_owned();
        all.push(Hostile { name, file, read });
    }
    all
}

/// Reads changed copies of a file.
fn attack(workbench: &Workbench, hostile: &Hostile, cases: usize) {
    let seed = RandomSeed::new();
    let mut random = ChaCha8Rng::seed_from_u64(seed.0);
    let original = workbench.read(&hostile.file);
    let path = workbench.path(&hostile.file);
    for case in 0..cases {
        let bytes = changed(&original, &mut random);
        workbench.write(&hostile.file, &bytes);
        let mut caught = Ok(());
        let largest = largest_allocation(|| {
            let read = || drop((hostile.read)(&path));
            caught = catch_unwind(AssertUnwindSafe(read));
        });
        if caught.is_err() || largest > ALLOWANCE + MULTIPLE * bytes.len() {
            let kept = std::env::temp_dir().join(format!("elman-hostile-{}", hostile.name));
            std::fs::write(&kept, &bytes).expect("written");
            panic!(
                "{}, {}, case {case}: panic {}, largest allocation {largest} for {} bytes; the \
                 file is {}",
                hostile.name,
                hostile.file,
                caught.is_err(),
                bytes.len(),
                kept.display()
            );
        }
    }
    workbench.write(&hostile.file, original);
}

fn attack_all(cases: usize) {
    let workbench = workbench();
    for hostile in all() {
        let read = (hostile.read)(&workbench.path(&hostile.file));
        read.unwrap_or_else(|error| panic!("{}: {error}", hostile.file));
        attack(&workbench, &hostile, cases);
    }
}

fn attack_rnnlm(cases: usize) {
    let workbench = Workbench::new();
    let model = std::fs::read(shared("rnnlm-models/plain.rnnlm")).expect("a model");
    workbench.write("plain.rnnlm", model);
    let hostile = Hostile {
        name: "rnnlm",
        file: "plain.rnnlm".to_owned(),
        read: readers::rnnlm_model,
    };
    attack(&workbench, &hostile, cases);
}

/// Configuration files, which only the program reads.
fn attack_configurations(cases: usize) {
    let seed = RandomSeed::new();
    let mut random = ChaCha8Rng::seed_from_u64(seed.0);
    let workbench = Workbench::new();
    let original = "# a recipe\ncell = \"lstm\"\nhidden = [20, 10]\nlr = 0.1\ntied = false\n";
    for _ in 0..cases {
        workbench.write("run.toml", changed(original.as_bytes(), &mut random));
        let run = workbench.run("train --config run.toml --train missing.txt --device cpu");
        assert!(
            matches!(run.code, Some(1 | 2)),
            "{:?}: {}",
            run.code,
            run.stderr
        );
    }
}

#[apply(trials)]
fn hostile_files() -> Vec<Trial> {
    let mut all = vec![
        trial("hostile_files::no_reader_panics", || attack_all(CASES)),
        trial("hostile_files::no_configuration_panics", || {
            attack_configurations(60);
        }),
    ];
    let many = vec![trial(
        "hostile_files::no_reader_panics_in_many_cases",
        || attack_all(SLOW_CASES),
    )];
    all.extend(ignore_unless(slow_tests(), many));
    let rnnlm = vec![trial("hostile_files::rnnlm", || attack_rnnlm(CASES))];
    all.extend(ignore_unless(has_shared("rnnlm-models"), rnnlm));
    all
}
