//! N-gram models: rejected files and models.

use std::fs;
use std::path::Path;

use elman::ngram::{KneserNey, KneserNeyOptions, NgramModel};

use super::ngram::{Desk, GOOD};
use crate::harness::{apply, test};

/// Demands that reading the file fails with a message with these parts.
pub fn rejected(path: &Path, parts: &[&str]) {
    let error = NgramModel::read(path)
        .map(|_| ())
        .expect_err(&format!("no model: {parts:?}"))
        .to_string();
    for part in parts {
        assert!(error.contains(part), "{error:?} does not say {part:?}");
    }
}

#[apply(test)]
fn rejected_files() {
    let desk = Desk::new();
    // The line to replace, its replacement, the line number in the message, and the message.
    for (good, bad, line, parts) in [
        ("\\data\\\n", "", 20, &["\\data\\"][..]),
        ("\\data\\\n", "\\data\\ \\data\\\n", 21, &["\\data\\"]),
        ("ngram 2=3", "ngram 3=3", 3, &["ngram 3=3", "ngram 2=…"]),
        ("ngram 1=4\nngram 2=3\nngram 3=1\n", "", 3, &["no unigrams"]),
        ("ngram 1=4", "ngram 1=0", 6, &["no unigrams"]),
        (
            "ngram 1=4",
            "ngram 1=4294967295",
            2,
            &["at most 4294967294"],
        ),
        (
            "ngram 1=4",
            "ngram 1=four",
            2,
            &["\"ngram 1=four\"", "a count"],
        ),
        (
            "ngram 1=4",
            "unigrams: 4",
            2,
            &["\"unigrams: 4\"", "ngram 1="],
        ),
        (
            "ngram 2=3",
            "ngram 2=4",
            17,
            &["2-grams", "ngram 2=4", "there are 3"],
        ),
        (
            "ngram 2=3",
            "ngram 2=2",
            15,
            &["2-grams", "ngram 2=2", "more"],
        ),
        ("\\1-grams:", "\\2-grams:", 6, &["\\2-grams:", "\\1-grams:"]),
        (
            "\\3-grams:\n-0.0625\t<s> a b\n\n",
            "",
            17,
            &["\\end\\", "3 order(s)", "\\3-grams:"],
        ),
        (
            "\\3-grams:",
            "\\4-grams:",
            17,
            &["\\4-grams:", "\\3-grams:"],
        ),
        ("\n\\end\\\n", "\n", 20, &["\\end\\ is missing"]),
        (
            "\\end\\",
            "\\4-grams:",
            20,
            &["\\4-grams:", "\\end\\ must come"],
        ),
        (
            "-0.25\ta b",
            "-0.25\ta",
            14,
            &["\"-0.25\\ta\"", "2 field(s)", "2-gram"],
        ),
        ("-0.25\ta b", "-0.25\ta b -1 -1", 14, &["5 field(s)"]),
        ("-0.25\ta b", "-0.25\ta b b", 14, &["\"b\"", "number"]),
        ("-0.25\ta b", "x\ta b", 14, &["\"x\"", "number"]),
        ("-0.25\ta b", "NaN\ta b", 14, &["NaN", "finite"]),
        ("-0.25\ta b", "inf\ta b", 14, &["inf", "finite"]),
        ("-0.25\ta b", "0.001\ta b", 14, &["0.001", "at most 0"]),
        ("-0.25\ta b", "-0.25\ta b nan", 14, &["nan", "finite"]),
        ("-0.25\ta b", "-0.25\ta b +inf", 14, &["+inf", "finite"]),
        ("-0.25\ta b", "-0.25\ta b 1e39", 14, &["1e39", "finite"]),
        ("-0.25\ta b", "-0.25\ta c", 14, &["\"c\"", "unigrams"]),
        (
            "-0.25\ta b",
            "-0.25\t<s> a",
            14,
            &["line 13", "occurs here again"],
        ),
        (
            "-0.25\ta b\n-0.5",
            "\n-0.25\t<s> a\n\n-0.5",
            15,
            &["line 13", "occurs here again"],
        ),
        ("-0.75\tb", "-0.75\ta", 10, &["\"a\"", "occurs here again"]),
        (
            "<s> a b\n",
            "<s> a b -0.5\n",
            18,
            &["-0.5", "nothing to back off"],
        ),
    ] {
        assert!(GOOD.contains(good), "{good:?}");
        let path = desk.write("bad", GOOD.replacen(good, bad, 1));
        rejected(&path, &[parts, &[&format!("bad, line {line}:")]].concat());
    }
    let mut bytes = GOOD.as_bytes().to_vec();
    let place = GOOD.find("a\t-0.25").expect("a unigram");
    bytes[place] = 0xe9;
    rejected(&desk.write("bad", &bytes), &["line 9", "0xe9", "UTF-8"]);
    rejected(
        &desk.write("bad", vec![b' '; 3 << 20]),
        &["line 1", "longer"],
    );
    rejected(&desk.write("bad", ""), &["line 1", "\\data\\"]);
    rejected(&desk.path("missing"), &["cannot open"]);
    rejected(desk.0.path(), &["directory"]);
}

#[apply(test)]
fn rejected_models() {
    let desk = Desk::new();
    let error = desk
        .read(GOOD)
        .write(&desk.path("nowhere/model"))
        .expect_err("no directory");
    assert!(error.to_string().starts_with("cannot write"), "{error}");
    fs::create_dir(desk.path("taken")).expect("a directory");
    desk.write("taken/file", "");
    desk.read(GOOD)
        .write(&desk.path("taken"))
        .expect_err("a directory is there");
    assert!(!desk.names().iter().any(|name| name.ends_with(".new")));
    for token in ["", "a b", "\n", "\r", "a\t"] {
        let mut text = KneserNey::new(KneserNeyOptions::default()).expect("an order");
        text.add_sentence(&[0]).expect("there is room");
        let model = text.estimate(&[token.to_owned()]).expect("a model").model;
        let error = model
            .write(&desk.path("model"))
            .expect_err("white space")
            .to_string();
        assert!(error.contains(&format!("{token:?}")), "{error}");
    }
    assert_eq!(
        fs::read_to_string(desk.path("model")).expect("a file"),
        GOOD,
        "what was there is there still"
    );
}
