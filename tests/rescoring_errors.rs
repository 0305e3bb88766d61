//! `elman rescore`: rejected lines and flags.

use super::rescoring::{LISTS, lines, rescore, workbench};
use crate::harness::{apply, test};

#[apply(test)]
fn rejected_lines() {
    let workbench = workbench(&["elman"]);
    for (text, flags, parts) in [
        (
            "u a\n\nu b\n",
            "--ids first-column",
            &["line 2", "name of the list", "--ids none"][..],
        ),
        (
            "u -1 -2 2 the boy\nu -1 -2 3 the boy\n",
            "--ids first-column --form srilm",
            &["line 2", "states 3 words but has 2"],
        ),
        (
            "-1 -2 1 the\n-1 nan 1 the\n",
            "--ids none --form srilm",
            &["line 2", "score of the language model", "finite"],
        ),
        (
            "-1 -2 1 the\ninf -2 1 the\n",
            "--ids none --form srilm",
            &["line 2", "acoustic score"],
        ),
        (
            "the boy runs\n",
            "--ids none --form srilm",
            &["line 1", "acoustic score", "\"the\""],
        ),
        (
            "u -1 -2\n",
            "--ids first-column --form srilm",
            &["line 1", "number of words"],
        ),
        (
            "-1 -2 1\n",
            "--ids none --form srilm",
            &["line 1", "states 1 words but has 0"],
        ),
    ] {
        workbench.write("lists.txt", text);
        workbench
            .run(&format!(
                "rescore lists.txt --device cpu --model elman {flags}"
            ))
            .fails(1, &[&["lists.txt"], parts].concat());
    }
    workbench.write("lists.txt", b"u the boy\nu the \xff\n");
    rescore(&workbench, "--model elman").fails(1, &["lists.txt, line 2", "UTF-8"]);
    workbench
        .run("rescore nowhere.txt --device cpu --model elman --ids none")
        .fails(1, &["nowhere.txt"]);
    workbench.write("lists.txt", "");
    assert_eq!(rescore(&workbench, "--model elman").succeeds().stdout, "");
}

#[apply(test)]
fn rejected_flags() {
    let workbench = workbench(&["elman"]);
    workbench.write("lists.txt", lines(LISTS));
    workbench
        .run(
            "train --train train.txt --device cpu --unit char --hidden 5 --epochs 1 --out \
        characters",
        )
        .succeeds();
    for (flags, code, parts) in [
        (
            "--model elman --lm-scale nan",
            2,
            &["--lm-scale NaN", "finite"][..],
        ),
        (
            "--model elman --word-penalty inf",
            2,
            &["--word-penalty inf"],
        ),
        (
            "--model elman --unknown-penalty nan",
            2,
            &["--unknown-penalty NaN"],
        ),
        (
            "--model elman --form srilm --old-lm-weight 1.5",
            2,
            &["--old-lm-weight 1.5", "from 0 to 1"],
        ),
        (
            "--model elman --form srilm --old-lm-weight=-0.1",
            2,
            &["--old-lm-weight -0.1"],
        ),
        (
            "--model elman --old-lm-weight 0.5",
            2,
            &["--old-lm-weight", "srilm"],
        ),
        (
            "--model elman --lambda 0.5",
            2,
            &["--lambda", "--arpa or --lm-prob"],
        ),
        ("--model elman --carry worst", 2, &["worst", "best"]),
        ("--model elman --weights 1,2", 2, &["--weights 1,2"]),
        ("--model characters", 1, &["characters", "a model of words"]),
    ] {
        rescore(&workbench, flags).fails(code, parts);
    }
}
