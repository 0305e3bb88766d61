//! Exported models in ONNX Runtime, against PyTorch's equations and against `elman score`.

use super::onnx::made::{NETWORKS, VOCABULARY};
use elman::onnx::OnnxForm;
use safetensors::tensor::Dtype;

use super::command::{Run, Workbench, small_text};
use super::import::{Tensors, import, workbench};
use super::onnx::FORMS;
use super::reference::generator::Generator;
use crate::environment::{has_python, python};
use crate::harness::{apply, test};

/// Prints the log10 probability of each line.
const SCORE: &str = "score_with_onnxruntime.py";
/// Prints those of each token and the end of each line.
const SCORE_AS_SHERPA_ONNX: &str = "score_as_sherpa_onnx.py";

/// Compares the numbers that a script prints with the expected log10 probabilities.
fn compare(workbench: &Workbench, script: &str, arguments: &[&str], expected: &[f64]) {
    let output = std::process::Command::new(python())
        .arg(format!("{}/tests/{script}", env!("CARGO_MANIFEST_DIR")))
        .args(arguments)
        .current_dir(workbench.path(""))
        .output()
        .expect("Python runs");
    let found = Run::new(&arguments.join(" "), output).succeeds().stdout;
    let found: Vec<&str> = found.split_whitespace().collect();
    assert_eq!(found.len(), expected.len(), "{arguments:?}");
    for (found, &expected) in found.iter().zip(expected) {
        let found: f64 = found.parse().expect("a number");
        // The scripts print at least six places.
        assert!(
            (found - expected).abs() <= 1e-5 * expected.abs() + 5e-7,
            "{arguments:?}: {found}, and it should be {expected}"
        );
    }
}

#[apply(test)]
#[ignore_unless(has_python("numpy, onnx, onnxruntime"))]
fn onnxruntime_agrees_with_the_equations() {
    let workbench = Workbench::new();
    let words: Vec<String> = (1..VOCABULARY).map(|word| format!("w{word}")).collect();
    workbench.write("vocab.txt", format!("</s>\n{}\n", words.join("\n")));
    let mut generator = Generator::new(3);
    let sentences: Vec<Vec<usize>> = [5, 0, 1, 13, 2, 7]
        .iter()
        .map(|&length| {
            (0..length)
                .map(|_| 1 + generator.next() as usize % (VOCABULARY - 1))
                .collect()
        })
        .collect();
    let text = |sentence: &Vec<usize>| {
        sentence
            .iter()
            .map(|&word| words[word - 1].as_str())
            .collect::<Vec<_>>()
            .join(" ")
            + "\n"
    };
    workbench.write("lines.txt", sentences.iter().map(text).collect::<String>());
    workbench.write("empty.txt", "\n");
    for (number, made) in NETWORKS.iter().enumerate() {
        let parameters = made.parameters(number as u64 + 1);
        let expected: Vec<f64> = sentences
            .iter()
            .map(|sentence| made.log10_probability(&parameters, sentence))
            .collect();
        for form in FORMS
            .into_iter()
            .filter(|&form| form == OnnxForm::Sentence || made.has_step())
        {
            workbench.write("lm.onnx", made.file(&parameters, form));
            compare(
                &workbench,
                SCORE,
                &["lm.onnx", "vocab.txt", "lines.txt"],
                &expected,
            );
            compare(
                &workbench,
                SCORE,
                &["lm.onnx", "vocab.txt", "empty.txt"],
                &expected[1..2],
            );
        }
    }
}

#[apply(test)]
#[ignore_unless(has_python("numpy, onnx, onnxruntime"))]
fn onnxruntime_agrees_with_score() {
    let workbench = Workbench::with_model();
    let train = "train --train train.txt --device cpu --epochs 1 --batch 4 --bptt 5 --hidden 11";
    workbench
        .run(&format!(
            "{train} --layers 2 --embedding 6 --bias --activation tanh --out deep"
        ))
        .succeeds();
    workbench
        .run(&format!(
            "{train} --activation relu --min-count 20 --out cut"
        ))
        .succeeds();
    for (name, flags) in [
        ("context-1", "--context 1 --skip-connection --bias false"),
        ("context-2", "--context 2 --embedding 11 --tied"),
        (
            "context-6",
            "--context 6 --skip-connection --projection --tied",
        ),
    ] {
        workbench
            .run(&format!(
                "{train} --cell feedforward --embedding 6 {flags} --out {name}"
            ))
            .succeeds();
    }
    workbench
        .run(&format!("{train} --unit char --out characters"))
        .succeeds();
    for (name, flags) in [
        ("mixture", "--mixture 3"),
        (
            "residual",
            "--cell gru --embedding 11 --layers 3 --residual --tied",
        ),
        (
            "tied-mixture",
            "--cell lstm --embedding 6 --mixture 16 --tied",
        ),
        (
            "context-mixture",
            "--cell feedforward --embedding 6 --context 3 --skip-connection --mixture 2",
        ),
    ] {
        workbench
            .run(&format!("{train} {flags} --out {name}"))
            .succeeds();
    }
    let lines: String = small_text()
        .lines()
        .take(40)
        .fold(String::new(), |lines, line| lines + line + "\n");
    workbench.write("lines.txt", lines + "\n");
    for model in [
        "model",
        "deep",
        "cut",
        "characters",
        "context-1",
        "context-2",
        "context-6",
        "mixture",
        "tied-mixture",
        "context-mixture",
        "residual",
    ] {
        let expected = line_scores(&workbench, model);
        for form in ["sentence", "step"] {
            workbench
                .run(&format!(
                    "export --onnx --model {model} --out lm.onnx --form {form} --force"
                ))
                .succeeds();
            compare(
                &workbench,
                SCORE,
                &["lm.onnx", &format!("{model}/vocab.txt"), "lines.txt"],
                &expected,
            );
        }
    }
}

/// What `elman score` prints for the lines.
fn line_scores(workbench: &Workbench, model: &str) -> Vec<f64> {
    workbench
        .run(&format!("score lines.txt --model {model} --device cpu"))
        .succeeds()
        .stdout
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect()
}

/// `elman score --per-token` of the lines, one number for each token and each end.
fn token_scores(workbench: &Workbench, model: &str) -> Vec<f64> {
    let scores = workbench
        .run(&format!(
            "score lines.txt --model {model} --device cpu --json --per-token"
        ))
        .succeeds()
        .json();
    let lines = scores["token_log10_probs"].as_array().expect("lines");
    let tokens = lines
        .iter()
        .flat_map(|line| line.as_array().expect("tokens"));
    tokens
        .map(|number| number.as_f64().expect("a number"))
        .collect()
}

/// A workbench with three models of the same parameters: `trained` with its own initial state,
/// `uniform` with another value in every unit, `stored` with a value for each unit.
fn workbench_with_initial_states(cell: &str, layers: u64) -> Workbench {
    let flags = format!("--cell {cell} --layers {layers} --embedding 6 --hidden 11 --bias");
    let workbench = workbench(&[("trained", &flags)]);
    let import = |file: &str, rest: &str| {
        import(&workbench, file, "trained/vocab.txt", rest).succeeds();
    };
    import(
        "trained/model.safetensors",
        "--out uniform --initial-state -0.7",
    );
    let mut tensors = Tensors::read(&workbench, "trained/model.safetensors");
    let mut generator = Generator::new(layers);
    for state in 0..layers * if cell == "lstm" { 2 } else { 1 } {
        let values = (0..11).flat_map(|_| (generator.uniform(2.0) as f32).to_le_bytes());
        let tensor = (Dtype::F32, vec![11], values.collect());
        tensors.0.insert(format!("initial_state.{state}"), tensor);
    }
    tensors.write(&workbench, "stored.safetensors");
    // Only the activation of Elman cells may be chosen.
    let activation = if cell == "elman" {
        " --activation sigmoid"
    } else {
        ""
    };
    import("stored.safetensors", &format!("--out stored{activation}"));
    workbench
}

/// sherpa-onnx passes two states whatever the cell, and starts from zeros whatever the initial
/// state. It must read what `elman score` prints.
#[apply(test)]
#[ignore_unless(has_python("numpy, onnx, onnxruntime"))]
fn sherpa_onnx_agrees_with_score() {
    let cells = ["elman", "gru", "lstm"];
    let cases = cells.map(|cell| [1, 2].map(|layers| (cell, layers)));
    for (cell, layers) in cases.into_iter().flatten() {
        let workbench = workbench_with_initial_states(cell, layers);
        let check = |model: &str, form: &str, script: &str, expected: &[f64]| {
            let export = format!("export --onnx --model {model} --out lm.onnx --force");
            workbench.run(&format!("{export} --form {form}")).succeeds();
            let vocabulary = format!("{model}/vocab.txt");
            let arguments = ["lm.onnx", &vocabulary, "lines.txt"];
            compare(&workbench, script, &arguments, expected);
        };
        let scores = ["trained", "uniform", "stored"].map(|model| {
            let scores = token_scores(&workbench, model);
            check(model, "step", SCORE_AS_SHERPA_ONNX, &scores);
            scores
        });
        let stored = line_scores(&workbench, "stored");
        check("stored", "sentence", SCORE, &stored);
        assert!(
            scores[0][0] != scores[1][0] && scores[0][0] != scores[2][0],
            "the initial state makes no difference: {scores:?}"
        );
    }
}

/// The state of a feed-forward network is the words before the token, where it reads any.
#[apply(test)]
#[ignore_unless(has_python("numpy, onnx, onnxruntime"))]
fn sherpa_onnx_agrees_with_score_of_feed_forward_networks() {
    let models = [
        ("one", "--context 1"),
        ("two", "--context 2"),
        ("five", "--context 5 --skip-connection --independent"),
    ];
    let flags = models.map(|(name, flags)| {
        let cell = "--cell feedforward --hidden 5 --embedding 4";
        (name, format!("{cell} {flags}"))
    });
    let flags: Vec<(&str, &str)> = flags.iter().map(|(name, one)| (*name, &**one)).collect();
    let workbench = workbench(&flags);
    for (model, _) in models {
        let export = format!("export --onnx --model {model} --out lm.onnx --force --form step");
        workbench.run(&export).succeeds();
        let vocabulary = format!("{model}/vocab.txt");
        let arguments = ["lm.onnx", &vocabulary, "lines.txt"];
        let expected = token_scores(&workbench, model);
        compare(&workbench, SCORE_AS_SHERPA_ONNX, &arguments, &expected);
    }
}
