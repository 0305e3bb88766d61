//! Flags that contradict each other or have no effect together: no flag is ignored silently.

use crate::command::{Workbench, small_text};
use crate::harness::{apply, test};

/// Demands that each command is refused with a message that names these parts.
fn are_refused(workbench: &Workbench, cases: &[(&str, &[&str])]) {
    for (arguments, parts) in cases {
        let run = workbench.run(arguments).fails(2, parts);
        assert_eq!(run.stdout, "", "{arguments}");
    }
}

#[apply(test)]
fn flags_of_ngram() {
    let workbench = Workbench::with_model();
    workbench
        .run("ngram --text train.txt --order 2 --out lm.arpa")
        .succeeds();
    are_refused(
        &workbench,
        &[
            (
                "ngram --arpa lm.arpa --test train.txt --order 3",
                &["--order", "--arpa"],
            ),
            (
                "ngram --arpa lm.arpa --test train.txt --min-counts 2",
                &["--min-counts", "--arpa"],
            ),
            (
                "ngram --arpa lm.arpa --test train.txt --memory 10",
                &["--memory", "--arpa"],
            ),
            (
                "ngram --arpa lm.arpa --test train.txt --tokens 10",
                &["--tokens", "--arpa"],
            ),
            (
                "ngram --arpa lm.arpa --test train.txt --force",
                &["--force", "--arpa"],
            ),
            (
                "ngram --text train.txt --test train.txt --tokens 10",
                &["--tokens", "--text"],
            ),
            (
                "ngram --text train.txt --test train.txt --seed 2",
                &["--seed", "--text"],
            ),
            ("ngram --tokens 10", &["--tokens without --model"]),
            (
                "ngram --text train.txt --test train.txt --device gpu",
                &["--device gpu without --model"],
            ),
        ],
    );
    // The defaults are not flags that are given.
    workbench
        .run("ngram --arpa lm.arpa --test train.txt --device cpu")
        .succeeds();
}

#[apply(test)]
fn flags_of_mixtures_and_lists() {
    let workbench = Workbench::with_model();
    workbench.write("lists.txt", "the boy runs\n\nthe girl\n");
    let rescore = "rescore --device cpu --ids none lists.txt";
    are_refused(
        &workbench,
        &[
            (
                "eval --text train.txt --tune train.txt",
                &["--tune train.txt", "--arpa"],
            ),
            (
                "score train.txt --tune train.txt",
                &["--tune train.txt", "--arpa"],
            ),
            (
                &format!("{rescore} --tune train.txt"),
                &["--tune train.txt", "--arpa"],
            ),
            (
                "eval --text train.txt --dynamic-window 5",
                &["--dynamic-window without --dynamic"],
            ),
            (
                "score train.txt --cache-weight=0.2",
                &["--cache-weight without --cache"],
            ),
            (
                &format!("{rescore} --lm-scale 14"),
                &["--lm-scale 14 with --output scores", "--output best"],
            ),
            (
                &format!("{rescore} --word-penalty -1"),
                &["--word-penalty -1 with --output scores"],
            ),
            (
                &format!("{rescore} --form srilm --old-lm-weight 0.5"),
                &["--old-lm-weight 0.5 with --output scores"],
            ),
            (
                &format!("{rescore} --json --output best"),
                &["--json", "--output"],
            ),
        ],
    );
    for flags in ["--output best", "--json", "--carry best"] {
        workbench
            .run(&format!("{rescore} --lm-scale 14 {flags}"))
            .succeeds();
    }
}

#[apply(test)]
fn flags_of_measurements() {
    are_refused(
        &Workbench::new(),
        &[
            ("check --verbose --json", &["--verbose", "--json"]),
            (
                "bench --config a --hidden 5 --vocab-size 9",
                &["--config", "--hidden"],
            ),
            ("bench --hidden 5", &["--hidden without --vocab-size"]),
            ("bench --cell gru", &["--cell without ", "--hidden"]),
            ("bench --config a --batch 8", &["--batch", "--config"]),
            (
                "bench --config a --vocab-size 8",
                &["--vocab-size", "--config"],
            ),
            (
                "corpus --sentences 3 --delay 4",
                &["--sentences", "--delay"],
            ),
            ("corpus --delay 4", &["--delay without --task"]),
        ],
    );
}

#[apply(test)]
fn flags_of_training() {
    let workbench = Workbench::with_model();
    let train = "train --train train.txt --device cpu --batch 4 --bptt 5 --epochs 1";
    let cases: &[(&str, &[&str])] = &[
        ("--hidden 4 --forget-bias 2", &["--forget-bias 2", "--cell"]),
        (
            "--hidden 4 --direct-lr 0.1",
            &["--direct-lr 0.1", "--direct"],
        ),
        (
            "--hidden 4 --dropout-hidden 0.2",
            &["--dropout-hidden 0.2", "--layers"],
        ),
        (
            "--hidden 4 --variational",
            &["--variational", "--dropout-output"],
        ),
        (
            "--hidden 4 --variational --dropout-words 0.2 --dropout-weights 0.2",
            &["--variational", "--dropout-output", "not affected"],
        ),
        ("--hidden 4 --forget-bias 0", &["--forget-bias 0", "--cell"]),
        (
            "--hidden 4 --skip-connection",
            &["--skip-connection true", "--cell feedforward"],
        ),
        (
            "--hidden 4 --schedule cosine --min-improvement 2",
            &["--min-improvement 2", "--schedule cosine"],
        ),
        (
            "--init model --forget-bias 1",
            &["--forget-bias 1 with --init"],
        ),
    ];
    for (flags, parts) in cases {
        let arguments = format!("{train} {flags} --out refused --force");
        are_refused(&workbench, &[(&arguments, parts)]);
    }
    are_refused(
        &workbench,
        &[
            (
                "train --resume model --device cpu --vectors vectors.txt",
                &["--vectors vectors.txt with --resume", "without --vectors"],
            ),
            ("train --extend-vocab", &["--extend-vocab without --init"]),
            (
                "train --resume model --extend-vocab",
                &["--resume", "--extend-vocab"],
            ),
        ],
    );
    // What turns off what is off anyway is no mistake.
    let off = "--skip-connection false --variational false --zoneout 0 --dropout-latent 0";
    workbench
        .run(&format!("{train} --hidden 4 {off} --out off"))
        .succeeds();
    // Some of these fields are part of every run, which can be repeated.
    for (name, flags) in [
        ("elman", "--hidden 4 --dropout 0.2 --variational"),
        (
            "lstm",
            "--hidden 4,3 --layers 2 --cell lstm --forget-bias 2 --dropout-hidden 0.1 \
             --variational",
        ),
    ] {
        workbench
            .run(&format!("{train} {flags} --out {name}"))
            .succeeds();
        workbench
            .run(&format!("train --config {name} --device cpu --out {name}2"))
            .succeeds();
        let parameters = |name: &str| workbench.read(&format!("{name}/model.safetensors"));
        assert!(parameters(name) == parameters(&format!("{name}2")));
        workbench
            .run(&format!("train --resume {name} --device cpu --epochs 2"))
            .succeeds();
    }
    are_refused(
        &workbench,
        &[(
            "import --from pytorch lstm/model.safetensors --vocab lstm/vocab.txt --activation \
             tanh --out imported",
            &["--activation tanh", "lstm"],
        )],
    );
}

#[apply(test)]
fn vectors_of_a_resumed_run() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench.write("vectors.txt", "1 2\nthe 0.5 0.25\n");
    workbench
        .run(
            "train --train train.txt --device cpu --hidden 4 --embedding 2 --vectors vectors.txt \
             --batch 4 --bptt 5 --epochs 1",
        )
        .succeeds();
    let resume = "train --resume model --device cpu --epochs 2";
    workbench
        .run(&format!("{resume} --vectors other.txt"))
        .fails(2, &["--vectors other.txt", "--vectors vectors.txt"]);
    workbench
        .run(&format!("{resume} --vectors vectors.txt"))
        .succeeds();
}
