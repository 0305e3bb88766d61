//! rnnlm models: truncated files, rejected files and rejected flags.

use super::rnnlm_files::{CASES, TestModel};
use super::rnnlm_models::{import, place};
use crate::command::Workbench;
use crate::harness::{apply, test};

/// A model for each kind of file, with every optional part of a file.
fn whole_files() -> [(TestModel, Vec<u8>); 2] {
    [(6, false), (7, true)].map(|(case, is_binary)| {
        let made = TestModel::new(&CASES[case], 4);
        let file = made.file(is_binary);
        (made, file)
    })
}

/// Demands that the file is rejected with this message, and that nothing is left behind.
fn rejected(workbench: &Workbench, file: impl AsRef<[u8]>, parts: &[&str]) {
    workbench.write("bad.rnnlm", file);
    import(workbench, "bad.rnnlm", "new").fails(1, &[&["bad.rnnlm"], parts].concat());
    assert!(
        !workbench.path("new").exists(),
        "a rejected import leaves a directory behind"
    );
}

#[apply(test)]
fn truncated_files() {
    let workbench = Workbench::new();
    let [(_, text), (_, binary)] = whole_files();
    for file in [&text, &binary] {
        for (length, parts) in [
            (0, &["not a model of rnnlm"][..]),
            (4, &["not a model of rnnlm"]),
            (
                place(file, "hidden layer size"),
                &["ends before its vocabulary", "cut short"],
            ),
            (place(file, "w3\t"), &["word 3"]),
            (place(file, "     4\t"), &["word 4 of", "cut short"]),
        ] {
            rejected(&workbench, &file[..length], parts);
        }
    }
    for (length, parts) in [
        (
            place(&text, "Hidden layer"),
            &["the hidden layer's state", "cut short"][..],
        ),
        (
            place(&text, "Weights 0->1") - 9,
            &["the hidden layer's state"],
        ),
        (
            place(&text, "Weights 0->1") + 40,
            &["the end of the weights 0->1", "cut short"],
        ),
        (
            place(&text, "Weights 1->2") + 40,
            &["the weights to the output layer", "cut short"],
        ),
        (
            place(&text, "Direct connections"),
            &["the direct connections", "cut short"],
        ),
        (text.len() - 8, &["the direct connections"]),
        // The last number has lost digits.
        (
            text.len() - 2,
            &["the end of the direct connections", "cut short"],
        ),
    ] {
        rejected(&workbench, &text[..length], parts);
    }
    let numbers = binary.len() - 4 * 960;
    for (length, parts) in [
        (
            numbers - 1,
            &["the weights to the output layer", "cut short"][..],
        ),
        (numbers, &["the direct connections"]),
        (
            binary.len() - 1,
            &["the end of the direct connections", "cut short"],
        ),
    ] {
        rejected(&workbench, &binary[..length], parts);
    }
}

#[apply(test)]
fn rejected_files() {
    let workbench = Workbench::new();
    let [(_, text), (_, binary)] = whole_files();
    let whole = String::from_utf8(text).expect("UTF-8");
    let number = whole.lines().last().expect("a number").to_owned();
    for (good, bad, parts) in [
        (
            "version: 10",
            "version: 9",
            &["version 9", "reads version 10"][..],
        ),
        (
            "version: 10",
            "version: 11",
            &["version 11", "reads version 10"],
        ),
        ("version: 10", "version: ten", &["`version:`", "\"ten\""]),
        ("version: 10", "revision: 10", &["not a model of rnnlm"]),
        (
            "file format: 0",
            "file format: 2",
            &["file format 2", "0 (text) or 1 (binary)"],
        ),
        (
            "input layer size: 15",
            "input layer size: 16",
            &["an input layer of 16", "do not make a network", "copy"],
        ),
        (
            "output layer size: 14",
            "output layer size: 13",
            &["an output layer of 13", "do not make a network"],
        ),
        (
            "hidden layer size: 5\n",
            "",
            &["`hidden layer size:`", "not a model of rnnlm"],
        ),
        (
            "class size: 4",
            "class size: -4",
            &["`class size:`", "\"-4\""],
        ),
        ("\tw3\t1", "\tw3\t2", &["word 4", "ascend"]),
        ("\tw3\t", "\tw2\t", &["word 3", "w2", "twice"]),
        ("\tw9\t3", "\tw9\t4", &["word 9", "below 4"]),
        ("     3\t", "     4\t", &["word 3", "count up"]),
        (
            "\tw3\t1",
            "\tw3",
            &["word 3", "a count, a word and a class"],
        ),
        ("</s>", "<eos>", &["first word is not </s>"]),
        (
            &format!("{number}\n"),
            "nan\n",
            &["NaN is among them", "finite", "-alpha"],
        ),
        (&format!("{number}\n"), "-inf\n", &["-inf is among them"]),
        (
            &format!("{number}\n"),
            "one\n",
            &["\"one\" is not a number"],
        ),
    ] {
        assert!(whole.contains(good), "{good:?}");
        rejected(&workbench, whole.replace(good, bad), parts);
    }
    rejected(
        &workbench,
        format!("{whole}0.1234\n"),
        &["8 bytes follow the values"],
    );
    rejected(
        &workbench,
        [&binary[..], &[0, 0, 0, 0]].concat(),
        &["4 bytes follow the values"],
    );
    rejected(
        &workbench,
        [&binary[..binary.len() - 4], &f32::NAN.to_le_bytes()].concat(),
        &["NaN is among them"],
    );
    rejected(
        &workbench,
        whole.replace("w4", "w\u{0}4").replace('\u{0}', "\t"),
        &["word 4", "a count, a word and a class"],
    );
    let mut bytes = whole.clone().into_bytes();
    let word = place(&bytes, "w4");
    bytes[word] = 0xff;
    rejected(&workbench, bytes, &["word 4", "UTF-8"]);
    rejected(
        &workbench,
        crate::command::small_text(),
        &["not a model of rnnlm", "rnnlm -train"],
    );
    rejected(
        &workbench,
        [0x80, 0, 0, 0, 0xff].repeat(50),
        &["not a model of rnnlm"],
    );
    // Sizes beyond any memory.
    let huge = whole
        .replace("vocabulary size: 10", "vocabulary size: 1000000000000000")
        .replace("input layer size: 15", "input layer size: 1000000000000005");
    let many = huge
        .replace("class size: 4", "class size: 1000000000000000")
        .replace(
            "output layer size: 14",
            "output layer size: 2000000000000000",
        );
    rejected(
        &workbench,
        huge.replace(
            "output layer size: 14",
            "output layer size: 1000000000000004",
        ),
        &["1000000000000000 words"],
    );
    rejected(&workbench, many, &["1000000000000000 words"]);
    let wide = whole
        .replace(
            "hidden layer size: 5",
            "hidden layer size: 1000000000000000",
        )
        .replace("input layer size: 15", "input layer size: 1000000000000010");
    rejected(&workbench, wide, &["the hidden layer's state"]);
    rejected(
        &workbench,
        whole.replace(
            "compression layer size: 0",
            "compression layer size: 1000000000000000",
        ),
        &["the weights 1->c"],
    );
    import(&workbench, "missing.rnnlm", "new").fails(1, &["missing.rnnlm", "because"]);
}

#[apply(test)]
fn rejected_flags() {
    let workbench = Workbench::new();
    workbench.write("made.rnnlm", whole_files()[0].1.clone());
    for flag in [
        "--vocab made.rnnlm",
        "--unit char",
        "--activation tanh",
        "--initial-state 0.5",
    ] {
        let name = flag.split(' ').next().unwrap_or(flag);
        workbench
            .run(&format!("import --from rnnlm made.rnnlm --out new {flag}"))
            .fails(2, &[name, "determines this itself", "Omit it"]);
    }
    workbench
        .run("import --from rnnlm made.rnnlm")
        .fails(2, &["--out"]);
    assert!(!workbench.path("new").exists());
}
