//! Word vectors exported from one model and imported into another, through the command line.

use std::io::Write as _;

use crate::command::{Workbench, small_text};
use crate::harness::{apply, test};

const TRAIN: &str = "train --train train.txt --device cpu --batch 4 --bptt 6 --epochs 1 --hidden 4";

/// Flags of a run that does not change the weights.
const STILL: &str = "--optimizer sgd --lr 1e-30";

fn workbench() -> Workbench {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench
}

fn text(workbench: &Workbench, name: &str) -> String {
    String::from_utf8(workbench.read(name)).expect("UTF-8")
}

fn compressed(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder
        .write_all(text.as_bytes())
        .expect("memory is written");
    encoder.finish().expect("memory is written")
}

#[apply(test)]
fn table_is_exported_and_imported() {
    let workbench = workbench();
    workbench
        .run(&format!("{TRAIN} --embedding 5 --out first"))
        .succeeds();
    let run = workbench
        .run("export --vectors input --model first --out first.vec --json")
        .succeeds();
    let vectors = text(&workbench, "first.vec");
    let words = text(&workbench, "first/vocab.txt").lines().count();
    assert_eq!(
        (run.number("words"), run.number("size")),
        (words as f64, 5.0)
    );
    assert_eq!(
        (vectors.lines().count(), vectors.lines().next()),
        (words + 1, Some(format!("{words} 5").as_str()))
    );
    workbench.write("first.vec.gz", compressed(&vectors));
    for (number, file) in ["first.vec", "first.vec.gz"].into_iter().enumerate() {
        let run = workbench
            .run(&format!(
                "{TRAIN} {STILL} --seed 9 --embedding 5 --vectors {file} --out next{number}"
            ))
            .succeeds();
        assert!(
            run.stderr
                .contains(&format!("vectors for {words} of {words} types")),
            "{}",
            run.stderr
        );
        workbench
            .run(&format!(
                "export --vectors input --model next{number} --out next{number}.vec"
            ))
            .succeeds();
        assert!(
            text(&workbench, &format!("next{number}.vec")) == vectors,
            "{file} came back as something else"
        );
    }
}

#[apply(test)]
fn words_without_a_vector_start_as_usual() {
    let workbench = workbench();
    workbench.write("some.vec", "3 2\nthe 0.5 -0.25\nunheard 1 2\nthat 8 -9.5\n");
    workbench
        .run(&format!("{TRAIN} {STILL} --embedding 2 --out without"))
        .succeeds();
    let run = workbench
        .run(&format!(
            "{TRAIN} {STILL} --embedding 2 --vectors some.vec --out with"
        ))
        .succeeds();
    assert!(run.stderr.contains("vectors for 2 of"), "{}", run.stderr);
    for model in ["without", "with"] {
        workbench
            .run(&format!(
                "export --vectors input --model {model} --out {model}.vec"
            ))
            .succeeds();
    }
    let (without, with) = (
        text(&workbench, "without.vec"),
        text(&workbench, "with.vec"),
    );
    let changed: Vec<&str> = with
        .lines()
        .zip(without.lines())
        .filter(|(with, without)| with != without)
        .map(|(with, _)| with)
        .collect();
    let mut want = vec!["the 0.5 -0.25", "that 8 -9.5"];
    want.sort_by_key(|line| with.lines().position(|other| other == *line));
    assert_eq!(changed, want);
}

#[apply(test)]
fn a_word_is_all_before_the_last_fields_of_its_line() {
    let workbench = workbench();
    for (name, content) in [
        (
            "space",
            &b"3 2\nthe name@domain.com 4 5\nthe 0.5 -0.25\nfoo 7 8\n"[..],
        ),
        (
            "not-utf8",
            b"3 2\nfo\xff\xfe 4 5\nthe 0.5 -0.25\nunheard 7 8\n",
        ),
        ("mark", b"\xef\xbb\xbf2 2\nfoo 7 8\nthe 0.5 -0.25\n"),
        ("unasked", b"2 2\nunheard x y z\nthe 0.5 -0.25 \r\n"),
    ] {
        workbench.write("odd.vec", content);
        let run = workbench
            .run(&format!(
                "{TRAIN} {STILL} --embedding 2 --vectors odd.vec --out {name}"
            ))
            .succeeds();
        assert!(run.stderr.contains("vectors for 1 of"), "{}", run.stderr);
        workbench
            .run(&format!(
                "export --vectors input --model {name} --out {name}.vec"
            ))
            .succeeds();
        let written = text(&workbench, &format!("{name}.vec"));
        assert!(
            written.lines().any(|line| line == "the 0.5 -0.25"),
            "{name}"
        );
    }
}

#[apply(test)]
fn tables_of_every_kind_of_model() {
    let workbench = workbench();
    let export = |model: &str, table: &str| {
        let run = workbench
            .run(&format!(
                "export --vectors {table} --model {model} --out {model}-{table}.vec --json"
            ))
            .succeeds();
        (
            run.number("size"),
            text(&workbench, &format!("{model}-{table}.vec")),
        )
    };
    workbench
        .run(&format!("{TRAIN} --embedding 4 --tied --out tied"))
        .succeeds();
    assert_eq!(export("tied", "input"), export("tied", "output"));
    // Without an embedding, a word's vector holds the input weights of the word.
    workbench.run(&format!("{TRAIN} --out one-hot")).succeeds();
    let [(input_size, input), (output_size, output)] =
        ["input", "output"].map(|table| export("one-hot", table));
    assert_eq!((input_size, output_size), (4.0, 4.0));
    assert_ne!(input, output);
    workbench
        .run(&format!("{TRAIN} --output class --classes 4 --out class"))
        .succeeds();
    assert_eq!(export("class", "output").0, 4.0);
    workbench
        .run(&format!("{TRAIN} --output adaptive --out adaptive"))
        .succeeds();
    assert_eq!(export("adaptive", "input").0, 4.0);
    workbench
        .run("export --vectors output --model adaptive --out no.vec")
        .fails(1, &["output table", "adaptive", "input"]);
}

#[apply(test)]
fn rejected_vectors() {
    let workbench = workbench();
    let write = |text: &str| workbench.write("wrong.vec", text);
    for (content, parts) in [
        (
            "1 2\nthe 1 2\n",
            &["2 elements", "embedding has 3", "--embedding 2"][..],
        ),
        ("", &["wrong.vec, line 1", "word2vec"]),
        ("1 3\nthe 1 2\n", &["wrong.vec, line 2", "\"the\" has 2"]),
        // The first line may state any length.
        (
            "1 18446744073709551615\nthe 1 2\n",
            &["wrong.vec, line 2", "vectors have 18446744073709551615"],
        ),
        (
            "2 3\nunheard 1 2 3\nthe 1 nan 3\n",
            &["wrong.vec, line 3", "2 finite values"],
        ),
        (
            "2 3\nthe 1 2 3\n",
            &["wrong.vec, line 1", "says 2 words, and there are 1"],
        ),
    ] {
        write(content);
        let run = workbench.run(&format!("{TRAIN} --embedding 3 --vectors wrong.vec"));
        let code = if parts[0].starts_with('2') { 2 } else { 1 };
        run.fails(code, parts);
    }
    workbench
        .run(&format!("{TRAIN} --embedding 3 --vectors nowhere.vec"))
        .fails(1, &["nowhere.vec"]);
    write("1 2\nthe 1 2\n");
    workbench
        .run(&format!("{TRAIN} --vectors wrong.vec"))
        .fails(2, &["--vectors", "--embedding 2"]);
    // An existing file is kept; characters are not valid fields.
    workbench.run(&format!("{TRAIN} --unit char")).succeeds();
    workbench
        .run("export --vectors input --out wrong.vec")
        .fails(1, &["wrong.vec", "--force"]);
    assert_eq!(text(&workbench, "wrong.vec"), "1 2\nthe 1 2\n");
    workbench
        .run("export --vectors input --out char.vec")
        .fails(1, &["the token \"\\n\"", "model of words"]);
    workbench
        .run("export --vectors sideways --out char.vec")
        .fails(2, &["sideways", "input"]);
}
