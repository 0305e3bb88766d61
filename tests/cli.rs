//! The command line: training, resuming, help and files.

use std::process::Stdio;

use crate::command::{Run, Workbench, small_text};
use crate::harness::{apply, test};

#[apply(test)]
fn train_eval_score_generate_inspect() {
    let workbench = Workbench::with_model();
    for file in [
        "model.safetensors",
        "config.json",
        "vocab.txt",
        "training.safetensors",
        "training.json",
        "log.jsonl",
    ] {
        assert!(
            workbench.path("model").join(file).is_file(),
            "{file} is missing"
        );
    }
    let eval = workbench
        .run("eval --text train.txt --device cpu")
        .succeeds();
    assert!(eval.stderr.starts_with("device: CPU"), "{}", eval.stderr);
    assert!(eval.stdout.contains("perplexity"), "{}", eval.stdout);
    workbench.write(
        "lines.txt",
        "the boy runs\n\nthe dogs who the cat chases bark\n",
    );
    let score = workbench.run("score lines.txt --device cpu").succeeds();
    let values: Vec<f64> = score
        .stdout
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    assert!(
        values.len() == 3 && values.iter().all(|value| *value < 0.0),
        "{values:?}"
    );
    let per_token = workbench
        .run("score lines.txt --device cpu --per-token")
        .succeeds();
    assert_eq!(
        per_token
            .stdout
            .lines()
            .map(|line| line.split('\t').count())
            .collect::<Vec<_>>(),
        [5, 2, 9]
    );
    let text = workbench
        .run("generate --sentences 3 --device cpu --seed 1")
        .succeeds()
        .stdout;
    assert_eq!(text.lines().count(), 3, "{text}");
    assert_eq!(
        text,
        workbench
            .run("generate --sentences 3 --device cpu --seed 1")
            .succeeds()
            .stdout
    );
    assert_ne!(
        text,
        workbench
            .run("generate --sentences 3 --device cpu --seed 2")
            .succeeds()
            .stdout
    );
    let inspect = workbench.run("inspect model").succeeds().stdout;
    assert!(
        inspect.contains("rnn.weight_hh_l0") && inspect.contains("epoch  2"),
        "{inspect}"
    );
}

#[apply(test)]
fn help_and_version() {
    let workbench = Workbench::new();
    let help = workbench.run("--help").succeeds().stdout;
    let subcommands = subcommands(&help);
    for name in ["train", "ngram", "rescore"] {
        assert!(subcommands.contains(&name), "{name} in {subcommands:?}");
    }
    for name in subcommands {
        let help = workbench.run(&format!("{name} --help")).succeeds().stdout;
        for part in [format!("Usage: elman {name} "), "Options:".to_owned()] {
            assert!(help.contains(&part), "{part:?} in {help}");
        }
    }
    assert!(
        workbench
            .run("--version")
            .succeeds()
            .stdout
            .starts_with("elman ")
    );
    workbench.run("trian").fails(2, &["train"]);
    workbench.run("").fails(2, &["Usage"]);
}

/// The subcommands that the help of the program lists, one a line in its section `Commands:`, where
/// descriptions are indented further.
fn subcommands(help: &str) -> Vec<&str> {
    let section = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    section
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help")
        .collect()
}

#[apply(test)]
fn json_has_documented_keys() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let train = workbench
        .run("train --train train.txt --device cpu --hidden 8 --epochs 1 --json")
        .succeeds();
    for key in ["epochs", "valid_perplexity", "tokens_per_second", "seconds"] {
        train.number(key);
    }
    assert!(
        train.json()["device"]
            .as_str()
            .is_some_and(|device| device.contains("CPU"))
    );
    let eval = workbench
        .run("eval --text train.txt --device cpu --json")
        .succeeds();
    for key in ["tokens", "oov", "log10_prob", "entropy_bits", "perplexity"] {
        eval.number(key);
    }
    assert!(
        (eval.number("perplexity") - eval.number("entropy_bits").exp2()).abs()
            < 1e-6 * eval.number("perplexity")
    );
    workbench.write("lines.txt", "the boy runs\n");
    let score = workbench
        .run("score lines.txt --device cpu --json --per-token")
        .succeeds()
        .json();
    assert_eq!(score["tokens"][0], 4);
    assert_eq!(
        score["token_log10_probs"][0].as_array().map(Vec::len),
        Some(4)
    );
    assert!(workbench.run("devices --json").succeeds().json()["adapters"].is_array());
    assert!(workbench.run("inspect --json").succeeds().json()["config"]["vocab_size"].is_u64());
    let log = String::from_utf8(workbench.read("model/log.jsonl")).expect("UTF-8");
    let record: serde_json::Value =
        serde_json::from_str(log.lines().last().unwrap_or_default()).expect("a record");
    for key in [
        "epoch",
        "train_loss",
        "valid_loss",
        "valid_perplexity",
        "lr",
        "tokens_per_second",
        "seconds",
    ] {
        assert!(record[key].is_number(), "{key} of {record}");
    }
}

#[apply(test)]
fn equal_seeds_give_equal_models() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let train = "train --train train.txt --device cpu --hidden 9 --epochs 2 --batch 3 --bptt 7";
    for (out, seed) in [("a", 1), ("b", 1), ("c", 2)] {
        workbench
            .run(&format!("{train} --out {out} --seed {seed}"))
            .succeeds();
    }
    let [a, b, c] = ["a", "b", "c"].map(|out| workbench.read(&format!("{out}/model.safetensors")));
    assert!(a == b, "the same seed gave two models");
    assert!(a != c, "two seeds gave one model");
}

#[apply(test)]
fn existing_directory_is_not_overwritten() {
    let workbench = Workbench::with_model();
    let before = workbench.read("model/model.safetensors");
    let train = "train --train train.txt --device cpu --hidden 5 --epochs 1 --batch 2 --bptt 4";
    workbench
        .run(train)
        .fails(1, &["model", "--force", "--resume"]);
    assert!(workbench.read("model/model.safetensors") == before);
    workbench.run(&format!("{train} --force")).succeeds();
    assert!(workbench.read("model/model.safetensors") != before);
}

#[apply(test)]
fn resume_keeps_model_and_recipe() {
    let workbench = Workbench::with_model();
    workbench
        .run("train --resume model --hidden 5")
        .fails(2, &["--hidden", "--resume"]);
    workbench
        .run("train --resume model --lr 0.5")
        .fails(2, &["--lr", "--resume"]);
    workbench.write("other.txt", small_text() + "more words\n");
    workbench
        .run("train --resume model --train other.txt --epochs 3 --device cpu")
        .fails(1, &["other.txt", "SHA-256"]);
    workbench
        .run("train --resume model --device cpu --epochs 3 --json")
        .succeeds();
    assert_eq!(
        workbench.run("inspect --json").succeeds().json()["training"]["progress"]["epochs"],
        3
    );
    // Three epochs in two runs are bit-identical to three epochs in one.
    let resumed = workbench.read("model/model.safetensors");
    workbench
        .run(
            "train --train train.txt --device cpu --hidden 12 --epochs 3 --batch 4 --bptt 5 \
        --out whole",
        )
        .succeeds();
    assert!(
        workbench.read("whole/model.safetensors") == resumed,
        "a resumed run differs from a whole one"
    );
}

#[apply(test)]
fn schedule_with_fixed_epochs_keeps_them() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    for schedule in ["cosine", "linear", "one-cycle"] {
        let train =
            "train --train train.txt --device cpu --hidden 5 --epochs 2 --batch 4 --bptt 9 --out";
        workbench
            .run(&format!("{train} {schedule} --schedule {schedule}"))
            .succeeds();
        let resume = format!("train --device cpu --resume {schedule} --epochs");
        workbench.run(&format!("{resume} 3")).fails(
            2,
            &[
                "--epochs 3",
                &format!("--schedule {schedule}"),
                "which is 2",
            ],
        );
        workbench.run(&format!("{resume} 2")).succeeds();
    }
}

#[apply(test)]
fn final_model_is_that_of_the_best_epoch() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let train = "train --train train.txt --valid train.txt --device cpu --hidden 6 --batch 2 \
        --bptt 4 --json \
                 --schedule constant --optimizer sgd --lr 30 --epochs 6";
    for (keep, kept) in [("best", "(kept: epoch "), ("last", "after 6 epochs, ")] {
        let run = workbench
            .run(&format!("{train} --keep {keep} --out {keep}"))
            .succeeds();
        assert!(run.stdout.contains(kept), "{}", run.stdout);
        let log = String::from_utf8(workbench.read(&format!("{keep}/log.jsonl"))).expect("UTF-8");
        let records = log
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a record"));
        let perplexities: Vec<f64> = records
            .filter_map(|record| record["valid_perplexity"].as_f64())
            .collect();
        let [best, last] = [
            perplexities.iter().copied().fold(f64::INFINITY, f64::min),
            perplexities[5],
        ];
        assert!(
            best < last,
            "the last epoch is the best; the test proves nothing: {perplexities:?}"
        );
        let want = if keep == "best" { best } else { last };
        let eval = workbench
            .run(&format!(
                "eval --text train.txt --device cpu --model {keep} --json"
            ))
            .succeeds()
            .number("perplexity");
        for got in [run.number("valid_perplexity"), eval] {
            assert!(
                (got - want).abs() <= 1e-9 * want,
                "--keep {keep}: {got}, of {perplexities:?}"
            );
        }
    }
}

/// Every file has the mode that the umask gives a file of `File::create` in its directory.
#[cfg(unix)]
#[apply(test)]
fn files_are_written_with_the_default_mode() {
    use std::os::unix::fs::PermissionsExt;

    let mode = |path: &std::path::Path| {
        let metadata =
            std::fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        metadata.permissions().mode() & 0o777
    };
    let workbench = Workbench::with_model();
    for arguments in [
        "export --onnx --out model.onnx",
        "export --vectors output --out vectors.txt",
        "ngram --text train.txt --order 2 --out model.arpa",
        "ngram --text train.txt --order 2 --out model.arpa.gz",
    ] {
        workbench.run(arguments).succeeds();
    }
    let mut files: Vec<_> = ["model.onnx", "vectors.txt", "model.arpa", "model.arpa.gz"]
        .iter()
        .map(|name| workbench.path(name))
        .collect();
    let checkpoint = std::fs::read_dir(workbench.path("model")).expect("a directory");
    files.extend(checkpoint.map(|entry| entry.expect("an entry").path()));
    files.retain(|path| path.is_file());
    assert_eq!(files.len(), 4 + 7, "{files:?}");

    let plain = workbench.path("plain");
    std::fs::File::create(&plain).expect("a file created");
    let expected = mode(&plain);
    for file in files {
        let found = mode(&file);
        assert_eq!(found, expected, "{}: {found:o}", file.display());
    }
}

#[cfg(unix)]
#[apply(test)]
fn closed_pipe_is_not_an_error() {
    let workbench = Workbench::with_model();
    let mut child = workbench
        .command("generate --tokens 100000 --device cpu")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    Run::new("generate | true", output).succeeds();
}

#[cfg(unix)]
#[apply(test)]
fn ctrl_c_saves_and_stops() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let mut child = workbench
        .command(
            "train --train train.txt --device cpu --hidden 12 --epochs 1000000 --schedule \
            constant --batch 4 --bptt 5",
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // The first checkpoint shows that training has started.
    while !workbench.path("model").join("training.json").exists() {
        assert!(
            child.try_wait().expect("its state").is_none(),
            "it ended by itself"
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let killed = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .expect("kill runs");
    assert!(killed.success());
    let run = Run::new(
        "train, interrupted",
        child.wait_with_output().expect("it ends"),
    )
    .fails(130, &[]);
    assert!(
        run.stderr.contains("--resume model continues"),
        "{}",
        run.stderr
    );
    workbench
        .run("eval --text train.txt --device cpu")
        .succeeds();
    let epochs =
        workbench.run("inspect --json").succeeds().json()["training"]["progress"]["epochs"]
            .as_u64()
            .expect("a number");
    workbench
        .run(&format!(
            "train --resume model --device cpu --epochs {}",
            epochs + 1
        ))
        .succeeds();
}
