//! A failure in the middle of an input: the results before it are printed. Numbers that JSON lacks.

use crate::command::Workbench;
use crate::harness::{apply, test};

/// A line that is not UTF-8.
const BAD: &[u8] = b"the b\xff\n";

#[apply(test)]
fn lines_before_a_bad_one_have_scores() {
    let workbench = Workbench::with_model();
    let good = "the boy runs\nthe girl\n";
    workbench.write("good.txt", good);
    workbench.write("bad.txt", [good.as_bytes(), BAD, b"the\n"].concat());
    for flags in ["", "--per-token", "--format rnnlm", "--cache 10"] {
        let score = |file: &str| workbench.run(&format!("score --device cpu {file} {flags}"));
        let scores = score("good.txt").succeeds().stdout;
        assert!(scores.lines().count() >= 2, "{scores}");
        let run = score("bad.txt").fails(1, &["line 3 of bad.txt", "UTF-8"]);
        assert_eq!(run.stdout, scores, "{flags}");
    }
    // The object has all results or there is none.
    let run = workbench.run("score --device cpu bad.txt --json");
    assert_eq!(run.fails(1, &["line 3"]).stdout, "");
}

#[apply(test)]
fn lines_before_a_bad_probability_have_scores() {
    let workbench = Workbench::with_model();
    workbench.write("text.txt", "the boy runs\nthe girl\nthe\n");
    // 4 + 3 + 2 tokens; the last two have no probability.
    workbench.write("all.txt", "0.1\n".repeat(9));
    workbench.write("short.txt", "0.1\n".repeat(7));
    let score = |file| workbench.run(&format!("score --device cpu text.txt --lm-prob {file}"));
    let scores = score("all.txt").succeeds().stdout;
    let run = score("short.txt").fails(1, &["short.txt", "line 7"]);
    let two: Vec<_> = scores.lines().take(2).collect();
    assert_eq!(run.stdout.lines().collect::<Vec<_>>(), two);
}

#[apply(test)]
fn lists_before_a_bad_line_have_results() {
    let workbench = Workbench::with_model();
    let lists = "a the boy runs\na the girl\nb the boy\nc the\n";
    workbench.write("good.txt", lists);
    workbench.write("bad.txt", [lists.as_bytes(), BAD].concat());
    for (flags, lines) in [
        // The last list may be incomplete, but the scores of its lines are known.
        ("", 4),
        ("--carry first", 4),
        ("--output best", 2),
        ("--output ranked", 3),
    ] {
        let rescore = |file: &str| {
            let flags = format!("--device cpu --ids first-column {file} {flags}");
            workbench.run(&format!("rescore {flags}"))
        };
        let good = rescore("good.txt").succeeds().stdout;
        let good: Vec<_> = good.lines().take(lines).collect();
        let run = rescore("bad.txt").fails(1, &["bad.txt, line 5", "UTF-8"]);
        assert_eq!(run.stdout.lines().collect::<Vec<_>>(), good, "{flags}");
    }
}

#[apply(test)]
fn json_has_null_for_numbers_that_it_lacks() {
    let workbench = Workbench::new();
    workbench.write("train.txt", "a b c\nb a\nc a\n".repeat(20));
    workbench.write("text.txt", "a a\nb\n");
    workbench.write("lines.txt", "a\na c\n");
    workbench
        .run("train --train train.txt --device cpu --hidden 4 --epochs 1 --batch 2 --bptt 4")
        .succeeds();
    let arpa = "\\data\\\nngram 1=3\n\\1-grams:\n-400 a\n-400 b\n-400 </s>\n\\end\\\n";
    workbench.write("lm.arpa", arpa);
    let other = "--arpa lm.arpa --lambda 0 --json";
    // Perplexities are too large, their logarithms are not.
    for command in [
        "ngram --arpa lm.arpa --test text.txt --json".to_owned(),
        format!("eval --device cpu --text text.txt {other}"),
    ] {
        let run = workbench.run(&command).succeeds();
        assert!(run.json()["perplexity"].is_null(), "{}", run.stdout);
        assert!((run.number("log10_prob") + 2000.0).abs() < 1e-6);
        assert!((run.number("entropy_bits") / 400.0 - 10_f64.log2()).abs() < 1e-6);
        if command.starts_with("eval") {
            assert!(run.json()["word_perplexity"].is_null());
            assert!((run.number("bits_per_word") / 400.0 - 10_f64.log2()).abs() < 1e-6);
            assert!(run.number("bits_per_character") > 1000.0);
            let text = workbench.run(&command.replace("--json", "")).succeeds();
            assert!(text.stdout.contains("per word           "));
            assert!(text.stdout.contains("per character      "));
        }
    }
    // The n-gram model gives c the probability 0.
    let run = workbench
        .run(&format!("score --device cpu lines.txt --per-token {other}"))
        .succeeds();
    let json = run.json();
    assert!((json["log10_prob"][0].as_f64().expect("a number") + 800.0).abs() < 1e-6);
    assert!(json["log10_prob"][1].is_null(), "{json}");
    assert!(json["token_log10_probs"][1][1].is_null(), "{json}");
    assert!(json["token_log10_probs"][1][2].is_number(), "{json}");
    assert_eq!(json["oov"][1], 0, "it is not an unknown word");
    let text = workbench
        .run("score --device cpu lines.txt --arpa lm.arpa --lambda 0")
        .succeeds();
    assert_eq!(text.stdout.lines().nth(1), Some("-inf"));
    let list = workbench
        .run(&format!(
            "rescore --device cpu --ids none lines.txt {other}"
        ))
        .succeeds();
    assert!(list.json()["lists"][0]["log10_prob"][1].is_null());
}

#[apply(test)]
fn training_reports_the_loss_beside_the_perplexity() {
    let workbench = Workbench::new();
    workbench.write("train.txt", crate::command::small_text());
    let run = workbench
        .run("train --train train.txt --device cpu --hidden 4 --epochs 1 --batch 4 --bptt 5 --json")
        .succeeds();
    let loss = run.number("valid_loss");
    assert!((loss.exp() / run.number("valid_perplexity") - 1.0).abs() < 1e-12);
}
