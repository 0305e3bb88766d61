//! Vocabularies and word classes that are given to a run, through the command line.

use super::fine_tuning::{TRAIN, eval, losses, workbench};
use crate::command::{Workbench, small_text};
use crate::harness::{apply, test};

#[apply(test)]
fn vocabulary_of_several_texts() {
    let workbench = workbench();
    workbench.write("words.txt", "xylophone vibraphone xylophone\n");
    workbench
        .run(&format!(
            "{TRAIN} --hidden 6 --epochs 1 --vocab train.txt,words.txt --out all"
        ))
        .succeeds();
    let vocabulary = String::from_utf8(workbench.read("all/vocab.txt")).expect("UTF-8");
    assert!(
        vocabulary.starts_with("</s>\n")
            && ["xylophone", "vibraphone"]
                .iter()
                .all(|word| vocabulary.lines().any(|line| line == *word))
    );
    assert!(!vocabulary.contains("<unk>"));
    workbench.write("test.txt", "the xylophone\n");
    assert_eq!(eval(&workbench, "all", "test.txt").number("oov"), 0.0);
    // Only the listed words are in the vocabulary; with <unk> among them, all others become <unk>.
    workbench.write("few.txt", "the boy\n<unk> runs\n");
    workbench
        .run(&format!(
            "{TRAIN} --hidden 6 --epochs 1 --vocab few.txt --out few"
        ))
        .succeeds();
    assert_eq!(
        String::from_utf8_lossy(&workbench.read("few/vocab.txt")),
        "</s>\n<unk>\nboy\nruns\nthe\n"
    );
    assert_eq!(eval(&workbench, "few", "train.txt").number("oov"), 0.0);
    // A run with this vocabulary is repeated and resumed.
    workbench
        .run("train --config few --device cpu --out again")
        .succeeds();
    assert!(workbench.read("again/model.safetensors") == workbench.read("few/model.safetensors"));
    workbench
        .run("train --resume few --device cpu --epochs 2")
        .succeeds();
    workbench
        .run("train --resume few --device cpu --vocab train.txt")
        .fails(2, &["--vocab", "few.txt"]);
    for (flags, code, parts) in [
        ("--vocab nowhere.txt", 1, &["nowhere.txt"][..]),
        (
            "--vocab few.txt --vocab-size 20",
            2,
            &["--vocab", "--vocab-size"],
        ),
        (
            "--vocab few.txt --min-count 2",
            2,
            &["--vocab", "--min-count"],
        ),
        (
            "--vocab few.txt --unit bpe",
            2,
            &["--vocab with --unit bpe"],
        ),
    ] {
        workbench
            .run(&format!("{TRAIN} --out new {flags}"))
            .fails(code, parts);
    }
}

#[apply(test)]
fn classes_are_learnt_and_resumed() {
    let workbench = workbench();
    for (name, flags) in [
        ("plain", "--hidden 9 --output class --classes 6"),
        (
            "usual",
            "--cell lstm --hidden 6 --embedding 5 --output class --class-binning frequency",
        ),
        (
            "direct",
            "--hidden 7 --output class --classes 1 --direct 640 --direct-order 4",
        ),
        (
            "compressed",
            "--cell gru --hidden 8 --output class --classes 5 --compression 4 --direct 320 \
             --direct-lr 0.2",
        ),
    ] {
        workbench
            .run(&format!("{TRAIN} {flags} --epochs 4 --out {name}"))
            .succeeds();
        let perplexities = losses(&workbench, name, "valid_perplexity");
        assert!(
            perplexities.len() == 4 && perplexities[3] < 0.95 * perplexities[0],
            "{name}: {perplexities:?}"
        );
        let [told, found] = [
            perplexities.iter().copied().fold(f64::INFINITY, f64::min),
            {
                workbench
                    .run(&format!("{TRAIN} {flags} --epochs 2 --out {name}-part"))
                    .succeeds();
                workbench
                    .run(&format!(
                        "train --resume {name}-part --device cpu --epochs 4 --json"
                    ))
                    .succeeds()
                    .number("valid_perplexity")
            },
        ];
        assert!(
            (told / found - 1.0).abs() < 1e-9,
            "{name}: {told} and {found}"
        );
        assert!(
            workbench.read(&format!("{name}-part/model.safetensors"))
                == workbench.read(&format!("{name}/model.safetensors")),
            "{name}"
        );
        workbench
            .run(&format!(
                "train --config {name} --device cpu --out {name}-again"
            ))
            .succeeds();
        assert!(
            workbench.read(&format!("{name}-again/model.safetensors"))
                == workbench.read(&format!("{name}/model.safetensors")),
            "{name}"
        );
        assert_eq!(
            workbench
                .run(&format!(
                    "generate --sentences 5 --model {name} --device cpu"
                ))
                .succeeds()
                .stdout
                .lines()
                .count(),
            5
        );
        let inspect = workbench
            .run(&format!("inspect {name} --json"))
            .succeeds()
            .json();
        let sizes = inspect["config"]["classes"]["sizes"]
            .as_array()
            .expect("classes")
            .clone();
        let words: u64 = sizes.iter().filter_map(serde_json::Value::as_u64).sum();
        assert_eq!(inspect["config"]["vocab_size"].as_u64(), Some(words));
        workbench
            .run(&format!("train --resume {name} --device cpu --classes 3"))
            .fails(2, &["--classes 3", "--resume"]);
    }
}

#[apply(test)]
fn rejected_classes() {
    let workbench = workbench();
    let types: usize = small_text()
        .split_whitespace()
        .collect::<std::collections::BTreeSet<_>>()
        .len()
        + 1;
    for (flags, parts) in [
        (
            format!("--output class --classes {}", types + 1),
            &["--classes", "at most the size of the vocabulary"][..],
        ),
        (
            "--output class --classes 0".to_owned(),
            &["--classes 0", "at least 1"],
        ),
        (
            "--classes 5".to_owned(),
            &[
                "--classes 5 with --output softmax",
                "no classes",
                "--output class",
            ],
        ),
        (
            "--class-binning frequency".to_owned(),
            &["with --output softmax", "no classes"],
        ),
        (
            "--output class --direct 100".to_owned(),
            &["--direct 100", "multiple of 32", "128"],
        ),
        (
            "--direct 320".to_owned(),
            &["--direct 320", "--output class"],
        ),
        (
            "--output class --direct-order 3".to_owned(),
            &["--direct-order 3", "--direct SIZE"],
        ),
        (
            "--output class --direct 320 --direct-order 0".to_owned(),
            &["--direct-order 0", "from 1 to 20"],
        ),
        (
            "--output class --direct 320 --direct-order 21".to_owned(),
            &["--direct-order 21"],
        ),
        (
            "--output class --tied --embedding 9".to_owned(),
            &["--tied", "with --output class"],
        ),
        (
            "--compression 4 --projection --embedding 5".to_owned(),
            &["--compression 4", "--projection"],
        ),
        (
            "--output class --direct 320 --direct-lr nan".to_owned(),
            &["--direct-lr"],
        ),
    ] {
        workbench
            .run(&format!("{TRAIN} --hidden 9 --epochs 1 --out new {flags}"))
            .fails(2, parts);
        assert!(
            !workbench.path("new").join("model.safetensors").exists(),
            "{flags}"
        );
    }
}

/// The types of a model, in the order of text.
fn sorted_types(workbench: &Workbench, name: &str) -> Vec<String> {
    let text = String::from_utf8(workbench.read(&format!("{name}/vocab.txt"))).expect("UTF-8");
    let mut types: Vec<_> = text.lines().map(str::to_owned).collect();
    types.sort();
    types
}

#[apply(test)]
fn vocabulary_of_a_model() {
    let workbench = workbench();
    // Characters that vocab.txt escapes.
    let text = "a\\b c\u{b}d e\u{2028}f\na\\\\n <unk> c\n".repeat(20);
    workbench.write("odd.txt", text);
    for unit in ["word", "char", "byte"] {
        let train = format!(
            "train --train odd.txt --unit {unit} --device cpu --hidden 4 --epochs 1 --batch 2 \
             --bptt 4"
        );
        workbench.run(&format!("{train} --out {unit}")).succeeds();
        workbench
            .run(&format!("{train} --vocab {unit}/vocab.txt --out {unit}2"))
            .succeeds();
        let types = sorted_types(&workbench, unit);
        assert!(
            types
                .iter()
                .any(|token| token.starts_with("\\\\") || token.contains("\\\\"))
        );
        assert_eq!(sorted_types(&workbench, &format!("{unit}2")), types);
        // From another directory, and beside a text.
        workbench.write("other.txt", "zz\n");
        let mut command = workbench.command(&format!(
            "{} --vocab vocab.txt,../other.txt --out ../{unit}3",
            train.replace("odd.txt", "../odd.txt")
        ));
        command.current_dir(workbench.path(unit));
        assert!(command.output().expect("it runs").status.success());
        let z = if unit == "word" { "zz" } else { "z" };
        let mut with_other = types.clone();
        with_other.push(z.to_owned());
        with_other.sort();
        assert_eq!(sorted_types(&workbench, &format!("{unit}3")), with_other);
        workbench
            .run(&format!(
                "import --from pytorch {unit}/model.safetensors --vocab {unit}/vocab.txt --unit \
                 {unit} --out {unit}4"
            ))
            .succeeds();
        let read = |name: &str| workbench.read(&format!("{name}/vocab.txt"));
        assert!(read(&format!("{unit}4")) == read(unit));
    }
    workbench
        .run("ngram --text odd.txt --vocab word/vocab.txt --order 2 --out lm.arpa")
        .succeeds();
    let lm = String::from_utf8(workbench.read("lm.arpa")).expect("UTF-8");
    for word in ["a\\b", "c\u{b}d", "e\u{2028}f", "a\\\\n"] {
        assert!(lm.contains(&format!("\t{word}")), "{word:?}");
    }
    workbench
        .run("ngram --text odd.txt --vocab char/vocab.txt --order 2 --out lm2.arpa")
        .fails(1, &["char/vocab.txt", "chars", "words"]);
}
