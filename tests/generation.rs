//! `elman generate`: characters, bytes, prompts and independent sentences.

use crate::command::{Run, Workbench, small_text};
use crate::harness::{apply, test};

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
fn every_text_has_its_own_seed() {
    let workbench = Workbench::with_model();
    let generate = |flags: &str| {
        workbench
            .run(&format!("generate --sentences 5 --device cpu {flags}"))
            .succeeds()
    };
    let (first, second) = (generate(""), generate(""));
    assert_ne!(first.stdout, second.stdout, "two texts");
    let seed = |run: &Run| {
        let line = run.stderr.lines().find(|line| line.starts_with("seed: "));
        let words = line.and_then(|line| line.split(' ').nth(1));
        words.and_then(|seed| seed.parse::<u64>().ok())
    };
    let printed = seed(&first).unwrap_or_else(|| panic!("no seed: {}", first.stderr));
    let again = generate(&format!("--seed {printed}"));
    assert_eq!(again.stdout, first.stdout);
    assert_eq!(seed(&again), None, "a given seed is not printed");
    let json = generate("--json");
    assert_eq!(json.json()["seed"].as_u64(), seed(&json));
}

#[apply(test)]
fn unknown_token_is_not_written() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench
        .run(
            "train --train train.txt --device cpu --hidden 6 --epochs 1 --batch 4 --bptt 5 \
             --vocab-size 6",
        )
        .succeeds();
    let unknown = |flags: &str| {
        let run = workbench
            .run(&format!(
                "generate --tokens 300 --device cpu --seed 4 {flags}"
            ))
            .succeeds();
        run.stdout.matches("<unk>").count()
    };
    assert_eq!(unknown(""), 0);
    assert_eq!(unknown("--no-unk --temperature 0"), 0);
    assert!(unknown("--no-unk=false") > 20, "most words are unknown");
    assert!(unknown("--no-unk false") > 20);
}

#[apply(test)]
fn lines_of_a_dialogue_are_continued_in_turn() {
    let workbench = Workbench::with_model();
    let dialogue = "generate --interactive --seed 3 --device cpu -q";
    let run = workbench
        .run_with_input(dialogue, b"the dog\n\nthe cat\n")
        .succeeds();
    assert_eq!(run.stderr, "", "no prompt without a terminal");
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines[0].starts_with("the dog") && lines[2].starts_with("the cat"),
        "{lines:?}"
    );
    // The first line is what --prompt gives; the second follows from it, as another sentence.
    let mut command = workbench.command("generate --sentences 2 --seed 3 --device cpu --prompt");
    let output = command.arg("the dog").output().expect("it starts");
    let alone = Run::new("generate --prompt", output).succeeds().stdout;
    assert_eq!(alone, format!("{}\n{}\n", lines[0], lines[1]));
    // The last line needs no end, and words that the model does not know are reported.
    let run = workbench
        .run_with_input(
            "generate --interactive --seed 3 --device cpu",
            b"the unheard",
        )
        .succeeds();
    assert!(
        run.stdout.starts_with("the unheard") && run.stderr.contains("1 token(s) of the prompt"),
        "{} {}",
        run.stdout,
        run.stderr
    );
    workbench
        .run_with_input(dialogue, b"the \xff\n")
        .fails(1, &["standard input", "UTF-8"]);
    workbench
        .run("generate --interactive --json")
        .fails(2, &["--interactive", "--json"]);
}
