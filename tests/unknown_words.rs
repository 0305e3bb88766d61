//! Words outside the vocabulary, and words predicted as `<unk>`, in the reports of every command.

use serde_json::{Value, json};

use crate::command::{Run, Workbench, small_text};
use crate::harness::{apply, test};

/// The text: 8 words that no model knows, and `<unk>` once.
const LINES: &str = "the xylophone the\nxylophone xylophone <unk> zither\n\nharp harp harp harp\n";

/// A workbench with a model that has `<unk>` and one that has not.
fn workbench() -> Workbench {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench.write("lines.txt", LINES);
    for (name, flags) in [("with", "--min-count 2 --vocab-size 50"), ("without", "")] {
        let train = "train --train train.txt --device cpu --hidden 6 --epochs 1 --batch 4 --bptt 5";
        workbench
            .run(&format!("{train} --out {name} {flags}"))
            .succeeds();
    }
    let types = String::from_utf8(workbench.read("with/vocab.txt")).expect("UTF-8");
    assert!(types.lines().any(|token| token == "<unk>"));
    workbench
}

/// The counts of a report: skipped, out of the vocabulary, predicted as `<unk>`.
fn counts(report: &Value) -> [Value; 3] {
    ["oov", "oov_words", "predicted_as_unk"].map(|key| report[key].clone())
}

#[apply(test)]
fn words_are_counted_apart() {
    let workbench = workbench();
    let run = |arguments: &str| -> Run { workbench.run(arguments).succeeds() };
    for (flags, skipped, predicted) in [
        ("--model with", 0, 9),
        ("--model with --unknown skip", 8, 1),
        // `<unk>` is another unknown word.
        ("--model without", 9, 0),
    ] {
        let words = if flags == "--model without" { 9 } else { 8 };
        let eval = format!("eval --device cpu --text lines.txt {flags}");
        let report = run(&format!("{eval} --json")).json();
        assert_eq!(
            counts(&report),
            [skipped, words, predicted].map(Value::from),
            "{flags}"
        );
        assert_eq!(report["read_as_unk"], words - skipped);
        let read = words - skipped;
        let text = run(&eval).stdout;
        let line = format!("unknown words      {words} ({read} read as <unk>, {skipped} skipped)");
        assert!(text.contains(&line), "{text}");
        let line = format!("predicted as <unk> {predicted}\n");
        assert_eq!(text.contains(&line), predicted > 0, "{text}");

        let score = format!("score --device cpu lines.txt {flags}");
        let scores = run(&format!("{score} --json"));
        let sums = ["oov", "oov_words", "predicted_as_unk"]
            .map(|key| Value::from(scores.numbers(key).iter().sum::<f64>() as u64));
        assert_eq!(sums, counts(&report), "score {flags}");
        let said = format!("unknown words: {words} ({read} read as <unk>, {skipped} skipped)");
        for run in [&scores, &run(&score)] {
            assert!(run.stderr.contains(&said), "{}", run.stderr);
        }

        let lists = "a the xylophone the\na xylophone <unk>\nb the the\n";
        workbench.write("lists.txt", lists);
        let rescore = format!("rescore --device cpu --ids first-column lists.txt {flags}");
        let report = run(&format!("{rescore} --json"));
        let second = if words == 9 { 2 } else { 1 };
        let lists = &report.json()["lists"];
        assert_eq!(lists[0]["oov_words"], json!([1, second]));
        assert_eq!(lists[1]["oov_words"], json!([0]));
        let unk = u64::from(words == 8);
        let read = unk - u64::from(flags.ends_with("skip"));
        assert_eq!(lists[0]["predicted_as_unk"], json!([read, read + unk]));
        assert!(
            report.stderr.contains("unknown words: "),
            "{}",
            report.stderr
        );
    }
    // An n-gram model of the network's words.
    for (model, counts_of_it) in [("with", [0, 8, 9]), ("without", [9, 9, 0])] {
        run(&format!(
            "ngram --text train.txt --vocab {model}/vocab.txt --order 2 --out {model}.arpa"
        ));
        let ngram = format!("ngram --arpa {model}.arpa --test lines.txt");
        let report = run(&format!("{ngram} --json")).json();
        assert_eq!(counts(&report), counts_of_it.map(Value::from), "{model}");
        let eval = run(&format!(
            "eval --device cpu --text lines.txt --model {model}"
        ));
        let of = |text: &str| -> Vec<String> {
            let is_count = |line: &&str| line.contains("<unk>") || line.starts_with("unknown");
            text.lines().filter(is_count).map(str::to_owned).collect()
        };
        let counted = of(&run(&ngram).stdout);
        assert!(counted[0].starts_with("unknown words      "), "{counted:?}");
        assert_eq!(counted, of(&eval.stdout)[..counted.len()], "{model}");
    }
    workbench.write("known.txt", "the the\n");
    let known = run("score --device cpu known.txt --model without");
    assert!(!known.stderr.contains("unknown words"), "{}", known.stderr);
    let prompt = run("generate --device cpu --model with --sentences 1 --prompt xylophone");
    assert!(prompt.stderr.contains("read as <unk>"), "{}", prompt.stderr);
}
