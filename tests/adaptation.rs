//! Dynamic evaluation and caches, through the command line.

use crate::command::{Run, Workbench};
use crate::harness::{apply, test};

/// Models of every kind with different gradients.
const MODELS: [(&str, &str); 4] = [
    ("elman", "--hidden 9"),
    ("lstm", "--cell lstm --hidden 6 --embedding 5"),
    ("qrnn", "--cell qrnn --hidden 9 --embedding 5 --zoneout 0.1"),
    (
        "class",
        "--hidden 7 --output class --classes 5 --direct 640 --direct-order 3",
    ),
];

/// A workbench with these models and a text that repeats one sentence.
fn workbench() -> Workbench {
    let workbench = Workbench::new();
    workbench.write("train.txt", crate::command::small_text());
    for (name, flags) in MODELS {
        let train = "train --train train.txt --device cpu --epochs 1 --batch 4 --bptt 6";
        workbench
            .run(&format!("{train} {flags} --out {name}"))
            .succeeds();
    }
    workbench.write("text.txt", "mary says that the boys run\n".repeat(60));
    workbench
}

fn eval(workbench: &Workbench, flags: &str) -> Run {
    workbench
        .run(&format!("eval --device cpu --text text.txt --json {flags}"))
        .succeeds()
}

fn assert_near(what: &str, got: f64, want: f64) {
    assert!(
        (got - want).abs() < 1e-6 * want.abs(),
        "{what}: {got} and {want}"
    );
}

#[apply(test)]
fn tiny_rate_changes_nothing() {
    let workbench = workbench();
    for (model, _) in MODELS {
        let without = eval(&workbench, &format!("--model {model}")).number("log10_prob");
        for window in [1, 7, 10, 512] {
            let flags = format!("--model {model} --dynamic 1e-20 --dynamic-window {window}");
            assert_near(
                &flags,
                eval(&workbench, &flags).number("log10_prob"),
                without,
            );
        }
    }
}

/// A model that was trained on samples adapts as the same model with the full softmax.
#[apply(test)]
fn sampled_outputs_adapt_with_the_full_softmax() {
    let workbench = workbench();
    for (model, flags) in [
        ("sampled", "--hidden 9"),
        ("tied", "--cell gru --hidden 6 --embedding 6 --tied"),
        ("nce", "--hidden 9 --bias --loss nce"),
    ] {
        workbench
            .run(&format!(
                "train --train train.txt --device cpu --epochs 1 --batch 4 --bptt 6 \
                --output sampled --samples 3 {flags} --out {model}"
            ))
            .succeeds();
        workbench
            .run(
                &format!(
                    "train --train train.txt --device cpu --epochs 1 {flags} --out full-{model}"
                )
                .replace("--loss nce", ""),
            )
            .succeeds();
        let weights = workbench.read(&format!("{model}/model.safetensors"));
        workbench.edit(&format!("full-{model}/model.safetensors"), weights);
        let [sampled, full] = [model.to_owned(), format!("full-{model}")].map(|name| {
            let flags = format!("--model {name} --dynamic 0.05");
            eval(&workbench, &flags).number("log10_prob")
        });
        assert_near(model, sampled, full);
        let without = eval(&workbench, &format!("--model {model}")).number("log10_prob");
        assert!(sampled > without, "{model}: {sampled}, {without} without");
    }
}

#[apply(test)]
fn adapting_lowers_perplexity() {
    let workbench = workbench();
    for (model, _) in MODELS {
        let before = workbench.read(&format!("{model}/model.safetensors"));
        let without = eval(&workbench, &format!("--model {model}")).number("perplexity");
        let dynamic = format!("--model {model} --dynamic 0.05");
        let learnt = eval(&workbench, &dynamic);
        assert!(
            learnt.number("perplexity") < 0.8 * without,
            "{model}: {} from {without}",
            learnt.number("perplexity")
        );
        assert_eq!(
            learnt.stdout,
            eval(&workbench, &dynamic).stdout,
            "{model}: the same run, the same result"
        );
        assert_eq!(
            eval(&workbench, &format!("{dynamic} --dynamic-window 10")).stdout,
            learnt.stdout
        );
        assert!(
            workbench.read(&format!("{model}/model.safetensors")) == before,
            "{model} on disk has changed"
        );
    }
}

#[apply(test)]
fn resetting_weights_learns_nothing() {
    let workbench = workbench();
    for (model, _) in MODELS {
        let perplexity = |flags: &str| {
            eval(&workbench, &format!("--model {model} {flags}")).number("perplexity")
        };
        let (without, learnt) = (perplexity(""), perplexity("--dynamic 0.05"));
        assert_near(
            model,
            perplexity("--dynamic 0.05 --dynamic-decay 1"),
            without,
        );
        assert_eq!(perplexity("--dynamic 0.05 --dynamic-decay 0"), learnt);
        let half = perplexity("--dynamic 0.05 --dynamic-decay 0.3");
        assert!(
            learnt < half && half < without,
            "{model}: {half} is not between {learnt} and {without}"
        );
    }
}

#[apply(test)]
fn steps_scaled_by_gradients_of_a_text() {
    let workbench = workbench();
    for (model, _) in MODELS {
        let flags =
            |rate: &str| format!("--model {model} --dynamic {rate} --dynamic-statistics train.txt");
        let without = eval(&workbench, &format!("--model {model}")).number("perplexity");
        assert_near(
            model,
            eval(&workbench, &flags("1e-20")).number("perplexity"),
            without,
        );
        let learnt = eval(&workbench, &flags("0.01"));
        assert!(
            learnt.number("perplexity") < 0.8 * without,
            "{model}: {} from {without}",
            learnt.number("perplexity")
        );
        assert_eq!(
            learnt.stdout,
            eval(&workbench, &flags("0.01")).stdout,
            "{model}: the same run, the same result"
        );
    }
}

#[apply(test)]
fn cache_of_weight_zero_changes_nothing() {
    let workbench = workbench();
    for (model, _) in MODELS {
        let without = eval(&workbench, &format!("--model {model}")).number("log10_prob");
        let with = eval(
            &workbench,
            &format!("--model {model} --cache 50 --cache-weight 0"),
        )
        .number("log10_prob");
        assert!(
            (with - without).abs() < 1e-9 * without.abs(),
            "{model}: {with} and {without}"
        );
    }
}

#[apply(test)]
fn cache_lowers_perplexity_of_rare_words() {
    let workbench = workbench();
    let vocabulary = String::from_utf8(workbench.read("elman/vocab.txt")).expect("UTF-8");
    let rare: Vec<&str> = vocabulary.lines().rev().take(3).collect();
    workbench.write("text.txt", (rare.join(" ") + "\n").repeat(25));
    for (model, _) in MODELS {
        let without = eval(&workbench, &format!("--model {model}")).number("perplexity");
        let with = |flags: &str| {
            eval(&workbench, &format!("--model {model} {flags}")).number("perplexity")
        };
        let remembered = with("--cache 60 --cache-weight 0.3");
        assert!(
            remembered < 0.5 * without,
            "{model}: {remembered} from {without}"
        );
        // A window of one word adds little; the default weight and flatness are those given in
        // full.
        assert!(with("--cache 1 --cache-weight 0.3") > remembered);
        assert_eq!(
            with("--cache 60"),
            with("--cache 60 --cache-weight 0.1 --cache-flatness 0.3")
        );
    }
}

#[apply(test)]
fn lines_are_learnt_in_order() {
    let workbench = workbench();
    for flags in ["--dynamic 0.05", "--cache 30", "--dynamic 0.05 --cache 30"] {
        let lines = workbench
            .run(&format!(
                "score text.txt --model elman --device cpu --carry --json {flags}"
            ))
            .succeeds()
            .numbers("log10_prob");
        let eval = eval(&workbench, &format!("--model elman {flags}")).number("log10_prob");
        assert_near(flags, lines.iter().sum(), eval);
        assert!(
            lines[50] > lines[0],
            "{flags}: equal lines become likelier: {lines:?}"
        );
    }
    let lines = workbench
        .run("score text.txt --model elman --device cpu --json --dynamic 0.05")
        .succeeds()
        .numbers("log10_prob");
    let eval = eval(&workbench, "--model elman --independent --dynamic 0.05").number("log10_prob");
    assert_near("independent", lines.iter().sum(), eval);
}

#[apply(test)]
fn rejected_flags() {
    let workbench = workbench();
    for (flags, parts) in [
        ("--dynamic 0", &["--dynamic 0", "positive"][..]),
        ("--dynamic=-1", &["--dynamic"]),
        ("--dynamic nan", &["--dynamic NaN"]),
        (
            "--dynamic 0.1 --dynamic-window 0",
            &["--dynamic-window 0", "from 1 to 512"],
        ),
        (
            "--dynamic 0.1 --dynamic-window 513",
            &["--dynamic-window 513"],
        ),
        ("--dynamic-window 5", &["--dynamic"]),
        (
            "--dynamic 0.1 --dynamic-decay 1.5",
            &["--dynamic-decay 1.5", "from 0 to 1"],
        ),
        (
            "--dynamic 0.1 --dynamic-decay nan",
            &["--dynamic-decay NaN"],
        ),
        ("--dynamic-decay 0.1", &["--dynamic"]),
        ("--dynamic-statistics train.txt", &["--dynamic"]),
        ("--cache 0", &["--cache 0", "at least one"]),
        (
            "--cache 5 --cache-weight 1",
            &["--cache-weight 1", "less than 1"],
        ),
        ("--cache 5 --cache-weight nan", &["--cache-weight NaN"]),
        ("--cache 5 --cache-flatness nan", &["--cache-flatness NaN"]),
        ("--cache-weight 0.5", &["--cache"]),
    ] {
        for command in ["eval --text text.txt", "score text.txt"] {
            workbench
                .run(&format!("{command} --model elman --device cpu {flags}"))
                .fails(2, parts);
        }
    }
    let nowhere = "eval --text text.txt --model elman --device cpu --dynamic 0.1 \
        --dynamic-statistics nowhere.txt";
    workbench.run(nowhere).fails(1, &["nowhere.txt"]);
}
