//! Bad input: the message names the value, the rule and the fix, the exit code is right, and
//! nothing is lost.

use crate::command::{Workbench, small_text};
use crate::harness::{apply, test};

const TRAIN: &str = "train --device cpu --train train.txt --out new --epochs 1 --hidden 5";

#[apply(test)]
fn paths() {
    let workbench = Workbench::with_model();
    workbench.write("empty.txt", "");
    workbench
        .run("train --device cpu --out new --train missing.txt")
        .fails(1, &["missing.txt", "because"]);
    workbench
        .run("train --device cpu --out new --train empty.txt")
        .fails(1, &["empty.txt", "empty"]);
    workbench
        .run("train --device cpu --out new --train model")
        .fails(1, &["model", "directory"]);
    workbench
        .run("train --device cpu --out new --train train.txt --valid missing.txt")
        .fails(1, &["missing.txt"]);
    workbench
        .run("train --device cpu --out new --valid train.txt")
        .fails(2, &["--valid", "--train"]);
    workbench
        .run("train --device cpu --out train.txt --train train.txt")
        .fails(1, &["train.txt", "file"]);
    workbench
        .run("eval --device cpu --text missing.txt")
        .fails(1, &["missing.txt"]);
    workbench
        .run("eval --device cpu --model nowhere --text train.txt")
        .fails(1, &["nowhere"]);
    workbench
        .run("score --device cpu missing.txt")
        .fails(1, &["missing.txt"]);
    workbench
        .run("score --device cpu model")
        .fails(1, &["model", "directory"]);
    workbench.run("inspect nowhere").fails(1, &["nowhere"]);
    workbench
        .run("train --device cpu --resume nowhere")
        .fails(1, &["nowhere"]);
    assert!(!workbench.path("new").join("model.safetensors").exists());
}

#[apply(test)]
fn sizes_beyond_memory() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    for hidden in ["3000000", "268435455"] {
        let run = workbench.run(&format!(
            "train --train train.txt --device cpu --hidden {hidden}"
        ));
        run.fails(
            1,
            &[
                "initial values of the parameters",
                "memory left",
                "smaller --vocab-size, --hidden",
            ],
        );
    }
    for hidden in ["268435456", "9000000000000000"] {
        workbench
            .run(&format!(
                "train --train train.txt --device cpu --hidden {hidden}"
            ))
            .fails(2, &[&format!("--hidden {hidden}"), "at most 268435455"]);
    }
}

#[apply(test)]
fn flags() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    for (flag, parts) in [
        ("--hidden 0", &["--hidden 0", "at least 1"][..]),
        ("--layers 0", &["--layers 0"]),
        ("--batch 0", &["--batch 0"]),
        ("--bptt 0", &["--bptt 0"]),
        ("--epochs 0", &["--epochs 0"]),
        ("--lr=-0.1", &["--lr -0.1", "positive"]),
        ("--lr nan", &["--lr NaN"]),
        ("--lr 0", &["--lr 0"]),
        ("--clip=-1", &["--clip -1"]),
        ("--clip-value nan", &["--clip-value NaN"]),
        ("--l2=-1", &["--l2 -1"]),
        ("--activation-l2=-1", &["--activation-l2 -1", "at least 0"]),
        ("--activation-l2 nan", &["--activation-l2 NaN"]),
        ("--temporal-l2=-0.5", &["--temporal-l2 -0.5", "at least 0"]),
        ("--temporal-l2 nan", &["--temporal-l2 NaN"]),
        ("--temporal-l2 inf", &["--temporal-l2 inf"]),
        (
            "--temporal-l2 1 --bptt 1",
            &["--temporal-l2 1 with --bptt 1", "--bptt of 2"],
        ),
        ("--past-decode=-1", &["--past-decode -1", "at least 0"]),
        ("--past-decode nan", &["--past-decode NaN"]),
        ("--past-decode inf", &["--past-decode inf"]),
        (
            "--reset-states=-0.1",
            &["--reset-states -0.1", "at least 0"],
        ),
        ("--reset-states 1", &["--reset-states 1", "below 1"]),
        ("--reset-states nan", &["--reset-states NaN"]),
        ("--vocab-size 1", &["--vocab-size 1", "at least 2"]),
        ("--cell perceptron", &["--cell perceptron", "elman"]),
        ("--activation cosine", &["cosine", "sigmoid"]),
        ("--optimizer newton", &["--optimizer newton", "adam"]),
        (
            "--optimizer adam --l2 0.001",
            &["--l2 0.001", "moments", "adamw"],
        ),
        ("--output crystal", &["--output crystal", "softmax"]),
        (
            "--cutoffs 20",
            &["--cutoffs", "--output softmax", "--output adaptive"],
        ),
        (
            "--output class --tail-divisor 2",
            &["--tail-divisor", "--output class"],
        ),
        (
            "--output adaptive --cutoffs 20,10",
            &["--cutoffs 20,10", "ascend", "usual"],
        ),
        (
            "--output adaptive --cutoffs 1000000",
            &["--cutoffs 1000000", "below the vocabulary"],
        ),
        (
            "--output adaptive --tail-divisor 0.5",
            &["--tail-divisor 0.5", "at least 1"],
        ),
        (
            "--output adaptive --tied --embedding 100",
            &["--tied", "with --output adaptive"],
        ),
        (
            "--samples 20",
            &["--samples", "--output softmax", "--output sampled"],
        ),
        ("--loss nce", &["--loss", "--output sampled"]),
        (
            "--output sampled --samples 0",
            &["--samples 0", "at least 1"],
        ),
        (
            "--output sampled --noise-power=-1",
            &["--noise-power -1", "from 0 to 2"],
        ),
        ("--output sampled --noise-power nan", &["--noise-power NaN"]),
        (
            "--output sampled --nce-lnz 9",
            &["--nce-lnz 9", "--loss nce"],
        ),
        ("--output sampled --loss hinge", &["hinge", "nce"]),
        ("--unit syllable", &["syllable", "word"]),
        ("--threads 0", &["--threads"]),
        ("--min-improvement nan", &["--min-improvement"]),
        ("--schedule sine", &["sine", "cosine", "one-cycle"]),
        (
            "--schedule plateau --lr-decay 1",
            &["--lr-decay 1", "between 0 and 1"],
        ),
        ("--schedule step --lr-decay nan", &["--lr-decay NaN"]),
        (
            "--schedule step --lr-decay-after 0",
            &["--lr-decay-after 0", "from 1"],
        ),
        ("--schedule cosine --lr-end=-1", &["--lr-end -1"]),
        (
            "--lr-decay 0.5",
            &["--lr-decay 0.5 with --schedule halve", "plateau and step"],
        ),
        (
            "--schedule step --lr-patience 1",
            &["--lr-patience 1 with --schedule step", "plateau"],
        ),
        (
            "--schedule plateau --lr-decay-after 2",
            &["--lr-decay-after 2 with --schedule plateau", "step"],
        ),
        (
            "--schedule constant --lr-end 0.1",
            &["--lr-end 0.1 with --schedule constant", "cosine and linear"],
        ),
        ("--keep last", &["--keep last with --schedule halve"]),
        ("--patience 2", &["--patience 2", "--schedule halve"]),
        (
            "--schedule constant --patience 0",
            &["--patience 0", "at least 1"],
        ),
        (
            "--schedule one-cycle --warm-up 10",
            &["--warm-up 10", "its own warm-up"],
        ),
        (
            "--average always",
            &["--average", "--schedule halve", "constant"],
        ),
        ("--accumulate 0", &["--accumulate 0", "from 1 to 256"]),
        ("--accumulate 257", &["--accumulate 257"]),
        ("--bptt-jitter 17", &["--bptt-jitter 17", "at most the 16"]),
        (
            "--bptt-jitter 2 --bptt-block 3",
            &["--bptt-jitter 2 with --bptt-block", "one length"],
        ),
        (
            "--bptt-jitter 2 --accumulate 2",
            &["--bptt-jitter 2 with --accumulate"],
        ),
        (
            "--bptt-jitter 2 --schedule linear",
            &["--bptt-jitter 2 with --schedule"],
        ),
    ] {
        let line = TRAIN.replace(" --epochs 1", "").replace(" --hidden 5", "");
        workbench.run(&format!("{line} {flag}")).fails(2, parts);
    }
    for flag in [
        "--temperature=-1",
        "--top-k 0",
        "--top-p 0",
        "--top-p 1.5",
        "--tokens 5 --sentences 5",
    ] {
        let model = Workbench::with_model();
        model
            .run(&format!("generate --device cpu {flag}"))
            .fails(2, &[flag.split([' ', '=']).next().unwrap_or(flag)]);
    }
}

#[apply(test)]
fn texts() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench
        .run(&format!("{TRAIN} --batch 500 --bptt 50"))
        .fails(1, &["--batch 500", "At most --batch"]);
    workbench
        .run(&format!("{TRAIN} --batch 1 --bptt 100000"))
        .fails(1, &["100000 steps", "--bptt"]);
    workbench.write("latin.txt", b"good line\nbad \xff line\n");
    workbench
        .run("train --device cpu --out new --train latin.txt")
        .fails(1, &["latin.txt, line 2, byte 5 (0xff)", "--unit byte"]);
    workbench
        .run("train --device cpu --out new --train latin.txt --unit char")
        .fails(1, &["line 2, byte 5"]);
    workbench.write("cut.txt", b"good line\n\xe6\xbc");
    workbench
        .run("train --device cpu --out new --train cut.txt")
        .fails(1, &["cut.txt, line 2, byte 1"]);
    workbench
        .run(&format!("{TRAIN} --unit char --valid latin.txt"))
        .fails(1, &["latin.txt, line 2, byte 5"]);
    workbench.write("digits.txt", "0123456789");
    workbench
        .run(&format!("{TRAIN} --unit char --valid digits.txt"))
        .fails(1, &["digits.txt", "vocabulary"]);
    workbench
        .run(&format!("{TRAIN} --min-count 1000000"))
        .fails(1, &["vocabulary", "--min-count"]);
    workbench.write("newlines.txt", "\n\n\n");
    workbench
        .run("train --device cpu --out new --train newlines.txt")
        .fails(1, &["vocabulary"]);
    let model = Workbench::with_model();
    model.write("bad.txt", b"the boy\nthe \xc3\x28\n");
    model
        .run("score --device cpu bad.txt")
        .fails(1, &["line 2 of bad.txt", "byte 5"]);
    model
        .run("eval --device cpu --text bad.txt")
        .fails(1, &["bad.txt, line 2, byte 5"]);
    assert!(!workbench.path("new").join("model.safetensors").exists());
}

#[apply(test)]
fn damaged_checkpoints() {
    let workbench = Workbench::with_model();
    let damage = |name: &str, file: &str, change: &dyn Fn(Vec<u8>) -> Option<Vec<u8>>| {
        workbench.copy_model(name);
        let path = format!("{name}/{file}");
        // The manifest would notice every change.
        match change(workbench.read(&path)) {
            Some(bytes) => workbench.edit(&path, bytes),
            None => {
                workbench.edit(&path, "");
                std::fs::remove_file(workbench.path(&path)).expect("removed");
            }
        }
    };
    let half = |bytes: Vec<u8>| Some(bytes[..bytes.len() / 2].to_vec());
    let replace = |from: &'static str, to: &'static str| {
        move |bytes: Vec<u8>| {
            Some(
                String::from_utf8_lossy(&bytes)
                    .replacen(from, to, 1)
                    .into_bytes(),
            )
        }
    };
    for file in ["model.safetensors", "config.json", "vocab.txt"] {
        damage("missing", file, &|_| None);
        workbench
            .run("eval --device cpu --text train.txt --model missing")
            .fails(1, &[file]);
        damage("half", file, &half);
        workbench
            .run("eval --device cpu --text train.txt --model half")
            .fails(1, &[file]);
        workbench.copy_model("missing");
        workbench.copy_model("half");
    }
    for file in ["training.safetensors", "training.json"] {
        damage("missing", file, &|_| None);
        workbench
            .run("train --device cpu --resume missing --epochs 3")
            .fails(1, &[file]);
        workbench
            .run("eval --device cpu --text train.txt --model missing")
            .succeeds();
        workbench.copy_model("missing");
        damage("half", file, &half);
        workbench
            .run("train --device cpu --resume half --epochs 3")
            .fails(1, &[file]);
        workbench.copy_model("half");
    }
    damage(
        "newer",
        "config.json",
        &replace("\"version\": 1", "\"version\": 99"),
    );
    workbench
        .run("eval --device cpu --text train.txt --model newer")
        .fails(1, &["config.json", "99", "newer version of Elman"]);
    damage(
        "shape",
        "config.json",
        &replace("\"hidden_size\": 12", "\"hidden_size\": 13"),
    );
    workbench
        .run("eval --device cpu --text train.txt --model shape")
        .fails(1, &["rnn.weight", "shape"]);
    damage("nan", "model.safetensors", &|mut bytes| {
        let end = bytes.len();
        bytes[end - 8..end - 4].copy_from_slice(&f32::NAN.to_le_bytes());
        Some(bytes)
    });
    workbench
        .run("eval --device cpu --text train.txt --model nan")
        .fails(1, &["model.safetensors", "NaN"]);
    // Without an older checkpoint to continue from.
    workbench.copy_model("altered");
    std::fs::remove_dir_all(workbench.path("altered/checkpoints")).expect("removed");
    let mut weights = workbench.read("altered/model.safetensors");
    let end = weights.len();
    weights[end - 8..end - 4].copy_from_slice(&0.5_f32.to_le_bytes());
    workbench.write("altered/model.safetensors", weights);
    workbench
        .run("train --device cpu --resume altered --epochs 3")
        .fails(1, &["model.safetensors", "changed"]);
    // Version 0.1.0 has hashes in training.json instead of a manifest.
    let hashes = "{\n  \"files\": {\"model.safetensors\": \"00\"},";
    damage("hashes", "training.json", &replace("{", hashes));
    workbench
        .run("train --device cpu --resume hashes --epochs 3")
        .fails(1, &["model.safetensors", "changed"]);
    damage("escape", "vocab.txt", &replace("the", "\\x"));
    workbench
        .run("eval --device cpu --text train.txt --model escape")
        .fails(1, &["vocab.txt, line"]);
}

#[apply(test)]
fn a_loss_that_is_not_finite() {
    let workbench = Workbench::with_model();
    let before = workbench.read("model/model.safetensors");
    let line = "--device cpu --train train.txt --hidden 12 --batch 4 --bptt 5 --optimizer sgd \
        --reduction sum --activation relu --lr 1e18";
    workbench
        .run(&format!("train {line} --out model --force"))
        .fails(1, &["not finite", "window", "epoch 1", "--lr", "--clip"]);
    assert!(
        workbench.read("model/model.safetensors") == before,
        "the last good checkpoint is gone"
    );
}

#[apply(test)]
fn devices() {
    let workbench = Workbench::with_model();
    workbench
        .run("eval --text train.txt --device nosuchgpu")
        .fails(1, &["nosuchgpu", "elman devices"]);
    workbench.run("check --device cpu").fails(1, &["not a GPU"]);
    // A report that exists stays.
    workbench.write("report.txt", b"earlier");
    let check = "check --device cpu --report report.txt";
    workbench
        .run(check)
        .fails(1, &["report.txt", "it exists", "--force", "--report FILE"]);
    workbench
        .run(&format!("{check} --force"))
        .fails(1, &["not a GPU"]);
    assert_eq!(workbench.read("report.txt"), b"earlier");
    workbench
        .run("check --force")
        .fails(2, &["--force", "--report"]);
    if elman::device::adapters()
        .iter()
        .all(elman::device::AdapterInfo::is_software)
    {
        workbench
            .run("eval --text train.txt --device gpu")
            .fails(1, &["--device gpu", "--device cpu"]);
        let run = workbench.run("eval --text train.txt").succeeds();
        assert!(run.stderr.contains("no GPU found"), "{}", run.stderr);
    }
}
