//! `elman prepare`: runs on a prepared text equal those on the text, whatever its size; damaged
//! directories are rejected.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::command::{Workbench, small_text};
use crate::harness::{apply, test};

/// A short run, without its text.
const TRAIN: &str = "train --device cpu --threads 1 --hidden 8 --epochs 2 --batch 4 --bptt 5";
/// The same run with every file in the cache.
const CACHED: &str = "--cache-above 0 --cache-dir cache";

/// Trains on `text` and on `other`, and checks that the models are the same.
fn assert_same_runs(workbench: &Workbench, text: &str, other: &str) {
    for (flags, out) in [(text, "one"), (other, "two")] {
        workbench
            .run(&format!("{TRAIN} {flags} --out {out} --force"))
            .succeeds();
    }
    for file in ["model.safetensors", "vocab.txt", "config.json"] {
        let [one, two] = ["one", "two"].map(|model| workbench.read(&format!("{model}/{file}")));
        assert!(one == two, "{file} differs: {text:?}, {other:?}");
    }
}

/// A text with more types than two bytes have ids, on lines of ten words, which needs several
/// chunks.
fn large_text() -> String {
    let mut text = String::new();
    for index in 0_u32..200_000 {
        let end = if index % 10 == 9 { '\n' } else { ' ' };
        write!(text, "w{}{end}", index.wrapping_mul(2_654_435_761) % 70_001).expect("written");
    }
    text
}

#[apply(test)]
fn a_run_on_a_prepared_text_equals_the_run_on_the_text() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench.write(
        "valid.txt",
        "the dog sings\na bird dreams quietly\n".repeat(5),
    );
    for (index, flags) in [
        "",
        "--vocab-size 9",
        "--min-count 20",
        "--valid valid.txt",
        "--unit char",
        "--unit byte --valid valid.txt",
        "--unit bpe --vocab-size 270",
        "--unit bpe --vocab-size 270 --valid valid.txt",
        "--vocab train.txt,valid.txt --valid valid.txt",
    ]
    .into_iter()
    .enumerate()
    {
        let out = format!("prepared-{index}");
        workbench
            .run(&format!("prepare train.txt {flags} --out {out}"))
            .succeeds();
        let with_types = flags.replace("--valid valid.txt", "");
        assert_same_runs(
            &workbench,
            &format!("--train train.txt {flags}"),
            &format!("--train {out}"),
        );
        // The flags may be repeated, and the cache gives the same tokens.
        assert_same_runs(
            &workbench,
            &format!("--train {out} {with_types}"),
            &format!("--train train.txt {flags} {CACHED}"),
        );
    }
    // One directory for each run with the cache, and nothing else.
    let cached: Vec<_> = std::fs::read_dir(workbench.path("cache"))
        .expect("a cache")
        .collect();
    assert_eq!(cached.len(), 9);
}

/// The directories in the cache.
fn cached(workbench: &Workbench) -> usize {
    std::fs::read_dir(workbench.path("cache"))
        .expect("a cache")
        .count()
}

#[apply(test)]
fn a_validation_text_from_a_pipe_comes_with_a_cached_text() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let (valid, other) = ("the dog sings\n".repeat(5), "a bird dreams\n".repeat(5));
    workbench.write("valid.txt", &valid);
    let run = |flags: &str, input: &str| {
        let line = format!("{TRAIN} --train train.txt {flags} --force");
        workbench.run_with_input(&line, input.as_bytes()).succeeds();
        workbench.read("model/model.safetensors")
    };
    let want = run("--valid valid.txt", "");
    // A text is found again by its content.
    for (input, count) in [(&valid, 1), (&valid, 1), (&other, 2), (&valid, 2)] {
        let model = run(&format!("--valid - {CACHED}"), input);
        assert!(model == want || input == &other, "the models differ");
        assert_eq!(cached(&workbench), count);
    }
    workbench
        .run(&format!(
            "{TRAIN} --train train.txt --valid - {CACHED} --force"
        ))
        .fails(1, &["standard input", "it is empty"]);
    let line = format!("{TRAIN} --train train.txt --valid - --vocab - {CACHED} --force");
    workbench
        .run_with_input(&line, valid.as_bytes())
        .fails(2, &["--valid -", "--vocab -", "read once"]);
    if cfg!(unix) {
        let model = run(&format!("--valid /dev/stdin {CACHED}"), &valid);
        assert!(model == want, "the models differ");
    }
}

#[apply(test)]
fn the_output_layers_find_the_counts_of_a_prepared_text() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench.run("prepare train.txt --out prepared").succeeds();
    for output in ["class", "adaptive --cutoffs 5", "sampled --samples 4"] {
        assert_same_runs(
            &workbench,
            &format!("--train train.txt --output {output}"),
            &format!("--train prepared --output {output}"),
        );
    }
}

#[apply(test)]
fn several_compressed_texts_are_one_text() {
    let workbench = Workbench::new();
    let text = large_text();
    let (first, second) = text.split_at(text.len() / 3 + 1);
    let (first, rest) = first.rsplit_once('\n').expect("lines");
    let second = format!("{rest}{second}");
    workbench.write("whole.txt", &text);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(first.as_bytes()).expect("compressed");
    // Without its last newline, which the end of the file is as good as.
    workbench.write("part-1.gz", gzip.finish().expect("compressed"));
    workbench.write("part-2.txt", second);
    let json = |files: &str, out: &str| {
        workbench
            .run(&format!("prepare {files} --out {out} --threads 2 --json"))
            .succeeds()
            .json()
    };
    let [whole, parts] =
        [("whole.txt", "whole"), ("part-?.*", "parts")].map(|(files, out)| json(files, out));
    for key in ["train_tokens", "valid_tokens", "types", "bytes_per_token"] {
        assert_eq!(whole[key], parts[key], "{key}");
    }
    assert_eq!(whole["bytes_per_token"], 4);
    assert_eq!(whole["text_bytes"], text.len());
    for file in ["text.tokens", "vocab.txt"] {
        let [whole, parts] = ["whole", "parts"].map(|out| workbench.read(&format!("{out}/{file}")));
        assert!(whole == parts, "{file} differs");
    }
}

#[apply(test)]
fn every_damaged_page_is_found() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench.run("prepare train.txt --out prepared").succeeds();
    let run = format!("{TRAIN} --train prepared --force");
    workbench.run(&run).succeeds();
    for file in ["text.tokens", "vocab.txt", "corpus.json", "manifest.json"] {
        let path = workbench.path(&format!("prepared/{file}"));
        let sound = std::fs::read(&path).expect("a file");
        let mut damaged = sound.clone();
        damaged[sound.len() / 2] ^= 1;
        let longer = [sound.as_slice(), b"a"].concat();
        for content in [&damaged, &sound[..sound.len() - 2], &longer, &[][..]] {
            std::fs::write(&path, content).expect("written");
            workbench.run(&run).fails(1, &[file]);
        }
        std::fs::remove_file(&path).expect("removed");
        match file {
            "manifest.json" => workbench.run(&run).succeeds(),
            "corpus.json" => workbench.run(&run).fails(1, &["it is a directory"]),
            _ => workbench.run(&run).fails(1, &[file]),
        };
        std::fs::write(&path, sound).expect("written");
    }
    workbench.run(&run).succeeds();
}

#[apply(test)]
fn what_contradicts_a_prepared_text_is_rejected() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench.write("other.txt", "a b c d\n".repeat(100));
    workbench
        .run("prepare train.txt --vocab-size 9 --out prepared")
        .succeeds();
    for (flags, code, expected) in [
        ("--train prepared --vocab-size 10", 2, "selected otherwise"),
        ("--train prepared --unit char", 2, "selected otherwise"),
        (
            "--train prepared --valid other.txt",
            1,
            "its own validation text",
        ),
        ("--train train.txt --valid prepared", 1, "it is a directory"),
    ] {
        workbench
            .run(&format!("{TRAIN} {flags}"))
            .fails(code, &[expected]);
    }
    for (command, expected) in [
        ("prepare train.txt --out prepared", "--force"),
        ("prepare none-*.txt --out new", "no file matches it"),
        ("prepare none.txt --out new", "none.txt"),
        ("prepare train.txt --out train.txt", "it is a file"),
        (
            "prepare train.txt --out prepared/.. --force",
            "--force replaces only those",
        ),
    ] {
        workbench.run(command).fails(1, &[expected]);
    }
    workbench
        .run("prepare other.txt --out prepared --force")
        .succeeds();
    let names: Vec<_> = std::fs::read_dir(workbench.path("."))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name())
        .filter(|name| name.to_string_lossy().contains("prepared"))
        .collect();
    assert_eq!(names, ["prepared"], "stray files");
}

#[apply(test)]
fn a_prepared_text_fine_tunes_the_model_it_was_prepared_for() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench.write("other.txt", "the bird sings\na dog dreams\n".repeat(50));
    workbench
        .run(&format!("{TRAIN} --train train.txt --out first"))
        .succeeds();
    workbench
        .run("prepare other.txt --model first --out prepared")
        .succeeds();
    workbench.run("prepare other.txt --out own").succeeds();
    let tuned = "train --init first --device cpu --threads 1 --epochs 1 --batch 4 --bptt 5";
    for (text, out) in [("other.txt", "from-text"), ("prepared", "from-prepared")] {
        workbench
            .run(&format!("{tuned} --train {text} --out {out}"))
            .succeeds();
    }
    let [one, two] = ["from-text", "from-prepared"]
        .map(|out| workbench.read(&format!("{out}/model.safetensors")));
    assert!(one == two, "the models differ");
    workbench
        .run(&format!("{tuned} --train own --out none"))
        .fails(1, &["another vocabulary"]);
    // A resumed run finds its text again.
    workbench
        .run("train --resume from-prepared --device cpu --threads 1 --epochs 2")
        .succeeds();
}
