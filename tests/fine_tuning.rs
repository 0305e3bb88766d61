//! Fine-tuning, also with an extended vocabulary, through the command line.

use crate::command::{Run, Workbench, small_text};
use crate::harness::{apply, test};

pub const TRAIN: &str = "train --train train.txt --device cpu --batch 4 --bptt 6";

pub fn workbench() -> Workbench {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench
}

/// The losses of a run's epochs.
pub fn losses(workbench: &Workbench, out: &str, key: &str) -> Vec<f64> {
    let log = String::from_utf8(workbench.read(&format!("{out}/log.jsonl"))).expect("UTF-8");
    let records = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a record"));
    records.filter_map(|record| record[key].as_f64()).collect()
}

pub fn eval(workbench: &Workbench, model: &str, text: &str) -> Run {
    workbench
        .run(&format!(
            "eval --model {model} --device cpu --text {text} --json"
        ))
        .succeeds()
}

#[apply(test)]
fn run_starts_from_the_model() {
    let workbench = workbench();
    for (name, flags) in [
        ("elman", "--hidden 9"),
        ("class", "--cell gru --hidden 6 --output class --direct 640"),
    ] {
        workbench
            .run(&format!("{TRAIN} {flags} --epochs 4 --out {name}"))
            .succeeds();
        workbench
            .run(&format!("{TRAIN} --init {name} --epochs 1 --out {name}-on"))
            .succeeds();
        let (fresh, on) = (
            losses(&workbench, name, "train_loss"),
            losses(&workbench, &format!("{name}-on"), "train_loss"),
        );
        assert!(
            on[0] < fresh[0] && on[0] < 1.1 * fresh[3],
            "{name}: {on:?} after {fresh:?}"
        );
        // A negligible rate keeps the model's parameters, and the vocabulary is the model's.
        workbench
            .run(&format!(
                "{TRAIN} --init {name} --epochs 1 --optimizer sgd --lr 1e-30 --out {name}-same"
            ))
            .succeeds();
        assert!(
            workbench.read(&format!("{name}-same/vocab.txt"))
                == workbench.read(&format!("{name}/vocab.txt"))
        );
        let [before, after] = [name.to_owned(), format!("{name}-same")]
            .map(|model| eval(&workbench, &model, "train.txt").number("log10_prob"));
        assert!(
            (before - after).abs() < 1e-6 * before.abs(),
            "{name}: {before} and {after}"
        );
    }
}

/// A run that continues from the averages of another one averages anew, from its first update.
#[apply(test)]
fn averaging_starts_anew() {
    let workbench = workbench();
    let train = format!("{TRAIN} --bptt-jitter 1 --preset awd-lstm");
    let sizes = "--hidden 6,5,4 --embedding 4";
    workbench
        .run(&format!(
            "{train} {sizes} --average always --epochs 3 --out first"
        ))
        .succeeds();
    workbench
        .run(&format!(
            "{train}-finetune --init first --epochs 2 --out tuned"
        ))
        .succeeds();
    let log = String::from_utf8(workbench.read("tuned/log.jsonl")).expect("UTF-8");
    assert_eq!(log.matches("\"averaged\":true").count(), 2, "{log}");
    let inspect = workbench.run("inspect --json tuned").succeeds().json();
    assert_eq!(inspect["training"]["progress"]["averaged_after"], 0);
    // The average after negligible updates is the weights that the run starts from.
    workbench
        .run(&format!(
            "{train}-finetune --init first --epochs 1 --lr 1e-30 --l2 0 --out same"
        ))
        .succeeds();
    let [before, after] =
        ["first", "same"].map(|model| eval(&workbench, model, "train.txt").number("log10_prob"));
    assert!(
        (before - after).abs() < 1e-5 * before.abs(),
        "{before} and {after}"
    );
}

#[apply(test)]
fn initial_model_keeps_its_shape() {
    let workbench = workbench();
    workbench
        .run(&format!("{TRAIN} --hidden 9 --epochs 1"))
        .succeeds();
    for flag in [
        "--hidden 9",
        "--cell gru",
        "--layers 2",
        "--embedding 4",
        "--activation tanh",
        "--bias",
        "--tied",
        "--projection",
        "--compression 3",
        "--output softmax",
        "--classes 3",
        "--class-binning sqrt",
        "--direct 32",
        "--direct-order 2",
        "--unit char",
    ] {
        let name = flag.split(' ').next().unwrap_or(flag);
        workbench
            .run(&format!("{TRAIN} --init model --out new {flag}"))
            .fails(
                2,
                &[&format!("{name} with --init"), "the model is that of model"],
            );
    }
    for flag in ["--vocab-size 20", "--min-count 2", "--vocab train.txt"] {
        workbench
            .run(&format!("{TRAIN} --init model --out new {flag}"))
            .fails(2, &["with --init", "--extend-vocab"]);
    }
    workbench
        .run(&format!("{TRAIN} --extend-vocab --out new"))
        .fails(2, &["--init"]);
    workbench
        .run("train --resume model --init model --device cpu")
        .fails(2, &["--resume", "--init"]);
    workbench
        .run(&format!("{TRAIN} --init nowhere --out new"))
        .fails(1, &["nowhere"]);
    let bytes = "the boys run and the dogs bark\n".repeat(60);
    workbench.write("text.txt", bytes);
    workbench
        .run(
            "train --train text.txt --device cpu --unit bpe --vocab-size 260 --hidden 5 --epochs \
            1 --batch 2 --bptt 5 --out pieces",
        )
        .succeeds();
    workbench
        .run(
            "train --train text.txt --device cpu --init pieces --extend-vocab --batch 2 --bptt 5 \
            --out new",
        )
        .fails(2, &["--extend-vocab", "subwords"]);
    assert!(!workbench.path("new").join("model.safetensors").exists());
}

/// The probabilities of the last words of lines.
fn of_last_words(workbench: &Workbench, model: &str, lines: &str) -> Vec<f64> {
    workbench.write("lines.txt", lines);
    let run = workbench
        .run(&format!(
            "score lines.txt --model {model} --device cpu --json --per-token"
        ))
        .succeeds()
        .json();
    let lines = run["token_log10_probs"].as_array().expect("lines");
    let last = |line: &serde_json::Value| {
        line.as_array()
            .and_then(|tokens| tokens[tokens.len() - 2].as_f64())
            .expect("a known word")
    };
    lines.iter().map(|line| 10_f64.powf(last(line))).collect()
}

#[apply(test)]
fn new_words_start_as_unk() {
    let workbench = workbench();
    workbench.write(
        "more.txt",
        "the xylophone runs\nthe boys run\nmary likes the vibraphone\n".repeat(12),
    );
    for (name, flags) in [
        ("elman", "--hidden 9"),
        ("gru", "--cell gru --hidden 6 --embedding 5"),
        ("qrnn", "--cell qrnn --hidden 6 --embedding 5"),
        ("class", "--hidden 7 --output class --classes 5"),
    ] {
        workbench
            .run(&format!(
                "{TRAIN} {flags} --min-count 20 --epochs 2 --out {name}"
            ))
            .succeeds();
        let grow = format!(
            "train --train more.txt --device cpu --batch 2 --bptt 4 --init {name} --extend-vocab \
             --epochs 1 --out {name}-more"
        );
        let run = workbench
            .run(&format!("{grow} --optimizer sgd --lr 1e-9"))
            .succeeds();
        assert!(
            run.stderr.contains("types beside the model's"),
            "{}",
            run.stderr
        );
        let (old, new) = (
            workbench.read(&format!("{name}/vocab.txt")),
            workbench.read(&format!("{name}-more/vocab.txt")),
        );
        assert!(
            new.starts_with(&old) && String::from_utf8_lossy(&new).contains("\nxylophone\n"),
            "{name}: new words stand behind the old ones"
        );
        assert_eq!(
            eval(&workbench, &format!("{name}-more"), "more.txt").number("oov"),
            0.0
        );
        // Nothing has been learnt yet: as an input and as a target, a new word equals <unk>.
        let p = of_last_words(
            &workbench,
            &format!("{name}-more"),
            "the <unk>\nthe xylophone\nthe <unk> the\nthe xylophone the\n",
        );
        for (unknown, new) in [(p[0], p[1]), (p[2], p[3])] {
            assert!((unknown / new - 1.0).abs() < 1e-4, "{name}: {p:?}");
        }
    }
}

#[apply(test)]
fn new_words_are_learnt() {
    let workbench = workbench();
    workbench.write("more.txt", "the xylophone runs\nthe boys run\n".repeat(40));
    workbench
        .run(&format!("{TRAIN} --hidden 9 --epochs 2"))
        .succeeds();
    let grow = "train --train more.txt --device cpu --batch 2 --bptt 4 --init model --epochs 2";
    // Without an extended vocabulary, they stay unknown.
    workbench.run(&format!("{grow} --out same")).succeeds();
    assert_eq!(eval(&workbench, "same", "more.txt").number("oov"), 40.0);
    workbench
        .run(&format!("{grow} --extend-vocab --out grown"))
        .succeeds();
    let run = eval(&workbench, "grown", "more.txt");
    assert_eq!(run.number("oov"), 0.0);
    let p = of_last_words(&workbench, "grown", "the xylophone\nthe dogs\n");
    assert!(p[0] > 0.2 && p[0] > p[1], "{p:?}");
    // The new words may come from other texts, or be only the frequent ones.
    workbench.write("words.txt", "glockenspiel\n");
    workbench
        .run(&format!(
            "{grow} --extend-vocab --vocab words.txt --out given"
        ))
        .succeeds();
    assert!(
        String::from_utf8_lossy(&workbench.read("given/vocab.txt")).ends_with("glockenspiel\n")
    );
    assert_eq!(eval(&workbench, "given", "more.txt").number("oov"), 40.0);
    workbench
        .run(&format!(
            "{grow} --extend-vocab --min-count 1000 --valid train.txt --out none"
        ))
        .fails(1, &["--min-count"]);
}

#[apply(test)]
fn rnnlm_model_is_fine_tuned() {
    let workbench = workbench();
    let head = "version: 10\nfile format: 0\ninput layer size: 5\nhidden layer size: 2\n\
        compression layer size: 0\noutput layer size: 5\n\
                direct connections: 0\ndirect order: 3\nvocabulary size: 3\nclass size: 2\nold \
                classes: 0\nindependent sentences mode: 0\n\
                \nVocabulary:\n0 5 </s> 0\n1 4 the 1\n2 3 boy 1\n";
    let numbers = |count: usize| {
        (0..count)
            .map(|place| format!("{:.4}\n", (place as f64).sin()))
            .collect::<String>()
    };
    let file = format!(
        "{head}\nHidden layer activation:\n{}\nWeights 0->1:\n{}\n\nWeights 1->2:\n{}\nDirect \
         connections:\n",
        numbers(2),
        numbers(10),
        numbers(10)
    );
    workbench.write("made.rnnlm", file);
    workbench
        .run("import --from rnnlm made.rnnlm --out imported")
        .succeeds();
    workbench.write("text.txt", "the boy\nthe boy the\nboy\n".repeat(40));
    let train = "train --train text.txt --device cpu --batch 2 --bptt 5 --init imported";
    workbench
        .run(&format!("{train} --epochs 4 --out on"))
        .succeeds();
    let [before, after] =
        ["imported", "on"].map(|model| eval(&workbench, model, "text.txt").number("perplexity"));
    assert!(after < 0.9 * before, "{after} from {before}");
    // The resumed run is bit-identical.
    workbench
        .run(&format!("{train} --epochs 2 --out part"))
        .succeeds();
    workbench
        .run("train --resume part --device cpu --epochs 4")
        .succeeds();
    assert!(workbench.read("part/model.safetensors") == workbench.read("on/model.safetensors"));
}

#[apply(test)]
fn fine_tuning_is_resumed_but_not_repeated() {
    let workbench = workbench();
    workbench.write(
        "more.txt",
        "the xylophone runs\nthe boys run\nthe boy likes mary\n".repeat(30),
    );
    workbench
        .run(&format!("{TRAIN} --hidden 9 --epochs 2"))
        .succeeds();
    let grow = "train --train more.txt --device cpu --batch 2 --bptt 4 --init model --extend-vocab";
    workbench
        .run(&format!("{grow} --epochs 3 --out whole"))
        .succeeds();
    workbench
        .run(&format!("{grow} --epochs 1 --out part"))
        .succeeds();
    workbench.run("train --config part --out again").fails(
        1,
        &["--config part", "started from the model model", "--init"],
    );
    assert!(!workbench.path("again").join("model.safetensors").exists());
    // The initial model is not needed any longer.
    std::fs::remove_dir_all(workbench.path("model")).expect("removed");
    workbench
        .run("train --resume part --device cpu --epochs 3")
        .succeeds();
    for file in ["model.safetensors", "vocab.txt", "config.json"] {
        assert!(
            workbench.read(&format!("part/{file}")) == workbench.read(&format!("whole/{file}")),
            "{file} of a resumed run differs"
        );
    }
    // The resumed run still knows what it started from.
    workbench
        .run("train --config part --out again")
        .fails(1, &["--config part", "started from the model model"]);
}
