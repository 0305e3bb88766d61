//! The memory of a network: gradients over lag are those of finite differences, and means over
//! places of a text.

use elman::corpus::Tokens;
use elman::device::Device;
use elman::model::{Capacity, Config, Model, Window, WindowWords, Workspace, initial_values};
use elman::report::memory::{self, MemoryOptions};

use crate::harness::{apply, device_test};

/// A model of a cell whose gradients are large, and a text.
fn model(device: &mut Device, cell: &str, num_layers: usize) -> (Model, Tokens) {
    let config = Config {
        cell: cell.to_owned(),
        vocab_size: 7,
        embedding_size: 4,
        hidden_size: 3,
        num_layers,
        bias: true,
        ..Config::default()
    };
    let mut values = initial_values(&config, 5);
    values.iter_mut().flatten().for_each(|value| *value *= 3.0);
    let model = Model::new(device, config, &values).expect("a model");
    let tokens = (0..40_u32)
        .map(|position| position * position % 7)
        .collect();
    (model, tokens)
}

/// The states after the first tokens of a text.
fn states_after(
    device: &mut Device,
    model: &Model,
    tokens: &Tokens,
    count: usize,
) -> Vec<Vec<f32>> {
    let (workspace, _) = read(device, model, tokens, 0..count, None);
    let carried = workspace.carried().into_iter();
    carried
        .map(|state| device.download(&state).expect("states"))
        .collect()
}

/// Reads a part of a text, from given states, and returns the last loss.
fn read(
    device: &mut Device,
    model: &Model,
    tokens: &Tokens,
    part: std::ops::Range<usize>,
    states: Option<&[Vec<f32>]>,
) -> (Workspace, f64) {
    let capacity = Capacity {
        batch: 1,
        time_steps: part.len(),
        ..Capacity::default()
    };
    let workspace = Workspace::new(device, model, capacity).expect("a workspace");
    for (tensor, values) in workspace.carried().iter().zip(states.unwrap_or_default()) {
        device.upload(tensor, values);
    }
    let before = |position: usize| position.checked_sub(1).map_or(0, |it| tokens.get(it));
    let rows: Vec<u32> = (part.start..=part.end).map(before).collect();
    let uploaded = device
        .tensor_from("tokens", rows.len(), 1, &rows)
        .expect("room");
    let steps = part.len();
    let words = WindowWords {
        targets: rows[1..].to_vec(),
        before: Box::new(|_, _| 0),
        draw: 0,
    };
    let window = Window {
        plan: workspace.plan(device, &words),
        ..Window::new(
            steps,
            uploaded.slice_rows(0..steps),
            uploaded.slice_rows(1..steps + 1),
        )
    };
    model.forward(device, &workspace, &window);
    model.losses(device, &workspace, &window);
    let losses = device.download(&workspace.losses(&window)).expect("losses");
    (workspace, f64::from(*losses.last().expect("a loss")))
}

#[apply(device_test)]
fn gradients_over_lag_are_those_of_finite_differences(device: &mut Device) {
    for (cell, num_layers, states) in [
        ("elman", 2, 1),
        ("gru", 1, 1),
        ("lstm", 2, 2),
        ("sru", 1, 1),
    ] {
        let (model, tokens) = model(device, cell, num_layers);
        let options = MemoryOptions {
            positions: 1,
            lags: vec![1, 2, 4],
            warm_up: 9,
        };
        let found = memory::measure(device, &model, &tokens, &options)
            .expect("a device")
            .expect("the network has states");
        assert_eq!((found.positions, &*found.lags), (1, &[1, 2, 4][..]));
        let start = states_after(device, &model, &tokens, 9);
        for (index, &lag) in found.lags.iter().enumerate() {
            for layer in 0..num_layers {
                let mut squares = 0.0;
                for state in layer * states..(layer + 1) * states {
                    for unit in 0..3 {
                        let mut loss_at = |change: f32| {
                            let mut states = start.clone();
                            states[state][unit] += change;
                            read(device, &model, &tokens, 9..9 + lag, Some(&states)).1
                        };
                        let slope = (loss_at(0.02) - loss_at(-0.02)) / 0.04;
                        squares += slope * slope;
                    }
                }
                let (want, norm) = (squares.sqrt(), found.layers[layer][index]);
                assert!(
                    norm.is_finite() && (norm - want).abs() < 2e-5 + 0.01 * want,
                    "{cell}, layer {layer}, {lag} steps: {norm}, not {want}"
                );
            }
        }
    }
}

#[apply(device_test)]
fn gradients_are_means_over_places(device: &mut Device) {
    let (model, tokens) = model(device, "lstm", 1);
    let tokens: Tokens = tokens.iter().take(21).collect();
    let of = |device: &mut Device, tokens: &Tokens, positions| {
        let options = MemoryOptions {
            positions,
            lags: vec![1, 3],
            warm_up: 2,
        };
        memory::measure(device, &model, tokens, &options)
            .expect("a device")
            .expect("states")
    };
    let all = of(device, &tokens, 2);
    // The places have 2 and 10 tokens before them. The warm-up of the second one reads a boundary
    // first, so it is the same at the start of a text.
    let first = of(device, &tokens, 1);
    let second: Tokens = tokens.iter().skip(8).collect();
    let second = of(device, &second, 1);
    for lag in 0..2 {
        let want = (first.layers[0][lag] + second.layers[0][lag]) / 2.0;
        // The second place has a boundary before its warm-up instead of the text.
        assert!(
            (all.layers[0][lag] - want).abs() < 0.5 * want,
            "{lag}: {all:?} {want}"
        );
    }
    let short: Tokens = [1].into_iter().collect();
    let options = MemoryOptions::default();
    let found = memory::measure(device, &model, &short, &options).expect("a device");
    assert!(
        found.is_some_and(|it| it.lags == [1]),
        "a text of one token has one lag"
    );
    let none = memory::measure(device, &model, &Tokens::default(), &options).expect("a device");
    assert_eq!(none, None);
}
