//! Evaluation in several streams: nearly the result of one stream, and exact where every stream
//! knows its state.

use elman::corpus::Tokens;
use elman::device::Device;
use elman::evaluate::{Evaluator, nearly_exact_streams};
use elman::mixture::{
    self, Component, NetworkComponent, NetworkOptions, TextPart, Weights, read_part,
};
use elman::model::{Config, Model, initial_values};

use super::runs::{config, corpus};
use crate::command::Workbench;
use crate::harness::{apply, device_test, in_turn, test};

/// Models whose states matter for many steps: all parameters are larger than at the start of
/// training.
fn model(device: &mut Device, config: Config) -> Model {
    let mut values = initial_values(&config, 3);
    values.iter_mut().flatten().for_each(|value| *value *= 4.0);
    Model::new(device, config, &values).expect("a model")
}

/// The loss of a model in a number of streams.
fn loss(
    device: &mut Device,
    model: &Model,
    tokens: &Tokens,
    independent: bool,
    streams: usize,
) -> f64 {
    Evaluator::new(device, model, independent, streams)
        .and_then(|evaluator| evaluator.evaluate(device, model, tokens))
        .expect("a loss")
        .loss()
}

/// ln P of each token.
fn scores(device: &mut Device, model: &Model, tokens: &Tokens, streams: usize) -> Vec<f64> {
    let options = NetworkOptions {
        streams,
        ..NetworkOptions::default()
    };
    let network = NetworkComponent::new(device, model, tokens, options, None).expect("room");
    let mut components: Vec<Box<dyn Component>> = vec![Box::new(network)];
    let mut scores = Vec::new();
    mixture::score(
        device,
        &mut components,
        &Weights::even(1),
        tokens,
        &mut |score| {
            scores.push(score.log_probability);
            Ok(())
        },
    )
    .expect("scores");
    scores
}

#[apply(device_test)]
fn streams_give_nearly_the_result_of_one(device: &mut Device) {
    let corpus = corpus(460);
    let networks = [("lstm", 2), ("elman", 1), ("gru", 1), ("qrnn", 2)];
    for (cell, num_layers) in in_turn(device, 0, networks) {
        let config = Config {
            cell: cell.to_owned(),
            num_layers,
            embedding_size: if cell == "qrnn" { 5 } else { 0 },
            ..config(&corpus)
        };
        let model = model(device, config);
        let tokens = &corpus.train;
        let exact = loss(device, &model, tokens, false, 1);
        let most = nearly_exact_streams(tokens.len(), 99);
        assert!(most > 2, "the text has {} tokens", tokens.len());
        for streams in [most, 7] {
            let found = loss(device, &model, tokens, false, streams);
            assert!(
                (found - exact).abs() < 1e-5,
                "{cell}, {streams} streams: {found}, not {exact}"
            );
        }
        // The state is known from the first sentence end of a warm-up on.
        let exact = loss(device, &model, tokens, true, 1);
        let found = loss(device, &model, tokens, true, 7);
        assert!(
            (found - exact).abs() < 1e-6,
            "{cell}, independent: {found}, not {exact}"
        );
        let one = scores(device, &model, tokens, 1);
        let several = scores(device, &model, tokens, 7);
        assert_eq!(one.len(), several.len());
        for (position, (one, several)) in one.iter().zip(&several).enumerate() {
            assert!(
                (one - several).abs() < 1e-3,
                "{cell}, token {position}: {several}, not {one}"
            );
        }
    }
}

#[apply(device_test)]
fn a_text_shorter_than_the_warm_up_is_exact(device: &mut Device) {
    let corpus = corpus(3);
    let model = model(device, config(&corpus));
    let exact = loss(device, &model, &corpus.train, false, 1);
    let found = loss(device, &model, &corpus.train, false, 4);
    assert!((found - exact).abs() < 1e-6, "{found}, not {exact}");
}

#[apply(test)]
fn eval_takes_a_number_of_streams() {
    let workbench = Workbench::with_model();
    let eval = |flags: &str| {
        workbench.run(&format!(
            "eval --text train.txt --device cpu --json {flags}"
        ))
    };
    let exact = eval("").succeeds().number("entropy_bits");
    assert_eq!(eval("--streams 1").succeeds().number("entropy_bits"), exact);
    let streams = eval("--streams 6").succeeds().number("entropy_bits");
    assert!((streams - exact).abs() < 1e-4, "{streams}, not {exact}");
    eval("--streams 0").fails(2, &["--streams 0", "at least 1"]);
    eval("--streams 99999").fails(2, &["--streams 99999", "tokens", "at most"]);
    eval("--streams 2 --dynamic 0.1").fails(2, &["--streams 2", "--dynamic"]);
    eval("--streams 2 --cache 50").fails(2, &["--streams 2", "--cache"]);
    workbench
        .run("eval --text train.txt --device cpu --streams 2 --format rnnlm")
        .fails(2, &["--streams 2", "--format rnnlm"]);
}

/// ln P of each token of a text, read by a number of ranks one after the other.
fn parts(
    device: &mut Device,
    model: &Model,
    tokens: &Tokens,
    options: NetworkOptions,
    ranks: usize,
) -> Vec<f64> {
    let mut all = Vec::new();
    for rank in 0..ranks {
        let part = TextPart::OfRank { rank, ranks };
        all.extend(read_part(device, model, tokens, options, None, part).expect("a part"));
    }
    all
}

/// The parts of ranks together are the whole text: of independent sentences to the bit.
#[apply(device_test)]
fn parts_of_ranks_are_the_whole_text(device: &mut Device) {
    let corpus = corpus(460);
    let tokens = &corpus.train;
    let networks = ["lstm", "elman", "qrnn", "feedforward"];
    for cell in in_turn(device, 0, networks) {
        let reads_ids = cell == "lstm" || cell == "elman";
        let config = Config {
            cell: cell.to_owned(),
            embedding_size: if reads_ids { 0 } else { 5 },
            context: if cell == "feedforward" { 3 } else { 0 },
            ..config(&corpus)
        };
        let model = model(device, config);
        for (independent, streams, ranks) in
            [(true, 1, 2), (true, 1, 5), (true, 1, 99), (false, 6, 3)]
        {
            let options = NetworkOptions {
                independent,
                streams,
                ..NetworkOptions::default()
            };
            let whole = TextPart::Whole;
            let whole = read_part(device, &model, tokens, options, None, whole).expect("a text");
            let parts = parts(device, &model, tokens, options, ranks);
            assert_eq!(parts.len(), whole.len(), "{cell} on {ranks} ranks");
            // Streams of a rank have products of their own.
            let tolerance = if independent { 0.0 } else { 1e-5 };
            for (position, (part, whole)) in parts.iter().zip(&whole).enumerate() {
                assert!(
                    (part - whole).abs() <= tolerance,
                    "{cell} on {ranks} ranks, token {position}: {part}, not {whole}"
                );
            }
        }
    }
}
