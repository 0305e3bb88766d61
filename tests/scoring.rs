//! `elman score` with several sources, and beside `elman eval`.

use crate::command::{Workbench, small_text};
use crate::harness::{apply, test};

/// A model with classes and direct connections over three words of history, and one without.
const MODELS: [(&str, &str); 2] = [
    (
        "direct",
        "--hidden 7 --output class --classes 5 --direct 640 --direct-order 4 --direct-lr 0.5",
    ),
    ("plain", "--cell gru --hidden 6 --embedding 5"),
];

/// A workbench with the models, an n-gram model, and lines, some of them equal.
fn workbench() -> Workbench {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    for (name, flags) in MODELS {
        let train = "train --train train.txt --device cpu --epochs 2 --batch 4 --bptt 6";
        workbench
            .run(&format!("{train} {flags} --out {name}"))
            .succeeds();
    }
    // The two can be combined only if their vocabularies are the same.
    workbench
        .run("ngram --text train.txt --order 3 --out lm.arpa")
        .succeeds();
    workbench.write(
        "lines.txt",
        "the boy runs\nthe xylophone runs\n\nmary says that the boys run\nthe boy runs\n".repeat(3),
    );
    workbench
}

/// Every source of probabilities that both commands accept.
const SOURCES: [&str; 6] = [
    "--model direct",
    "--model plain",
    "--model direct --model plain --weights 1,2",
    "--model direct --arpa lm.arpa --lambda 0.3",
    "--model plain --lm-prob list.txt --lambda 0.6",
    "--model plain --model direct --arpa lm.arpa",
];

fn compare(workbench: &Workbench, score: &str, eval: &str) {
    for source in SOURCES {
        let lines = workbench
            .run(&format!(
                "score lines.txt --device cpu --json {score} {source}"
            ))
            .succeeds();
        let text = workbench
            .run(&format!(
                "eval --text lines.txt --device cpu --json {eval} {source}"
            ))
            .succeeds();
        let [sum, whole] = [
            lines.numbers("log10_prob").iter().sum(),
            text.number("log10_prob"),
        ];
        assert!(
            (sum - whole).abs() < 2e-6 * whole.abs(),
            "{source}: {sum} of lines, {whole} of the text"
        );
        for key in ["tokens", "oov"] {
            assert_eq!(
                lines.numbers(key).iter().sum::<f64>(),
                text.number(key),
                "{source}"
            );
        }
    }
}

/// Writes a value for every token of the lines.
fn write_list(workbench: &Workbench) {
    let tokens = workbench
        .run("eval --text lines.txt --device cpu --model direct --format rnnlm")
        .succeeds()
        .tokens();
    let number = |place: usize| format!("0.{}\n", place % 9 + 1);
    workbench.write(
        "list.txt",
        (0..tokens.len()).map(number).collect::<String>(),
    );
}

#[apply(test)]
fn separate_lines_match_independent_evaluation() {
    let workbench = workbench();
    write_list(&workbench);
    compare(&workbench, "", "--independent");
}

#[apply(test)]
fn carried_lines_match_evaluation() {
    let workbench = workbench();
    write_list(&workbench);
    compare(&workbench, "--carry", "");
    // States and n-grams cross line endings, so equal lines differ.
    let lines = |flags: &str| {
        workbench
            .run(&format!(
                "score lines.txt --device cpu --model direct {flags} --json"
            ))
            .succeeds()
            .numbers("log10_prob")
    };
    let (carried, alone) = (lines("--carry"), lines(""));
    assert_eq!(alone[0], alone[4]);
    assert!((carried[0] - carried[4]).abs() > 1e-4, "{carried:?}");
}

#[apply(test)]
fn score_and_eval_listings_agree() {
    let workbench = workbench();
    for (model, _) in MODELS {
        for (score, eval) in [("", "--independent"), ("--carry", "")] {
            let score = workbench
                .run(&format!(
                    "score lines.txt --model {model} --device cpu --format rnnlm {score}"
                ))
                .succeeds()
                .tokens();
            let eval = workbench
                .run(&format!(
                    "eval --text lines.txt --model {model} --device cpu --format rnnlm {eval}"
                ))
                .succeeds()
                .tokens();
            assert!(
                score.len() == eval.len() && score.iter().any(|token| token.index == -1),
                "{model}"
            );
            for (place, (score, eval)) in score.iter().zip(&eval).enumerate() {
                assert_eq!((score.index, &score.word), (eval.index, &eval.word));
                let [score, eval] = [score, eval].map(|token| token.probabilities[0]);
                assert!(
                    (score - eval).abs() <= 1e-9 + 2e-6 * eval,
                    "{model}, token {place}: {score} and {eval}"
                );
            }
        }
    }
    workbench
        .run("score lines.txt --model plain --device cpu --format rnnlm --json")
        .fails(2, &["--format", "--json"]);
    let [default, lines] = ["", "--format lines"].map(|flags| {
        workbench
            .run(&format!(
                "score lines.txt --model plain --device cpu {flags}"
            ))
            .succeeds()
            .stdout
    });
    assert_eq!(default, lines);
}

#[apply(test)]
fn more_lines_than_one_batch() {
    let workbench = workbench();
    // Lines are read in batches of a thousand; n-gram models and probability files continue from
    // batch to batch.
    let line = "mary says that the boys run\n";
    workbench.write("lines.txt", line.repeat(1500));
    workbench.write("list.txt", "0.25\n".repeat(1500 * 7));
    for source in ["--arpa lm.arpa", "--lm-prob list.txt"] {
        let scores = workbench
            .run(&format!(
                "score lines.txt --model plain --device cpu --json {source}"
            ))
            .succeeds()
            .numbers("log10_prob");
        assert_eq!(scores.len(), 1500);
        assert!(
            scores.iter().all(|score| (score - scores[0]).abs() < 1e-5),
            "{source}"
        );
    }
    workbench.write("list.txt", "0.25\n".repeat(1500 * 7 - 1));
    workbench
        .run("score lines.txt --model plain --device cpu --lm-prob list.txt")
        .fails(1, &["token 10500", "ends after line 10499"]);
}
