//! Wrong and repeated flags, and what the program says about them.

use crate::command::{Workbench, small_text};
use crate::harness::{apply, test};

#[apply(test)]
fn wrong_values_are_explained() {
    let workbench = Workbench::with_model();
    workbench.write("wrong.toml", "hidden = \"abc\"\n");
    for (arguments, parts) in [
        ("score --threads 0", &["--threads 0", "at least 1"][..]),
        ("score --threads few", &["--threads few", "whole number"]),
        ("train --hidden abc", &["--hidden abc", "whole number"]),
        (
            "train --epochs -1",
            &["--epochs -1", "whole number without a sign"],
        ),
        (
            "train --force --device cpu --lr -1",
            &["--lr -1", "positive"],
        ),
        ("train --lr fast", &["--lr fast", "must be a number"]),
        (
            "train --preset awd-lstm-finetune",
            &["--preset awd-lstm-finetune", "fine-tunes a model", "--init"],
        ),
        (
            "train --force --device cpu --cell feedforward --embedding 4 --context 1 \
             --reset-states 0.1",
            &["--reset-states 0.1", "no states", "--context of 2"],
        ),
        (
            "train --force --device cpu --temporal-l2 1e40",
            &["--temporal-l2 1e40", "too large for a number of 32 bits"],
        ),
        (
            "train --force --device cpu --l2 1e-60",
            &["--l2 1e-60", "too close to 0"],
        ),
        (
            "train --force --device cpu --cell qrnn --embedding 4 --zoneout 0.9999999999",
            &["--zoneout 0.9999999999, rounded to 1:", "below 1"],
        ),
        (
            "generate --temperature -1",
            &["--temperature -1", "at least 0"],
        ),
        (
            "train --seed 99999999999999999999",
            &["--seed", "too large"],
        ),
        (
            "train --config nodir",
            &["--config nodir", "no such file", "TOML"],
        ),
        (
            "train --resume nodir",
            &["--resume nodir", "no such file", "--out"],
        ),
        (
            "train --config wrong.toml",
            &["wrong.toml", "abc", "whole number"],
        ),
        ("rescore lists", &["--ids", "missing", "first-column"]),
        (
            "import --from rnnlm file",
            &["--out", "missing", "irectory"],
        ),
        (
            "export --vectors",
            &["--vectors", "needs a value", "input, output"],
        ),
        (
            "export --vectors --out v",
            &["--vectors", "needs a value", "input, output"],
        ),
        (
            "export --vectors input",
            &["--out", "missing", "ile to write"],
        ),
        (
            "ngram --text train.txt --test",
            &["--test", "needs a value"],
        ),
    ] {
        let code = if arguments.ends_with("nodir") { 1 } else { 2 };
        let run = workbench.run(arguments).fails(code, parts);
        for jargon in [
            "non-zero type",
            "digit",
            "literal",
            "unexpected argument",
            "No such file",
        ] {
            assert!(!run.stderr.contains(jargon), "{arguments}: {}", run.stderr);
        }
    }
}

#[apply(test)]
fn device_name_is_printed_as_given() {
    let run = Workbench::with_model().run("score --device cuda");
    let run = run.fails(1, &["--device cuda"]);
    assert!(!run.stderr.contains("Name("), "{}", run.stderr);
}

#[apply(test)]
fn last_of_a_repeated_flag_counts() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let train = "train --train train.txt --device cpu --batch 4 --bptt 5 --epochs 1 --json --json";
    workbench
        .run(&format!(
            "{train} --hidden 5 --out other --hidden 6 --out model"
        ))
        .succeeds();
    assert!(!workbench.path("other").exists());
    let inspect = workbench.run("inspect --json").succeeds().json();
    assert_eq!(inspect["config"]["hidden_size"], 6);
    // The command line overrides a file, however often a flag is there.
    workbench.write("mine.toml", "hidden = 9\nlr = 0.2\n");
    workbench
        .run(&format!(
            "{train} --config mine.toml --hidden 7 --hidden 8 --out mine"
        ))
        .succeeds();
    let inspect = workbench.run("inspect mine --json").succeeds().json();
    assert_eq!(inspect["config"]["hidden_size"], 8);
    // Models and texts are collected.
    let eval = "eval --device cpu --model model --model model --weights 9 --weights 1,2";
    let run = workbench
        .run(&format!("{eval} --text train.txt --text train.txt --json"))
        .succeeds();
    assert_eq!(run.json()["texts"].as_array().map(Vec::len), Some(2));
    assert_eq!(run.json()["weights"].as_array().map(Vec::len), Some(2));
}

#[apply(test)]
fn vulkan_layers_are_silent() {
    let workbench = Workbench::new();
    for directory in [None, Some("relative")] {
        let mut command = workbench.command("devices --json");
        command.env_remove("XDG_RUNTIME_DIR");
        command.envs(directory.map(|directory| ("XDG_RUNTIME_DIR", directory)));
        let output = command.output().expect("it runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && !errors.contains("XDG_RUNTIME_DIR"),
            "{errors}"
        );
    }
}

#[apply(test)]
fn devices_state_cooperative_matrices() {
    let workbench = Workbench::new();
    let json = workbench.run("devices --json").succeeds().json();
    let adapters = json["adapters"].as_array().expect("a list");
    for adapter in adapters {
        assert!(adapter["cooperative_matrix"].is_boolean(), "{adapter}");
    }
    let text = workbench.run("devices").succeeds().stdout;
    let lines = text.matches("cooperative matrices ").count();
    assert_eq!(lines, adapters.len(), "{text}");
}

#[apply(test)]
fn large_vocabulary_brings_a_hint() {
    let workbench = Workbench::new();
    let text: String = (0..60_000)
        .map(|number| format!("w{number}{}", if number % 10 == 9 { "\n" } else { " " }))
        .collect();
    workbench.write("train.txt", text);
    workbench.write("valid.txt", "w1 w2 w3\n");
    // The step is refused, before any work is done, because the text is short for the batch.
    let train = "train --train train.txt --valid valid.txt --device cpu --hidden 2 --batch 9999";
    let run = workbench.run(train).fails(1, &["--batch"]);
    assert!(run.stderr.contains("--output class"), "{}", run.stderr);
    let run = workbench.run(&format!("{train} --output class --force"));
    assert!(!run.stderr.contains("full softmax"), "{}", run.stderr);
}
