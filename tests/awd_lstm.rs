//! PyTorch's values of training an AWD-LSTM (Merity 2017): dropout at every place, activation
//! regularization, clipped SGD with weight decay, and averaged weights.
//!
//! They are stored in `tests/pytorch/awd_lstm.json`, which `tests/pytorch/make_awd_lstm.py` writes
//! and explains.

use std::path::Path;

use elman::corpus::{Corpus, SentenceTags, TextReport, Vocabulary};
use elman::device::Device;
use elman::model::{Config, DropoutRates, ParameterValues, parameter_specs};
use elman::train::{AverageKind, Event, Keep, Recipe, ScheduleKind, Trainer};
use serde_json::Value;

use super::cells::masks;
use super::compare::{Tolerance, assert_close};
use super::harness::{apply, device_test, test};
use super::reference::cells::Cell;
use super::reference::goldens::{ABSOLUTE, RELATIVE};
use super::reference::masks::Masks;
use super::reference::network::{Architecture, Network, Window};
use super::reference::penalties::Penalties;

/// The accepted error of parameters after some updates.
const TRAINED: Tolerance = Tolerance {
    absolute: 1e-5,
    relative: 1e-5,
};

fn load() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pytorch/awd_lstm.json");
    let text = std::fs::read_to_string(path).expect("the file is there");
    serde_json::from_str(&text).expect("JSON")
}

fn numbers(value: &Value) -> Vec<f64> {
    let array = value.as_array().expect("a list");
    let number = |value: &Value| value.as_f64().expect("a number");
    array.iter().map(number).collect()
}

fn size(value: &Value) -> usize {
    value.as_u64().expect("a size") as usize
}

fn sizes(value: &Value) -> Vec<usize> {
    value.as_array().expect("a list").iter().map(size).collect()
}

fn rates(golden: &Value) -> DropoutRates {
    let rate = |name: &str| golden["rates"][name].as_f64().expect("a rate") as f32;
    DropoutRates {
        words: rate("words"),
        input: rate("input"),
        hidden: rate("hidden"),
        output: rate("output"),
        latent: 0.0,
        weights: rate("weights"),
        zoneout: 0.0,
        variational: true,
    }
}

/// The reference's loss and gradients of the first window.
#[apply(test)]
fn reference_agrees_with_pytorch() {
    let golden = load();
    let architecture = Architecture {
        cell: Cell::Lstm,
        vocab_size: size(&golden["vocab_size"]),
        embedding_size: size(&golden["embedding_size"]),
        hidden_sizes: sizes(&golden["hidden_sizes"]),
        bias: true,
        decoder_bias: true,
        tied: true,
        ..Architecture::default()
    };
    let parameters = golden["parameters"].as_object().expect("parameters");
    let network = Network {
        architecture,
        parameters: parameters
            .iter()
            .map(|(name, values)| (name.clone(), numbers(values)))
            .collect(),
    };
    let (batch, time_steps) = (size(&golden["batch"]), size(&golden["bptt"]));
    let text = sizes(&golden["text"]);
    let steps = text.len() / batch;
    let token = |t: usize, stream: usize| match stream * steps + t {
        0 => Some(0),
        position => Some(text[position - 1]),
    };
    let rows = |first: usize| {
        let places = (first..first + time_steps).flat_map(|t| (0..batch).map(move |b| (t, b)));
        places.map(|(t, b)| token(t, b)).collect()
    };
    let mut window = Window {
        time_steps,
        batch,
        inputs: rows(0),
        targets: rows(1),
        independent: None,
        masks: Masks::default(),
        penalties: Penalties {
            activation: golden["activation_l2"].as_f64().expect("a number"),
            temporal: golden["temporal_l2"].as_f64().expect("a number"),
            past: 0.0,
        },
    };
    let seed = size(&golden["seed"]) as u32;
    window.masks = masks(&network.architecture, &[], rates(&golden), seed, 0, &window);
    let states: Vec<_> = network.architecture.state_sizes();
    let states: Vec<_> = states.iter().map(|size| vec![0.0; batch * size]).collect();
    let tokens = (time_steps * batch) as f64;
    let got = network.run(&window, &states, 1.0 / tokens);
    // Rates are rounded to f32, and so are the multipliers of kept elements.
    let close = Tolerance {
        absolute: ABSOLUTE,
        relative: 1e3 * RELATIVE,
    };
    assert_close("loss", &[got.loss], &numbers(&golden["losses"])[..1], close);
    for (name, gradient) in &got.gradients {
        let want = numbers(&golden["first_gradients"][name]);
        let close = Tolerance {
            absolute: 1e-8,
            ..close
        };
        assert_close(name, gradient, &want, close);
    }
}

/// The corpus that the file describes. Its validation text does not matter.
fn corpus(golden: &Value) -> Corpus {
    let types = (0..size(&golden["vocab_size"])).map(|id| match id {
        0 => "</s>".to_owned(),
        _ => format!("word{id}"),
    });
    let text = sizes(&golden["text"]);
    Corpus {
        vocabulary: Vocabulary::new(types.collect()).expect("a vocabulary"),
        train: text.iter().map(|&token| token as u32).collect(),
        valid: [1, 2, 3].into_iter().collect(),
        report: TextReport::default(),
        tags: SentenceTags::default(),
        counts: None,
    }
}

fn recipe(golden: &Value) -> Recipe {
    let number = |name: &str| golden[name].as_f64().expect("a number") as f32;
    Recipe {
        batch: size(&golden["batch"]),
        bptt: size(&golden["bptt"]),
        epochs: golden["trained"].as_array().expect("epochs").len(),
        optimizer: "sgd".into(),
        lr: number("lr"),
        schedule: ScheduleKind::Constant,
        keep: Keep::Last,
        average: AverageKind::Always,
        clip: number("clip"),
        l2: number("l2"),
        activation_l2: number("activation_l2"),
        temporal_l2: number("temporal_l2"),
        dropout: rates(golden),
        seed: size(&golden["seed"]) as u64,
        ..Recipe::default()
    }
}

fn config(golden: &Value) -> Config {
    let hidden_sizes = sizes(&golden["hidden_sizes"]);
    Config {
        cell: "lstm".into(),
        vocab_size: size(&golden["vocab_size"]),
        embedding_size: size(&golden["embedding_size"]),
        hidden_size: hidden_sizes[0],
        num_layers: hidden_sizes.len(),
        hidden_sizes,
        bias: true,
        decoder_bias: true,
        tied: true,
        initial_state: 0.0,
        ..Config::default()
    }
}

/// Whole epochs on every device: losses without the penalties, norms with them, the weights and
/// their averages.
#[apply(device_test)]
fn training_agrees_with_pytorch(device: &mut Device) {
    let golden = load();
    let (corpus, config) = (corpus(&golden), config(&golden));
    let specs = parameter_specs(&config);
    let values: ParameterValues = specs
        .iter()
        .map(|spec| numbers(&golden["parameters"][&spec.name]))
        .map(|values| values.into_iter().map(|value| value as f32).collect())
        .collect();
    let mut trainer =
        Trainer::new(device, config, &values, recipe(&golden), &corpus).expect("a trainer");
    trainer.set_max_steps_per_event(1);
    let (mut losses, mut norms, mut epoch) = (Vec::new(), Vec::new(), 0);
    loop {
        match trainer.advance(device).expect("training continues") {
            Event::Steps {
                loss,
                gradient_norm,
                ..
            } => {
                losses.push(loss);
                norms.push(gradient_norm);
            }
            Event::Finished => break,
            Event::Epoch(_) => {
                let snapshot = trainer.snapshot(device).expect("a snapshot");
                let average = snapshot.average.expect("averaged weights");
                let last = snapshot.last.expect("the last weights");
                for (index, spec) in specs.iter().enumerate() {
                    let name = &spec.name;
                    for (what, got) in [("trained", &last[index]), ("averaged", &average[index])] {
                        let want = numbers(&golden[what][epoch][name]);
                        let what = format!("{what} {name} in epoch {epoch} on {}", device.name());
                        assert_close(&what, got, &want, TRAINED);
                    }
                }
                epoch += 1;
            }
        }
    }
    assert_close("losses", &losses, &numbers(&golden["losses"]), TRAINED);
    assert_close("norms", &norms, &numbers(&golden["norms"]), TRAINED);
}
