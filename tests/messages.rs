//! Which messages are printed: `--quiet`, `--verbose`, `--color` and `ELMAN_LOG`.

use crate::command::{Run, Workbench};
use crate::harness::{apply, test};

const TRAIN: &str = "train --train train.txt --device cpu --hidden 8 --epochs 2 --batch 4";

/// The program with a variable of the environment.
fn with_variable(workbench: &Workbench, name: &str, value: &str, line: &str) -> Run {
    let mut command = workbench.command(line);
    Run::new(line, command.env(name, value).output().expect("it starts"))
}

#[apply(test)]
fn quiet_leaves_results_warnings_and_errors() {
    let workbench = Workbench::with_model();
    let run = workbench.run(&format!("{TRAIN} -q -o quiet")).succeeds();
    assert_eq!(run.stderr, "");
    assert!(
        run.stdout.starts_with("validation perplexity ") && !run.stdout.contains("try next"),
        "{}",
        run.stdout
    );
    let loud = workbench.run("eval --text train.txt --device cpu -m model");
    let quiet = workbench.run("eval --text train.txt --device cpu -m model --quiet");
    assert_eq!(quiet.stderr, "");
    assert_eq!(quiet.stdout, loud.succeeds().stdout);
    let warned = workbench.run("eval --text train.txt --device cpu --threads 999 -q");
    assert!(
        warned.stderr.starts_with("warning: --threads 999"),
        "{}",
        warned.stderr
    );
    workbench
        .run("-q eval --text none.txt --device cpu")
        .fails(1, &["error: ", "none.txt"]);
    workbench
        .run(&format!("{TRAIN} -q -v -o both"))
        .fails(2, &["--quiet", "--verbose"]);
}

#[apply(test)]
fn verbose_and_elman_log_print_log_records() {
    let workbench = Workbench::with_model();
    let line = "eval --text train.txt --device cpu";
    let is_timed = |run: &Run| {
        run.stderr
            .contains("info: elman::activity: reading train.txt: ")
    };
    assert!(!is_timed(&workbench.run(line).succeeds()));
    assert!(is_timed(&workbench.run(&format!("{line} -v")).succeeds()));
    let logged = with_variable(&workbench, "ELMAN_LOG", "elman=info", line).succeeds();
    assert!(is_timed(&logged), "{}", logged.stderr);
    let other = with_variable(&workbench, "ELMAN_LOG", "wgpu_core=info", line).succeeds();
    assert!(!is_timed(&other), "{}", other.stderr);
}

#[apply(test)]
fn colors_are_chosen() {
    let workbench = Workbench::new();
    let fails = "eval --text none.txt --model none --device cpu";
    let is_colored = |run: Run| run.fails(1, &["none"]).stderr.contains("\x1b[");
    assert!(!is_colored(workbench.run(fails)), "not a terminal");
    assert!(is_colored(
        workbench.run(&format!("{fails} --color always"))
    ));
    assert!(is_colored(
        workbench.run(&format!("--color=always {fails}"))
    ));
    assert!(!is_colored(
        workbench.run(&format!("{fails} --color never"))
    ));
    // The parser's own messages and help have colors too.
    for line in ["train --help", "train --nothing"] {
        let text = |color: &str| {
            let run = workbench.run(&format!("{line} --color {color}"));
            run.stdout + &run.stderr
        };
        assert!(text("always").contains("\x1b["), "{line}");
        assert!(!text("never").contains("\x1b["), "{line}");
        assert!(!text("auto").contains("\x1b["), "{line}");
    }
    workbench
        .run("train --color sometimes")
        .fails(2, &["sometimes", "auto", "always", "never"]);
}

#[apply(test)]
fn files_of_flags_do_not_choose_messages() {
    let workbench = Workbench::with_model();
    for flag in ["quiet = true", "verbose = true", "color = \"never\""] {
        workbench.write("flags.toml", flag);
        workbench
            .run(&format!("{TRAIN} -o out --config flags.toml"))
            .fails(2, &[flag, "on the command line only"]);
    }
}
