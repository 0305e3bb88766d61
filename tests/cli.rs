//! The command line: training, evaluation, scoring and generation from end to end.

use std::process::Stdio;

use crate::command::{Run, Workbench, small_text};
use crate::environment::{has_python, python};
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
        .run("generate --sentences 3 --device cpu")
        .succeeds()
        .stdout;
    assert_eq!(text.lines().count(), 3, "{text}");
    assert_eq!(
        text,
        workbench
            .run("generate --sentences 3 --device cpu")
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
            &["--epochs 3", &format!("--schedule {schedule}"), "2 epochs"],
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
            "the last epoch is the best; the test shows nothing: {perplexities:?}"
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

#[apply(test)]
fn carried_scores_sum_to_eval() {
    let workbench = Workbench::with_model();
    let scores = workbench
        .run("score train.txt --carry --json --device cpu")
        .succeeds()
        .json();
    let sum: f64 = scores["log10_prob"]
        .as_array()
        .expect("an array")
        .iter()
        .filter_map(serde_json::Value::as_f64)
        .sum();
    let eval = workbench
        .run("eval --text train.txt --device cpu --json")
        .succeeds()
        .number("log10_prob");
    assert!((sum - eval).abs() <= 1e-6 * eval.abs(), "{sum} and {eval}");
    let scores = workbench
        .run("score train.txt --json --device cpu")
        .succeeds()
        .json();
    let sum: f64 = scores["log10_prob"]
        .as_array()
        .expect("an array")
        .iter()
        .filter_map(serde_json::Value::as_f64)
        .sum();
    let eval = workbench
        .run("eval --text train.txt --device cpu --json --independent")
        .succeeds()
        .number("log10_prob");
    assert!(
        (sum - eval).abs() <= 1e-6 * eval.abs(),
        "independent: {sum} and {eval}"
    );
}

#[apply(test)]
fn several_models_are_averaged() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let train = "train --train train.txt --device cpu --epochs 1 --batch 4 --bptt 8";
    workbench
        .run(&format!("{train} --hidden 9 --out a"))
        .succeeds();
    workbench
        .run(&format!(
            "{train} --cell lstm --hidden 5 --embedding 6 --seed 2 --out b"
        ))
        .succeeds();
    workbench
        .run(&format!("{train} --hidden 9 --min-count 3 --out other"))
        .succeeds();
    let eval = |models: &str| {
        workbench
            .run(&format!(
                "eval --text train.txt --device cpu --json {models}"
            ))
            .succeeds()
    };
    let tokens = |model: &str| {
        let score = workbench
            .run(&format!(
                "score train.txt --device cpu --carry --per-token --json --model {model}"
            ))
            .succeeds()
            .json();
        let lines = score["token_log10_probs"]
            .as_array()
            .expect("lines")
            .clone();
        lines
            .iter()
            .flat_map(|line| line.as_array().expect("a line").clone())
            .map(|one| one.as_f64())
            .collect::<Vec<_>>()
    };
    let mean = |a: f64, b: f64| (0.5 * (10.0_f64.powf(a) + 10.0_f64.powf(b))).log10();
    let want: f64 = tokens("a")
        .into_iter()
        .zip(tokens("b"))
        .filter_map(|(a, b)| Some(mean(a?, b?)))
        .sum();
    let both = eval("--model a --model b");
    assert!(
        (both.number("log10_prob") - want).abs() < 1e-5 * want.abs(),
        "{} and {want}",
        both.number("log10_prob")
    );
    assert_eq!(
        both.number("log10_prob"),
        eval("--model b --model a").number("log10_prob")
    );
    let alone = eval("--model a");
    assert_eq!(both.number("tokens"), alone.number("tokens"));
    assert!(
        (eval("--model a --model a --model a").number("perplexity") / alone.number("perplexity")
            - 1.0)
            .abs()
            < 1e-9
    );
    workbench
        .run("eval --text train.txt --device cpu --model a --model other")
        .fails(1, &["other", "vocabulary", "--min-count"]);
    workbench
        .run("eval --text train.txt --device cpu --model a --model nowhere")
        .fails(1, &["nowhere"]);
}

#[apply(test)]
fn scores_do_not_depend_on_batch() {
    let workbench = Workbench::with_model();
    let long = "the boy runs ".repeat(60);
    let lines = [
        "the boy runs",
        "",
        &long,
        "dogs bark",
        "the boy runs",
        "mary says that the boys run",
    ];
    workbench.write("all.txt", lines.join("\n") + "\n");
    let all = workbench
        .run("score all.txt --device cpu")
        .succeeds()
        .stdout;
    for (line, together) in lines.iter().zip(all.lines()) {
        workbench.write("one.txt", format!("{line}\r\n"));
        let alone = workbench
            .run("score one.txt --device cpu")
            .succeeds()
            .stdout;
        let [alone, together] =
            [alone.trim(), together].map(|text| text.parse::<f64>().expect("a number"));
        assert!(
            (alone - together).abs() <= 2e-6 * alone.abs(),
            "{line:?}: {alone} alone, {together} in company"
        );
    }
    assert_eq!(
        all.lines().next(),
        all.lines().nth(4),
        "equal lines have equal scores"
    );
}

#[apply(test)]
fn unknown_words_are_skipped_or_become_unk() {
    let workbench = Workbench::with_model();
    workbench.write("odd.txt", "the xylophone runs\n");
    let eval = workbench
        .run("eval --text odd.txt --device cpu --json")
        .succeeds();
    assert_eq!((eval.number("tokens"), eval.number("oov")), (3.0, 1.0));
    let line = workbench
        .run("score odd.txt --device cpu --per-token")
        .succeeds()
        .stdout;
    assert_eq!(line.split('\t').nth(2), Some("OOV"), "{line}");
    workbench.write("only.txt", "xylophone\tvibraphone");
    workbench
        .run("eval --text only.txt --device cpu --json")
        .succeeds();
    workbench
        .run("train --train train.txt --min-count 20 --device cpu --hidden 5 --epochs 1 --out cut")
        .succeeds();
    let eval = workbench
        .run("eval --model cut --text odd.txt --device cpu --json")
        .succeeds();
    assert_eq!((eval.number("tokens"), eval.number("oov")), (4.0, 0.0));
    workbench
        .run(
            "train --train train.txt --vocab-size 50 --device cpu --hidden 5 --epochs 1 \
        --out small",
        )
        .succeeds();
    let vocabulary = String::from_utf8(workbench.read("small/vocab.txt")).expect("UTF-8");
    assert_eq!(vocabulary.lines().count(), 50);
    assert_eq!(
        (
            vocabulary.lines().next(),
            vocabulary.lines().filter(|line| *line == "<unk>").count()
        ),
        (Some("</s>"), 1)
    );
}

#[apply(test)]
fn characters_of_every_script() {
    let workbench = Workbench::new();
    let text = "漢字かな交じり文。\r\nÄpfel, cafe\u{301} und naïve\n\
        👩‍👩‍👧 ok \u{2028} \\n\n"
        .repeat(60);
    workbench.write("text.txt", &text);
    workbench
        .run(
            "train --train text.txt --unit char --device cpu --hidden 10 --epochs 1 --batch \
        2 --bptt 6",
        )
        .succeeds();
    let characters: std::collections::BTreeSet<char> = text
        .chars()
        .filter(|character| *character != '\r')
        .collect();
    assert_eq!(
        workbench.run("inspect --json").succeeds().json()["config"]["vocab_size"],
        characters.len()
    );
    let eval = workbench
        .run("eval --text text.txt --device cpu --json")
        .succeeds();
    assert_eq!(
        eval.number("tokens") as usize,
        text.chars().filter(|character| *character != '\r').count()
    );
    for temperature in ["0.5", "3"] {
        let output = workbench
            .command(&format!(
                "generate --tokens 400 --temperature {temperature} --device cpu"
            ))
            .output()
            .expect("it runs");
        let written = String::from_utf8(output.stdout).expect("characters are valid UTF-8");
        assert!(!written.trim_end_matches('\n').is_empty());
        assert!(
            written
                .chars()
                .all(|character| characters.contains(&character)),
            "{written}"
        );
    }
}

#[apply(test)]
fn bytes_of_every_value() {
    let workbench = Workbench::new();
    let bytes: Vec<u8> = (0..=255_u8).cycle().take(256 * 12).collect();
    workbench.write("bytes.bin", &bytes);
    workbench
        .run(
            "train --train bytes.bin --unit byte --device cpu --hidden 10 --epochs 1 --batch \
        2 --bptt 6",
        )
        .succeeds();
    assert_eq!(
        workbench.run("inspect --json").succeeds().json()["config"]["vocab_size"],
        256
    );
    let eval = workbench
        .run("eval --text bytes.bin --device cpu --json")
        .succeeds();
    assert_eq!(
        (eval.number("tokens") as usize, eval.number("oov")),
        (bytes.len(), 0.0)
    );
    let output = workbench
        .command("generate --tokens 300 --temperature 5 --device cpu")
        .output()
        .expect("it runs");
    // The tokens and a line ending.
    assert_eq!(output.stdout.len(), 301);
    assert!(
        output.stdout.iter().any(|byte| *byte >= 0x80),
        "high bytes are written as they are"
    );
}

#[apply(test)]
fn prompt_is_continued() {
    let workbench = Workbench::with_model();
    let mut command =
        workbench.command("generate --sentences 1 --device cpu --temperature 0 --prompt");
    let run = Run::new(
        "generate --prompt",
        command.arg("the boys").output().expect("it runs"),
    )
    .succeeds();
    assert!(
        run.stdout.starts_with("the boys") && run.stdout.lines().count() == 1,
        "{}",
        run.stdout
    );
    let mut command = workbench.command("generate --tokens 1 --device cpu --json --prompt");
    let run = Run::new(
        "generate --prompt",
        command.arg("the zebra").output().expect("it runs"),
    )
    .succeeds();
    assert!(
        run.stderr.contains("1 token(s) of the prompt"),
        "{}",
        run.stderr
    );
}

#[apply(test)]
fn independent_sentences_are_generated_independently() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    for (name, flags) in [
        ("elman", "--hidden 12"),
        (
            "direct",
            "--hidden 9 --output class --direct 640 --direct-order 4",
        ),
    ] {
        let train =
            "train --train train.txt --device cpu --epochs 2 --batch 4 --bptt 5 --independent";
        workbench
            .run(&format!("{train} {flags} --out {name}"))
            .succeeds();
        // The most probable words after the initial state do not depend on earlier output.
        let text = workbench
            .run(&format!(
                "generate --sentences 4 --temperature 0 --device cpu --model {name}"
            ))
            .succeeds()
            .stdout;
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines.len() == 4 && lines.iter().all(|line| *line == lines[0]),
            "{name}: {lines:?}"
        );
    }
}

#[apply(test)]
fn corpus_writes_sentences_with_their_probability() {
    let workbench = Workbench::new();
    let plain = workbench
        .run("corpus --sentences 50 --seed 3")
        .succeeds()
        .stdout;
    let with = workbench
        .run("corpus --sentences 50 --seed 3 --probabilities")
        .succeeds()
        .stdout;
    let grammar = elman::corpus::grammar::Grammar::builtin().expect("the grammar parses");
    for (sentence, line) in plain.lines().zip(with.lines()) {
        let (probability, same) = line.split_once('\t').expect("a tab");
        assert_eq!(sentence, same);
        let words: Vec<&str> = sentence.split(' ').collect();
        let exact = grammar
            .log10_probability(&words)
            .expect("the grammar derives it");
        assert!(
            (probability.parse::<f64>().expect("a number") - exact).abs() < 1e-6,
            "{line}: {exact}"
        );
    }
    assert_eq!(plain.lines().count(), 50);
}

#[apply(test)]
fn corpus_tasks_can_be_learnt() {
    // Each task with its entropy, its loss without memory, both in nats per example, and the tokens
    // per example.
    for (task, nats, lost, tokens) in [
        ("copy --delay 7", 5.0 * 8_f64.ln(), 5.0 * 8_f64.ln(), 19.0),
        (
            "adding --delay 7",
            7.0 * 5_f64.ln() + 12_f64.ln(),
            2.0788,
            10.0,
        ),
        ("binary-addition", 8.0 * 4_f64.ln(), 5.2415, 18.0),
    ] {
        let workbench = Workbench::new();
        let command = format!("corpus --task {task} --examples 40 --seed 3");
        let plain = workbench.run(&command).succeeds();
        assert_eq!(plain.stdout.lines().count(), 40);
        assert_ne!(
            plain.stdout,
            workbench
                .run(&command.replace("--seed 3", "--seed 4"))
                .succeeds()
                .stdout
        );
        for line in workbench
            .run(&format!("{command} --probabilities"))
            .succeeds()
            .stdout
            .lines()
            .zip(plain.stdout.lines())
        {
            assert_eq!(line.0, format!("{:.6}\t{}", -nats / 10_f64.ln(), line.1));
        }
        let perplexity = (nats / tokens).exp();
        let said = format!("ideal perplexity {perplexity:.4} (per token with </s>)");
        assert!(plain.stderr.contains(&said), "{said}: {}", plain.stderr);
        let json = workbench.run(&format!("{command} --json")).succeeds();
        assert_eq!(json.json()["text"].as_str(), Some(&*plain.stdout));
        assert!((json.number("perplexity") - perplexity).abs() < 1e-9 * perplexity);
        assert!((json.number("nats_without_memory") - lost).abs() < 1e-4);
        workbench.write("train.txt", &plain.stdout);
        let train = format!(
            "train --train train.txt --valid train.txt --device cpu --hidden 5 --epochs 1 --batch \
             4 --bptt {tokens}"
        );
        workbench.run(&format!("{train} --independent")).succeeds();
        let eval = workbench
            .run("eval --text train.txt --independent --device cpu --json")
            .succeeds();
        assert_eq!(
            (eval.number("tokens"), eval.number("oov")),
            (json.number("tokens"), 0.0)
        );
        assert!(
            eval.number("perplexity") > perplexity,
            "a model of one epoch cannot be better than the process: {perplexity}"
        );
    }
    let grammar = Workbench::new()
        .run("corpus --sentences 3 --json --probabilities")
        .succeeds();
    assert_eq!(
        grammar.json()["log10_probs"].as_array().map(Vec::len),
        Some(3)
    );
    assert!(grammar.number("perplexity") > 1.0 && grammar.json()["nats_without_memory"].is_null());
}

#[apply(test)]
fn corpus_rejects_task_sizes() {
    let workbench = Workbench::new();
    for (flags, parts) in [
        ("--task copy --delay 0", &["--delay 0", "at least 1"][..]),
        ("--task adding --delay 1", &["--delay 1", "at least 2"]),
        (
            "--task binary-addition --bits 0",
            &["--bits 0", "at least 1"],
        ),
        ("--task copy --examples 0", &["--examples 0", "at least 1"]),
        (
            "--task copy --bits 4",
            &["--bits 4 with --task copy", "--delay"],
        ),
        (
            "--task binary-addition --delay 4",
            &["--delay 4 with --task binary-addition", "--bits"],
        ),
        (
            "--task copy --delay 18446744073709551615",
            &["--delay 18446744073709551615", "at most"],
        ),
        (
            "--task adding --delay 100 --examples 10000000",
            &["--examples 10000000", "at most"],
        ),
        (
            "--task juggling",
            &["juggling", "copy", "adding", "binary-addition"],
        ),
        ("--task copy --sentences 4", &["--task", "--sentences"]),
        ("--delay 4", &["--task"]),
        ("--examples 4", &["--task"]),
        ("--bits 4", &["--task"]),
        ("--sentences 0", &["--sentences 0", "from 1"]),
        (
            "--sentences 18446744073709551615",
            &["--sentences 18446744073709551615", "from 1"],
        ),
    ] {
        let run = workbench.run(&format!("corpus {flags}")).fails(2, parts);
        assert!(run.stdout.is_empty(), "{flags}: {}", run.stdout);
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
    assert_eq!(files.len(), 4 + 6, "{files:?}");

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
    .succeeds();
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

#[apply(test)]
#[ignore_unless(has_python("numpy, safetensors"))]
fn numpy_agrees_with_score() {
    let workbench = Workbench::with_model();
    let train = "train --train train.txt --device cpu --epochs 2 --batch 4 --bptt 5 --hidden 11";
    workbench
        .run(&format!(
            "{train} --layers 2 --embedding 6 --bias --activation tanh --out deep"
        ))
        .succeeds();
    let mut lines: String = small_text()
        .lines()
        .take(40)
        .fold(String::new(), |lines, line| lines + line + "\n");
    lines.push_str("the xylophone runs\n\n");
    workbench.write("lines.txt", lines);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/score_with_numpy.py");
    for model in ["model", "deep"] {
        let output = std::process::Command::new(python())
            .args([script, model, "lines.txt"])
            .current_dir(workbench.path(""))
            .output()
            .expect("Python runs");
        let numpy = Run::new("numpy", output).succeeds().stdout;
        let scores = workbench
            .run(&format!("score lines.txt --model {model} --device cpu"))
            .succeeds()
            .stdout;
        assert_eq!(numpy.lines().count(), 42);
        for (numpy, score) in numpy.lines().zip(scores.lines()) {
            let [numpy, score] = [numpy, score].map(|text| text.parse::<f64>().expect("a number"));
            assert!(
                (numpy - score).abs() <= 1e-5 * numpy.abs(),
                "numpy says {numpy}, elman score {score}"
            );
        }
    }
}
