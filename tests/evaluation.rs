//! `elman eval` and `elman score`: carried scores, several models, unknown words, and the equations
//! in NumPy.

use safetensors::tensor::Dtype;

use super::import::{Tensors, import};
use crate::command::{Run, Workbench, small_text};
use crate::environment::{has_python, python};
use crate::harness::{apply, test};

#[apply(test)]
fn carried_scores_sum_to_eval() {
    let workbench = Workbench::with_model();
    let scores = workbench
        .run("score train.txt --carry --json --device cpu")
        .succeeds()
        .json();
    let sum: f64 = scores["log10_prob"]
        .as_array()
        .expect("an array")
        .iter()
        .filter_map(serde_json::Value::as_f64)
        .sum();
    let eval = workbench
        .run("eval --text train.txt --device cpu --json")
        .succeeds()
        .number("log10_prob");
    assert!((sum - eval).abs() <= 1e-6 * eval.abs(), "{sum} and {eval}");
    let scores = workbench
        .run("score train.txt --json --device cpu")
        .succeeds()
        .json();
    let sum: f64 = scores["log10_prob"]
        .as_array()
        .expect("an array")
        .iter()
        .filter_map(serde_json::Value::as_f64)
        .sum();
    let eval = workbench
        .run("eval --text train.txt --device cpu --json --independent")
        .succeeds()
        .number("log10_prob");
    assert!(
        (sum - eval).abs() <= 1e-6 * eval.abs(),
        "independent: {sum} and {eval}"
    );
}

#[apply(test)]
fn several_models_are_averaged() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let train = "train --train train.txt --device cpu --epochs 1 --batch 4 --bptt 8";
    workbench
        .run(&format!("{train} --hidden 9 --out a"))
        .succeeds();
    workbench
        .run(&format!(
            "{train} --cell lstm --hidden 5 --embedding 6 --seed 2 --out b"
        ))
        .succeeds();
    workbench
        .run(&format!("{train} --hidden 9 --min-count 3 --out other"))
        .succeeds();
    let eval = |models: &str| {
        workbench
            .run(&format!(
                "eval --text train.txt --device cpu --json {models}"
            ))
            .succeeds()
    };
    let tokens = |model: &str| {
        let score = workbench
            .run(&format!(
                "score train.txt --device cpu --carry --per-token --json --model {model}"
            ))
            .succeeds()
            .json();
        let lines = score["token_log10_probs"]
            .as_array()
            .expect("lines")
            .clone();
        lines
            .iter()
            .flat_map(|line| line.as_array().expect("a line").clone())
            .map(|one| one.as_f64())
            .collect::<Vec<_>>()
    };
    let mean = |a: f64, b: f64| (0.5 * (10.0_f64.powf(a) + 10.0_f64.powf(b))).log10();
    let want: f64 = tokens("a")
        .into_iter()
        .zip(tokens("b"))
        .filter_map(|(a, b)| Some(mean(a?, b?)))
        .sum();
    let both = eval("--model a --model b");
    assert!(
        (both.number("log10_prob") - want).abs() < 1e-5 * want.abs(),
        "{} and {want}",
        both.number("log10_prob")
    );
    assert_eq!(
        both.number("log10_prob"),
        eval("--model b --model a").number("log10_prob")
    );
    let alone = eval("--model a");
    assert_eq!(both.number("tokens"), alone.number("tokens"));
    assert!(
        (eval("--model a --model a --model a").number("perplexity") / alone.number("perplexity")
            - 1.0)
            .abs()
            < 1e-9
    );
    workbench
        .run("eval --text train.txt --device cpu --model a --model other")
        .fails(1, &["other", "vocabulary", "--min-count"]);
    workbench
        .run("eval --text train.txt --device cpu --model a --model nowhere")
        .fails(1, &["nowhere"]);
}

#[apply(test)]
fn scores_do_not_depend_on_batch() {
    let workbench = Workbench::with_model();
    let long = "the boy runs ".repeat(60);
    let lines = [
        "the boy runs",
        "",
        &long,
        "dogs bark",
        "the boy runs",
        "mary says that the boys run",
    ];
    workbench.write("all.txt", lines.join("\n") + "\n");
    let all = workbench
        .run("score all.txt --device cpu")
        .succeeds()
        .stdout;
    for (line, together) in lines.iter().zip(all.lines()) {
        workbench.write("one.txt", format!("{line}\r\n"));
        let alone = workbench
            .run("score one.txt --device cpu")
            .succeeds()
            .stdout;
        let [alone, together] =
            [alone.trim(), together].map(|text| text.parse::<f64>().expect("a number"));
        assert!(
            (alone - together).abs() <= 2e-6 * alone.abs(),
            "{line:?}: {alone} alone, {together} in company"
        );
    }
    assert_eq!(
        all.lines().next(),
        all.lines().nth(4),
        "equal lines have equal scores"
    );
}

#[apply(test)]
fn unknown_words_are_skipped_or_become_unk() {
    let workbench = Workbench::with_model();
    workbench.write("odd.txt", "the xylophone runs\n");
    let eval = workbench
        .run("eval --text odd.txt --device cpu --json")
        .succeeds();
    assert_eq!((eval.number("tokens"), eval.number("oov")), (3.0, 1.0));
    let line = workbench
        .run("score odd.txt --device cpu --per-token")
        .succeeds()
        .stdout;
    assert_eq!(line.split('\t').nth(2), Some("OOV"), "{line}");
    workbench.write("only.txt", "xylophone\tvibraphone");
    workbench
        .run("eval --text only.txt --device cpu --json")
        .succeeds();
    workbench
        .run("train --train train.txt --min-count 20 --device cpu --hidden 5 --epochs 1 --out cut")
        .succeeds();
    let eval = workbench
        .run("eval --model cut --text odd.txt --device cpu --json")
        .succeeds();
    assert_eq!((eval.number("tokens"), eval.number("oov")), (4.0, 0.0));
    workbench
        .run(
            "train --train train.txt --vocab-size 50 --device cpu --hidden 5 --epochs 1 \
        --out small",
        )
        .succeeds();
    let vocabulary = String::from_utf8(workbench.read("small/vocab.txt")).expect("UTF-8");
    assert_eq!(vocabulary.lines().count(), 50);
    assert_eq!(
        (
            vocabulary.lines().next(),
            vocabulary.lines().filter(|line| *line == "<unk>").count()
        ),
        (Some("</s>"), 1)
    );
}

#[apply(test)]
#[ignore_unless(has_python("numpy, safetensors"))]
fn numpy_agrees_with_score() {
    let workbench = Workbench::with_model();
    let train = "train --train train.txt --device cpu --epochs 2 --batch 4 --bptt 5 --hidden 11";
    workbench
        .run(&format!(
            "{train} --layers 2 --embedding 6 --bias --activation tanh --out deep"
        ))
        .succeeds();
    let mut tensors = Tensors::read(&workbench, "deep/model.safetensors");
    for layer in 0..2_u8 {
        let values = (0..11_u8).flat_map(|unit| (f32::from(layer * 11 + unit) / 9.0).to_le_bytes());
        let tensor = (Dtype::F32, vec![11], values.collect());
        tensors.0.insert(format!("initial_state.{layer}"), tensor);
    }
    tensors.write(&workbench, "stored.safetensors");
    let flags = "--out stored --activation tanh";
    import(&workbench, "stored.safetensors", "deep/vocab.txt", flags).succeeds();
    let mut lines: String = small_text()
        .lines()
        .take(40)
        .fold(String::new(), |lines, line| lines + line + "\n");
    lines.push_str("the xylophone runs\n\n");
    workbench.write("lines.txt", lines);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/score_with_numpy.py");
    for model in ["model", "deep", "stored"] {
        let output = std::process::Command::new(python())
            .args([script, model, "lines.txt"])
            .current_dir(workbench.path(""))
            .output()
            .expect("Python runs");
        let numpy = Run::new("numpy", output).succeeds().stdout;
        let scores = workbench
            .run(&format!("score lines.txt --model {model} --device cpu"))
            .succeeds()
            .stdout;
        assert_eq!(numpy.lines().count(), 42);
        for (numpy, score) in numpy.lines().zip(scores.lines()) {
            let [numpy, score] = [numpy, score].map(|text| text.parse::<f64>().expect("a number"));
            assert!(
                (numpy - score).abs() <= 1e-5 * numpy.abs(),
                "numpy says {numpy}, elman score {score}"
            );
        }
    }
}
