//! Exported models in PyTorch: the script of the tests and the snippet of docs/checkpoint-format.md
//! agree with `elman score`.

use std::process::Command;

use super::import::{DEEP, import, workbench};
use crate::command::{Run, Workbench};
use crate::environment::{has_python, python};
use crate::harness::{apply, test};

/// Runs a Python program in the workbench's directory and returns its standard output.
fn run_python(workbench: &Workbench, arguments: &[&str]) -> String {
    let mut command = Command::new(python());
    let output = command
        .args(arguments)
        .current_dir(workbench.path(""))
        .output()
        .expect("Python runs");
    Run::new(&format!("(python {})", arguments[0]), output)
        .succeeds()
        .stdout
}

fn assert_close(ours: f64, theirs: f64, what: &str) {
    assert!(
        (ours - theirs).abs() <= 1e-5 * theirs.abs(),
        "{what}: {ours}, and PyTorch says {theirs}"
    );
}

#[apply(test)]
#[ignore_unless(has_python("torch, safetensors"))]
fn pytorch_agrees_with_score() {
    let workbench = Workbench::new();
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/pytorch/make_checkpoint.py"
    );
    let theirs: serde_json::Value =
        serde_json::from_str(&run_python(&workbench, &[script, "."])).expect("JSON");
    for (case, activation, said) in [
        ("plain", "tanh", "<eos>"),
        (
            "deep",
            "relu",
            "have type F64: their 180 elements were converted to F32, 180 of them rounded to the \
             nearest",
        ),
        ("tied", "tanh", "<eos>"),
        (
            "brief",
            "tanh",
            "have type BF16: their 69 elements were converted to F32, all of them exactly",
        ),
    ] {
        let flags = format!("--out {case} --activation {activation}");
        let run = import(
            &workbench,
            &format!("{case}.safetensors"),
            "vocab.txt",
            &flags,
        )
        .succeeds();
        assert!(
            run.stderr.contains(said) && run.stderr.contains("had id 4"),
            "{case}: {}",
            run.stderr
        );
        let ours = workbench
            .run(&format!(
                "score lines.txt --model {case} --device cpu --json --per-token"
            ))
            .succeeds()
            .json();
        let lines = theirs[case].as_array().expect("lines");
        assert_eq!(
            (
                lines.len(),
                ours["token_log10_probs"].as_array().map(Vec::len)
            ),
            (4, Some(4))
        );
        for (line, theirs) in lines.iter().enumerate() {
            let [ours, theirs] = [&ours["token_log10_probs"][line], theirs]
                .map(|line| line.as_array().expect("tokens"));
            assert_eq!(ours.len(), theirs.len());
            for (token, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                let [ours, theirs] =
                    [ours, theirs].map(|number| number.as_f64().expect("a number"));
                assert_close(ours, theirs, &format!("{case}, line {line}, token {token}"));
            }
        }
    }
}

/// The Python code of the documentation after the comment that introduces it.
fn snippet() -> String {
    let page = include_str!("../docs/checkpoint-format.md");
    let lines = page
        .lines()
        .skip_while(|line| !line.starts_with("<!-- tests/import_pytorch.rs"))
        .skip(1);
    let lines = lines
        .skip_while(|line| line.is_empty())
        .take_while(|line| line.is_empty() || line.starts_with("    "));
    lines
        .map(|line| line.strip_prefix("    ").unwrap_or(line).to_owned() + "\n")
        .collect()
}

#[apply(test)]
#[ignore_unless(has_python("torch, safetensors"))]
fn documented_snippet_agrees_with_score() {
    let lstm = "--cell lstm --layers 3 --embedding 7 --hidden 9";
    for flags in [
        DEEP,
        "--cell gru --embedding 8 --hidden 8 --tied",
        lstm,
        "--cell lstm --embedding 8 --hidden 8 --tied",
    ] {
        let workbench = workbench(&[("model", flags)]);
        workbench.write("snippet.py", snippet());
        workbench.write("line.txt", "the boy runs\n");
        let theirs: f64 = run_python(&workbench, &["snippet.py"])
            .trim()
            .parse()
            .expect("a number");
        let ours = workbench
            .run("score line.txt --device cpu --json")
            .succeeds()
            .json()["log10_prob"][0]
            .as_f64()
            .expect("a number");
        assert_close(ours, theirs, flags);
        assert!(
            ours < -1.0,
            "three words and an end have a probability of {ours}"
        );
    }
}
