//! A training step of a network that PyTorch has no layer for, against a script of `tests/pytorch`
//! that computes its equations.

use std::process::Command;

use super::compare::assert_close;
use super::step_subject::STEP;
use crate::command::{Run, Workbench, small_text};
use crate::environment::python;

/// The learning rate of the update.
const RATE: &str = "0.5";

/// Compares PyTorch's scores, and its parameters after one update on a window that is the whole
/// text, with those of the networks that `cell` and each of `variants` describe.
///
/// # Panics
/// If they differ, or the script fails.
pub fn check_step(script: &str, cell: &str, variants: &[&str]) {
    let workbench = Workbench::new();
    let lines: Vec<String> = small_text().lines().take(12).map(str::to_owned).collect();
    let tokens: usize = lines.iter().map(|line| line.split(' ').count() + 1).sum();
    workbench.write("train.txt", lines.join("\n") + "\n");
    for flags in variants {
        for (rate, out) in [("1e-30", "before"), (RATE, "after")] {
            workbench
                .run(&format!(
                    "train --train train.txt --valid train.txt --device cpu --cell {cell} \
                     --hidden 7 --batch 1 --bptt {tokens} --epochs 1 --optimizer sgd \
                     --schedule constant --clip 0 --seed 1 {flags} --lr {rate} --out {out} --force"
                ))
                .succeeds();
        }
        let found = run_script(&workbench, script);
        assert!(
            found[0] < 1e-6,
            "{flags}: parameters differ by {}",
            found[0]
        );
        let scores = workbench
            .run("score train.txt --model before --device cpu --json")
            .succeeds()
            .numbers("log10_prob");
        assert_close(flags, &scores, &found[1..], STEP);
    }
}

/// Runs the script on the models before and after the update.
fn run_script(workbench: &Workbench, script: &str) -> Vec<f64> {
    let path = format!("{}/tests/pytorch/{script}", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python())
        // Python would write its compiled modules beside the scripts.
        .args(["-B", &path, "before", "after", "train.txt", RATE])
        .current_dir(workbench.path(""))
        .output()
        .expect("Python runs");
    let run = Run::new(&format!("(python {script})"), output).succeeds();
    let number = |line: &str| line.parse().expect("a number");
    run.stdout.lines().map(number).collect()
}
