//! Scores of lines, by the program and by the equations: `elman score` and `elman eval` in windows
//! and streams of all sizes against the reference.

use elman::model::Config;

use super::compare::assert_close;
use super::import::Tensors;
use super::reference::masks::Masks;
use super::reference::network::{Architecture, Network, Window};
use super::reference::penalties::Penalties;
use super::step_subject::STEP;
use crate::command::{Workbench, small_text};

/// Lines of one word, of none, and of more words than any window of the program has steps.
fn lines() -> String {
    let long = "the boy runs the boys run mary says that ".repeat(80);
    format!("the boy runs\n\nthe\n{long}\ndogs bark\nthe boy runs\n")
}

/// A model of the program as a network of the reference, with its vocabulary. `base` has what is
/// special about its kind.
fn reference(
    workbench: &Workbench,
    model: &str,
    base: impl Fn(&Config) -> Architecture,
) -> (Network, Vec<String>) {
    let text = |file| String::from_utf8(workbench.read(&format!("{model}/{file}"))).expect("UTF-8");
    let config: Config = serde_json::from_str(&text("config.json")).expect("a configuration");
    let vocabulary: Vec<String> = text("vocab.txt").lines().map(str::to_owned).collect();
    let architecture = Architecture {
        vocab_size: vocabulary.len(),
        embedding_size: config.embedding_size,
        hidden_sizes: vec![config.hidden_size; config.num_layers],
        bias: config.bias,
        decoder_bias: config.decoder_bias,
        ..base(&config)
    };
    let tensors = Tensors::read(workbench, &format!("{model}/model.safetensors"));
    let values = |name: &String| tensors.values(name).into_iter().map(f64::from).collect();
    let parameters = tensors.0.keys().map(|name| (name.clone(), values(name)));
    let network = Network {
        architecture,
        parameters: parameters.collect(),
    };
    (network, vocabulary)
}

/// ln P of the words of each line and of its end, from the equations. `carry`: the words of a line
/// follow those of the line before.
fn log_probabilities(network: &Network, lines: &[Vec<usize>], carry: bool) -> Vec<Vec<f64>> {
    let sizes = network.architecture.state_sizes();
    let start = || -> Vec<Vec<f64>> { sizes.iter().map(|&size| vec![0.0; size]).collect() };
    let mut states = start();
    let mut scores = Vec::new();
    for line in lines {
        let words = || line.iter().map(|&word| Some(word));
        let window = Window {
            time_steps: line.len() + 1,
            batch: 1,
            inputs: std::iter::once(Some(0)).chain(words()).collect(),
            targets: words().chain([Some(0)]).collect(),
            independent: None,
            masks: Masks::default(),
            penalties: Penalties::default(),
        };
        let outcome = network.run(&window, &states, 1.0);
        scores.push(outcome.log_probabilities);
        states = if carry { outcome.final_states } else { start() };
    }
    scores
}

/// Trains a model and compares its scores of lines that are read apart and, if `carries` is set, of
/// lines that are read as one text. Where a network reads a few words only, several streams are
/// exact too.
///
/// # Panics
/// If they differ.
pub fn check_lines(flags: &str, carries: bool, base: impl Fn(&Config) -> Architecture) {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench.write("lines.txt", lines());
    let train = "train --train train.txt --device cpu --batch 4 --bptt 6 --epochs 2 --lr 0.5";
    workbench
        .run(&format!("{train} {flags} --out model"))
        .succeeds();
    let (network, vocabulary) = reference(&workbench, "model", base);
    let id = |word: &str| vocabulary.iter().position(|one| one == word);
    let ids = |line: &str| line.split(' ').filter_map(id).collect();
    let tokenized: Vec<Vec<usize>> = lines().lines().map(ids).collect();
    let run = |command: &str| {
        workbench
            .run(&format!("{command} --model model --device cpu --json"))
            .succeeds()
    };
    for (carry, score, eval) in [(false, "", "--independent"), (true, "--carry", "")] {
        let want = log_probabilities(&network, &tokenized, carry);
        let what = format!("{flags} {score}");
        let log10: Vec<f64> = want.iter().map(|line| line.iter().sum::<f64>()).collect();
        let log10 = log10.into_iter().map(|ln| ln / std::f64::consts::LN_10);
        let log10: Vec<f64> = log10.collect();
        let scores = run(&format!("score lines.txt {score}")).numbers("log10_prob");
        assert_close(&what, &scores, &log10, STEP);
        if carry && !carries {
            continue;
        }
        let is_exact = network.architecture.feed_forward.is_some();
        let streams = ["", "--streams 3"].into_iter();
        for streams in streams.take(1 + usize::from(is_exact)) {
            let total = run(&format!("eval --text lines.txt {eval} {streams}"));
            let total = [total.number("log10_prob")];
            let want: [f64; 1] = [log10.iter().sum()];
            assert_close(&format!("{what} {streams}"), &total, &want, STEP);
        }
    }
}
