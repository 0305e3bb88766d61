//! `mpirun elman eval`, `ngram --model` and `compare`: the results of one process, and errors.

use super::environment::slow_tests;
use super::mpi::{has_mpi, on};
use super::mpi_scoring::{assert_equal_output, fails_once, workbench};
use crate::command::{Run, Workbench};
use crate::harness::{apply, test};

const EVAL: &str = "eval --device cpu --threads 1";

/// Parts of the text.
fn write_texts(workbench: &Workbench) {
    let text = String::from_utf8(workbench.read("train.txt")).expect("UTF-8");
    let lines: Vec<&str> = text.lines().collect();
    for (name, lines) in [
        ("a.txt", &lines[..100]),
        ("b.txt", &lines[100..250]),
        ("c.txt", &lines[..4]),
    ] {
        workbench.write(name, lines.join("\n"));
    }
}

#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn evaluations_are_those_of_one_process() {
    let workbench = workbench();
    write_texts(&workbench);
    for flags in [
        "--text a.txt b.txt c.txt train.txt",
        "--text a.txt b.txt --json --model model --model other --arpa kn.arpa --tune c.txt",
        "--text c.txt a.txt --dynamic 0.1 --cache 20",
        "--text train.txt --independent --json",
        "--text c.txt --independent",
        "--text train.txt a.txt --independent --json --model model --model other",
        "--text train.txt --independent --format rnnlm --arpa kn.arpa",
    ] {
        assert_equal_output(&workbench, &format!("{EVAL} {flags}"));
    }
}

/// A rank with some of the streams has other matrix products, whose rounding may differ.
#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn streams_have_the_entropy_of_one_process() {
    let workbench = workbench();
    write_texts(&workbench);
    for (count, streams) in [(2, 2), (2, 6), (3, 6)] {
        let flags = format!("{EVAL} --text train.txt a.txt --json --streams {streams}");
        let [run, one] = [on(&workbench, count, &flags), workbench.run(&flags)]
            .map(|run| run.succeeds().number("entropy_bits"));
        assert!(
            (run - one).abs() < 1e-8 * one,
            "{flags} on {count} ranks: {run}, {one} on one"
        );
    }
}

#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn generated_text_is_that_of_one_process() {
    let workbench = Workbench::with_model();
    let ngram = "ngram --device cpu --threads 1 --model model --tokens 9000 --order 3 --seed 5";
    workbench.run(&format!("{ngram} --out one.arpa")).succeeds();
    for count in [2, 3] {
        let out = format!("ranks-{count}.arpa");
        let run = format!("{ngram} --out {out} --test train.txt --json");
        on(&workbench, count, &run).succeeds();
        let equal = workbench.read(&out) == workbench.read("one.arpa");
        assert!(equal, "{out} differs");
    }
}

/// The figures of a table of `elman compare`, without times.
fn figures(run: &Run) -> Vec<String> {
    let rows = run.stdout.lines().take_while(|line| !line.is_empty());
    let row = |line: &str| {
        let cells: Vec<&str> = line.split("  ").map(str::trim).collect();
        let cells: Vec<&str> = cells.into_iter().filter(|cell| !cell.is_empty()).collect();
        [&cells[..2], &cells[4..]].concat().join(" ")
    };
    rows.map(row).collect()
}

#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn a_comparison_has_the_figures_of_one_process() {
    let workbench = Workbench::with_model();
    let flags = "epochs = 2\nbatch = 6\nbptt = 5\nhidden = 8";
    workbench.write(
        "recipe.toml",
        format!("[small]\n{flags}\n[cosine]\ncell = 'gru'\nschedule = 'cosine'\n{flags}\n"),
    );
    let compare = "compare train.txt --recipe recipe.toml --models model --minutes 5 --device cpu \
                   --threads 1 --dynamic 0.05";
    let one = workbench.run(&format!("{compare} --out one")).succeeds();
    for count in [2, 3] {
        let out = format!("ranks-{count}");
        let run = on(&workbench, count, &format!("{compare} --out {out}")).succeeds();
        assert_eq!(figures(&run), figures(&one), "{}", run.line);
        let resumed = format!("{compare} --out {out} --resume");
        let resumed = on(&workbench, count, &resumed).succeeds();
        assert_eq!(resumed.stdout, run.stdout, "{}", resumed.line);
    }
}

/// All ranks end in the window in which the time of the first one ends.
#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn time_ends_the_training_of_all_ranks() {
    let workbench = Workbench::with_model();
    workbench.write(
        "long.toml",
        "epochs = 90000\nschedule = \"constant\"\nbatch = 6\nbptt = 5\nhidden = 8\n",
    );
    let compare = "compare train.txt --models long.toml --minutes 0.05 --device cpu --threads 1";
    let run = on(&workbench, 2, compare).succeeds();
    let note = "long: time ended its training";
    assert!(run.stdout.contains(note), "{}", run.stdout);
}

#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn what_ranks_cannot_divide_is_an_error() {
    let workbench = Workbench::with_model();
    write_texts(&workbench);
    for (arguments, parts) in [
        (
            format!("{EVAL} --text train.txt"),
            ["--streams 1: 2 ranks", "--streams 2 or a multiple"],
        ),
        (
            format!("{EVAL} --text train.txt --streams 3"),
            ["--streams 3: 2 ranks", "--streams 2 or --streams 4"],
        ),
        (
            format!("{EVAL} --text train.txt --independent --cache 5"),
            ["--streams 1: 2 ranks", "one process"],
        ),
        (
            format!("{EVAL} --independent --text -"),
            ["standard input on 2 ranks", "every rank reads"],
        ),
        (
            "ngram --text train.txt --out x.arpa".to_owned(),
            ["without --model on 2 ranks", "without mpirun"],
        ),
        (
            "compare train.txt --models missing".to_owned(),
            ["--models missing", "presets"],
        ),
    ] {
        fails_once(&workbench, &arguments, 2, &parts);
    }
    let batch = "epochs = 1\nbatch = 5\nbptt = 5\nhidden = 8\n";
    workbench.write("odd.toml", batch);
    let compare = "compare train.txt --models odd.toml --device cpu";
    fails_once(&workbench, compare, 2, &["odd: --batch 5", "--batch 6"]);
    let missing = format!("{EVAL} --text a.txt missing.txt");
    fails_once(&workbench, &missing, 1, &["rank 1 on", "missing.txt"]);
}
