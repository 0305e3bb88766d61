//! `elman compare`: the figures of its table are those of the other commands, budgets end training,
//! and an interrupted comparison continues.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::command::{Run, Workbench, small_text};
use crate::harness::{apply, test};

const COMPARE: &str = "compare train.txt --device cpu --threads 1";

const RECIPES: &str = "[wide]\nhidden = 9\nepochs = 2\nbatch = 4\nbptt = 5\n\n[gated]\ncell = \
                       \"gru\"\nhidden = 5\nepochs = 1\nbatch = 4\n";

/// A workbench with a training text, other texts of the same grammar, and two recipes.
fn workbench() -> Workbench {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    for (name, seed) in [("valid.txt", 3), ("test.txt", 5)] {
        let text = elman::corpus::builtin::draw(40, seed)
            .expect("the grammar draws")
            .text;
        workbench.write(name, text + "the xylophone runs\n");
    }
    workbench.write("recipes.toml", RECIPES);
    workbench
}

/// The row of a model.
fn row(table: &Value, name: &str) -> Value {
    let rows = table["rows"].as_array().expect("rows");
    let found = rows.iter().find(|row| row["name"] == name);
    found.unwrap_or_else(|| panic!("{name} in {table}")).clone()
}

fn names(table: &Value) -> Vec<&str> {
    let rows = table["rows"].as_array().expect("rows");
    rows.iter().filter_map(|row| row["name"].as_str()).collect()
}

/// The figures of `elman eval`.
fn eval(workbench: &Workbench, flags: &str) -> (Value, Value) {
    let run = format!("eval --device cpu --threads 1 --json {flags}");
    let json = workbench.run(&run).succeeds().json();
    (json["perplexity"].clone(), json["tokens"].clone())
}

fn figures(row: &Value, column: &str) -> (Value, Value) {
    (
        row[column]["perplexity"].clone(),
        row[column]["tokens"].clone(),
    )
}

#[apply(test)]
fn figures_are_those_of_eval() {
    let workbench = workbench();
    let texts = "--valid valid.txt --test test.txt";
    let table = workbench
        .run(&format!(
            "{COMPARE} --recipe recipes.toml {texts} --dynamic 0.1 --json"
        ))
        .succeeds()
        .json();
    assert_eq!(names(&table), ["wide", "gated", "Kneser-Ney 5"]);
    assert_eq!(table["measured_on"], "test");
    for name in ["wide", "gated"] {
        let model = format!("--model compare/{name}");
        let row = row(&table, name);
        let ngrams = "--arpa compare/kn5.arpa --tune valid.txt";
        for (column, flags) in [
            ("valid", format!("{model} --text valid.txt")),
            ("test", format!("{model} --text test.txt")),
            ("dynamic", format!("{model} --text test.txt --dynamic 0.1")),
            ("mixed", format!("{model} --text test.txt {ngrams}")),
        ] {
            assert_eq!(
                figures(&row, column),
                eval(&workbench, &flags),
                "{name} {column}"
            );
        }
        let inspect = workbench
            .run(&format!("inspect --json compare/{name}"))
            .succeeds()
            .json();
        assert_eq!(row["epochs"], inspect["training"]["progress"]["epochs"]);
        assert!(row["parameters"].as_u64() > Some(100), "{row}");
    }
    let kneser_ney = row(&table, "Kneser-Ney 5");
    let ngram = workbench
        .run("ngram --arpa compare/kn5.arpa --test test.txt --json")
        .succeeds()
        .json();
    assert_eq!(kneser_ney["test"]["tokens"], ngram["tokens"]);
    assert_eq!(kneser_ney["test"]["perplexity"], ngram["perplexity"]);
    // The models exist now: they are evaluated, and the text has the figures with the digits of
    // `elman eval`.
    let models = "--models compare/wide,compare/gated --out other";
    let run = workbench
        .run(&format!("{COMPARE} {models} {texts} --dynamic 0.1"))
        .succeeds();
    let again = workbench
        .run(&format!(
            "{COMPARE} {models} {texts} --dynamic 0.1 --json --force"
        ))
        .succeeds()
        .json();
    for name in ["wide", "gated"] {
        let wanted = row(&table, name);
        let line = run
            .stdout
            .lines()
            .find(|line| line.starts_with(name))
            .expect("a row");
        for column in ["valid", "test", "dynamic", "mixed"] {
            let perplexity = wanted[column]["perplexity"].as_f64().expect("a number");
            let cell = format!("{perplexity:.4}");
            assert!(
                line.split_whitespace().any(|one| one == cell),
                "{cell} in {line}"
            );
            assert_eq!(
                figures(&row(&again, name), column),
                figures(&wanted, column)
            );
        }
    }
}

#[apply(test)]
fn held_out_tenth_is_measured_without_a_test_text() {
    let workbench = workbench();
    let run = workbench
        .run(&format!(
            "{COMPARE} --recipe recipes.toml --models seed --minutes 0.02 --json"
        ))
        .succeeds();
    let table = run.json();
    assert_eq!(names(&table), ["seed", "wide", "gated", "Kneser-Ney 5"]);
    assert_eq!(
        (&table["measured_on"], &table["test"]),
        (&"valid".into(), &Value::Null)
    );
    // The held-out part is the last lines of the text.
    let tokens = table["valid"]["tokens"].as_u64().expect("a number") as usize;
    let text = small_text();
    let mut lines: Vec<&str> = text.lines().rev().collect();
    let mut counted = 0;
    let is_held_out = |line: &&str| {
        let is_needed = counted < tokens;
        counted += line.split_whitespace().count() + 1;
        is_needed
    };
    let held_out: Vec<&str> = lines.drain(..).take_while(is_held_out).collect();
    let held_out: String = held_out
        .iter()
        .rev()
        .map(|line| format!("{line}\n"))
        .collect();
    workbench.write("tenth.txt", held_out);
    let row = row(&table, "wide");
    for (column, flags) in [
        ("valid", ""),
        ("dynamic", "--dynamic 0.05"),
        ("mixed", "--arpa compare/kn5.arpa --lambda 0.5"),
    ] {
        let wanted = eval(
            &workbench,
            &format!("--model compare/wide --text tenth.txt {flags}"),
        );
        assert_eq!(figures(&row, column), wanted, "{column}");
    }
    assert_eq!(row["test"], Value::Null);
}

#[apply(test)]
fn budget_ends_training_and_plans_schedules() {
    let workbench = workbench();
    let long = "hidden = 16\nbatch = 1\nbptt = 4\nepochs = 5000";
    let text = format!(
        "[cut]\n{long}\nschedule = \"constant\"\n[planned]\n{long}\nschedule = \"cosine\"\n"
    );
    workbench.write("long.toml", text);
    let run = workbench
        .run(&format!(
            "{COMPARE} --recipe long.toml --minutes 0.01 --dynamic 0 --json"
        ))
        .succeeds();
    let table = run.json();
    let cut = row(&table, "cut");
    assert_eq!(cut["cut_short"], true, "{cut}");
    assert!(
        cut["epochs"].as_u64() < Some(5000) && cut["valid"]["perplexity"].is_f64(),
        "{cut}"
    );
    assert_eq!(cut["dynamic"], Value::Null);
    assert!(
        run.stderr.contains("of 5000 epochs are planned"),
        "{}",
        run.stderr
    );
    let inspect = workbench
        .run("inspect --json compare/planned")
        .succeeds()
        .json();
    let epochs = inspect["training"]["recipe"]["epochs"].as_u64();
    assert!(epochs >= Some(1) && epochs < Some(5000), "{epochs:?}");
    // A run that its budget has ended is complete.
    let resumed = workbench
        .run("train --resume compare/cut --device cpu --threads 1")
        .succeeds();
    assert!(
        resumed.stderr.contains("budget of time ended it"),
        "{}",
        resumed.stderr
    );
}

/// A comparison that has started to train its second model.
fn start(workbench: &Workbench, arguments: &str) -> std::process::Child {
    let mut run = workbench
        .command(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let stderr = run.stderr.take().expect("a pipe");
    let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
    assert!(
        lines.any(|line| line.starts_with("long (2 of 2)")),
        "the second model"
    );
    assert!(lines.any(|line| line.starts_with("epoch  1 ")), "an epoch");
    // The rest is read, so that the pipe neither fills nor breaks.
    std::thread::spawn(move || lines.count());
    run
}

#[apply(test)]
#[ignore_unless(cfg!(unix))]
fn interrupted_comparison_continues() {
    let workbench = workbench();
    let recipes = "[first]\nhidden = 5\nepochs = 1\n[long]\nhidden = 24\nbatch = 1\nbptt = \
                   4\nschedule = \"constant\"\nepochs = 10000\n";
    workbench.write("two.toml", recipes);
    let compare = format!("{COMPARE} --recipe two.toml --dynamic 0 --json");
    let child = start(&workbench, &format!("{compare} --minutes 10"));
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status();
    assert!(sent.is_ok_and(|status| status.success()), "kill");
    let run = Run::new(&compare, child.wait_with_output().expect("the run ends"));
    assert_eq!(run.code, Some(143));
    let first = workbench.read("compare/first/model.safetensors");
    workbench
        .run(&format!("{compare} --minutes 10"))
        .fails(1, &["compare/first", "--resume", "--force"]);
    // The second run has used more than this budget already.
    let run = workbench
        .run(&format!("{compare} --minutes 0.0001 --resume"))
        .succeeds();
    assert!(
        run.stderr.contains("compare/first: complete"),
        "{}",
        run.stderr
    );
    assert!(workbench.read("compare/first/model.safetensors") == first);
    let table = run.json();
    assert_eq!(row(&table, "long")["cut_short"], true);
    assert_eq!(row(&table, "first")["epochs"], 1);
    // Another recipe is not resumed.
    workbench.write("two.toml", recipes.replace("hidden = 5", "hidden = 6"));
    let run = workbench.run(&format!("{compare} --minutes 0.0001 --resume"));
    run.fails(1, &["first: --hidden 6 with --resume", "--hidden 5"]);
}

#[apply(test)]
fn a_run_that_its_budget_ends_between_epochs_is_cut_short() {
    let workbench = workbench();
    let recipe = "[long]\nhidden = 5\nschedule = \"constant\"\nepochs = 1\n";
    workbench.write("one.toml", recipe);
    let compare = format!("{COMPARE} --recipe one.toml --dynamic 0 --json --minutes");
    let whole = workbench.run(&format!("{compare} 10")).succeeds().json();
    assert_eq!(row(&whole, "long")["cut_short"], false);
    // The same run as if it had more epochs, and had been interrupted after the first.
    workbench.write("one.toml", recipe.replace("epochs = 1", "epochs = 10000"));
    let record = workbench.read("compare/long/training.json");
    let record = String::from_utf8(record).expect("JSON");
    let longer = record.replace(
        "\"epochs\": 1,\n    \"optimizer\"",
        "\"epochs\": 10000,\n    \"optimizer\"",
    );
    assert_ne!(record, longer);
    workbench.edit("compare/long/training.json", longer);
    let run = workbench.run(&format!("{compare} 0.000001 --resume"));
    let table = run.succeeds().json();
    assert_eq!(row(&table, "long")["cut_short"], true, "{table}");
    assert_eq!(row(&table, "long")["epochs"], 1, "{table}");
}

#[apply(test)]
fn models_of_other_vocabularies_have_a_note() {
    let workbench = workbench();
    workbench
        .run("train --train train.txt --device cpu --unit char --hidden 6 --epochs 1 --out chars")
        .succeeds();
    let table = workbench
        .run(&format!(
            "{COMPARE} --models chars --recipe recipes.toml --test test.txt --min-count 2 --json"
        ))
        .succeeds()
        .json();
    let chars = row(&table, "chars");
    assert!(
        chars["notes"][0]
            .as_str()
            .is_some_and(|note| note.contains("do not compare"))
    );
    assert_eq!(
        figures(&chars, "test"),
        eval(&workbench, "--model chars --text test.txt")
    );
    assert_eq!(chars["mixed"], Value::Null);
    assert_eq!(chars["kind"], "model");
    let vocabulary = workbench.read("compare/wide/vocab.txt");
    assert!(vocabulary == workbench.read("compare/gated/vocab.txt"));
    assert_eq!(row(&table, "gated")["vocab_size"], table["vocab_size"]);
}

#[apply(test)]
fn wrong_use_is_explained() {
    let workbench = workbench();
    workbench.write("empty.toml", "");
    workbench.write("outside.toml", "lr = 0.1\n");
    workbench.write("typo.toml", "[small]\nhidden = 5\n\n[other]\nlern = 3\n");
    workbench.write("rule.toml", "[small]\ndropout = 1.5\n");
    workbench.write("train.toml", "[small]\ntrain = \"x\"\n");
    workbench.write("twice.toml", "[seed]\nhidden = 5\n");
    workbench.write("path.toml", "[\"a/b\"]\nhidden = 5\n");
    workbench.write("units.toml", "[a]\nhidden = 5\n[b]\nunit = \"char\"\n");
    for (flags, code, parts) in [
        ("", 2, &["no model to compare", "--models"][..]),
        ("--recipe empty.toml", 2, &["empty.toml", "no model"]),
        (
            "--models seed,newton",
            2,
            &["--models newton", "preset", "ptb-small"],
        ),
        ("--models seed,seed", 2, &["seed", "two rows"]),
        (
            "--models seed --recipe twice.toml",
            2,
            &["seed", "two rows"],
        ),
        ("--models absent.toml", 1, &["absent.toml"]),
        ("--recipe absent.toml", 1, &["absent.toml"]),
        (
            "--recipe outside.toml",
            2,
            &["outside.toml, line 1", "lr", "no table"],
        ),
        (
            "--recipe typo.toml",
            2,
            &["typo.toml, line 5", "lern = 3", "--lr"],
        ),
        ("--recipe rule.toml", 2, &["small", "1.5", "below 1"]),
        ("--recipe train.toml", 2, &["train.toml", "train", "TEXT"]),
        ("--recipe path.toml", 2, &["a/b", "directory"]),
        (
            "--recipe units.toml",
            2,
            &["b: its tokens are chars", "--unit char"],
        ),
        ("--models seed --minutes 0", 2, &["--minutes 0", "above 0"]),
        (
            "--models seed --minutes -1",
            2,
            &["--minutes -1", "above 0"],
        ),
        ("--models seed --dynamic -1", 2, &["--dynamic -1"]),
        ("--models seed --valid absent.txt", 1, &["absent.txt"]),
        ("--models seed --test absent.txt", 1, &["absent.txt"]),
        (
            "--models seed --force --resume",
            2,
            &["--force", "--resume"],
        ),
        ("--models .", 1, &["config.json"]),
    ] {
        workbench
            .run(&format!("{COMPARE} {flags}"))
            .fails(code, parts);
    }
    workbench.run("compare --models seed").fails(2, &["TEXT"]);
    workbench
        .run("compare absent.txt --models seed --device cpu")
        .fails(1, &["absent.txt"]);
    workbench
        .run("compare - --models seed")
        .fails(2, &["standard input"]);
    assert!(
        !workbench.path("compare/seed").exists(),
        "a rejected run wrote something"
    );
}

/// A model that fails has a row without figures, and the others are compared.
#[apply(test)]
fn failure_of_one_model_is_a_row() {
    let workbench = workbench();
    let recipes = "[wild]\nhidden = 5\noptimizer = \"sgd\"\nlr = 1e30\nactivation = \
                   \"relu\"\n[tame]\nhidden = 5\nepochs = 1\n";
    workbench.write("wild.toml", recipes);
    let run = workbench.run(&format!("{COMPARE} --recipe wild.toml --dynamic 0 --json"));
    let run = run.fails(1, &["error: wild: training diverged"]);
    let table = run.json();
    assert!(
        row(&table, "wild")["error"]
            .as_str()
            .is_some_and(|text| text.contains("diverged"))
    );
    assert!(row(&table, "tame")["valid"]["perplexity"].is_f64());
}
