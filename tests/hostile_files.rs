//! Files that were changed at random: no reader panics, or asks for memory far beyond their size.
//!
//! Each reader has valid files, which are changed byte by byte, cut, repeated and spliced with
//! words that their formats use. Readers may accept the result; what they may not do is panic.

use std::fs::File;
use std::io::BufReader;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use elman::checkpoint::import::{pytorch, rnnlm};
use elman::checkpoint::vectors::WordVectors;
use elman::checkpoint::{CheckpointFiles, MANIFEST};
use elman::corpus::{Subwords, TextSource};
use elman::error::Result;
use elman::mixture::ExternalProbs;
use elman::ngram::NgramModel;
use elman::prepared::PreparedText;
use elman::rescore::{ListIds, NbestFormat, NbestReader};
use elman::tensor::NONE;
use elman::{Config, Corpus, Limits, Unit, Vocabulary};
use libtest_mimic::Trial;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::allocations::largest_allocation;
use crate::command::Workbench;
use crate::environment::{RandomSeed, has_shared, shared, slow_tests};
use crate::harness::{apply, ignore_unless, trial, trials};

/// Cases for each file, and among the slow tests.
const CASES: usize = 150;
const SLOW_CASES: usize = 2000;
/// An allocation may have this many bytes whatever the file, and this many for each of its bytes.
const ALLOWANCE: usize = 16 << 20;
const MULTIPLE: usize = 64;

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

type Read = fn(&Path) -> Result<()>;

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

fn read_checkpoint(path: &Path) -> Result<()> {
    let directory = path.parent().expect("a directory");
    let files = CheckpointFiles::open(directory)?;
    let checkpoint = files.checkpoint()?;
    files.training_state(&checkpoint).map(drop)
}

fn read_pytorch(path: &Path) -> Result<()> {
    let vocabulary = path.with_file_name("vocab.txt");
    let imported = pytorch::read(path, &vocabulary, Unit::Word)?;
    imported.into_checkpoint(Config::default()).map(drop)
}

fn read_rnnlm(path: &Path) -> Result<()> {
    let (imported, config) = rnnlm::read(path)?;
    imported.into_checkpoint(config).map(drop)
}

fn read_vectors(path: &Path) -> Result<()> {
    let types = ["</s>", "a", "b", "c"].map(str::to_owned).to_vec();
    WordVectors::read(path, &Vocabulary::new(types)?).map(drop)
}

fn read_ngrams(path: &Path) -> Result<()> {
    NgramModel::read(path).map(drop)
}

fn read_lists(path: &Path) -> Result<()> {
    let is_srilm = path.ends_with("srilm.txt");
    let (format, ids) = match is_srilm {
        true => (NbestFormat::Srilm, ListIds::None),
        false => (NbestFormat::Rnnlm, ListIds::FirstColumn),
    };
    let reader = BufReader::new(Box::new(File::open(path).expect("a file")) as Box<_>);
    let mut reader = NbestReader::new(reader, path, format, ids);
    while reader.next_list()?.is_some() {}
    Ok(())
}

fn read_tokenizer(path: &Path) -> Result<()> {
    Subwords::read(path)?.encode("a b \u{e9}\0 c");
    Ok(())
}

fn read_text(path: &Path) -> Result<()> {
    for unit in [Unit::Word, Unit::Char, Unit::Byte] {
        Corpus::read(TextSource::File(path), None, unit, Limits::default()).map(drop)?;
    }
    Ok(())
}

fn read_prepared(path: &Path) -> Result<()> {
    let text = PreparedText::open(path.parent().expect("a directory"))?;
    for tokens in [&text.corpus.train, &text.corpus.valid] {
        let is_type = |id: u32| id == NONE || (id as usize) < text.corpus.vocabulary.len();
        assert!(tokens.iter().all(is_type), "an id without a type");
        tokens.check()?;
    }
    Ok(())
}

fn read_probabilities(path: &Path) -> Result<()> {
    let mut probabilities = ExternalProbs::open(path)?;
    (0..4).try_for_each(|token| probabilities.next(token).map(drop))?;
    probabilities.end(4)
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
            read: read_checkpoint,
        }));
    }
    for file in ["corpus.json", "vocab.txt", "text.tokens", "valid.tokens"] {
        all.push(Hostile {
            name: "prepared",
            file: format!("prepared/{file}"),
            read: read_prepared,
        });
    }
    for (name, file, read) in [
        ("pytorch", "lstm/model.safetensors", read_pytorch as Read),
        ("vectors", "vectors.txt", read_vectors),
        ("ngrams", "model.arpa", read_ngrams),
        ("ngrams", "model.arpa.gz", read_ngrams),
        ("lists", "lists.txt", read_lists),
        ("lists", "srilm.txt", read_lists),
        ("tokenizer", "subwords/tokenizer.json", read_tokenizer),
        ("text", "text.txt", read_text),
        ("probabilities", "probabilities.txt", read_probabilities),
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
        read: read_rnnlm,
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
