//! rnnlm models: against rnnlm's own output and against the reference.

use super::rnnlm_files::{CASES, TestModel};
use crate::command::{ListedToken, Run, Workbench};
use crate::compare::{Tolerance, assert_close};
use crate::environment::{has_shared, shared};
use crate::harness::{apply, test};

/// Models trained with rnnlm, which are not part of the repository.
const SHARED: &str = "rnnlm-models";

/// Imports an rnnlm model.
pub fn import(workbench: &Workbench, file: &str, out: &str) -> Run {
    workbench.run(&format!("import --from rnnlm {file} --out {out}"))
}

/// rnnlm's output for the text with a model.
fn expected(model: &str) -> String {
    let path = shared(SHARED).join(format!("{model}.expected.txt"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Compares a listing with rnnlm's.
fn assert_as_rnnlm(model: &str, found: &[ListedToken]) {
    let expected: Vec<ListedToken> = expected(model)
        .lines()
        .filter_map(ListedToken::parse)
        .collect();
    assert_eq!((found.len(), expected.len()), (4535, 4535), "{model}");
    for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(
            (found.index, &found.word),
            (expected.index, &expected.word),
            "{model}, token {place}"
        );
    }
    let probabilities = |tokens: &[ListedToken]| {
        tokens
            .iter()
            .map(|token| token.probabilities[0])
            .collect::<Vec<_>>()
    };
    assert_close(
        model,
        &probabilities(found),
        &probabilities(&expected),
        Tolerance {
            absolute: 1e-5,
            relative: 0.0,
        },
    );
}

/// The number after a title in a summary.
fn summary_value(text: &str, title: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(title))
        .unwrap_or_else(|| panic!("no {title:?} in {text}"));
    line.trim()
        .parse()
        .unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

#[apply(test)]
#[ignore_unless(has_shared(SHARED))]
fn rnnlm_agrees_with_eval() {
    let workbench = Workbench::new();
    let text = shared(SHARED).join("test.txt");
    for (model, perplexity) in [("plain", "58.00"), ("direct", "57.97")] {
        import(
            &workbench,
            &shared(SHARED)
                .join(format!("{model}.rnnlm"))
                .display()
                .to_string(),
            model,
        )
        .succeeds();
        let run = workbench
            .run(&format!(
                "eval --model {model} --device cpu --format rnnlm --text {}",
                text.display()
            ))
            .succeeds();
        assert_as_rnnlm(model, &run.tokens());
        assert_eq!(
            format!("{:.2}", summary_value(&run.stdout, "PPL net:")),
            perplexity
        );
        let [ours, theirs] = [&run.stdout, &expected(model)]
            .map(|text| summary_value(text, "test log probability:"));
        assert!((ours - theirs).abs() < 1e-3, "{model}: {ours} and {theirs}");
    }
}

#[apply(test)]
#[ignore_unless(has_shared(SHARED))]
fn rnnlm_agrees_with_score() {
    let workbench = Workbench::new();
    import(
        &workbench,
        &shared(SHARED).join("direct.rnnlm").display().to_string(),
        "direct",
    )
    .succeeds();
    let text = shared(SHARED).join("test.txt");
    let run = workbench
        .run(&format!(
            "score --model direct --device cpu --format rnnlm {}",
            text.display()
        ))
        .succeeds();
    assert_as_rnnlm("direct", &run.tokens());
}

#[apply(test)]
fn generated_models_match_the_reference() {
    let workbench = Workbench::new();
    // rnnlm's exponential has about 17 exact bits of an f32.
    let tolerance = Tolerance {
        absolute: 1e-9,
        relative: 3e-4,
    };
    for (number, case) in CASES.iter().enumerate() {
        let made = TestModel::new(case, 10 + number as u64);
        workbench.write("made.rnnlm", made.file(case.is_binary));
        let (out, what) = (format!("model-{number}"), format!("case {number}"));
        let run = import(&workbench, "made.rnnlm", &out).succeeds();
        assert_eq!(
            run.stderr.contains("four decimals"),
            !case.is_binary,
            "{}",
            run.stderr
        );
        let (text, tokens) = made.text(number as u64);
        workbench.write("text.txt", text);
        let want = made.probabilities(&tokens);
        let indices: Vec<i64> = tokens
            .iter()
            .map(|token| token.map_or(-1, |token| token as i64))
            .collect();
        let eval = format!("eval --model {out} --device cpu --text text.txt --format rnnlm");
        let score = format!("score --model {out} --device cpu --format rnnlm text.txt");
        for command in [Some(eval), case.independent.then_some(score)]
            .into_iter()
            .flatten()
        {
            let found = workbench.run(&command).succeeds().tokens();
            assert_eq!(
                found.iter().map(|token| token.index).collect::<Vec<_>>(),
                indices,
                "{what}"
            );
            let found: Vec<f64> = found.iter().map(|token| token.probabilities[0]).collect();
            assert_close(&what, &found, &want, tolerance);
        }
    }
}

#[apply(test)]
fn every_command_accepts_an_imported_model() {
    let workbench = Workbench::new();
    let case = &CASES[6];
    let made = TestModel::new(case, 3);
    workbench.write("made.rnnlm", made.file(false));
    import(&workbench, "made.rnnlm", "model").succeeds();
    let (text, _) = made.text(5);
    workbench.write("text.txt", text);
    // Lines scored consecutively are the text, including n-grams across line endings.
    let sum: f64 = workbench
        .run("score text.txt --carry --device cpu --json")
        .succeeds()
        .numbers("log10_prob")
        .iter()
        .sum();
    let eval = workbench
        .run("eval --text text.txt --device cpu --json")
        .succeeds()
        .number("log10_prob");
    assert!((sum - eval).abs() < 1e-5 * eval.abs(), "{sum} and {eval}");
    // Sentences inside a text do not start from the state of separately scored lines.
    workbench
        .run("eval --text text.txt --device cpu --independent")
        .fails(2, &["--independent", "stored initial state", "elman score"]);
    workbench
        .run("generate --sentences 3 --device cpu")
        .succeeds();
    workbench.run("inspect").succeeds();
    import(&workbench, "made.rnnlm", "model").fails(1, &["model", "--force"]);
    workbench
        .run("import --from rnnlm made.rnnlm --out model --force")
        .succeeds();
    // Out-of-vocabulary words are skipped, unless they become <unk>.
    workbench.write("odd.txt", "w2 unheard\n");
    let eval = |flags: &str| {
        workbench
            .run(&format!("eval --device cpu --text odd.txt --json {flags}"))
            .succeeds()
    };
    for (flags, tokens, unknown) in [
        ("", 2.0, 1.0),
        ("--unknown skip", 2.0, 1.0),
        ("--unknown unk", 3.0, 0.0),
    ] {
        let run = eval(flags);
        assert_eq!(
            (run.number("tokens"), run.number("oov")),
            (tokens, unknown),
            "{flags}"
        );
    }
}

/// The offset at which a part of a file starts.
pub fn place(file: &[u8], part: &str) -> usize {
    file.windows(part.len())
        .position(|window| window == part.as_bytes())
        .unwrap_or_else(|| panic!("no {part:?}"))
}
