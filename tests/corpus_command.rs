//! `elman corpus`: sentences of the built-in grammar, and tasks.

use crate::command::Workbench;
use crate::harness::{apply, test};

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
