//! Mixtures with an n-gram model that does not have the network's words.

use super::mixtures::workbench;
use crate::harness::{apply, test};

/// The commands that mix.
const COMMANDS: [&str; 3] = [
    "eval --device cpu --text text.txt",
    "score --device cpu text.txt",
    "rescore --device cpu --ids none text.txt",
];

#[apply(test)]
fn different_words_are_reported() {
    let workbench = workbench();
    let text = String::from_utf8(workbench.read("train.txt")).expect("UTF-8");
    workbench.write("other.txt", text.replace("dog", "hound"));
    workbench.write("words.txt", format!("{text}<unk>\n"));
    for (flags, parts) in [
        (
            "--text other.txt",
            &[
                "warning: lm2.arpa lacks",
                "\"dog",
                "probability 0",
                "no <unk>",
                "\"hound",
            ][..],
        ),
        (
            "--text other.txt --vocab other.txt,unknown.txt",
            &["warning: lm2.arpa lacks", "\"dog", "reads them as <unk>"],
        ),
        (
            "--text train.txt --vocab train.txt,other.txt",
            &["note: lm2.arpa has", "\"hound", "that the network lacks"],
        ),
    ] {
        workbench.write("unknown.txt", "<unk>\n");
        workbench
            .run(&format!("ngram {flags} --order 2 --out lm2.arpa --force"))
            .succeeds();
        for command in COMMANDS {
            let run = workbench.run(&format!("{command} --arpa lm2.arpa"));
            let run = run.succeeds();
            for part in [parts, &["`elman ngram --vocab model/vocab.txt`"]].concat() {
                assert!(run.stderr.contains(part), "{part:?}: {}", run.stderr);
            }
        }
    }
    // What the message advises removes it.
    workbench
        .run("ngram --text other.txt --vocab model/vocab.txt --order 2 --out right.arpa")
        .succeeds();
    for command in COMMANDS {
        let run = workbench.run(&format!("{command} --arpa right.arpa"));
        let stderr = run.succeeds().stderr;
        assert!(!stderr.contains("right.arpa"), "{stderr}");
    }
}

/// `vocab.txt` has escapes, which are not part of the words.
#[apply(test)]
fn vocabulary_of_a_model_with_escapes() {
    let workbench = workbench();
    let text = "a \\ b\u{b}c\n\\n b\u{b}c a\n".repeat(20);
    workbench.write("train.txt", &text);
    let train = "train --train train.txt --device cpu --hidden 4 --epochs 1 --batch 2 --bptt 4";
    workbench.run(&format!("{train} --out escaped")).succeeds();
    let ngram = "ngram --text train.txt --order 2";
    let vocab = "--vocab escaped/vocab.txt --out same.arpa";
    workbench.run(&format!("{ngram} {vocab}")).succeeds();
    workbench
        .run(&format!("{ngram} --vocab train.txt --out own.arpa"))
        .succeeds();
    let run = workbench
        .run("eval --model escaped --device cpu --text train.txt --arpa same.arpa")
        .succeeds();
    assert!(!run.stderr.contains("same.arpa"), "{}", run.stderr);
    let words = |name: &str| {
        let model = elman::ngram::NgramModel::read(&workbench.path(name)).expect("a model");
        let ids = 0..model.vocab_size() as u32;
        let mut words: Vec<_> = ids.map(|id| model.token(id).to_owned()).collect();
        words.sort();
        words
    };
    assert_eq!(words("same.arpa"), words("own.arpa"));
}

/// A token of probability 0 is not the fault of the network.
#[apply(test)]
fn probability_0_is_explained() {
    let workbench = workbench();
    let text = String::from_utf8(workbench.read("train.txt")).expect("UTF-8");
    workbench.write("other.txt", text.replace("boy", "girl"));
    workbench
        .run("ngram --text other.txt --order 2 --out other.arpa")
        .succeeds();
    let mixed = "--device cpu --arpa other.arpa --lambda";
    let run = workbench.run(&format!("eval --text text.txt {mixed} 0"));
    let run = run.fails(
        1,
        &["\"boy\", token 2 of the text", "probability 0", "--lambda"],
    );
    assert!(!run.stderr.contains("diverged"), "{}", run.stderr);
    workbench
        .run(&format!("eval --text text.txt {mixed} 0.1"))
        .succeeds();
    // A line of probability 0 has a score, however lines are read.
    workbench.write("lines.txt", "the boy runs\nmary runs\n");
    for adaptation in ["", "--cache 10 --cache-weight 0"] {
        let run = workbench.run(&format!("score lines.txt {mixed} 0 {adaptation}"));
        let run = run.succeeds();
        let lines: Vec<&str> = run.stdout.lines().collect();
        assert_eq!(lines[0], "-inf", "{}", run.stdout);
        assert!(lines[1].parse::<f64>().is_ok_and(f64::is_finite));
    }
}
