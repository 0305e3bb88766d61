//! Texts from standard input and from compressed files, and evaluation of several texts.

use std::io::Write;

use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::command::{Workbench, small_text};
use crate::harness::{apply, test};

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

/// A text in two frames, as `pzstd` and `cat a.zst b.zst` make them.
fn zstd(text: &[u8]) -> Vec<u8> {
    let (first, second) = text.split_at(text.len() / 2);
    let [first, second] =
        [first, second].map(|part| compress_to_vec(part, CompressionLevel::Fastest));
    [first, second].concat()
}

/// A workbench with one text plain and, under names that do not say so, compressed.
fn workbench() -> Workbench {
    let workbench = Workbench::new();
    let text = small_text();
    workbench.write("plain", &text);
    workbench.write("gzip.txt", gzip(text.as_bytes()));
    workbench.write("zstd.gz", zstd(text.as_bytes()));
    workbench
}

const FILES: [&str; 3] = ["plain", "gzip.txt", "zstd.gz"];
const TRAIN: &str = "train --device cpu --hidden 6 --epochs 1 --batch 4 --bptt 5 --force";

#[apply(test)]
fn training_reads_every_form_of_a_text() {
    let workbench = workbench();
    for unit in ["word", "bpe --vocab-size 300", "byte"] {
        let train = format!("{TRAIN} --unit {unit} --train");
        workbench
            .run(&format!("{train} plain --valid plain"))
            .succeeds();
        let want = workbench.read("model/model.safetensors");
        for file in FILES {
            workbench
                .run(&format!("{train} {file} --valid {file}"))
                .succeeds();
            assert!(workbench.read("model/model.safetensors") == want, "{file}");
            workbench
                .run_with_input(&format!("{train} - --valid {file}"), &workbench.read(file))
                .succeeds();
            let model = workbench.read("model/model.safetensors");
            assert!(model == want, "{file} as standard input, {unit}");
        }
    }
    let text = workbench.read("plain");
    workbench
        .run_with_input(&format!("{TRAIN} --train - --valid -"), &text)
        .fails(2, &["--train -", "read once"]);
    workbench
        .run_with_input(&format!("{TRAIN} --train -"), b"")
        .fails(1, &["standard input", "empty"]);
    // A run is resumed with the same text in another form.
    workbench
        .run(&format!("{TRAIN} --train gzip.txt"))
        .succeeds();
    workbench
        .run("train --resume model --train plain --epochs 2 --device cpu")
        .succeeds();
}

#[apply(test)]
fn standard_input_is_not_read_twice() {
    let workbench = workbench();
    workbench.run(&format!("{TRAIN} --train plain")).succeeds();
    let text = workbench.read("plain");
    let input: &[&str] = if cfg!(unix) {
        &["-", "/dev/stdin"]
    } else {
        &["-"]
    };
    for input in input {
        let line = format!(
            "train --device cpu --train {input} --init model --extend-vocab --out extended"
        );
        workbench
            .run_with_input(&line, &text)
            .fails(2, &["--extend-vocab", "twice", "--vocab"]);
    }
    for (command, flags) in [
        (
            "train --device cpu --train - --valid - --out other",
            ["--train -", "--valid -"],
        ),
        (
            "train --device cpu --train - --vocab - --out other",
            ["--train -", "--vocab -"],
        ),
        (
            "train --device cpu --train plain --vocab=-,- --out other",
            ["--vocab -", "--vocab -"],
        ),
        (
            "train --device cpu --train plain --valid - --vectors - --out other",
            ["--valid -", "--vectors -"],
        ),
        ("prepare - --valid - --out other", ["- with", "--valid -"]),
        ("prepare plain - - --out other", ["- with -", "once"]),
        (
            "prepare plain --valid=-,- --out other",
            ["--valid -", "with --valid -"],
        ),
        ("prepare - --vocab - --out other", ["- with", "--vocab -"]),
        (
            "ngram --order 2 --text - --test -",
            ["--text -", "--test -"],
        ),
        (
            "ngram --order 2 --text - --vocab - --out other",
            ["--text -", "--vocab -"],
        ),
        ("ngram --arpa - --test -", ["--arpa -", "--test -"]),
        (
            "eval --device cpu --text - -",
            ["--text -", "with --text -"],
        ),
        (
            "eval --device cpu --text - --lm-prob -",
            ["--text -", "--lm-prob -"],
        ),
        (
            "eval --device cpu --text - --arpa x --tune -",
            ["--text -", "--tune -"],
        ),
        (
            "eval --device cpu --text - --dynamic 0.1 --dynamic-statistics -",
            ["--text -", "--dynamic-statistics -"],
        ),
        ("score --device cpu --arpa -", ["- with", "--arpa -"]),
        (
            "score --device cpu --arpa x --tune - -",
            ["- with", "--tune -"],
        ),
        (
            "rescore --device cpu --ids none --arpa -",
            ["- with", "--arpa -"],
        ),
        (
            "rescore --device cpu --ids none --lm-prob - -",
            ["- with", "--lm-prob -"],
        ),
    ] {
        workbench.run_with_input(command, &text).fails(
            2,
            &[&flags[..], &["standard input is read once", "to a file"]].concat(),
        );
        assert!(!workbench.path("other").exists(), "{command}");
    }
    // Where no command checks its flags first.
    workbench
        .run_with_input("report model --text - --arpa - --out page.html", &text)
        .fails(1, &["standard input", "read once", "file"]);
}

#[apply(test)]
fn types_beside_a_models_need_the_training_text_alone() {
    let workbench = workbench();
    workbench.run(&format!("{TRAIN} --train plain")).succeeds();
    workbench.write("other", "the xylophone sings\na boy runs\n".repeat(30));
    let extend = "train --device cpu --epochs 1 --batch 4 --bptt 5 --train other --init model \
                  --extend-vocab --force";
    let models = [("plain", &[][..]), ("-", &workbench.read("plain"))].map(|(valid, input)| {
        let command = format!("{extend} --valid {valid} --out extended");
        workbench.run_with_input(&command, input).succeeds();
        workbench.read("extended/model.safetensors")
    });
    assert!(models[0] == models[1], "the models differ");
}

#[apply(test)]
fn commands_read_every_form_of_a_text() {
    let workbench = workbench();
    workbench.run(&format!("{TRAIN} --train plain")).succeeds();
    let lists = "a the boy runs\na the boy run\n";
    for (name, text) in [("lists", lists.to_owned()), ("probs", "0.1\n".repeat(9))] {
        workbench.write(&format!("{name}-plain"), &text);
        workbench.write(&format!("{name}-gzip.txt"), gzip(text.as_bytes()));
        workbench.write(&format!("{name}-zstd.gz"), zstd(text.as_bytes()));
    }
    workbench.write("short", "the boy runs\nthe boy runs\n\n");
    for (command, prefix) in [
        ("eval --device cpu --text FILE", ""),
        (
            "eval --device cpu --model model --model model --tune FILE --text plain",
            "",
        ),
        (
            "eval --device cpu --dynamic 0.1 --dynamic-statistics FILE --text plain",
            "",
        ),
        ("eval --device cpu --text short --lm-prob FILE", "probs-"),
        ("score --device cpu FILE", ""),
        ("rescore --device cpu --ids first-column FILE", "lists-"),
        ("ngram --text FILE --order 2 --test plain", ""),
        ("ngram --text plain --vocab FILE --order 2 --test plain", ""),
        ("ngram --text plain --order 2 --test FILE", ""),
    ] {
        let run = |file: &str, input: &[u8]| {
            let command = command.replace("FILE", file);
            workbench.run_with_input(&command, input).succeeds().stdout
        };
        let want = run(&format!("{prefix}plain"), b"");
        for file in FILES {
            let file = format!("{prefix}{file}");
            assert_eq!(run(&file, b""), want, "{command}, {file}");
            let piped = run("-", &workbench.read(&file));
            assert_eq!(piped, want, "{command}, {file} as standard input");
        }
    }
}

#[apply(test)]
fn damaged_files_are_named() {
    let workbench = workbench();
    for file in ["gzip.txt", "zstd.gz"] {
        let mut bytes = workbench.read(file);
        bytes.truncate(bytes.len() / 2);
        workbench.write(file, bytes);
        workbench
            .run(&format!("{TRAIN} --train {file}"))
            .fails(1, &[file, "because"]);
    }
}

#[apply(test)]
fn several_texts_have_a_total() {
    let workbench = workbench();
    workbench.run(&format!("{TRAIN} --train plain")).succeeds();
    workbench.write("other", "the boy runs\nthe xylophone runs\n");
    let eval = |flags: &str| {
        workbench
            .run(&format!("eval --device cpu --json {flags}"))
            .succeeds()
    };
    for flags in ["", "--independent", "--dynamic 0.1", "--cache 50"] {
        let alone = ["plain", "other"].map(|text| eval(&format!("--text {text} {flags}")));
        assert!(alone[0].json().get("texts").is_none());
        let texts = format!("--text plain --text other {flags}");
        let both = eval(&texts);
        for (index, (name, alone)) in ["plain", "other"].iter().zip(&alone).enumerate() {
            let mut found = both.json()["texts"][index].clone();
            assert_eq!(found["file"], *name);
            found.as_object_mut().expect("an object").remove("file");
            assert_eq!(found, alone.json(), "{name} {flags}");
        }
        for key in ["tokens", "oov", "words", "characters", "log10_prob"] {
            let sum = alone[0].number(key) + alone[1].number(key);
            let total = both.number(key);
            assert!(
                (total - sum).abs() <= 1e-9 * sum.abs(),
                "{key}: {total}, {sum}"
            );
        }
        let mean = -both.number("log10_prob") * std::f64::consts::LN_10 / both.number("tokens");
        assert!((both.number("perplexity") / mean.exp() - 1.0).abs() < 1e-9);
    }
    let text = workbench
        .run("eval --device cpu --text plain other")
        .succeeds()
        .stdout;
    for part in ["plain\n", "other\n", "total of 2 texts\n"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(text.matches("perplexity  ").count(), 3, "{text}");
    for flags in ["--format rnnlm", "--lm-prob plain"] {
        workbench
            .run(&format!("eval --device cpu --text plain other {flags}"))
            .fails(2, &["several texts"]);
    }
}
