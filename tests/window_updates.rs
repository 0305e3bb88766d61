//! Updates: the clamp of their elements, windows of every kind, and sums over several windows.

use elman::corpus::Streams;
use elman::data_loader::{DataLoader, Mode};
use elman::device::Device;
use elman::kernels::Sgd;
use elman::model::{Capacity, Model, Parameters, Workspace, initial_values};
use elman::train::{Event, Keep, LossReduction, Recipe, ScheduleKind};

use super::compare::{Tolerance, assert_close};
use super::runs::{advance, config, corpus, start};
use super::schedules::{device_parameters, recipe};
use crate::harness::{apply, gpu_test, test};

/// One SGD update: a parameter moves by at most the rate times the clamp, and a clamped one by
/// exactly that.
#[apply(test)]
fn clamp_bounds_every_element_of_an_update() {
    let corpus = corpus(60);
    let values = initial_values(&config(&corpus), 1);
    let clamp = 1e-3;
    // This norm does not clip the clamped gradient but would clip the whole one, so the result
    // shows which is applied first.
    for (accumulate, clip) in [(1, 0.0), (256, 0.0), (256, 0.05)] {
        let mut device = Device::cpu(2);
        let bptt = if accumulate == 1 {
            corpus.train.len()
        } else {
            7
        };
        let all = Recipe {
            lr: 1.0,
            epochs: 1,
            accumulate,
            batch: 1,
            bptt,
            ..recipe(ScheduleKind::Constant)
        };
        let [whole, clamped] = [0.0, clamp].map(|clip_value| {
            let clip = if clip_value > 0.0 { clip } else { 0.0 };
            let mut trainer = start(
                &mut device,
                &corpus,
                &Recipe {
                    clip_value,
                    clip,
                    ..all.clone()
                },
            );
            advance(&mut trainer, &mut device, usize::MAX);
            device_parameters(&trainer, &mut device)
        });
        let (mut cut, mut squares) = (0, [0.0_f32; 2]);
        for ((before, whole), clamped) in values
            .iter()
            .flatten()
            .zip(whole.iter().flatten())
            .zip(clamped.iter().flatten())
        {
            let [whole, clamped] = [whole - before, clamped - before];
            let want = whole.clamp(-clamp, clamp);
            cut += usize::from(want != whole);
            squares = [squares[0] + whole * whole, squares[1] + want * want];
            assert!((clamped - want).abs() <= 1e-6, "{whole} became {clamped}");
        }
        assert!(
            cut > 10,
            "only {cut} numbers are large; the test proves nothing"
        );
        let norms = squares.map(f32::sqrt);
        assert!(
            norms[0] > 0.05 && norms[1] < 0.05,
            "norms of {norms:?}; the test proves nothing"
        );
    }
}

/// At a negligible rate, the losses of an epoch depend only on the text, whatever its segmentation
/// and the overlap of windows.
#[apply(test)]
fn every_kind_of_window_reads_the_same_text() {
    let corpus = corpus(100);
    let mut device = Device::cpu(2);
    let plain = Recipe {
        lr: 1e-30,
        bptt: 6,
        epochs: 3,
        keep: Keep::Last,
        ..recipe(ScheduleKind::Constant)
    };
    let mut losses = |recipe: Recipe| {
        let mut trainer = start(&mut device, &corpus, &recipe);
        let mut windows = Vec::new();
        while !matches!(
            trainer.advance(&mut device).expect("training continues"),
            Event::Finished
        ) {
            windows.push(trainer.windows_per_epoch());
        }
        windows.dedup();
        (
            windows,
            trainer
                .progress()
                .history
                .iter()
                .map(|epoch| epoch.train_loss)
                .collect::<Vec<_>>(),
        )
    };
    let (windows, want) = losses(plain.clone());
    assert_eq!(windows.len(), 1);
    for recipe in [
        Recipe {
            bptt_block: Some(2),
            ..plain.clone()
        },
        Recipe {
            bptt_block: Some(5),
            ..plain.clone()
        },
        Recipe {
            bptt_jitter: 2,
            ..plain.clone()
        },
        Recipe {
            bptt_jitter: 6,
            ..plain
        },
    ] {
        let (windows, got) = losses(recipe.clone());
        let what = format!(
            "--bptt-block {:?} --bptt-jitter {}",
            recipe.bptt_block, recipe.bptt_jitter
        );
        assert_eq!(
            windows.len() > 1,
            recipe.bptt_jitter > 0,
            "{what}: epochs of {windows:?} windows"
        );
        assert_close(
            &what,
            &got,
            &want,
            Tolerance {
                absolute: 0.0,
                relative: 1e-6,
            },
        );
    }
}

/// The mean gradient of a window, weighted by its length over `bptt`, equals its sum over `bptt`
/// steps, also with activation regularization.
#[apply(test)]
fn window_of_random_length_is_weighted_by_length() {
    let corpus = corpus(60);
    let mut device = Device::cpu(2);
    for penalty in [0.0, 0.5] {
        let mean = Recipe {
            activation_l2: penalty,
            temporal_l2: penalty,
            lr: 0.5,
            batch: 1,
            bptt: 8,
            bptt_jitter: 4,
            epochs: 1,
            ..recipe(ScheduleKind::Constant)
        };
        let sum = Recipe {
            reduction: LossReduction::Sum,
            lr: 0.5 / 8.0,
            ..mean.clone()
        };
        let plain = Recipe {
            bptt_jitter: 0,
            ..mean.clone()
        };
        let [got, want, other] = [mean, sum, plain].map(|recipe| {
            let mut trainer = start(&mut device, &corpus, &recipe);
            advance(&mut trainer, &mut device, usize::MAX);
            device_parameters(&trainer, &mut device)
                .iter()
                .flatten()
                .map(|&value| f64::from(value))
                .collect::<Vec<_>>()
        });
        let tolerance = Tolerance {
            absolute: 1e-5,
            relative: 1e-5,
        };
        assert_close("weights", &got, &want, tolerance);
        assert!(
            got.iter().zip(&other).any(|(a, b)| (a - b).abs() > 1e-3),
            "windows of one length do the same; the test proves nothing"
        );
    }
}

#[apply(test)]
fn update_sums_several_windows_on_the_cpu() {
    update_sums_several_windows(&mut Device::cpu(2));
}

/// One update over an epoch's windows equals the sum of their gradients at the first weights, also
/// with activation regularization.
#[apply(gpu_test)]
fn update_sums_several_windows(device: &mut Device) {
    let corpus = corpus(60);
    let config = config(&corpus);
    let values = initial_values(&config, 1);
    for (reduction, lr, penalty) in [
        (LossReduction::Mean, 50.0, 0.0),
        (LossReduction::Sum, 0.3, 0.0),
        (LossReduction::Mean, 50.0, 0.5),
    ] {
        let recipe = Recipe {
            lr,
            reduction,
            activation_l2: penalty,
            temporal_l2: penalty,
            epochs: 1,
            accumulate: 256,
            bptt: 7,
            ..recipe(ScheduleKind::Constant)
        };
        let mut trainer = start(device, &corpus, &recipe);
        advance(&mut trainer, device, usize::MAX);
        assert_eq!(
            (trainer.progress().step, trainer.windows_per_epoch() > 5),
            (1, true)
        );

        let model = Model::new(device, config.clone(), &values).expect("a model");
        let moved = Parameters::new(device, elman::model::parameter_specs(&config), &values)
            .expect("parameters");
        let capacity = Capacity {
            batch: recipe.batch,
            time_steps: recipe.bptt,
            training: true,
            activation_l2: penalty,
            temporal_l2: penalty,
            ..Capacity::default()
        };
        let workspace = Workspace::new(device, &model, capacity).expect("a workspace");
        let streams = Streams::new(&corpus.train, recipe.batch, recipe.bptt).expect("streams");
        let mut loader =
            DataLoader::new(device, streams.clone(), Mode::Train { history: 0 }).expect("a feed");
        let scale = device.tensor_from("one", 1, 1, &[1.0]).expect("a number");
        let rate = if reduction == LossReduction::Mean {
            lr / corpus.train.known() as f32
        } else {
            lr
        };
        for number in 0..streams.windows() {
            let (window, _) = loader
                .window(device, &workspace, number, 0)
                .expect("a window");
            model.forward(device, &workspace, &window);
            model.backward(device, &workspace, &window, 1.0);
            for (&parameter, gradient) in moved.tensors().iter().zip(workspace.gradients(&window)) {
                device.run(&Sgd {
                    parameter,
                    gradient,
                    scale,
                    rate,
                });
            }
        }
        let [got, want] = [trainer.model().parameters(), &moved]
            .map(|parameters| parameters.download(device).expect("the device works"));
        for (((got, want), before), one) in got.iter().zip(&want).zip(&values).zip(moved.specs()) {
            let [got, want] = [got, want].map(|values| {
                values
                    .iter()
                    .zip(before)
                    .map(|(a, b)| f64::from(a - b))
                    .collect::<Vec<_>>()
            });
            assert!(
                want.iter().any(|change| change.abs() > 1e-2),
                "{} hardly moved; the test proves nothing",
                one.name
            );
            assert_close(
                &format!("{reduction:?}, penalties {penalty}, {}", one.name),
                &got,
                &want,
                Tolerance {
                    absolute: 1e-5,
                    relative: 1e-4,
                },
            );
        }
    }
}
