//! Mixtures: rejected files of probabilities, flags and ARPA files.

use super::mixtures::{list, workbench};
use crate::harness::{apply, test};

#[apply(test)]
fn rejected_probability_files() {
    let workbench = workbench();
    let lines = list(&workbench);
    let last = lines.len();
    let eval = "eval --device cpu --text text.txt --lm-prob list.txt";
    let score = "score --device cpu text.txt --lm-prob list.txt";
    let rejected = |lines: &[String], parts: &[&str]| {
        workbench.write("list.txt", lines.join("\n") + "\n");
        for command in [eval, score] {
            workbench
                .run(command)
                .fails(1, &[&["list.txt"], parts].concat());
        }
    };
    rejected(
        &lines[..last - 1],
        &[
            &format!("ends after line {}", last - 1),
            &format!("token {last} of the text"),
        ],
    );
    rejected(&lines[..3], &["ends after line 3", "token 4 of the text"]);
    rejected(
        &[&lines[..], &["0.5".to_owned(), "0.5".to_owned()]].concat(),
        &[&format!("{last} tokens"), "2 more line(s)"],
    );
    for wrong in ["", "-0.1", "1.5", "nan", "inf", "-2.5", "the 0.2", "word"] {
        let mut lines = lines.clone();
        lines[2] = wrong.to_owned();
        rejected(
            &lines,
            &[
                "line 3",
                &format!("{wrong:?}"),
                "from 0 to 1",
                "one number per line",
            ],
        );
    }
    workbench
        .run("eval --device cpu --text text.txt --lm-prob nowhere.txt")
        .fails(1, &["nowhere.txt"]);
    // No model knows the first token.
    workbench.write("list.txt", vec!["0"; last].join("\n"));
    workbench
        .run(&format!("{eval} --lambda 0"))
        .fails(1, &["must be finite"]);
}

#[apply(test)]
fn rejected_flags() {
    let workbench = workbench();
    workbench.write("list.txt", "0.5\n");
    workbench
        .run(
            "train --train train.txt --device cpu --unit char --hidden 5 --epochs 1 --out \
        characters",
        )
        .succeeds();
    workbench.write("foreign.txt", "un deux trois\ndeux un\n");
    workbench
        .run("ngram --text foreign.txt --order 2 --out foreign.arpa")
        .succeeds();
    for command in ["eval --text text.txt", "score text.txt"] {
        for (flags, code, parts) in [
            (
                "--arpa lm.arpa --lambda=-0.1",
                2,
                &["--lambda -0.1", "from 0 to 1"][..],
            ),
            ("--arpa lm.arpa --lambda 1.1", 2, &["--lambda 1.1"]),
            ("--arpa lm.arpa --lambda nan", 2, &["--lambda NaN"]),
            ("--lambda 0.5", 2, &["--lambda", "--arpa or --lm-prob"]),
            (
                "--arpa lm.arpa --lm-prob list.txt",
                2,
                &["--arpa", "--lm-prob"],
            ),
            ("--weights 1,2", 2, &["--weights 1,2", "1 models"]),
            (
                "--model model --model model --weights 1",
                2,
                &["--weights 1", "2 models"],
            ),
            (
                "--model model --model model --weights=-1,2",
                2,
                &["--weights -1,2", "non-negative"],
            ),
            (
                "--model model --model model --weights 0,0",
                2,
                &["--weights 0,0", "positive"],
            ),
            (
                "--model model --model model --weights nan,1",
                2,
                &["--weights NaN,1"],
            ),
            (
                "--tune text.txt --arpa lm.arpa --lambda 0.5",
                2,
                &["--tune", "--lambda"],
            ),
            (
                "--tune text.txt --lm-prob list.txt",
                2,
                &["--tune", "--lm-prob"],
            ),
            ("--tune nowhere.txt --arpa lm.arpa", 1, &["nowhere.txt"]),
            (
                "--model model --model characters",
                1,
                &["characters", "vocabulary"],
            ),
            ("--model characters --arpa lm.arpa", 1, &["--arpa", "</s>"]),
            (
                "--arpa foreign.arpa",
                1,
                &["--arpa", "none of the network's words"],
            ),
            ("--arpa nowhere.arpa", 1, &["nowhere.arpa"]),
            ("--unknown ignore", 2, &["ignore", "skip"]),
        ] {
            let run = workbench
                .run(&format!("{command} --device cpu {flags}"))
                .fails(code, parts);
            assert!(run.stdout.is_empty(), "{flags}: {}", run.stdout);
        }
    }
}

#[apply(test)]
fn rejected_arpa_files() {
    let workbench = workbench();
    let good = String::from_utf8(workbench.read("lm.arpa")).expect("UTF-8");
    let line_of = |text: &str, part: &str| {
        text.lines()
            .position(|line| line.contains(part))
            .expect("a line")
            + 1
    };
    let ngram = good
        .lines()
        .nth(line_of(&good, "\\2-grams:"))
        .expect("an n-gram")
        .to_owned();
    let (number, words) = ngram.split_once('\t').expect("a tab");
    let header = good
        .lines()
        .find(|line| line.starts_with("ngram 2="))
        .expect("a header")
        .to_owned();
    let heading = line_of(&good, "\\2-grams:");
    for (from, to, line, part) in [
        (
            header.clone(),
            format!("{header}0"),
            line_of(&good, "\\3-grams:"),
            "2-grams",
        ),
        (
            "\\2-grams:".to_owned(),
            "\\3-grams:".to_owned(),
            heading,
            "\\2-grams: must come",
        ),
        (
            "\\end\\".to_owned(),
            String::new(),
            good.lines().count() + 1,
            "\\end\\ is missing",
        ),
        (
            ngram.clone(),
            format!("nan\t{words}"),
            heading + 1,
            "not finite",
        ),
        (
            ngram.clone(),
            format!("0.5\t{words}"),
            heading + 1,
            "at most 0",
        ),
        (
            ngram.clone(),
            format!("{number}\tunheard{words}"),
            heading + 1,
            "unigrams",
        ),
    ] {
        workbench.write("bad.arpa", good.replacen(&from, &to, 1));
        for command in ["eval --text text.txt", "score text.txt"] {
            let run = workbench.run(&format!("{command} --device cpu --arpa bad.arpa"));
            run.fails(1, &[&format!("bad.arpa, line {line}:"), part]);
        }
    }
}
