//! `reset_states`: which states are reset, what a window then starts from, and resuming.

use elman::corpus::Streams;
use elman::data_loader::{DataLoader, Mode};
use elman::device::Device;
use elman::model::{Capacity, Config, DropoutRates, Model, Window, Workspace, initial_values};
use elman::train::{AverageKind, Recipe, ScheduleKind};

use super::runs::{advance, config, corpus, resumes_bit_identically_with, start_with};
use super::schedules::recipe;
use super::step_subject::download;
use crate::harness::{apply, device_test, test};

/// An LSTM of two layers.
fn lstm(base: Config) -> Config {
    Config {
        cell: "lstm".into(),
        hidden_size: 5,
        num_layers: 2,
        initial_state: 0.25,
        ..base
    }
}

/// The states of the given streams, and of no others, are the initial ones afterwards: the same in
/// every unit, or stored with the model.
#[apply(device_test)]
fn states_of_streams_are_reset(device: &mut Device) {
    let config = lstm(Config {
        vocab_size: 3,
        ..Config::default()
    });
    let stored: Vec<Vec<f32>> = (1..=4)
        .map(|k| (0..5).map(|unit| 0.1 * (k * 5 + unit) as f32).collect())
        .collect();
    for initial_states in [None, Some(stored)] {
        let values = initial_values(&config, 1);
        let model = Model::new(device, config.clone(), &values)
            .and_then(|model| model.with_initial_states(initial_states.clone()))
            .expect("a model");
        let capacity = Capacity {
            batch: 6,
            time_steps: 2,
            ..Capacity::default()
        };
        let workspace = Workspace::new(device, &model, capacity).expect("a workspace");
        for tensor in workspace.carried() {
            device.upload(&tensor, &[9.0; 30]);
        }
        workspace.reset_streams(device, &[1..2, 3..5]);
        for (index, tensor) in workspace.carried().into_iter().enumerate() {
            let got = download(device, tensor);
            for (stream, row) in got.chunks_exact(5).enumerate() {
                let want: Vec<f64> = match (&initial_states, [1, 3, 4].contains(&stream)) {
                    (_, false) => vec![9.0; 5],
                    (None, true) => vec![0.25; 5],
                    (Some(states), true) => states[index].iter().copied().map(f64::from).collect(),
                };
                assert_eq!(row, want, "state {index}, stream {stream}");
            }
        }
    }
}

fn sum_of_losses(
    device: &mut Device,
    model: &Model,
    workspace: &Workspace,
    window: &Window,
) -> f64 {
    model.forward(device, workspace, window);
    model.losses(device, workspace, window);
    download(device, workspace.losses(window)).iter().sum()
}

/// If almost every state is reset, windows have the losses of windows that start from the initial
/// states.
#[apply(test)]
fn windows_start_from_the_initial_states() {
    let corpus = corpus(60);
    let mut device = Device::cpu(2);
    let config = lstm(config(&corpus));
    let recipe = Recipe {
        lr: 1e-30,
        batch: 4,
        bptt: 5,
        epochs: 1,
        reset_states: 0.999_999,
        ..recipe(ScheduleKind::Constant)
    };
    let mut trainer = start_with(&mut device, &corpus, config.clone(), &recipe);
    let got = advance(&mut trainer, &mut device, usize::MAX);

    let values = initial_values(&config, recipe.seed);
    let model = Model::new(&mut device, config, &values).expect("a model");
    let capacity = Capacity {
        batch: 4,
        time_steps: 5,
        training: true,
        ..Capacity::default()
    };
    let workspace = Workspace::new(&mut device, &model, capacity).expect("a workspace");
    let streams = Streams::new(&corpus.train, 4, 5).expect("streams");
    let mode = Mode::Train { history: 0 };
    let mut loader = DataLoader::new(&mut device, streams, mode).expect("a loader");
    assert_eq!(got.len(), loader.streams().windows());
    let mut carried = 0;
    for (index, got) in got.into_iter().enumerate() {
        let (window, _) = loader
            .window(&mut device, &workspace, index, 0)
            .expect("a window");
        let from_carried = sum_of_losses(&mut device, &model, &workspace, &window);
        workspace.reset(&mut device);
        let want = sum_of_losses(&mut device, &model, &workspace, &window);
        let error = (f64::from(got) - want).abs();
        assert!(error < 1e-5 * want, "window {index}: {got}, not {want}");
        carried += usize::from((from_carried - want).abs() > 1e-4 * want);
    }
    assert!(
        carried > 1,
        "carried states change nothing; the test proves nothing"
    );
}

/// With everything of AWD-LSTM's recipe whose random numbers depend on the window.
#[apply(test)]
fn runs_resume_bit_identically() {
    let corpus = corpus(100);
    let mut device = Device::cpu(2);
    let base = config(&corpus);
    let config = Config {
        embedding_size: 5,
        tied: true,
        bias: true,
        ..lstm(base)
    };
    let recipe = Recipe {
        batch: 4,
        bptt: 8,
        bptt_jitter: 2,
        epochs: 4,
        lr: 1.0,
        clip: 0.25,
        l2: 1e-4,
        average: AverageKind::Triggered,
        activation_l2: 2.0,
        temporal_l2: 1.0,
        reset_states: 0.3,
        dropout: DropoutRates {
            words: 0.1,
            input: 0.2,
            hidden: 0.2,
            output: 0.2,
            latent: 0.0,
            weights: 0.3,
            zoneout: 0.0,
            variational: true,
        },
        ..recipe(ScheduleKind::Constant)
    };
    assert!(
        resumes_bit_identically_with(&mut device, &corpus, &config, &recipe, 13),
        "interrupted between epochs"
    );
}
