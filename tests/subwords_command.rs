//! Subwords through the command line: runs keep their tokenizer, and models of different units are
//! compared.

use serde_json::{Value, json};

use super::subwords::{LINES, TRAIN, with_subwords};
use crate::command::{Workbench, small_text};
use crate::harness::{apply, test};

#[apply(test)]
fn train_eval_score_generate() {
    let workbench = with_subwords();
    let vocabulary = String::from_utf8(workbench.read("model/vocab.txt")).expect("UTF-8");
    assert_eq!(
        (vocabulary.lines().next(), vocabulary.lines().count()),
        (Some("</s>"), 300)
    );
    assert!(
        workbench
            .run("inspect")
            .succeeds()
            .stdout
            .contains("subwords, vocabulary 300")
    );
    // `score` reads each line as a separate text and drops its byte order mark.
    let lines: Vec<_> = LINES
        .into_iter()
        .filter(|line| !line.starts_with('\u{feff}'))
        .collect();
    workbench.write("lines.txt", lines.join("\n"));
    for text in ["train.txt", "lines.txt"] {
        let eval = workbench
            .run(&format!("eval --text {text} --device cpu --json"))
            .succeeds();
        assert_eq!(eval.number("oov"), 0.0);
        let scores = workbench
            .run(&format!(
                "score {text} --carry --per-token --json --device cpu"
            ))
            .succeeds()
            .json();
        let sum: f64 = scores["log10_prob"]
            .as_array()
            .expect("an array")
            .iter()
            .filter_map(Value::as_f64)
            .sum();
        assert!(
            (sum - eval.number("log10_prob")).abs() <= 1e-6 * sum.abs(),
            "{text}: {sum} and {}",
            eval.stdout
        );
        let tokens: f64 = scores["tokens"]
            .as_array()
            .expect("an array")
            .iter()
            .filter_map(Value::as_f64)
            .sum();
        assert_eq!(tokens, eval.number("tokens"));
    }
    let text = workbench
        .run("generate --sentences 4 --device cpu")
        .succeeds()
        .stdout;
    assert_eq!(text.lines().count(), 4, "{text}");
    // At a high temperature, a model generates bytes that are not valid characters: text is still
    // written, the same as in JSON.
    for prompt in ["the boys ru", "漢", "first line\nsecond li"] {
        let run = |more: &str| {
            let mut command = workbench.command(&format!(
                "generate --tokens 200 --temperature 9 --seed 1 --device cpu {more}--prompt"
            ));
            command.arg(prompt).output().expect("it runs").stdout
        };
        let plain = String::from_utf8(run("")).expect("text");
        assert!(plain.starts_with(prompt), "{plain:?}");
        let json: Value = serde_json::from_slice(&run("--json ")).expect("JSON");
        assert_eq!(
            json["text"].as_str().map(str::trim_end),
            Some(plain.trim_end())
        );
        assert_eq!(json["tokens"].as_array().map(Vec::len), Some(200));
    }
}

#[apply(test)]
fn runs_are_resumed_and_repeated_with_their_subwords() {
    let workbench = with_subwords();
    let tokenizer = workbench.read("model/tokenizer.json");
    workbench
        .run("train --resume model --device cpu --epochs 3")
        .succeeds();
    workbench
        .run(&format!(
            "{} --vocab-size 300 --out whole",
            TRAIN.replace("--epochs 2", "--epochs 3")
        ))
        .succeeds();
    assert!(
        workbench.read("model/model.safetensors") == workbench.read("whole/model.safetensors"),
        "a resumed run is another one"
    );
    // Repeated with other words in the text: the subwords come from the model, not from the text.
    workbench.write("other.txt", "quite other words than those\n".repeat(300));
    let run = workbench
        .run("train --config model --train other.txt --device cpu --epochs 1 --out again")
        .succeeds();
    assert!(
        run.stderr.contains("--tokenizer=model/tokenizer.json"),
        "{}",
        run.stderr
    );
    workbench
        .run("train --config model --device cpu --epochs 3 --out same")
        .succeeds();
    for model in ["whole", "again", "same"] {
        assert!(
            workbench.read(&format!("{model}/tokenizer.json")) == tokenizer,
            "{model} has another tokenizer"
        );
    }
    assert!(
        workbench.read("same/model.safetensors") == workbench.read("model/model.safetensors"),
        "a repeated run is another one"
    );
    // A run with a given tokenizer resumes with it even if the file is gone.
    workbench.write("given.json", &tokenizer);
    workbench
        .run(&format!("{TRAIN} --tokenizer given.json --out given"))
        .succeeds();
    std::fs::remove_file(workbench.path("given.json")).expect("removed");
    workbench
        .run("train --resume given --device cpu --epochs 3")
        .succeeds();
    workbench
        .run("train --resume model --vocab-size 301")
        .fails(2, &["--vocab-size 301", "--vocab-size 300"]);
    workbench
        .run("train --resume model --tokenizer again/tokenizer.json")
        .fails(2, &["--tokenizer again", "without --tokenizer"]);
    workbench
        .run("train --resume model --min-count 5")
        .fails(2, &["--min-count 5", "--min-count 2"]);
    workbench
        .run("train --resume model --vocab-size 300 --device cpu")
        .succeeds();
    // Flags on the command line take precedence.
    let run = workbench
        .run("train --config model --device cpu --epochs 1 --vocab-size 280 --out small")
        .succeeds();
    assert!(run.stderr.contains("without --tokenizer"), "{}", run.stderr);
    assert_eq!(
        workbench.run("inspect --json small").succeeds().json()["config"]["vocab_size"],
        280
    );
    workbench
        .run("train --config model --device cpu --epochs 1 --unit char --out characters")
        .succeeds();
    // Training another unit in the same directory removes the tokenizer.
    workbench
        .run("train --train train.txt --device cpu --hidden 4 --epochs 1 --out small --force")
        .succeeds();
    assert!(!workbench.path("small/tokenizer.json").exists());
}

#[apply(test)]
fn units_compare_by_words_and_characters() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let mut sizes = Vec::new();
    for unit in ["word", "char", "byte", "bpe --vocab-size 300"] {
        let out = unit.split(' ').next().expect("a name");
        let train = "train --train train.txt --valid train.txt --device cpu --hidden 6 --epochs 1 \
            --batch 4 --bptt 5 --out";
        workbench
            .run(&format!("{train} {out} --unit {unit}"))
            .succeeds();
        let eval = workbench
            .run(&format!(
                "eval --model {out} --text train.txt --device cpu --json"
            ))
            .succeeds();
        let (words, characters) = (eval.number("words"), eval.number("characters"));
        let nats = eval.number("tokens") * eval.number("perplexity").ln();
        for (key, want) in [
            ("word_perplexity", (nats / words).exp()),
            ("character_perplexity", (nats / characters).exp()),
            ("bits_per_character", nats / characters / 2_f64.ln()),
        ] {
            assert!(
                (eval.number(key) / want - 1.0).abs() < 1e-9,
                "{unit}: {key} is {}, not {want}",
                eval.number(key)
            );
        }
        // Per token of the unit, it is the perplexity.
        let own = match out {
            "word" => "word_perplexity",
            "bpe" => "perplexity",
            _ => "character_perplexity",
        };
        assert!((eval.number(own) / eval.number("perplexity") - 1.0).abs() < 1e-9);
        let text = workbench
            .run(&format!("eval --model {out} --text train.txt --device cpu"))
            .succeeds()
            .stdout;
        assert!(
            text.contains("per word") && text.contains("per character"),
            "{text}"
        );
        sizes.push((words, characters));
    }
    let text = small_text();
    let words = text
        .lines()
        .map(|line| line.split_whitespace().count() + 1)
        .sum::<usize>();
    assert_eq!(sizes, [(words as f64, text.chars().count() as f64); 4]);
}

#[apply(test)]
fn models_without_a_common_unit_are_not_compared() {
    let workbench = Workbench::with_model();
    workbench
        .run("train --train train.txt --min-count 20 --device cpu --hidden 5 --epochs 1 --out cut")
        .succeeds();
    workbench.write("odd.txt", "the xylophone runs\n");
    workbench.write(
        "bytes.bin",
        (0..=255_u8).cycle().take(256 * 12).collect::<Vec<_>>(),
    );
    workbench
        .run(
            "train --train bytes.bin --unit byte --device cpu --hidden 5 --epochs 1 --batch \
        2 --bptt 6 --out bytes",
        )
        .succeeds();
    for (model, text, words, reason) in [
        ("model", "odd.txt", json!(4), "1 unknown token(s)"),
        ("cut", "odd.txt", json!(4), "as <unk>"),
        ("bytes", "bytes.bin", Value::Null, "not UTF-8"),
    ] {
        let eval = workbench
            .run(&format!(
                "eval --model {model} --text {text} --device cpu --json"
            ))
            .succeeds()
            .json();
        for key in [
            "word_perplexity",
            "character_perplexity",
            "bits_per_character",
        ] {
            assert_eq!(eval[key], Value::Null, "{model}: {key}");
        }
        assert_eq!(eval["words"], words);
        assert!(
            eval["incomparable"]
                .as_str()
                .is_some_and(|said| said.contains(reason)),
            "{eval}"
        );
        let plain = workbench
            .run(&format!("eval --model {model} --text {text} --device cpu"))
            .succeeds()
            .stdout;
        assert!(
            plain.contains(reason) && !plain.contains("per word  "),
            "{plain}"
        );
    }
}

#[apply(test)]
fn a_repeated_run_is_complete_in_its_directory() {
    let workbench = with_subwords();
    let read = |name: &str| workbench.read(name);
    let train = "train --device cpu --epochs 1";
    // The first model is given by a relative path, from another directory.
    std::fs::create_dir(workbench.path("inner")).expect("a directory made");
    let mut command = workbench.command(&format!(
        "{train} --config ../model --train ../train.txt --out ../again"
    ));
    command.current_dir(workbench.path("inner"));
    assert!(command.output().expect("it runs").status.success());
    assert!(read("again/tokenizer.json") == read("model/tokenizer.json"));
    let eval = |model: &str| {
        workbench
            .run(&format!(
                "eval --text train.txt --device cpu --json --model {model}"
            ))
            .succeeds()
            .stdout
    };
    let before = eval("again");
    // It needs neither the first model nor its own place.
    std::fs::rename(workbench.path("model"), workbench.path("elsewhere")).expect("moved");
    std::fs::rename(workbench.path("again"), workbench.path("inner/moved")).expect("moved");
    assert_eq!(eval("inner/moved"), before);
    workbench
        .run(&format!(
            "{train} --config inner/moved --train train.txt --out third"
        ))
        .succeeds();
    assert!(read("third/model.safetensors") == read("inner/moved/model.safetensors"));
    workbench
        .run("train --resume inner/moved --train train.txt --device cpu --epochs 2")
        .succeeds();
    // Into its own directory.
    workbench
        .run(&format!("{train} --config third --out third --force"))
        .succeeds();
    assert!(read("third/tokenizer.json") == read("elsewhere/tokenizer.json"));
}
