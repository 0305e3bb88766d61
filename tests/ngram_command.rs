//! `elman ngram`: models of texts and of networks, measured by the program and by the reference.

use std::io::Read;

use crate::command::{Workbench, small_text};
use crate::environment::{has_shared, shared};
use crate::harness::{apply, test};
use crate::reference::arpa::Arpa;

/// The Brown corpus, which is not part of the repository.
const SHARED: &str = "corpora/brown";

fn arpa(workbench: &Workbench, name: &str) -> Arpa {
    Arpa::read(&String::from_utf8(workbench.read(name)).expect("UTF-8"))
}

/// log10 P of lines by an ARPA file, and the counts of known and of unknown tokens.
fn measured(arpa: &Arpa, lines: &str) -> (f64, usize, usize) {
    let mut found = (0.0, 0, 0);
    for line in lines.lines() {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        for log10 in arpa.sentence(&words) {
            match log10 {
                Some(log10) => found = (found.0 + log10, found.1 + 1, found.2),
                None => found.2 += 1,
            }
        }
    }
    found
}

#[apply(test)]
fn small_text_matches_the_reference() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let run = workbench
        .run("ngram --text train.txt --order 3 --out lm.arpa --json")
        .succeeds();
    let plain = arpa(&workbench, "lm.arpa");
    let counts: Vec<f64> = (1..=3)
        .map(|order| {
            plain
                .ngrams
                .keys()
                .filter(|ngram| ngram.len() == order)
                .count() as f64
        })
        .collect();
    assert_eq!(
        (run.number("order"), run.numbers("ngrams")),
        (3.0, counts.clone())
    );
    assert!(run.json()["perplexity"].is_null(), "{}", run.stdout);
    // The file name selects compression.
    workbench
        .run("ngram --text train.txt --order 3 --out lm.arpa.gz")
        .succeeds();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*workbench.read("lm.arpa.gz"))
        .read_to_string(&mut text)
        .expect("a compressed file");
    assert!(text.as_bytes() == workbench.read("lm.arpa"));
    // Rare n-grams of order 3 and above are dropped.
    let run = workbench
        .run("ngram --text train.txt --order 4 --min-counts 2,3 --out cut.arpa --json")
        .succeeds();
    let cut = run.numbers("ngrams");
    assert!(
        cut.len() == 4 && cut[..2] == counts[..2] && cut[2] < counts[2] && cut[3] < cut[2],
        "{cut:?} of {counts:?}"
    );
    // Nothing is written if only a measurement is requested.
    let run = workbench
        .run("ngram --text train.txt --order 2 --test train.txt")
        .succeeds();
    for title in ["perplexity", "log10 probability", "tokens", "unknown words"] {
        assert!(
            run.stdout.lines().any(|line| line.starts_with(title)),
            "{}",
            run.stdout
        );
    }
}

#[apply(test)]
fn file_and_measurement_agree() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let test = elman::corpus::builtin::draw(60, 5)
        .expect("the grammar draws")
        .text
        + "the xylophone runs\n\n";
    workbench.write("test.txt", &test);
    for flags in [
        "--order 1",
        "--order 2",
        "--order 5",
        "--order 5 --min-counts 2",
    ] {
        let made = workbench
            .run(&format!(
                "ngram --text train.txt {flags} --out lm.arpa --force --test test.txt --json"
            ))
            .succeeds();
        let read = workbench
            .run("ngram --arpa lm.arpa --test test.txt --json")
            .succeeds();
        let (log10, tokens, unknown) = measured(&arpa(&workbench, "lm.arpa"), &test);
        assert!(unknown > 0);
        for run in [&made, &read] {
            assert!(
                (run.number("log10_prob") - log10).abs() < 1e-6 * log10.abs(),
                "{flags}: {} and {log10}",
                run.number("log10_prob")
            );
            assert_eq!(
                (run.number("tokens"), run.number("oov")),
                (tokens as f64, unknown as f64),
                "{flags}"
            );
            let perplexity = 10_f64.powf(-log10 / tokens as f64);
            assert!((run.number("perplexity") / perplexity - 1.0).abs() < 1e-6);
        }
        assert_eq!(read.numbers("ngrams"), made.numbers("ngrams"));
    }
}

#[apply(test)]
fn vocabulary_of_several_texts() {
    let workbench = Workbench::new();
    workbench.write("train.txt", "a b\nb a c\na a\n".repeat(5));
    workbench.write("valid.txt", "a d\n");
    workbench.write("test.txt", "e <unk> a\n");
    let types = |flags: &str| {
        workbench
            .run(&format!(
                "ngram --text train.txt --order 2 --out lm.arpa --force {flags}"
            ))
            .succeeds();
        let mut types: Vec<String> = arpa(&workbench, "lm.arpa")
            .ngrams
            .into_keys()
            .filter(|ngram| ngram.len() == 1)
            .map(|ngram| ngram[0].clone())
            .collect();
        types.sort();
        types
    };
    assert_eq!(types(""), ["</s>", "<s>", "a", "b", "c"]);
    assert_eq!(
        types("--vocab train.txt,valid.txt,test.txt"),
        ["</s>", "<s>", "<unk>", "a", "b", "c", "d", "e"]
    );
    let measure = |flags: &str| {
        workbench
            .run(&format!(
                "ngram --text train.txt --order 2 --test test.txt --json {flags}"
            ))
            .succeeds()
    };
    assert_eq!(
        (measure("").number("tokens"), measure("").number("oov")),
        (2.0, 2.0)
    );
    let all = measure("--vocab train.txt,valid.txt,test.txt");
    assert_eq!((all.number("tokens"), all.number("oov")), (4.0, 0.0));
    // Out-of-vocabulary words become <unk>, or are skipped if it has none.
    workbench.write("few.txt", "a <unk>\n");
    assert_eq!(types("--vocab few.txt"), ["</s>", "<s>", "<unk>", "a"]);
    workbench.write("fewer.txt", "a\n");
    let run = workbench
        .run("ngram --text train.txt --order 2 --vocab fewer.txt --out lm.arpa --force")
        .succeeds();
    assert!(
        run.stderr
            .contains("15 word(s) of the text are not in the vocabulary of 2 types"),
        "{}",
        run.stderr
    );
}

#[apply(test)]
fn text_generated_by_a_network() {
    let workbench = Workbench::new();
    workbench.write(
        "train.txt",
        elman::corpus::builtin::draw(2000, 7)
            .expect("the grammar draws")
            .text,
    );
    workbench.write(
        "valid.txt",
        elman::corpus::builtin::draw(300, 8)
            .expect("the grammar draws")
            .text,
    );
    let train = "train --train train.txt --valid valid.txt --device cpu --hidden 16 --epochs 3 \
        --batch 8 --bptt 8 --independent";
    workbench.run(train).succeeds();
    let of_network = workbench
        .run("eval --text valid.txt --device cpu --json")
        .succeeds()
        .number("perplexity");
    let draw = "ngram --model model --device cpu --order 2";
    let run = workbench
        .run(&format!(
            "{draw} --tokens 200000 --out drawn.arpa --test valid.txt --json"
        ))
        .succeeds();
    let drawn = run.number("perplexity");
    // A history of two words predicts worse than a full one.
    assert!(
        (0.95..1.3).contains(&(drawn / of_network)),
        "{drawn} of the n-gram model, {of_network} of the network"
    );
    assert!(
        run.stderr.contains("the network generated 200"),
        "{}",
        run.stderr
    );
    // The first word of a sentence depends on nothing else, so the n-gram model and the network
    // agree on it.
    let words = String::from_utf8(workbench.read("model/vocab.txt")).expect("UTF-8");
    let words: Vec<&str> = words.lines().skip(1).collect();
    workbench.write("words.txt", words.join("\n") + "\n");
    let json = workbench
        .run("score words.txt --device cpu --json --per-token")
        .succeeds()
        .json();
    let model = arpa(&workbench, "drawn.arpa");
    let sentences = 200_000.0 / 6.0;
    let mut compared = 0;
    for (place, word) in words.iter().enumerate() {
        let p = 10_f64.powf(
            json["token_log10_probs"][place][0]
                .as_f64()
                .expect("a number"),
        );
        if p > 0.02 {
            let counted = 10_f64.powf(model.log10_prob(&["<s>".to_owned()], word));
            assert!(
                (counted - p).abs() < 6.0 * (p * (1.0 - p) / sentences).sqrt(),
                "{word}: {counted} counted, {p} by the network"
            );
            compared += 1;
        }
    }
    assert!(compared >= 5, "{compared} words");
    // A model of a few thousand tokens is worse, and has all words of the network.
    let run = workbench
        .run(&format!(
            "{draw} --tokens 2000 --out few.arpa --test valid.txt --json"
        ))
        .succeeds();
    assert!(run.number("perplexity") > drawn);
    let few = arpa(&workbench, "few.arpa");
    assert!(
        words
            .iter()
            .all(|&word| few.ngrams.contains_key(&vec![word.to_owned()]))
    );
    for (seed, is_same) in [("1", true), ("2", false)] {
        workbench
            .run(&format!(
                "{draw} --tokens 2000 --seed {seed} --out again.arpa --force"
            ))
            .succeeds();
        assert_eq!(
            workbench.read("again.arpa") == workbench.read("few.arpa"),
            is_same,
            "seed {seed}"
        );
    }
}

#[apply(test)]
fn rejected_flags() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench
        .run(
            "train --train train.txt --device cpu --unit char --hidden 5 --epochs 1 --out \
        characters",
        )
        .succeeds();
    workbench.write("empty.txt", "");
    for (flags, code, parts) in [
        (
            "--model characters --out lm.arpa",
            1,
            &["characters", "chars", "a model of words"][..],
        ),
        ("--text train.txt", 2, &["--out"]),
        ("--out lm.arpa", 2, &["--text"]),
        ("--text train.txt --order 0 --out lm.arpa", 2, &["order 0"]),
        (
            "--text train.txt --order 65 --out lm.arpa",
            2,
            &["order 65", "1 to 64"],
        ),
        (
            "--text train.txt --min-counts 2,1 --out lm.arpa",
            2,
            &["2 to 1"],
        ),
        ("--text train.txt --memory 0 --out lm.arpa", 1, &["memory"]),
        (
            "--text train.txt --vocab nowhere.txt --out lm.arpa",
            1,
            &["nowhere.txt"],
        ),
        ("--text empty.txt --out lm.arpa", 1, &["empty.txt"]),
        ("--text nowhere.txt --out lm.arpa", 1, &["nowhere.txt"]),
        (
            "--text train.txt --out nowhere/lm.arpa",
            1,
            &["cannot write nowhere/lm.arpa"],
        ),
        (
            "--arpa train.txt --test train.txt",
            1,
            &["train.txt", "\\data\\"],
        ),
        ("--model nowhere --out lm.arpa", 1, &["nowhere"]),
        (
            "--model characters --text train.txt --out lm.arpa",
            2,
            &["--model", "--text"],
        ),
        (
            "--arpa lm.arpa --text train.txt --test train.txt",
            2,
            &["--arpa", "--text"],
        ),
    ] {
        workbench.run(&format!("ngram {flags}")).fails(code, parts);
        assert!(!workbench.path("lm.arpa").exists(), "{flags}");
    }
}

/// Checks the published perplexity of the test text for this split of the corpus, and the file
/// against the reference on the start of the text.
fn brown(order: usize, perplexity: f64) {
    let workbench = Workbench::new();
    let text = |name: &str| shared(SHARED).join(name).display().to_string();
    let [train, valid, test] = ["train.txt", "valid.txt", "test.txt"].map(text);
    let flags = format!(
        "--text {train} --vocab {train},{valid},{test} --order {order} --test {test} --out lm.arpa \
         --json"
    );
    let found = workbench
        .run(&format!("ngram {flags}"))
        .succeeds()
        .number("perplexity");
    assert!(
        (found / perplexity - 1.0).abs() < 0.01,
        "{found}, and it should be {perplexity}"
    );
    let lines: String = std::fs::read_to_string(&test)
        .expect("the test text")
        .lines()
        .take(2000)
        .flat_map(|line| [line, "\n"])
        .collect();
    workbench.write("lines.txt", &lines);
    let run = workbench
        .run("ngram --arpa lm.arpa --test lines.txt --json")
        .succeeds();
    let (log10, tokens, _) = measured(&arpa(&workbench, "lm.arpa"), &lines);
    assert_eq!(run.number("tokens"), tokens as f64);
    assert!(
        (run.number("log10_prob") - log10).abs() < 1e-6 * log10.abs(),
        "{} and {log10}",
        run.number("log10_prob")
    );
}

#[apply(test)]
#[ignore_unless(has_shared(SHARED))]
fn brown_of_order_3() {
    brown(3, 236.9);
}

#[apply(test)]
#[ignore_unless(has_shared(SHARED))]
fn brown_of_order_5() {
    brown(5, 235.2);
}
