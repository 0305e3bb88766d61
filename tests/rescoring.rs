//! `elman rescore` against `elman score` and against scores computed by hand.

use crate::command::{Run, Workbench, small_text};
use crate::harness::{apply, test};

/// Every kind of cell and of output layer.
const MODELS: [(&str, &str); 12] = [
    ("elman", "--hidden 9"),
    ("gru", "--cell gru --hidden 7 --embedding 5"),
    ("lstm", "--cell lstm --hidden 6 --embedding 6 --layers 2"),
    ("class", "--cell lstm --hidden 6 --output class --classes 7"),
    (
        "direct",
        "--hidden 8 --output class --classes 6 --direct 640 --direct-order 4 --direct-lr 0.5",
    ),
    (
        "classes",
        "--cell gru --hidden 5 --output class --classes 4 --direct 320 --direct-order 2 \
         --compression 4",
    ),
    (
        "adaptive",
        "--hidden 67 --output adaptive --cutoffs 2,5 --tail-divisor 1.1",
    ),
    ("sampled", "--hidden 9 --output sampled --samples 5"),
    ("mixture", "--hidden 7 --embedding 5 --tied --mixture 3"),
    ("mixture-of-2", "--cell gru --hidden 67 --mixture 2"),
    (
        "qrnn",
        "--cell qrnn --hidden 7 --embedding 5 --layers 2 --zoneout 0.2",
    ),
    (
        "feedforward",
        "--cell feedforward --hidden 7 --embedding 5 --context 3 --skip-connection",
    ),
];

/// A workbench with some of the models.
pub fn workbench(models: &[&str]) -> Workbench {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    for (name, flags) in MODELS.iter().filter(|(name, _)| models.contains(name)) {
        let train = "train --train train.txt --device cpu --epochs 2 --batch 4 --bptt 6";
        workbench
            .run(&format!("{train} {flags} --out {name}"))
            .succeeds();
    }
    workbench
}

/// Lines with the names of their lists.
pub const LISTS: &[(&str, &str)] = &[
    ("u1", "the boy runs"),
    ("u1", "the boys run"),
    ("u1", "the"),
    ("u1", "the boy runs the boys run"),
    ("u2", "mary says that the boys run"),
    ("u2", "mary says that the boy runs"),
    ("u3", "dogs bark"),
    ("u3", "the boy runs"),
];

/// The lines of a file of hypotheses.
pub fn lines(lists: &[(&str, &str)]) -> String {
    lists
        .iter()
        .map(|(id, words)| format!("{id} {words}\n"))
        .collect()
}

pub fn rescore(workbench: &Workbench, flags: &str) -> Run {
    workbench.run(&format!(
        "rescore lists.txt --device cpu --ids first-column {flags}"
    ))
}

/// The values of a key of all lists, one after the other.
pub fn of_lists(run: &Run, key: &str) -> Vec<f64> {
    let json = run.json();
    let lists = json["lists"].as_array().expect("lists");
    lists
        .iter()
        .flat_map(|list| list[key].as_array().expect("numbers"))
        .map(|number| number.as_f64().expect("a number"))
        .collect()
}

/// The output of `elman score` for lines.
pub fn scored(workbench: &Workbench, lines: &[&str], flags: &str) -> Vec<f64> {
    workbench.write("lines.txt", lines.join("\n") + "\n");
    workbench
        .run(&format!("score lines.txt --device cpu --json {flags}"))
        .succeeds()
        .numbers("log10_prob")
}

pub fn assert_near(what: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (place, (got, want)) in got.iter().zip(want).enumerate() {
        assert!(
            (got - want).abs() < 1e-6 * want.abs().max(1.0),
            "{what}, hypothesis {place}: {got}, and it is {want}"
        );
    }
}

#[apply(test)]
fn scores_match_score() {
    let workbench = workbench(&MODELS.map(|row| row.0));
    workbench.write("lists.txt", lines(LISTS));
    let hypotheses: Vec<&str> = LISTS.iter().map(|row| row.1).collect();
    for (model, _) in MODELS {
        let flags = format!("--model {model}");
        let want = scored(&workbench, &hypotheses, &flags);
        let json = rescore(&workbench, &format!("{flags} --json")).succeeds();
        assert_near(model, &of_lists(&json, "log10_prob"), &want);
        let printed = rescore(&workbench, &flags).succeeds().stdout;
        let printed: Vec<f64> = printed
            .lines()
            .map(|line| line.parse().expect("a number"))
            .collect();
        assert_near(model, &printed, &want);
    }
    let both = "--model direct --model classes --weights 1,3";
    let json = rescore(&workbench, &format!("{both} --json")).succeeds();
    assert_near(
        both,
        &of_lists(&json, "log10_prob"),
        &scored(&workbench, &hypotheses, both),
    );
}

#[apply(test)]
fn equal_hypotheses_have_equal_scores() {
    let models = [
        "elman",
        "lstm",
        "direct",
        "adaptive",
        "sampled",
        "mixture",
        "mixture-of-2",
    ];
    let workbench = workbench(&models);
    // In reverse order, one list alone, and among others with other prefixes.
    let transposed: Vec<_> = LISTS.iter().rev().copied().collect();
    let alone = LISTS[6..].to_vec();
    let more: Vec<String> = (0..40)
        .map(|number| {
            format!(
                "the {} {}",
                ["boy", "boys", "dogs", "cat"][number % 4],
                ["runs", "run", "bark"][number % 3]
            )
        })
        .collect();
    let among: Vec<_> = more
        .iter()
        .map(|words| ("u0", words.as_str()))
        .chain(LISTS.iter().copied())
        .collect();
    for model in models {
        let mut known: std::collections::BTreeMap<String, String> =
            std::collections::BTreeMap::new();
        for lists in [LISTS, &transposed, &alone, &among] {
            workbench.write("lists.txt", lines(lists));
            let run = rescore(&workbench, &format!("--model {model} --json")).succeeds();
            for ((_, words), score) in lists.iter().zip(of_lists(&run, "log10_prob")) {
                let score = score.to_string();
                let before = known
                    .entry((*words).to_owned())
                    .or_insert_with(|| score.clone());
                assert_eq!(*before, score, "{model}: {words:?}");
            }
        }
    }
}

#[apply(test)]
fn more_hypotheses_than_one_batch() {
    let workbench = workbench(&["gru", "direct"]);
    let words = ["the", "boy", "boys", "runs", "run", "dogs", "mary"];
    let hypothesis = |number: usize| {
        let word = |place: u32| words[number / 7_usize.pow(place) % 7];
        [word(0), word(1), word(2), word(3)].join(" ")
    };
    let all: Vec<String> = (0..2401).map(hypothesis).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    // One list larger than a batch, and many small ones.
    let one: String = all.iter().map(|words| format!("u {words}\n")).collect();
    let many: String = all
        .iter()
        .enumerate()
        .map(|(number, words)| format!("u{} {words}\n", number / 5))
        .collect();
    for model in ["gru", "direct"] {
        let want = scored(&workbench, &all, &format!("--model {model}"));
        for text in [&one, &many] {
            workbench.write("lists.txt", text);
            assert_near(
                model,
                &of_lists(
                    &rescore(&workbench, &format!("--model {model} --json")).succeeds(),
                    "log10_prob",
                ),
                &want,
            );
        }
    }
}

#[apply(test)]
fn srilm_lists_by_hand() {
    let workbench = workbench(&["elman"]);
    let hypotheses = [
        (-100.5, -7.25, "the boy runs"),
        (-99.0, -8.0, "the boys run run"),
        (-103.25, -6.5, "dogs bark"),
    ];
    let line = |(acoustic, language, words): &(f64, f64, &str)| {
        format!(
            "u {acoustic} {language} {} {words}\n",
            words.split(' ').count()
        )
    };
    workbench.write("lists.txt", hypotheses.iter().map(line).collect::<String>());
    let scores = scored(&workbench, &hypotheses.map(|row| row.2), "--model elman");
    for (flags, scale, penalty, old_weight) in [
        ("", 1.0, 0.0, 0.0),
        ("--lm-scale 14", 14.0, 0.0, 0.0),
        (
            "--lm-scale 2.5 --word-penalty -0.5 --old-lm-weight 0.25",
            2.5,
            -0.5,
            0.25,
        ),
        ("--old-lm-weight 1 --word-penalty 3", 1.0, 3.0, 1.0),
        ("--lm-scale 0", 0.0, 0.0, 0.0),
    ] {
        let total = |((acoustic, language, words), score): (&(f64, f64, &str), &f64)| {
            acoustic
                + scale * ((1.0 - old_weight) * score + old_weight * language)
                + penalty * words.split(' ').count() as f64
        };
        let want: Vec<f64> = hypotheses.iter().zip(&scores).map(total).collect();
        let run = rescore(
            &workbench,
            &format!("--model elman --form srilm --json {flags}"),
        )
        .succeeds();
        assert_near(flags, &of_lists(&run, "log10_prob"), &scores);
        assert_near(flags, &of_lists(&run, "score"), &want);
        let best = (0..3)
            .max_by(|&a, &b| want[a].total_cmp(&want[b]))
            .expect("a hypothesis");
        assert_eq!(run.json()["lists"][0]["best"], best, "{flags}: {want:?}");
        let best_line = rescore(
            &workbench,
            &format!("--model elman --form srilm --output best {flags}"),
        )
        .succeeds()
        .stdout;
        assert_eq!(best_line, format!("u {}\n", hypotheses[best].2));
    }
    // The end of the sentence may be among the words.
    workbench.write(
        "lists.txt",
        "u -1 -2 3 <s> the boy runs </s>\nu -1 -2 5 <s> the boy runs </s>\n",
    );
    let run = rescore(&workbench, "--model elman --form srilm --json").succeeds();
    assert_near(
        "<s> and </s>",
        &of_lists(&run, "log10_prob"),
        &[scores[0], scores[0]],
    );
}

#[apply(test)]
fn best_and_ranked_output() {
    let workbench = workbench(&["elman"]);
    workbench.write(
        "lists.txt",
        lines(LISTS) + "u4 the boy runs\nu4 the boy runs\n",
    );
    let run = rescore(&workbench, "--model elman --json").succeeds();
    let scores = of_lists(&run, "log10_prob");
    assert_eq!(
        scores,
        of_lists(&run, "score"),
        "lists of words have no other scores"
    );
    let ids: Vec<String> = run.json()["lists"]
        .as_array()
        .expect("lists")
        .iter()
        .map(|list| list["id"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(ids, ["u1", "u2", "u3", "u4"]);
    let mut all: Vec<(&str, f64, &str)> = LISTS
        .iter()
        .chain(&[("u4", "the boy runs"); 2])
        .zip(&scores)
        .map(|(row, score)| (row.0, *score, row.1))
        .collect();
    // A stable sort: equal hypotheses stay in their order.
    all.sort_by(|a, b| a.0.cmp(b.0).then(b.1.total_cmp(&a.1)));
    let ranked: String = all
        .iter()
        .map(|(id, score, words)| format!("{id} {score:.6} {words}\n"))
        .collect();
    assert_eq!(
        rescore(&workbench, "--model elman --output ranked")
            .succeeds()
            .stdout,
        ranked
    );
    let mut best = all.clone();
    best.dedup_by_key(|row| row.0);
    let best: String = best
        .iter()
        .map(|(id, _, words)| format!("{id} {words}\n"))
        .collect();
    assert_eq!(
        rescore(&workbench, "--model elman --output best")
            .succeeds()
            .stdout,
        best
    );
}

#[apply(test)]
fn lists_without_names() {
    let workbench = workbench(&["elman"]);
    let text = "\nthe boy runs\nthe boys run\n\n\ndogs bark\nmary runs\r\n";
    workbench.write("lists.txt", text);
    let rescore = |flags: &str| {
        workbench
            .run(&format!(
                "rescore lists.txt --device cpu --model elman --ids none {flags}"
            ))
            .succeeds()
    };
    let want = scored(
        &workbench,
        &["the boy runs", "the boys run", "dogs bark", "mary runs"],
        "--model elman",
    );
    let json = rescore("--json");
    assert_near("no names", &of_lists(&json, "log10_prob"), &want);
    assert_eq!(json.json()["lists"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        (
            json.json()["lists"][0]["id"].as_str(),
            json.json()["lists"][1]["id"].as_str()
        ),
        (Some("1"), Some("2"))
    );
    let best = |a: usize, b: usize, words: [&'static str; 2]| {
        if want[a] >= want[b] {
            words[0]
        } else {
            words[1]
        }
    };
    let expected = [
        best(0, 1, ["the boy runs", "the boys run"]),
        best(2, 3, ["dogs bark", "mary runs"]),
    ];
    assert_eq!(
        rescore("--output best").stdout.lines().collect::<Vec<_>>(),
        expected
    );
    // Lists are not mixed.
    let ranked = rescore("--output ranked").stdout;
    assert_eq!(
        ranked.lines().map(str::is_empty).collect::<Vec<_>>(),
        [false, false, true, false, false, true],
        "{ranked}"
    );
    workbench
        .run("rescore lists.txt --device cpu --model elman")
        .fails(2, &["--ids"]);
}
