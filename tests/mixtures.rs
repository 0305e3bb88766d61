//! Mixtures of several models, of a network with an n-gram model, and with another program's
//! probabilities, through the command line.

use crate::command::{ListedToken, Run, Workbench};
use crate::compare::{Tolerance, assert_close};
use crate::harness::{apply, test};
use crate::reference::arpa::Arpa;

/// A text with a word unknown to every model, an empty line, and a sentence outside the grammar.
const TEXT: &str = "the boy runs\nthe xylophone runs\n\nmary says that the boys run\nruns the the \
    boy\nthe dogs who the cat chases bark\n";

/// A workbench with a model, a text to evaluate and an n-gram model of the training text.
pub fn workbench() -> Workbench {
    let workbench = Workbench::with_model();
    workbench.write("text.txt", TEXT);
    workbench
        .run("ngram --text train.txt --order 3 --out lm.arpa")
        .succeeds();
    workbench
}

pub fn eval(workbench: &Workbench, flags: &str) -> Run {
    workbench
        .run(&format!("eval --device cpu --text text.txt {flags}"))
        .succeeds()
}

fn column(tokens: &[ListedToken], number: usize) -> Vec<f64> {
    tokens
        .iter()
        .map(|token| token.probabilities[number])
        .collect()
}

/// The probability of every listed token by an n-gram model that reads the same words; 0 for tokens
/// unknown to the listing.
fn by_reference(arpa: &Arpa, tokens: &[ListedToken]) -> Vec<f64> {
    let lines = tokens.split_inclusive(|token| token.index == 0);
    let of_line = |line: &[ListedToken]| {
        let words: Vec<String> = line[..line.len() - 1]
            .iter()
            .map(|token| token.word.clone())
            .collect();
        let found = arpa.sentence(&words).into_iter().zip(line);
        found
            .map(|(log10, token)| {
                if token.is_unknown() {
                    0.0
                } else {
                    10_f64.powf(log10.unwrap_or(f64::NEG_INFINITY))
                }
            })
            .collect::<Vec<_>>()
    };
    lines.flat_map(of_line).collect()
}

/// The perplexity of tokens with these probabilities, without unknown ones.
fn perplexity(tokens: &[ListedToken], probabilities: &[f64]) -> f64 {
    let known = || {
        tokens
            .iter()
            .zip(probabilities)
            .filter(|(token, _)| !token.is_unknown())
            .map(|(_, p)| p.ln())
    };
    (-known().sum::<f64>() / known().count() as f64).exp()
}

#[apply(test)]
fn arpa_probabilities_match_the_reference() {
    let workbench = workbench();
    let alone = eval(&workbench, "--format rnnlm").tokens();
    assert_eq!(alone.iter().filter(|token| token.is_unknown()).count(), 1);
    // With <unk>, an out-of-vocabulary word is part of the history; without it, the word ends the
    // history.
    let text = String::from_utf8(workbench.read("lm.arpa")).expect("UTF-8");
    let count = Arpa::read(&text)
        .ngrams
        .keys()
        .filter(|ngram| ngram.len() == 1)
        .count();
    let with_unknown = text
        .replace(
            &format!("ngram 1={count}"),
            &format!("ngram 1={}", count + 1),
        )
        .replace("\\1-grams:\n", "\\1-grams:\n-3.5\t<unk>\t-0.25\n");
    workbench.write("unk.arpa", &with_unknown);
    for (file, text) in [("lm.arpa", &text), ("unk.arpa", &with_unknown)] {
        let both = eval(
            &workbench,
            &format!("--format rnnlm --arpa {file} --lambda 0.3"),
        );
        let tokens = both.tokens();
        assert!(
            tokens
                .iter()
                .zip(&alone)
                .all(|(both, alone)| (both.index, &both.word) == (alone.index, &alone.word))
        );
        let printed = Tolerance {
            absolute: 1e-10,
            relative: 2e-6,
        };
        assert_eq!(
            column(&tokens, 0),
            column(&alone, 0),
            "the network's own probabilities"
        );
        let want = by_reference(&Arpa::read(text), &tokens);
        assert_close(file, &column(&tokens, 1), &want, printed);
        let mixed: Vec<f64> = column(&tokens, 0)
            .iter()
            .zip(&want)
            .map(|(network, other)| 0.3 * network + 0.7 * other)
            .collect();
        for (title, want) in [
            ("PPL net:", column(&tokens, 0)),
            ("PPL other:", want),
            ("PPL combine:", mixed),
        ] {
            let line = both
                .stdout
                .lines()
                .find_map(|line| line.strip_prefix(title))
                .expect("a summary");
            let (got, want) = (
                line.trim().parse::<f64>().expect("a number"),
                perplexity(&tokens, &want),
            );
            assert!(
                (got - want).abs() < 1e-5 * want,
                "{title} {got}, and it is {want}"
            );
        }
    }
}

/// log10 P of every token of a text's lines, scored consecutively; none for unknown ones.
fn scored(workbench: &Workbench, text: &str, flags: &str) -> Vec<Option<f64>> {
    let run = workbench
        .run(&format!(
            "score {text} --device cpu --carry --per-token --json {flags}"
        ))
        .succeeds()
        .json();
    let lines = run["token_log10_probs"].as_array().expect("lines").clone();
    lines
        .iter()
        .flat_map(|line| line.as_array().expect("tokens").clone())
        .map(|one| one.as_f64())
        .collect()
}

/// Compares log10 P of each token with the weighted mean of the models.
fn assert_mean(what: &str, mixed: &[Option<f64>], parts: &[(f64, &[Option<f64>])]) {
    let (mut got, mut want): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    for (place, mixed) in mixed.iter().enumerate() {
        let sum: Option<f64> = parts
            .iter()
            .map(|(weight, part)| part[place].map(|log10| weight * 10_f64.powf(log10)))
            .sum();
        assert_eq!(mixed.is_some(), sum.is_some(), "{what}, token {place}");
        got.extend(mixed);
        want.extend(sum.map(f64::log10));
    }
    assert_close(
        what,
        &got,
        &want,
        Tolerance {
            absolute: 1e-6,
            relative: 1e-6,
        },
    );
}

#[apply(test)]
fn mixture_is_the_weighted_mean() {
    let workbench = workbench();
    let network = scored(&workbench, "text.txt", "");
    let arpa = Arpa::read(&String::from_utf8(workbench.read("lm.arpa")).expect("UTF-8"));
    let other = by_reference(&arpa, &eval(&workbench, "--format rnnlm").tokens());
    let other: Vec<Option<f64>> = other
        .iter()
        .zip(&network)
        .map(|(p, known)| known.map(|_| p.log10()))
        .collect();
    for lambda in [0.0, 0.25, 0.9, 1.0] {
        let mixed = scored(
            &workbench,
            "text.txt",
            &format!("--arpa lm.arpa --lambda {lambda}"),
        );
        assert_mean(
            &format!("lambda {lambda}"),
            &mixed,
            &[(lambda, &network), (1.0 - lambda, &other)],
        );
        let sum: f64 = mixed.iter().flatten().sum();
        let eval = eval(
            &workbench,
            &format!("--json --arpa lm.arpa --lambda {lambda}"),
        )
        .number("log10_prob");
        assert!(
            (sum - eval).abs() < 1e-6 * eval.abs(),
            "lambda {lambda}: {sum} and {eval}"
        );
    }
}

#[apply(test)]
fn lambda_0_and_1_are_single_models() {
    let workbench = workbench();
    let log10 = |flags: &str| eval(&workbench, &format!("--json {flags}")).number("log10_prob");
    assert_eq!(log10("--arpa lm.arpa --lambda 1"), log10(""));
    // The network has no influence.
    workbench
        .run("train --train train.txt --device cpu --hidden 5 --epochs 1 --seed 9 --out another")
        .succeeds();
    let without = log10("--arpa lm.arpa --lambda 0");
    assert_eq!(log10("--arpa lm.arpa --lambda 0 --model another"), without);
    assert_eq!(
        log10("--arpa lm.arpa --lambda 0.5"),
        log10("--arpa lm.arpa")
    );
    assert!(log10("--arpa lm.arpa") != without);
}

/// The second column of a listing as a file with one value per line.
pub fn list(workbench: &Workbench) -> Vec<String> {
    let tokens = eval(workbench, "--format rnnlm --arpa lm.arpa").tokens();
    column(&tokens, 1)
        .iter()
        .map(|probability| format!("{probability:.10}"))
        .collect()
}

#[apply(test)]
fn external_probabilities_match_the_model() {
    let workbench = workbench();
    workbench.write("list.txt", list(&workbench).join("\n") + "\n\n");
    for lambda in [0.0, 0.4, 1.0] {
        let log10 = |flags: &str| {
            eval(&workbench, &format!("--json --lambda {lambda} {flags}")).number("log10_prob")
        };
        let (arpa, listed) = (log10("--arpa lm.arpa"), log10("--lm-prob list.txt"));
        assert!(
            (arpa - listed).abs() < 1e-6 * arpa.abs(),
            "lambda {lambda}: {arpa} and {listed}"
        );
    }
    let tokens =
        |flags: &str| eval(&workbench, &format!("--format rnnlm --lambda 0.4 {flags}")).tokens();
    assert_eq!(tokens("--arpa lm.arpa"), tokens("--lm-prob list.txt"));
}

#[apply(test)]
fn weights_of_several_models() {
    let workbench = workbench();
    let train = "train --train train.txt --device cpu --epochs 1 --batch 4 --bptt 8";
    workbench
        .run(&format!(
            "{train} --cell lstm --hidden 5 --embedding 6 --seed 2 --out b"
        ))
        .succeeds();
    let [a, b] =
        ["model", "b"].map(|model| scored(&workbench, "text.txt", &format!("--model {model}")));
    for (weights, of_a, of_b) in [
        ("3,1", 0.75, 0.25),
        ("0,2", 0.0, 1.0),
        ("0.5,0.5", 0.5, 0.5),
    ] {
        let flags = format!("--model model --model b --weights {weights}");
        let mixed = scored(&workbench, "text.txt", &flags);
        assert_mean(weights, &mixed, &[(of_a, &a), (of_b, &b)]);
        let run = eval(&workbench, &format!("--json {flags}"));
        assert_eq!(run.numbers("weights"), [of_a, of_b]);
        let sum: f64 = mixed.iter().flatten().sum();
        assert!((run.number("log10_prob") - sum).abs() < 1e-6 * sum.abs());
    }
    // The remaining weight is split between the two.
    let flags = "--model model --model b --weights 3,1 --arpa lm.arpa --lambda 0.5";
    assert_eq!(
        eval(&workbench, &format!("--json {flags}")).numbers("weights"),
        [0.375, 0.125, 0.5]
    );
    let other = scored(&workbench, "text.txt", "--arpa lm.arpa --lambda 0");
    assert_mean(
        flags,
        &scored(&workbench, "text.txt", flags),
        &[(0.375, &a), (0.125, &b), (0.5, &other)],
    );
}

#[apply(test)]
fn tuned_weights_are_optimal() {
    let workbench = workbench();
    // An n-gram model of another text: neither model is best alone.
    workbench.write(
        "other.txt",
        elman::corpus::builtin::draw(60, 3)
            .expect("the grammar draws")
            .text,
    );
    workbench
        .run("ngram --text other.txt --vocab train.txt --order 2 --out other.arpa")
        .succeeds();
    workbench.write(
        "text.txt",
        elman::corpus::builtin::draw(80, 11)
            .expect("the grammar draws")
            .text,
    );
    let perplexity = |flags: &str| {
        eval(&workbench, &format!("--json --arpa other.arpa {flags}")).number("perplexity")
    };
    let tuned = eval(&workbench, "--json --arpa other.arpa --tune text.txt");
    let best = tuned.number("perplexity");
    for lambda in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let other = perplexity(&format!("--lambda {lambda}"));
        assert!(
            best <= other * (1.0 + 1e-6),
            "{best} with tuned weights, {other} with lambda {lambda}"
        );
    }
    let weights = tuned.numbers("weights");
    assert!(
        weights.len() == 2
            && (weights.iter().sum::<f64>() - 1.0).abs() < 1e-9
            && weights[0] > 0.0
            && weights[1] > 0.0,
        "{weights:?}"
    );
    assert!(
        tuned.stderr.contains("text.txt") && tuned.stderr.contains("other.arpa"),
        "{}",
        tuned.stderr
    );
    assert!(
        (perplexity(&format!("--lambda {}", weights[0])) / best - 1.0).abs() < 1e-9,
        "the printed weights are not those in use"
    );
    // The same weights work for another text and for lines.
    workbench
        .run("score train.txt --device cpu --arpa other.arpa --tune text.txt")
        .succeeds();
    // Dynamic evaluation during tuning does not change the model.
    let dynamic = eval(
        &workbench,
        "--json --arpa other.arpa --tune text.txt --dynamic 0.05",
    );
    let again = perplexity(&format!(
        "--dynamic 0.05 --lambda {}",
        dynamic.numbers("weights")[0]
    ));
    assert!(
        (again / dynamic.number("perplexity") - 1.0).abs() < 1e-9,
        "{again} and {dynamic}",
        dynamic = dynamic.number("perplexity")
    );
}

#[apply(test)]
fn unknown_words_are_skipped_or_scored() {
    let workbench = Workbench::with_model();
    workbench
        .run("train --train train.txt --min-count 20 --device cpu --hidden 5 --epochs 1 --out cut")
        .succeeds();
    workbench.write("text.txt", "the xylophone runs\n");
    for (flags, tokens, unknown) in [
        ("--model cut", 4.0, 0.0),
        ("--model cut --unknown unk", 4.0, 0.0),
        ("--model cut --unknown skip", 2.0, 2.0),
        ("--model model", 3.0, 1.0),
        ("--model model --unknown unk", 3.0, 1.0),
    ] {
        let run = eval(&workbench, &format!("--json {flags}"));
        assert_eq!(
            (run.number("tokens"), run.number("oov")),
            (tokens, unknown),
            "{flags}"
        );
        let score = workbench
            .run(&format!("score text.txt --device cpu --json {flags}"))
            .succeeds();
        assert_eq!(
            (score.numbers("tokens"), score.numbers("oov")),
            (vec![tokens], vec![unknown]),
            "{flags}"
        );
    }
}
