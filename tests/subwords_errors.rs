//! Subwords: rejected tokenizers and flags, and damaged checkpoints.

use serde_json::{Value, json};

use super::subwords::{TRAIN, limits, read, renumber, small_tokenizer, with_subwords};
use crate::command::{Workbench, small_text};
use crate::harness::{apply, test};

#[apply(test)]
fn rejected_tokenizers() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let good = small_tokenizer(300);
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut tokenizer = good.clone();
        change(&mut tokenizer);
        tokenizer.to_string()
    };
    let model = |kind: Value| changed(&|tokenizer| tokenizer["model"] = kind.clone());
    let cases: [(String, &[&str]); 12] = [
        ("no json".to_owned(), &["wrong.json", "not JSON"]),
        (good.to_string()[..2000].to_owned(), &["not JSON", "EOF"]),
        ("{}".to_owned(), &["not a tokenizer.json", "byte-level BPE"]),
        ("[1, 2]".to_owned(), &["not a tokenizer.json"]),
        (
            model(json!({"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"})),
            &["WordLevel", "requires BPE"],
        ),
        (
            model(json!({
                "type": "WordPiece", "vocab": {"a": 0}, "unk_token": "a",
                "continuing_subword_prefix": "##", "max_input_chars_per_word": 9
            })),
            &["WordPiece"],
        ),
        (
            model(
                json!({"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}),
            ),
            &["no token", "0x00", "byte-level"],
        ),
        (
            changed(&|tokenizer| renumber(tokenizer, |id| if id > 200 { id + 1 } else { id })),
            &["no token has 201", "0 to 299"],
        ),
        (
            changed(&|tokenizer| tokenizer["model"]["dropout"] = json!(0.5)),
            &["dropout is 0.5", "null"],
        ),
        (
            changed(&|tokenizer| tokenizer["normalizer"] = json!({"type": "Lowercase"})),
            &["decodes to", "normalizer"],
        ),
        (
            changed(&|tokenizer| tokenizer["normalizer"] = json!({"type": "NFC"})),
            &["decodes to", "normalizer"],
        ),
        (
            changed(&|tokenizer| tokenizer["pre_tokenizer"]["add_prefix_space"] = json!(true)),
            &["decodes to", "add_prefix_space"],
        ),
    ];
    for (json, parts) in cases {
        workbench.write("wrong.json", json);
        workbench
            .run(&format!("{TRAIN} --tokenizer wrong.json --out new"))
            .fails(1, parts);
    }
    workbench.write("wrong.json", b"\xff\xfe");
    workbench
        .run(&format!("{TRAIN} --tokenizer wrong.json --out new"))
        .fails(1, &["wrong.json", "not JSON"]);
    workbench
        .run(&format!("{TRAIN} --tokenizer missing.json --out new"))
        .fails(1, &["missing.json", "because"]);
    assert!(!workbench.path("new").join("model.safetensors").exists());
}

#[apply(test)]
fn rejected_flags() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench.write("given.json", small_tokenizer(300).to_string());
    for (flags, parts) in [
        (
            "--unit bpe --vocab-size 256",
            &["--vocab-size 256", "257", "byte"][..],
        ),
        ("--unit bpe --vocab-size 0", &["--vocab-size 0", "257"]),
        (
            "--tokenizer given.json",
            &["--tokenizer given.json", "unit is word", "--unit bpe"],
        ),
        (
            "--unit char --tokenizer given.json",
            &["unit is char", "--unit bpe"],
        ),
        (
            "--unit bpe --tokenizer given.json --vocab-size 300",
            &["--vocab-size with --tokenizer given.json"],
        ),
        (
            "--unit bpe --tokenizer given.json --min-count 3",
            &["--min-count with --tokenizer given.json"],
        ),
    ] {
        workbench
            .run(&format!(
                "train --device cpu --train train.txt --out new {flags}"
            ))
            .fails(2, parts);
    }
    workbench.write("latin.txt", b"good line\nbad \xff line\n");
    workbench
        .run("train --device cpu --unit bpe --out new --train latin.txt")
        .fails(1, &["latin.txt, line 2, byte 5 (0xff)"]);
}

#[apply(test)]
fn damaged_checkpoints() {
    let workbench = with_subwords();
    let eval = "eval --device cpu --text train.txt --model";
    workbench.copy_model("without");
    std::fs::remove_file(workbench.path("without/tokenizer.json")).expect("removed");
    workbench
        .run(&format!("{eval} without"))
        .fails(1, &["without/tokenizer.json", "it is missing", "Restore"]);
    workbench.copy_model("other");
    workbench.edit("other/tokenizer.json", small_tokenizer(300).to_string());
    workbench
        .run(&format!("{eval} other"))
        .fails(1, &["other/tokenizer.json", "its subword", "vocab.txt"]);
    let text = String::from_utf8(workbench.read("train.txt")).expect("UTF-8");
    let longer = read(&text, limits(310)).vocabulary;
    workbench.edit(
        "other/tokenizer.json",
        longer.subwords().expect("subwords").json(),
    );
    workbench.run(&format!("{eval} other")).fails(
        1,
        &["other/tokenizer.json", "310 subwords", "vocab.txt 300"],
    );
    workbench.copy_model("half");
    let half = workbench.read("half/tokenizer.json");
    workbench.edit("half/tokenizer.json", &half[..half.len() / 2]);
    workbench
        .run(&format!("{eval} half"))
        .fails(1, &["half/tokenizer.json", "not JSON"]);
    workbench.copy_model("swapped");
    let vocabulary = String::from_utf8(workbench.read("swapped/vocab.txt")).expect("UTF-8");
    let mut lines: Vec<_> = vocabulary.lines().collect();
    lines.swap(7, 8);
    workbench.edit("swapped/vocab.txt", lines.join("\n") + "\n");
    workbench
        .run(&format!("{eval} swapped"))
        .fails(1, &["swapped/tokenizer.json", "subword 7", "vocab.txt"]);
    // A change that means nothing is a change.
    workbench.copy_model("spaced");
    let spaced = String::from_utf8(workbench.read("spaced/tokenizer.json")).expect("UTF-8") + "\n";
    workbench.write("spaced/tokenizer.json", spaced);
    workbench
        .run(&format!("{eval} spaced"))
        .fails(1, &["spaced/tokenizer.json", "when it was written"]);
    std::fs::remove_file(workbench.path("spaced/manifest.json")).expect("removed");
    workbench.run(&format!("{eval} spaced")).succeeds();
}
