//! Exported models in ONNX Runtime, against PyTorch's equations and against `elman score`.

use super::onnx::made::{NETWORKS, VOCABULARY};
use elman::onnx::OnnxForm;

use super::command::{Run, Workbench, small_text};
use super::onnx::FORMS;
use super::reference::generator::Generator;
use crate::environment::{has_python, python};
use crate::harness::{apply, test};

/// Compares the script's output line by line with the expected log10 probabilities.
fn compare(workbench: &Workbench, arguments: &[&str], expected: &[f64]) {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/score_with_onnxruntime.py"
    );
    let output = std::process::Command::new(python())
        .arg(script)
        .args(arguments)
        .current_dir(workbench.path(""))
        .output()
        .expect("Python runs");
    let found = Run::new(&arguments.join(" "), output).succeeds().stdout;
    assert_eq!(found.lines().count(), expected.len(), "{arguments:?}");
    for (line, &expected) in found.lines().zip(expected) {
        let found: f64 = line.parse().expect("a number");
        // The script prints six places.
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
                &["lm.onnx", "vocab.txt", "lines.txt"],
                &expected,
            );
            compare(
                &workbench,
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
    workbench
        .run(&format!("{train} --unit char --out characters"))
        .succeeds();
    let lines: String = small_text()
        .lines()
        .take(40)
        .fold(String::new(), |lines, line| lines + line + "\n");
    workbench.write("lines.txt", lines + "\n");
    for model in ["model", "deep", "cut", "characters"] {
        let scores = workbench
            .run(&format!("score lines.txt --model {model} --device cpu"))
            .succeeds()
            .stdout;
        let expected: Vec<f64> = scores
            .lines()
            .map(|line| line.parse().expect("a number"))
            .collect();
        for form in ["sentence", "step"] {
            workbench
                .run(&format!(
                    "export --onnx --model {model} --out lm.onnx --form {form} --force"
                ))
                .succeeds();
            compare(
                &workbench,
                &["lm.onnx", &format!("{model}/vocab.txt"), "lines.txt"],
                &expected,
            );
        }
    }
}
