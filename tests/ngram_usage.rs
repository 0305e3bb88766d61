//! `elman ngram`: incomplete flags, files that exist, sentence tags, large perplexities.

use crate::command::{Workbench, small_text};
use crate::harness::{apply, test};

#[apply(test)]
fn incomplete_flags() {
    let workbench = Workbench::new();
    workbench.write("text.txt", small_text());
    for (flags, parts) in [
        (
            "--test text.txt",
            &[
                "--test text.txt",
                "--arpa FILE",
                "--text FILE",
                "--model DIR",
            ][..],
        ),
        ("--out lm.arpa", &["--out lm.arpa", "--text FILE"]),
        ("", &["there is no n-gram model", "--text FILE"]),
        ("--text text.txt", &["--out FILE", "--test FILE"]),
        ("--text text.txt --test text.txt --force", &["--out"]),
    ] {
        workbench.run(&format!("ngram {flags}")).fails(2, parts);
        assert!(!workbench.path("lm.arpa").exists(), "{flags}");
    }
}

#[apply(test)]
fn existing_file_needs_force() {
    let workbench = Workbench::new();
    workbench.write("text.txt", small_text());
    workbench.write("lm.arpa", "precious\n");
    let command = "ngram --text text.txt --order 2 --out lm.arpa";
    let run = workbench.run(command);
    run.fails(1, &["lm.arpa", "it exists", "--force", "--out FILE"]);
    assert_eq!(workbench.read("lm.arpa"), b"precious\n");
    workbench.run(&format!("{command} --force")).succeeds();
    assert!(workbench.read("lm.arpa").starts_with(b"\\data\\"));
    std::fs::create_dir(workbench.path("folder")).expect("a directory made");
    for force in ["", "--force"] {
        workbench
            .run(&format!("ngram --text text.txt --out folder {force}"))
            .fails(1, &["folder", "directory"]);
    }
}

/// Sentence tags of a text do not count: the line is the sentence.
#[apply(test)]
fn sentence_tags() {
    let workbench = Workbench::new();
    let plain = "the dog sings\nthe cat runs\n".repeat(30);
    let tagged = "<s> the dog sings </s>\nthe cat runs </s>\n".repeat(30);
    workbench.write("plain.txt", plain);
    workbench.write("tagged.txt", tagged);
    let make = |text: &str| {
        let flags = format!("--text {text}.txt --order 3 --out {text}.arpa --test {text}.txt");
        let run = workbench.run(&format!("ngram {flags} --json")).succeeds();
        (workbench.read(&format!("{text}.arpa")), run)
    };
    let (file, plain) = make("plain");
    let (same, tagged) = make("tagged");
    assert!(file == same);
    assert_eq!(tagged.json(), plain.json());
    assert!(tagged.stderr.contains("</s>"), "{}", tagged.stderr);
    assert!(!plain.stderr.contains("</s>"), "{}", plain.stderr);
    let evaluate = |text: &str| {
        let run = workbench.run(&format!("ngram --arpa plain.arpa --test {text}.txt --json"));
        run.succeeds()
    };
    assert_eq!(evaluate("tagged").json(), evaluate("plain").json());
    assert!(evaluate("tagged").stderr.contains("</s>"));
}

#[apply(test)]
fn large_perplexities_are_in_scientific_form() {
    let workbench = Workbench::new();
    workbench.write("train.txt", "a b\nb a\na\n".repeat(20));
    workbench.write("text.txt", "a a a a\n");
    workbench.write(
        "lm.arpa",
        "\\data\\\nngram 1=3\n\\1-grams:\n-99 a\n-99 b\n-99 </s>\n\\end\\\n",
    );
    workbench
        .run("train --train train.txt --device cpu --hidden 4 --epochs 1 --batch 2 --bptt 4")
        .succeeds();
    let evaluate = "eval --device cpu --text text.txt --arpa lm.arpa --lambda 0";
    for (command, start) in [
        (
            "ngram --arpa lm.arpa --test text.txt",
            "perplexity         ",
        ),
        (evaluate, "perplexity         "),
        (evaluate, "per word           "),
        (&format!("{evaluate} --format rnnlm"), "PPL other: "),
        (&format!("{evaluate} --format rnnlm"), "PPL combine: "),
    ] {
        let run = workbench.run(command).succeeds();
        let line = run.stdout.lines().find_map(|line| line.strip_prefix(start));
        let value = line.expect(start).split(' ').next().unwrap_or_default();
        let (mantissa, exponent) = value.split_once('e').expect(value);
        let mantissa: f64 = mantissa.parse().expect("a number");
        let log10 = mantissa.log10() + exponent.parse::<f64>().expect("a number");
        assert!((log10 - 99.0).abs() < 1e-3, "{command}: {value}");
    }
    // Beyond the largest number.
    let text = String::from_utf8(workbench.read("lm.arpa")).expect("UTF-8");
    workbench.write("lm.arpa", text.replace("-99", "-400"));
    let run = workbench
        .run("ngram --arpa lm.arpa --test text.txt")
        .succeeds();
    assert!(run.stdout.contains("log10 probability  -2000.0000"));
    assert!(
        run.stdout.contains("e400\n") || run.stdout.contains("e399\n"),
        "{}",
        run.stdout
    );
}
