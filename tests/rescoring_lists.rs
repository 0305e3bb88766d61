//! `elman rescore`: unknown words, carried states, mixtures, and lists from standard input.

use std::io::Write;
use std::process::Stdio;

use super::rescoring::{LISTS, assert_near, lines, of_lists, rescore, scored, workbench};
use crate::command::{Run, small_text};
use crate::harness::{apply, test};
use crate::reference::arpa::Arpa;

#[apply(test)]
fn unknown_words_cost_the_given_penalty() {
    let workbench = workbench(&["elman"]);
    workbench
        .run("train --train train.txt --min-count 20 --device cpu --hidden 5 --epochs 1 --out cut")
        .succeeds();
    let hypotheses = [
        "the xylophone runs",
        "xylophone vibraphone",
        "the boy <unk>",
    ];
    workbench.write(
        "lists.txt",
        hypotheses.map(|words| format!("u {words}\n")).concat(),
    );
    let score = |flags: &str| {
        of_lists(
            &rescore(&workbench, &format!("--json {flags}")).succeeds(),
            "log10_prob",
        )
    };
    let cost = |scores: &[f64], penalty: f64, unknown: [f64; 3]| {
        scores
            .iter()
            .zip(unknown)
            .map(|(score, count)| score + penalty * count)
            .collect::<Vec<_>>()
    };
    // Without <unk> they are skipped and cost a penalty: rnnlm's if none is given.
    let without = scored(&workbench, &hypotheses, "--model elman");
    assert_near(
        "rnnlm's penalty",
        &score("--model elman"),
        &cost(&without, -5.0, [1.0, 2.0, 1.0]),
    );
    assert_near(
        "a penalty",
        &score("--model elman --unknown-penalty -2.5"),
        &cost(&without, -2.5, [1.0, 2.0, 1.0]),
    );
    // With <unk> they cost its probability and the penalty; <unk> itself is a known word.
    let vocabulary = String::from_utf8(workbench.read("cut/vocab.txt")).expect("UTF-8");
    let with = scored(&workbench, &hypotheses, "--model cut");
    let unknown = hypotheses.map(|words| {
        words
            .split(' ')
            .filter(|word| *word != "<unk>" && !vocabulary.lines().any(|known| known == *word))
            .count() as f64
    });
    assert!(unknown[1] == 2.0, "{unknown:?}");
    assert_near("<unk>", &score("--model cut"), &with);
    assert_near(
        "<unk> and a penalty",
        &score("--model cut --unknown-penalty -1"),
        &cost(&with, -1.0, unknown),
    );
    let skipped = scored(&workbench, &hypotheses, "--model cut --unknown skip");
    let among = |flags: &str| score(&format!("--model cut --unknown skip {flags}"));
    assert_near(
        "<unk> skipped",
        &among("--unknown-penalty -3"),
        &cost(&skipped, -3.0, unknown),
    );
}

#[apply(test)]
fn states_are_carried_between_lists() {
    let workbench = workbench(&["elman", "lstm", "direct"]);
    workbench.write("lists.txt", lines(LISTS));
    let mut lists: Vec<Vec<&str>> = Vec::new();
    for (place, (id, words)) in LISTS.iter().enumerate() {
        if place == 0 || LISTS[place - 1].0 != *id {
            lists.push(Vec::new());
        }
        lists.last_mut().expect("a list").push(words);
    }
    for model in ["elman", "lstm", "direct"] {
        for carry in ["first", "best"] {
            let mut chain: Vec<&str> = Vec::new();
            let mut want = Vec::new();
            for list in &lists {
                let of_hypothesis = |words: &&str| {
                    let lines: Vec<&str> = chain.iter().copied().chain([*words]).collect();
                    *scored(&workbench, &lines, &format!("--model {model} --carry"))
                        .last()
                        .expect("a line")
                };
                let scores: Vec<f64> = list.iter().map(of_hypothesis).collect();
                let best = (0..list.len())
                    .max_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(b.cmp(&a)))
                    .expect("a hypothesis");
                chain.push(list[if carry == "best" { best } else { 0 }]);
                want.extend(scores);
            }
            let run = rescore(
                &workbench,
                &format!("--model {model} --carry {carry} --json"),
            )
            .succeeds();
            assert_near(
                &format!("{model}, carry {carry}"),
                &of_lists(&run, "log10_prob"),
                &want,
            );
        }
    }
}

#[apply(test)]
fn other_models_are_mixed_in() {
    let workbench = workbench(&["direct"]);
    // The n-gram model has a word that the network lacks.
    workbench.write("more.txt", small_text() + "the xylophone runs\n");
    workbench
        .run("ngram --text more.txt --order 3 --out lm.arpa")
        .succeeds();
    let arpa = Arpa::read(&String::from_utf8(workbench.read("lm.arpa")).expect("UTF-8"));
    let hypotheses = ["the boy runs", "the xylophone runs", "the vibraphone runs"];
    workbench.write(
        "lists.txt",
        hypotheses.map(|words| format!("u {words}\n")).concat(),
    );
    workbench.write("lines.txt", hypotheses.join("\n") + "\n");
    let network = workbench
        .run("score lines.txt --device cpu --model direct --json --per-token")
        .succeeds()
        .json();
    let mut want = Vec::new();
    for (line, words) in hypotheses.iter().enumerate() {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let of_network = network["token_log10_probs"][line]
            .as_array()
            .expect("tokens");
        let pairs = of_network
            .iter()
            .map(|log10| log10.as_f64().unwrap_or(-5.0))
            .zip(arpa.sentence(&words));
        let mixed = pairs.map(|(network, other)| {
            (0.25 * 10_f64.powf(network) + other.map_or(0.0, |other| 0.75 * 10_f64.powf(other)))
                .log10()
        });
        want.push(mixed.sum());
    }
    let run = rescore(
        &workbench,
        "--model direct --arpa lm.arpa --lambda 0.25 --json",
    )
    .succeeds();
    assert_near("--arpa", &of_lists(&run, "log10_prob"), &want);
    // The file has a value for every word of every hypothesis and for its end.
    workbench.write("list.txt", "0.125\n".repeat(12));
    let run = rescore(
        &workbench,
        "--model direct --lm-prob list.txt --lambda 0 --json",
    )
    .succeeds();
    assert_near(
        "--lm-prob",
        &of_lists(&run, "log10_prob"),
        &[4.0 * 0.125_f64.log10(); 3],
    );
    for (count, parts) in [
        (11, &["ends after line 11", "token 12"]),
        (13, &["12 tokens", "1 more line(s)"]),
    ] {
        workbench.write("list.txt", "0.125\n".repeat(count));
        rescore(&workbench, "--model direct --lm-prob list.txt").fails(1, parts);
    }
    workbench.write("tune.txt", "the boy runs\nthe boys run\n");
    rescore(&workbench, "--model direct --arpa lm.arpa --tune tune.txt").succeeds();
}

#[apply(test)]
fn an_empty_hypothesis_has_the_probability_of_an_empty_line() {
    let workbench = workbench(&["elman"]);
    let empty = scored(&workbench, &[""], "--model elman")[0];
    let rnnlm = "u1 the boy runs\nu1\nu1 the boy\nu2 </s>\n";
    let srilm = "u1 -10 -2 2 the boy\nu1 -11 -1 0\nu1 -11 -1 0 <s> </s>\nu2 -1 -1 2 <s> </s>\n";
    for (text, form, places) in [(rnnlm, "rnnlm", &[1, 3][..]), (srilm, "srilm", &[1, 2, 3])] {
        workbench.write("lists.txt", text);
        let flags = format!("--model elman --form {form}");
        let run = rescore(&workbench, &format!("{flags} --json")).succeeds();
        let scores = of_lists(&run, "log10_prob");
        assert_eq!(scores.len(), 4, "{form}");
        for &place in places {
            assert_near(form, &[scores[place]], &[empty]);
        }
    }
    // It leaves no space behind the name of its list.
    workbench.write("lists.txt", "u1\nu1 runs runs the\nu2 </s>\n");
    let best = rescore(&workbench, "--model elman --output best --word-penalty -9").succeeds();
    assert_eq!(best.stdout, "u1\nu2\n");
    let ranked = rescore(&workbench, "--model elman --output ranked").succeeds();
    assert_eq!(
        ranked.stdout.lines().last(),
        Some(&*format!("u2 {empty:.6}"))
    );
    // The last of 601 lines is empty: all are printed.
    let lines: String = (0..600)
        .map(|line| format!("u{line} the boy runs\n"))
        .collect();
    workbench.write("lists.txt", lines + "u600\n");
    let all = rescore(&workbench, "--model elman").succeeds();
    assert_eq!(all.stdout.lines().count(), 601);
    assert_eq!(all.stdout.lines().last(), Some(&*format!("{empty:.6}")));
    // Lists without names: an empty line still ends a list, and tags alone are a hypothesis.
    workbench.write("lists.txt", "the boy\n<s> </s>\n\nruns\n");
    let run = workbench
        .run("rescore lists.txt --device cpu --model elman --ids none --json")
        .succeeds();
    assert_near("--ids none", &[of_lists(&run, "log10_prob")[1]], &[empty]);
}

#[apply(test)]
fn lists_from_standard_input() {
    let workbench = workbench(&["elman"]);
    workbench.write("lists.txt", lines(LISTS));
    let want = rescore(&workbench, "--model elman").succeeds().stdout;
    for arguments in [
        "rescore --device cpu --model elman --ids first-column",
        "rescore - --device cpu --model elman --ids first-column",
    ] {
        let mut command = workbench.command(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        child
            .stdin
            .take()
            .expect("a pipe")
            .write_all(lines(LISTS).as_bytes())
            .expect("it reads");
        let run = Run::new(arguments, child.wait_with_output().expect("it ends")).succeeds();
        assert_eq!(run.stdout, want);
    }
}
