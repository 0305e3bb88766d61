//! `--lm-prob`: files of probabilities as rnnlm reads them, and its sums over unknown words.

use crate::command::{Run, Workbench};
use crate::compare::{Tolerance, assert_close};
use crate::harness::{apply, test};

fn eval(workbench: &Workbench, flags: &str) -> Run {
    workbench
        .run(&format!("eval --device cpu --text text.txt {flags}"))
        .succeeds()
}

#[apply(test)]
fn the_first_number_of_a_line_counts() {
    let workbench = Workbench::with_model();
    workbench.write("text.txt", "the boy runs\n");
    workbench.write("plain.txt", "0.2\n0.3\n0.4\n0.5\n");
    let odd = b"\xef\xbb\xbf0.2 the\n 0.3\tb\xffy 7\r\n0.4 0.9\n0.5 </s>";
    workbench.write("words.txt", odd);
    for command in ["eval --text text.txt", "score text.txt"] {
        let of = |file: &str| {
            workbench
                .run(&format!("{command} --device cpu --json --lm-prob {file}"))
                .succeeds()
                .json()["log10_prob"]
                .clone()
        };
        assert_eq!(of("words.txt"), of("plain.txt"), "{command}");
    }
}

/// The number after a title of the summary.
fn number(run: &Run, title: &str) -> f64 {
    let line = run.stdout.lines().find_map(|line| line.strip_prefix(title));
    line.and_then(|rest| rest.trim().parse().ok())
        .unwrap_or_else(|| panic!("no number after {title:?}:\n{}", run.stdout))
}

#[apply(test)]
fn sums_of_rnnlm_count_words_that_only_the_other_model_knows() {
    let workbench = Workbench::with_model();
    workbench.write("text.txt", "the xylophone runs\n");
    workbench.write("probabilities.txt", "0.2\n0.125\n0.4\n0.5\n");
    let flags = "--format rnnlm --lambda 0.25 --lm-prob probabilities.txt";
    let run = eval(&workbench, flags);
    assert!(
        run.stdout
            .starts_with("Index   P(NET)          P(LM)           Word\n"),
        "{}",
        run.stdout
    );
    let known: Vec<(f64, f64)> = run
        .tokens()
        .iter()
        .filter(|token| !token.is_unknown())
        .map(|token| (token.probabilities[0], token.probabilities[1]))
        .collect();
    assert_eq!(known.len(), 3);
    let sum = |of: fn(&(f64, f64)) -> f64| known.iter().map(|pair| of(pair).log10()).sum::<f64>();
    let network = sum(|pair| pair.0) - 8.0;
    let other = sum(|pair| pair.1) + 0.125_f64.log10();
    let mixture = sum(|pair| 0.25 * pair.0 + 0.75 * pair.1) + (0.75 * 0.125_f64).log10();
    let title = "test log probability 0.250000*rnn + 0.750000*other_lm:";
    let mut got = vec![
        number(&run, "test log probability:"),
        number(&run, "test log probability given by other lm:"),
        number(&run, title),
    ];
    let mut want = vec![network, other, mixture];
    for (title, sum) in [
        ("PPL net:", network),
        ("PPL other:", other),
        ("PPL combine:", mixture),
    ] {
        got.push(number(&run, title));
        want.push(10_f64.powf(-sum / 4.0));
    }
    let printed = Tolerance {
        absolute: 1e-5,
        relative: 1e-5,
    };
    assert_close("sums", &got, &want, printed);
    // A word that neither model knows is not counted.
    workbench.write("probabilities.txt", "0.2\n0\n0.4\n0.5\n");
    let run = eval(&workbench, flags);
    let got = [
        number(&run, "test log probability:"),
        number(&run, title),
        number(&run, "PPL combine:"),
    ];
    let mixture = sum(|pair| 0.25 * pair.0 + 0.75 * pair.1);
    let want = [network + 8.0, mixture, 10_f64.powf(-mixture / 3.0)];
    assert_close("sums", &got, &want, printed);
}
