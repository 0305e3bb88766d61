//! Presets, configuration files, repeated runs, and flags that a resumed run rejects.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use crate::command::{Workbench, small_text};
use crate::harness::{apply, test};

/// A workbench with a text.
fn with_text() -> Workbench {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench
}

/// The presets that the program accepts: those that it names when it rejects another.
fn presets(workbench: &Workbench) -> Vec<String> {
    let stderr = workbench.run("train --preset newton").fails(2, &[]).stderr;
    let names = stderr
        .split_once("[possible values: ")
        .and_then(|(_, rest)| rest.split_once(']'));
    let (names, _) = names.unwrap_or_else(|| panic!("no presets in {stderr}"));
    names.split(", ").map(str::to_owned).collect()
}

/// Words separated by single spaces, for texts that are wrapped differently.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The help of `--preset` quotes the comment at the head of every preset's file: its source and the
/// expected result.
#[apply(test)]
fn help_describes_every_preset() {
    let workbench = Workbench::new();
    let help = unwrapped(&workbench.run("train --help").succeeds().stdout);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/presets");
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(&folder).expect("the folder of presets") {
        let path = entry.expect("a preset").path();
        let name = path.file_stem().and_then(OsStr::to_str).expect("a name");
        let text = std::fs::read_to_string(&path).expect("a preset");
        let comment: Vec<_> = text
            .lines()
            .map_while(|line| line.strip_prefix("# "))
            .collect();
        assert!(
            comment.iter().any(|line| line.starts_with("Expected: ")),
            "{name}: {comment:?}"
        );
        let description = unwrapped(&format!("- {name}: {}", comment.join(" ")));
        assert!(help.contains(&description), "{description:?} in {help}");
        files.insert(name.to_owned());
    }
    assert_eq!(files, BTreeSet::from_iter(presets(&workbench)));
}

#[apply(test)]
fn every_preset_trains() {
    let workbench = with_text();
    for preset in presets(&workbench) {
        let sizes = match preset.as_str() {
            "awd-lstm" => "--hidden 6,5,4 --embedding 4 --batch 4",
            "awd-qrnn" => "--hidden 6,5,5,4 --embedding 4 --batch 4",
            "mogrifier" => "--hidden 6,6 --embedding 6 --mogrifier-rank 2 --batch 4",
            "awd-lstm-finetune" => "--init awd-lstm --batch 4",
            "ptb-small" | "ptb-medium" | "best-small" | "best" => "--hidden 6 --embedding 5",
            _ => "--hidden 6",
        };
        let run = workbench
            .run(&format!(
                "train --train train.txt --device cpu --preset {preset} {sizes} \
                --epochs 2 --out {preset}"
            ))
            .succeeds();
        assert!(
            run.stderr.contains(&format!("preset {preset}: --")),
            "{}",
            run.stderr
        );
    }
    workbench
        .run("train --train train.txt --preset ptb-smal")
        .fails(2, &["ptb-smal", "ptb-small"]);
    workbench
        .run("train --train train.txt --preset newton")
        .fails(2, &["newton", "seed", "awd-lstm"]);
}

/// The recipe of a run and the configuration of its model.
fn recipe_and_config(workbench: &Workbench, out: &str) -> (serde_json::Value, serde_json::Value) {
    let inspect = workbench
        .run(&format!("inspect --json {out}"))
        .succeeds()
        .json();
    (
        inspect["training"]["recipe"].clone(),
        inspect["config"].clone(),
    )
}

#[apply(test)]
fn flags_override_files_and_presets() {
    let workbench = with_text();
    let config = "preset = \"ptb-medium\"\nhidden = [7, 6]\nlayers = 2\nclip = 2\nvariational = \
        true\nepochs = 1\n";
    workbench.write("mine.toml", config);
    let train = "train --train train.txt --device cpu --embedding 5 --config mine.toml --out";
    let run = workbench
        .run(&format!(
            "{train} a --clip 3 --dropout 0.25 --variational false"
        ))
        .succeeds();
    assert!(run.stderr.starts_with("device: "), "{}", run.stderr);
    let (recipe, model) = recipe_and_config(&workbench, "a");
    // Precedence: command line, configuration file, preset, default.
    for (name, want) in [
        ("clip", 3.0),
        ("epochs", 1.0),
        ("lr", 1.0),
        ("bptt", 35.0),
        ("l2", 0.0),
    ] {
        assert_eq!(recipe[name].as_f64(), Some(want), "{name}");
    }
    assert_eq!(recipe["dropout"]["output"], 0.25);
    assert_eq!(recipe["dropout"]["variational"], false);
    assert_eq!(model["hidden_sizes"], serde_json::json!([7, 6]));
    assert_eq!(model["cell"], "lstm");
    // Values that a preset sets for its own schedule or dropout are dropped with these, and the run
    // reports it.
    let run = workbench
        .run(&format!(
            "{train} b --schedule cosine --preset awd-lstm --tied false \
            --dropout 0.5 --bptt-jitter 0"
        ))
        .succeeds();
    for part in [
        "without --average, as --schedule is given",
        "--dropout-input, as --dropout is given",
    ] {
        assert!(run.stderr.contains(part), "{}", run.stderr);
    }
    let (recipe, model) = recipe_and_config(&workbench, "b");
    assert_eq!(
        (&recipe["average"], &recipe["dropout"]["input"]),
        (&serde_json::json!("off"), &serde_json::json!(0.5))
    );
    assert_eq!(
        (&recipe["dropout"]["weights"], &model["tied"]),
        (&serde_json::json!(0.5), &serde_json::json!(false))
    );
}

/// Flags of the command line drop those of a preset that belong to another output layer. Where a
/// preset's flag cannot be used, the error says where it comes from.
#[apply(test)]
fn flags_of_presets_are_dropped_or_named() {
    let workbench = with_text();
    let train = "train --train train.txt --device cpu --preset best-small --hidden 6 \
        --embedding 5 --epochs 1 --force";
    for (flags, parts) in [
        (
            "--output softmax",
            &["without --samples, as --output is given"][..],
        ),
        (
            "--mixture 3",
            &[
                "--output, as --mixture is given",
                "--samples, as --mixture is given",
                "--projection, as --mixture is given",
            ],
        ),
        ("--output class --tied false", &["--samples, as --output"]),
        ("--cell lstm", &["--forget-bias, as --cell is given"]),
    ] {
        let run = workbench.run(&format!("{train} {flags}")).succeeds();
        for part in parts {
            assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
        }
    }
    for (flags, parts) in [
        (
            "--output class",
            &[
                "--tied true",
                "--tied comes from preset best-small, and --tied false",
            ][..],
        ),
        (
            "--cell elman --batch 0",
            &["--batch 0: it must be at least 1. Use 1 or more\n"],
        ),
    ] {
        workbench.run(&format!("{train} {flags}")).fails(2, parts);
    }
    workbench
        .run("train --train train.txt --device cpu --init model --preset best-small --out tuned")
        .fails(
            2,
            &[
                "with --init: the model is that",
                "comes from preset best-small",
            ],
        );
    workbench.write("mine.toml", "schedule = \"cosine\"\nbptt-jitter = 2\n");
    workbench
        .run("train --train train.txt --device cpu --config mine.toml --out other")
        .fails(
            2,
            &[
                "--bptt-jitter 2 with --schedule",
                "--bptt-jitter comes from mine.toml. --schedule comes from mine.toml",
            ],
        );
}

/// The rate of a run that ends while it warms up never reaches the given one.
#[apply(test)]
fn a_warm_up_longer_than_the_run_is_a_warning() {
    let workbench = Workbench::new();
    workbench.write("train.txt", "a b\n".repeat(10));
    let train = "train --train train.txt --valid train.txt --device cpu --hidden 4 --batch 1 \
        --bptt 30 --epochs 2 --force";
    for (flags, updates) in [("--warm-up 3", Some("2 updates")), ("--warm-up 2", None)] {
        let run = workbench.run(&format!("{train} {flags}")).succeeds();
        assert!(run.stderr.contains("; 1 window an epoch"), "{}", run.stderr);
        let warning = updates.map(|updates| format!("--warm-up 3: the run has {updates}"));
        match warning {
            Some(warning) => assert!(run.stderr.contains(&warning), "{}", run.stderr),
            None => assert!(!run.stderr.contains("warm-up 2:"), "{}", run.stderr),
        }
    }
}

#[apply(test)]
fn run_is_repeated_from_its_model() {
    let workbench = with_text();
    let flags = "--unit word --min-count 3 --cell gru --hidden 7,5 --embedding 4 --tied \
        --projection --dropout 0.2 --optimizer adam --lr 0.01 --schedule plateau --bptt 6 \
        --bptt-jitter 2 --batch 3 --clip-value 0.5 --epochs 2 --seed 9";
    workbench
        .run(&format!(
            "train --train train.txt --device cpu {flags} --out first"
        ))
        .succeeds();
    workbench
        .run("train --config first --device cpu --out again")
        .succeeds();
    workbench
        .run("train --config first --device cpu --out other --seed 10")
        .succeeds();
    let [first, again, other] = ["first", "again", "other"]
        .map(|model| workbench.read(&format!("{model}/model.safetensors")));
    assert!(first == again, "a repeated run gave another model");
    assert!(first != other, "two seeds gave one model");
    assert_eq!(
        workbench.read("first/vocab.txt"),
        workbench.read("other/vocab.txt")
    );
    std::fs::remove_file(workbench.path("first/training.json")).expect("a file removed");
    workbench
        .run("train --config first --device cpu --out more")
        .fails(1, &["training.json", "repeat"]);
}

#[apply(test)]
fn error_names_the_wrong_line() {
    let workbench = with_text();
    for (text, parts) in [
        ("lern = 3", &["wrong.toml", "lern = 3", "--lr"][..]),
        ("lr = \"fast\"", &["wrong.toml", "lr = \"fast\"", "invalid"]),
        ("cell = 3.5\nlr = ", &["wrong.toml", "TOML", "line 2"]),
        (
            "[recipe]\nlr = 0.1",
            &["wrong.toml", "recipe", "no flag takes this"],
        ),
        ("date = 2020-01-01", &["wrong.toml", "date"]),
        ("force = true", &["wrong.toml", "force", "command line"]),
        (
            "resume = \"model\"",
            &["wrong.toml", "resume", "command line"],
        ),
        (
            "preset = \"ptb-larg\"",
            &["wrong.toml", "ptb-larg", "ptb-small"],
        ),
        ("hidden = [8, []]", &["wrong.toml", "hidden"]),
        ("schedule = \"cosin\"", &["wrong.toml", "cosin", "cosine"]),
        ("dropout = 1.5", &["--dropout-input 1.5", "below 1"]),
    ] {
        workbench.write("wrong.toml", text);
        workbench
            .run("train --train train.txt --device cpu --config wrong.toml --out new")
            .fails(2, parts);
    }
    workbench
        .run("train --train train.txt --device cpu --config missing.toml --out new")
        .fails(1, &["missing.toml"]);
    workbench
        .run("train --resume model --config wrong.toml")
        .fails(2, &["--config", "--resume"]);
    workbench
        .run("train --resume model --preset seed")
        .fails(2, &["--preset", "--resume"]);
}

#[apply(test)]
fn resuming_rejects_different_flags() {
    let workbench = Workbench::with_model();
    let before = workbench.read("model/training.json");
    for (flags, parts) in [
        (
            "--cell gru",
            &["--cell gru with --resume", "--cell elman"][..],
        ),
        ("--hidden 5", &["--hidden 5 with --resume", "--hidden 12"]),
        ("--hidden 12 --layers 2", &["--layers 2", "--layers 1"]),
        ("--unit char", &["--unit char", "--unit word"]),
        ("--min-count 2", &["--min-count 2", "--min-count 0"]),
        (
            "--vocab-size 9",
            &["--vocab-size 9", "without --vocab-size"],
        ),
        (
            "--optimizer adam --lr 0.1",
            &["--optimizer adam", "--optimizer adagrad"],
        ),
        (
            "--schedule constant",
            &["--schedule constant", "--schedule halve"],
        ),
        (
            "--dropout 0.5",
            &["--dropout-hidden 0.5", "--dropout-hidden 0"],
        ),
        ("--seed 2", &["--seed 2", "--seed 1"]),
        (
            "--bptt-block 2",
            &["--bptt-block 2", "without --bptt-block"],
        ),
    ] {
        workbench
            .run(&format!("train --device cpu --resume model {flags}"))
            .fails(2, parts);
    }
    assert!(
        workbench.read("model/training.json") == before,
        "a rejected run wrote something"
    );
    // Flags that repeat the run's values are accepted.
    workbench
        .run(
            "train --device cpu --resume model --hidden 12 --cell elman --lr 0.1 --batch 4 \
        --epochs 3",
        )
        .succeeds();
}
