//! What epochs record of their last update: how far it moved each parameter, against the weights
//! before and after it, and the saturation of gates, against scalar loops in f64.

use std::collections::BTreeMap;

use elman::corpus::Corpus;
use elman::device::Device;
use elman::kernels::Activation;
use elman::model::{Config, Model, ParameterValues, cell_kind, initial_values};
use elman::train::{Event, LastUpdate, Recipe, ScheduleKind, Trainer};

use super::runs::{config, corpus, rate, start};
use super::schedules::{device_parameters, recipe};
use crate::harness::{apply, device_test, test};

/// Trains an epoch step by step. Returns the record and the weights around the last update.
fn epoch(device: &mut Device, trainer: &mut Trainer<'_>) -> (LastUpdate, [ParameterValues; 2]) {
    trainer.set_max_steps_per_event(1);
    let mut weights = vec![(*device_parameters(trainer, device)).clone()];
    loop {
        match trainer.advance(device).expect("training continues") {
            Event::Steps { .. } => {
                let now = (*device_parameters(trainer, device)).clone();
                if weights.last() != Some(&now) {
                    weights.push(now);
                }
            }
            Event::Epoch(record) => {
                let count = weights.len();
                let around = [
                    weights.swap_remove(count - 2),
                    weights.swap_remove(count - 2),
                ];
                return (record.last_update.expect("it is recorded"), around);
            }
            Event::Finished => panic!("an epoch ends"),
        }
    }
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

#[apply(device_test)]
fn ratios_are_those_of_the_weights(device: &mut Device) {
    let corpus = corpus(40);
    let with = |optimizer: &str, accumulate, l2, clip| Recipe {
        optimizer: optimizer.into(),
        lr: rate(optimizer),
        epochs: 1,
        bptt: 9,
        accumulate,
        l2,
        clip,
        ..recipe(ScheduleKind::Constant)
    };
    let recipes = [
        with("sgd", 1, 0.0, 0.0),
        with("sgd", 1, 1e-3, 0.1),
        with("adagrad", 3, 0.0, 1.0),
        with("adam", 1, 0.0, 0.0),
    ];
    for recipe in recipes {
        let mut trainer = start(device, &corpus, &recipe);
        let (update, [before, after]) = epoch(device, &mut trainer);
        let specs = trainer.model().parameters().specs();
        assert_eq!(update.parameters.len(), specs.len());
        for ((spec, before), after) in specs.iter().zip(&before).zip(&after) {
            let found = update.parameters[&spec.name];
            let want = norm(before.iter().map(|&value| f64::from(value)));
            let pairs = before.iter().zip(after);
            let moved = norm(pairs.map(|(&before, &after)| f64::from(after) - f64::from(before)));
            let context = format!("{} of {recipe:?}: {found:?}", spec.name);
            assert!(moved > 0.0, "{context}");
            assert!((found.norm / want - 1.0).abs() < 1e-6, "{context}, {want}");
            let ratio = f64::from(found.update_ratio.expect("weights"));
            assert!(
                (ratio / (moved / want) - 1.0).abs() < 1e-6,
                "{context}, {}",
                moved / want
            );
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// A network of one layer on one-hot input, in scalars.
struct Scalars<'a> {
    config: &'a Config,
    parameters: BTreeMap<&'a str, Vec<f64>>,
    state: [Vec<f64>; 2],
}

impl Scalars<'_> {
    fn parameter(&self, part: &str, index: usize) -> f64 {
        let values = self.parameters.get(format!("rnn.{part}_l0").as_str());
        values.map_or(0.0, |values| values[index])
    }

    /// The arguments of a unit's gates: the part from the input and the part from the state.
    fn argument(&self, word: usize, unit: usize, gate: usize) -> [f64; 2] {
        let (size, row) = (
            self.config.hidden_size,
            gate * self.config.hidden_size + unit,
        );
        let input = self.parameter("weight_ih", row * self.config.vocab_size + word);
        let has_weight = cell_kind(self.config).has_recurrent_weight;
        let states = (0..size).filter(|_| has_weight);
        let terms =
            states.map(|from| self.parameter("weight_hh", row * size + from) * self.state[0][from]);
        [
            input + self.parameter("bias_ih", row),
            terms.sum::<f64>() + self.parameter("bias_hh", row),
        ]
    }

    /// Reads a word. Returns the gates.
    fn step(&mut self, word: usize) -> Vec<f64> {
        let units = 0..self.config.hidden_size;
        let units: Vec<_> = units.map(|unit| self.unit(word, unit)).collect();
        for state in 0..2 {
            self.state[state] = units.iter().map(|(next, _)| next[state]).collect();
        }
        units.into_iter().flat_map(|(_, gates)| gates).collect()
    }

    /// The states of a unit after a word, and its gates.
    fn unit(&self, word: usize, unit: usize) -> ([f64; 2], Vec<f64>) {
        let sum = |gate| self.argument(word, unit, gate).iter().sum::<f64>();
        let [h, c] = [self.state[0][unit], self.state[1][unit]];
        match self.config.cell.as_str() {
            "elman" => {
                let h = match self.config.activation {
                    Activation::Tanh => sum(0).tanh(),
                    _ => sigmoid(sum(0)),
                };
                ([h, c], vec![h])
            }
            "gru" => {
                let [r, z] = [0, 1].map(|gate| sigmoid(sum(gate)));
                let [input, state] = self.argument(word, unit, 2);
                let h = (1.0 - z) * (input + r * state).tanh() + z * h;
                ([h, c], vec![r, z])
            }
            "lstm" => {
                let [i, f, o] = [0, 1, 3].map(|gate| sigmoid(sum(gate)));
                let c = f * c + i * sum(2).tanh();
                ([o * c.tanh(), c], vec![i, f, o])
            }
            "sru" => {
                let gate = |gate: usize| {
                    let place = (gate - 1) * self.config.hidden_size + unit;
                    let own = self.parameter("weight_c", place) * h;
                    sigmoid(sum(gate) + own + self.parameter("bias", place))
                };
                let f = gate(1);
                ([f * h + (1.0 - f) * sum(0), c], vec![f, gate(2)])
            }
            cell => panic!("{cell} has no equations here"),
        }
    }
}

/// The share of saturated gates in a text that is one window.
fn saturation(config: &Config, model: &Model, values: &ParameterValues, corpus: &Corpus) -> f64 {
    let specs = model.parameters().specs().iter();
    let parameters = specs.zip(values).map(|(spec, values)| {
        let values = values.iter().map(|&value| f64::from(value));
        (spec.name.as_str(), values.collect())
    });
    let initial = vec![f64::from(config.initial_state); config.hidden_size];
    let mut network = Scalars {
        config,
        parameters: parameters.collect(),
        state: [initial.clone(), initial],
    };
    // The text starts after the end of a sentence.
    let words = std::iter::once(0).chain(corpus.train.iter());
    let inputs = words.take(corpus.train.len());
    let gates: Vec<f64> = inputs
        .flat_map(|word| network.step(word as usize))
        .collect();
    let range = match config.activation {
        Activation::Tanh => -0.8..=0.8,
        _ => 0.1..=0.9,
    };
    let saturated = gates.iter().filter(|gate| !range.contains(*gate)).count();
    saturated as f64 / gates.len() as f64
}

#[apply(device_test)]
fn saturation_is_that_of_the_gates(device: &mut Device) {
    let corpus = corpus(12);
    let recipe = Recipe {
        batch: 1,
        bptt: corpus.train.len(),
        epochs: 1,
        ..recipe(ScheduleKind::Constant)
    };
    let cells = [
        ("elman", Activation::Sigmoid),
        ("elman", Activation::Tanh),
        ("gru", Activation::Sigmoid),
        ("lstm", Activation::Sigmoid),
        ("sru", Activation::Sigmoid),
    ];
    for (cell, activation) in cells {
        let config = Config {
            cell: cell.into(),
            activation,
            hidden_size: 9,
            bias: cell != "elman",
            initial_state: 0.1,
            ..config(&corpus)
        };
        // Larger weights than at the start of a run, so that some gates are saturated.
        let mut values = initial_values(&config, 5);
        values.iter_mut().flatten().for_each(|value| *value *= 6.0);
        let trainer = Trainer::new(device, config.clone(), &values, recipe.clone(), &corpus);
        let mut trainer = trainer.expect("a trainer");
        let (update, [before, _]) = epoch(device, &mut trainer);
        let want = saturation(&config, trainer.model(), &before, &corpus);
        assert!(
            (0.05..0.95).contains(&want),
            "{cell}: {want}; the test proves nothing"
        );
        assert_eq!(update.saturation.len(), 1);
        let found = f64::from(update.saturation[0]);
        assert!(
            (found - want).abs() < 1e-6,
            "{cell} {activation}: {found}, not {want}"
        );
    }
}

/// Cells without limits record the updates alone, all others a share for each layer.
#[apply(test)]
fn layers_of_every_cell_are_recorded() {
    let corpus = corpus(40);
    let mut device = Device::cpu(2);
    for kind in elman::model::CELLS {
        for activation in [Activation::Sigmoid, Activation::Relu] {
            let is_feed_forward = kind.is_feed_forward();
            let config = Config {
                cell: kind.name.into(),
                activation: if kind.has_activation {
                    activation
                } else {
                    Activation::Sigmoid
                },
                embedding_size: 5,
                num_layers: if is_feed_forward { 1 } else { 2 },
                context: if is_feed_forward { 3 } else { 0 },
                mogrifier_rounds: if kind.rounds.is_some() { 2 } else { 0 },
                bias: kind.bias,
                initial_state: kind.initial_state,
                ..config(&corpus)
            };
            let recipe = Recipe {
                epochs: 1,
                lr: 0.01,
                ..recipe(ScheduleKind::Constant)
            };
            let values = initial_values(&config, 5);
            let trainer = Trainer::new(&mut device, config, &values, recipe, &corpus);
            let (update, _) = epoch(&mut device, &mut trainer.expect("a trainer"));
            let is_relu = kind.has_activation && activation == Activation::Relu;
            let layers = if is_feed_forward || is_relu { 0 } else { 2 };
            assert_eq!(update.saturation.len(), layers, "{}", kind.name);
            let is_share = |share: &f32| (0.0..=1.0).contains(share);
            assert!(update.saturation.iter().all(is_share), "{update:?}");
        }
    }
}
