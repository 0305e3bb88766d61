//! Schedules, early stopping, the choice of weights, and updates of several windows: whole runs on
//! a small corpus.

use std::sync::Arc;

use elman::corpus::Streams;
use elman::data_loader::{DataLoader, Mode};
use elman::device::Device;
use elman::evaluate::Evaluator;
use elman::field::Choice;
use elman::kernels::Sgd;
use elman::model::{Capacity, Model, Parameters, Workspace, initial_values};
use elman::train::{
    AverageKind, Event, Keep, LossReduction, OPTIMIZERS, Recipe, ScheduleKind, Trainer,
};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::compare::{Tolerance, assert_close};
use super::training::{advance, config, corpus, load, rate, resumes_bit_identically, save, start};
use crate::harness::{apply, gpu_test, test};

/// A rate at which some epochs are worse than the best before them.
const HIGH_RATE: f32 = 30.0;

fn recipe(schedule: ScheduleKind) -> Recipe {
    Recipe {
        optimizer: "sgd".into(),
        schedule,
        batch: 2,
        bptt: 4,
        epochs: 8,
        ..Recipe::default()
    }
}

#[apply(test)]
fn every_schedule_resumes_bit_identically() {
    let corpus = corpus(100);
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let averages = [AverageKind::Always, AverageKind::Off];
    let mut within_epochs = [0; 2];
    for (number, &schedule) in ScheduleKind::ALL.iter().enumerate() {
        for (turn, optimizer) in OPTIMIZERS.iter().enumerate() {
            let halves = schedule == ScheduleKind::Halve;
            let recipe = Recipe {
                optimizer: optimizer.name.into(),
                lr: 3.0 * rate(optimizer.name),
                // More windows than a run has: a run may end within an epoch.
                batch: 1,
                bptt: 2,
                epochs: 3,
                warm_up: if schedule == ScheduleKind::OneCycle {
                    0
                } else {
                    40
                },
                patience: if halves { None } else { Some(2) },
                keep: if (number + turn).is_multiple_of(2) || halves {
                    Keep::Best
                } else {
                    Keep::Last
                },
                average: if halves {
                    AverageKind::Off
                } else {
                    averages[turn % averages.len()]
                },
                accumulate: 1 + turn % 3,
                bptt_jitter: if turn.is_multiple_of(3) && !schedule.needs_total_updates() {
                    2
                } else {
                    0
                },
                ..recipe(schedule)
            };
            let within = resumes_bit_identically(
                &mut Device::cpu(2),
                &corpus,
                &recipe,
                random.random_range(1..700),
            );
            within_epochs[turn % 2] += usize::from(within);
        }
    }
    assert!(
        within_epochs.iter().all(|&count| count > 3),
        "{within_epochs:?} runs were interrupted within an epoch"
    );
}

type Values = Arc<elman::model::ParameterValues>;

/// The parameters on the device.
fn device_parameters(trainer: &Trainer<'_>, device: &mut Device) -> Values {
    Arc::new(
        trainer
            .model()
            .parameters()
            .download(device)
            .expect("the device works"),
    )
}

/// Trains to the end and returns the weights on the device after every epoch.
fn epochs(
    trainer: &mut Trainer<'_>,
    device: &mut Device,
    after: impl Fn(&mut Trainer<'_>, &mut Device, &[Values]),
) -> Vec<Values> {
    let mut weights = Vec::new();
    loop {
        match trainer.advance(device).expect("training goes on") {
            Event::Steps { .. } => {}
            Event::Finished => return weights,
            Event::Epoch(_) => {
                weights.push(device_parameters(trainer, device));
                after(trainer, device, &weights);
            }
        }
    }
}

/// The epoch with the best validation loss so far, counted from 0.
fn best_epoch(trainer: &Trainer<'_>) -> usize {
    let losses: Vec<_> = trainer
        .progress()
        .history
        .iter()
        .map(|epoch| epoch.valid_loss)
        .collect();
    (0..losses.len())
        .rev()
        .min_by(|&a, &b| losses[a].total_cmp(&losses[b]))
        .expect("an epoch")
}

#[apply(test)]
fn best_epoch_is_kept() {
    let corpus = corpus(100);
    for keep in [Keep::Best, Keep::Last] {
        let recipe = Recipe {
            lr: HIGH_RATE,
            keep,
            ..recipe(ScheduleKind::Constant)
        };
        let mut device = Device::cpu(2);
        let mut trainer = start(&mut device, &corpus, &recipe);
        let kept = |trainer: &Trainer<'_>, epochs: usize| {
            if keep == Keep::Best {
                best_epoch(trainer)
            } else {
                epochs - 1
            }
        };
        let weights = epochs(&mut trainer, &mut device, |trainer, device, weights| {
            let (now, kept) = (weights.len() - 1, kept(trainer, weights.len()));
            let snapshot = trainer.snapshot(device).expect("a snapshot");
            assert_eq!(snapshot.parameters, weights[kept], "{keep:?}, epoch {now}");
            assert_eq!(
                snapshot.last,
                (now != kept).then(|| weights[now].clone()),
                "{keep:?}, epoch {now}"
            );
            assert_eq!(
                trainer.progress().best_valid_loss,
                Some(trainer.progress().history[kept].valid_loss)
            );
        });
        assert_eq!(weights.len(), recipe.epochs);
        assert_ne!(
            best_epoch(&trainer),
            weights.len() - 1,
            "the last epoch is the best; the test shows nothing"
        );
        assert_eq!(
            device_parameters(&trainer, &mut device),
            weights[kept(&trainer, weights.len())],
            "{keep:?}"
        );
        // A second snapshot changes nothing.
        let snapshots = [0, 1].map(|_| {
            assert!(matches!(trainer.advance(&mut device), Ok(Event::Finished)));
            trainer.snapshot(&mut device).expect("a snapshot")
        });
        assert_eq!(snapshots[0], snapshots[1]);
        assert_eq!(snapshots[0].last.is_some(), keep == Keep::Best);
    }
}

#[apply(test)]
fn more_epochs_continue_from_the_last_weights() {
    let corpus = corpus(100);
    let mut device = Device::cpu(2);
    let mut whole = start(
        &mut device,
        &corpus,
        &Recipe {
            lr: HIGH_RATE,
            ..recipe(ScheduleKind::Constant)
        },
    );
    let want = epochs(&mut whole, &mut device, |_, _, _| {});
    let worse = (1..want.len()).find(|&epoch| {
        whole.progress().history[epoch].valid_loss > whole.progress().history[epoch - 1].valid_loss
    });
    let epochs_first = worse.expect("an epoch that was worse") + 1;
    let recipe = Recipe {
        epochs: epochs_first,
        ..whole.recipe().clone()
    };
    let mut first = start(&mut device, &corpus, &recipe);
    advance(&mut first, &mut device, usize::MAX);
    assert!(
        first
            .snapshot(&mut device)
            .expect("a snapshot")
            .last
            .is_some(),
        "the last epoch is the best; the test shows nothing"
    );
    let directory = save(&mut first, &mut device, &corpus);
    let mut second = load(&directory, &mut device, &corpus, |recipe| {
        recipe.with_epochs(want.len()).expect("constant goes on")
    });
    let got = epochs(&mut second, &mut device, |_, _, _| {});
    assert!(
        got == want[epochs_first..],
        "a run that went on differs from a whole one"
    );
    assert_eq!(
        second.progress().best_valid_loss,
        whole.progress().best_valid_loss
    );
    assert_eq!(
        device_parameters(&second, &mut device),
        device_parameters(&whole, &mut device)
    );
}

#[apply(test)]
fn patience_ends_training() {
    let corpus = corpus(100);
    for patience in [1, 2] {
        let recipe = Recipe {
            lr: HIGH_RATE,
            epochs: 30,
            patience: Some(patience),
            ..recipe(ScheduleKind::Constant)
        };
        let mut device = Device::cpu(2);
        let mut trainer = start(&mut device, &corpus, &recipe);
        advance(&mut trainer, &mut device, usize::MAX);
        let losses: Vec<_> = trainer
            .progress()
            .history
            .iter()
            .map(|epoch| epoch.valid_loss)
            .collect();
        assert!(losses.len() < recipe.epochs, "it never ended: {losses:?}");
        let is_over = |epochs: usize| {
            (1..=patience).all(|back| {
                losses[..epochs - patience]
                    .iter()
                    .any(|&best| best <= losses[epochs - back])
            })
        };
        assert_eq!(
            (patience + 1..=losses.len()).find(|&epochs| is_over(epochs)),
            Some(losses.len()),
            "{losses:?}"
        );
    }
}

#[apply(test)]
fn rates_cover_every_update() {
    let corpus = corpus(60);
    for accumulate in [1, 3] {
        let first = Recipe {
            lr: 0.5,
            lr_decay: 0.8,
            lr_decay_after: 2,
            epochs: 4,
            accumulate,
            ..recipe(ScheduleKind::Linear)
        };
        let mut device = Device::cpu(2);
        let windows = start(&mut device, &corpus, &first).windows_per_epoch();
        assert!(
            !windows.is_multiple_of(3),
            "the last update of an epoch is a whole one; the test shows nothing"
        );
        let updates = windows.div_ceil(accumulate);
        let last = f64::from(4 * updates as u32).recip();
        for (schedule, want) in [
            (ScheduleKind::Step, 0.5 * 0.8 * 0.8),
            (ScheduleKind::Linear, 0.5 * last),
            (
                ScheduleKind::Cosine,
                0.25 * (1.0 - (std::f64::consts::PI * last).cos()),
            ),
            (ScheduleKind::OneCycle, 0.5 / 250_000.0),
        ] {
            let mut trainer = start(
                &mut device,
                &corpus,
                &Recipe {
                    schedule,
                    ..first.clone()
                },
            );
            advance(&mut trainer, &mut device, usize::MAX);
            assert_eq!(trainer.progress().step as usize, 4 * updates);
            let got = f64::from(trainer.progress().history[3].lr);
            assert!(
                (got - want).abs() <= 1e-6 * want,
                "{}: {got} and {want}",
                schedule.name()
            );
        }
    }
}

/// Fields that files of earlier versions lack.
#[apply(test)]
fn older_files_resume() {
    let corpus = corpus(100);
    for schedule in [ScheduleKind::Halve, ScheduleKind::Constant] {
        let recipe = Recipe {
            lr: HIGH_RATE,
            keep: Keep::Last,
            epochs: 4,
            ..recipe(schedule)
        };
        let mut device = Device::cpu(2);
        let mut whole = start(&mut device, &corpus, &recipe);
        advance(&mut whole, &mut device, usize::MAX);
        let mut part = start(&mut device, &corpus, &recipe);
        advance(&mut part, &mut device, 70);
        let directory = save(&mut part, &mut device, &corpus);
        let path = directory.path().join("training.json");
        let mut file: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&path).expect("read")).expect("JSON");
        let mut remove = |part: &str, fields: &[&str]| {
            let object = file
                .pointer_mut(part)
                .and_then(serde_json::Value::as_object_mut)
                .expect("an object");
            fields.iter().for_each(|field| {
                drop(
                    object
                        .remove(*field)
                        .unwrap_or_else(|| panic!("{part} has no {field}")),
                );
            });
        };
        let of_recipe = [
            "average",
            "clip_value",
            "lr_decay",
            "lr_patience",
            "lr_decay_after",
            "lr_end",
            "warm_up",
            "patience",
            "keep",
            "accumulate",
        ];
        remove("/recipe", &of_recipe);
        remove("/progress", &["averaged_after"]);
        remove("/progress/schedule", &["best", "since_best", "since_fall"]);
        std::fs::write(&path, file.to_string()).expect("written");
        let mut resumed = load(&directory, &mut device, &corpus, |recipe| recipe);
        assert_eq!(resumed.recipe(), &recipe);
        advance(&mut resumed, &mut device, usize::MAX);
        let [a, b] = [&mut whole, &mut resumed]
            .map(|trainer| trainer.snapshot(&mut device).expect("a snapshot"));
        assert!(a == b, "{}", schedule.name());
    }
}

/// Epochs of one update: the mean of the weights after each epoch is validated and kept, and
/// training continues from the last weights.
#[apply(test)]
fn averaged_weights_are_means() {
    let corpus = corpus(60);
    let mut device = Device::cpu(2);
    let plain = Recipe {
        batch: 1,
        bptt: corpus.train.len(),
        lr: 3.0,
        keep: Keep::Last,
        ..recipe(ScheduleKind::Constant)
    };
    let mut trainer = start(&mut device, &corpus, &plain);
    let raw = epochs(&mut trainer, &mut device, |_, _, _| {});
    assert_eq!((trainer.progress().step, raw.len()), (8, 8));
    let mut trainer = start(
        &mut device,
        &corpus,
        &Recipe {
            average: AverageKind::Always,
            ..plain
        },
    );
    let got = epochs(&mut trainer, &mut device, |trainer, device, weights| {
        let snapshot = trainer.snapshot(device).expect("a snapshot");
        let count = weights.len() as f64;
        for (number, one) in trainer.model().parameters().specs().iter().enumerate() {
            let mean: Vec<f64> = (0..one.len())
                .map(|i| weights.iter().map(|w| f64::from(w[number][i])).sum::<f64>() / count)
                .collect();
            let average: Vec<_> = snapshot.parameters[number]
                .iter()
                .map(|&value| f64::from(value))
                .collect();
            assert_close(
                &format!("{} after {count}", one.name),
                &average,
                &mean,
                Tolerance {
                    absolute: 1e-6,
                    relative: 1e-6,
                },
            );
        }
        assert_eq!(snapshot.last.as_ref(), weights.last());
        let model = Model::new(device, config(&corpus), &snapshot.parameters).expect("a model");
        let evaluation = Evaluator::new(device, &model, false)
            .and_then(|evaluator| evaluator.evaluate(device, &model, &corpus.valid));
        let record = trainer.progress().history.last().expect("an epoch");
        assert_eq!(
            (record.valid_loss, record.averaged),
            (evaluation.expect("a loss").loss(), true)
        );
    });
    assert!(got == raw, "averaging changed the training");
    assert_eq!(
        device_parameters(&trainer, &mut device),
        trainer
            .snapshot(&mut device)
            .expect("a snapshot")
            .parameters
    );
}

#[apply(test)]
fn trigger_starts_averaging() {
    let corpus = corpus(100);
    let recipe = Recipe {
        lr: HIGH_RATE,
        epochs: 12,
        average: AverageKind::Triggered,
        ..recipe(ScheduleKind::Constant)
    };
    let mut device = Device::cpu(2);
    let mut whole = start(&mut device, &corpus, &recipe);
    let windows = whole.windows_per_epoch();
    let raw = epochs(&mut whole, &mut device, |_, _, _| {});
    let plain = Recipe {
        average: AverageKind::Off,
        ..recipe.clone()
    };
    assert!(
        epochs(
            &mut start(&mut device, &corpus, &plain),
            &mut device,
            |_, _, _| {}
        ) == raw,
        "averaging changed the training"
    );
    let history = &whole.progress().history;
    let averaged = history
        .iter()
        .position(|epoch| epoch.averaged)
        .expect("an epoch with averaged weights");
    assert!(averaged < 11 && history[averaged..].iter().all(|epoch| epoch.averaged));
    assert_eq!(
        whole.progress().averaged_after,
        Some((averaged * windows) as u32)
    );
    assert!(
        history[averaged].valid_loss < history[averaged - 1].valid_loss,
        "averages of wild weights are better than the last of them"
    );
    // Interrupted before and after.
    for window in [averaged * windows - 3, averaged * windows + 3] {
        assert!(
            resumes_bit_identically(&mut device, &corpus, &recipe, window),
            "interrupted after window {window}, between epochs"
        );
    }
}

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
            "only {cut} numbers are large; the test shows nothing"
        );
        let norms = squares.map(f32::sqrt);
        assert!(
            norms[0] > 0.05 && norms[1] < 0.05,
            "norms of {norms:?}; the test shows nothing"
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
            trainer.advance(&mut device).expect("training goes on"),
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
/// steps.
#[apply(test)]
fn window_of_random_length_is_weighted_by_length() {
    let corpus = corpus(60);
    let mut device = Device::cpu(2);
    let mean = Recipe {
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
        "windows of one length do the same; the test shows nothing"
    );
}

#[apply(test)]
fn update_sums_several_windows_on_the_cpu() {
    update_sums_several_windows(&mut Device::cpu(2));
}

/// One update over an epoch's windows equals the sum of their gradients at the first weights.
#[apply(gpu_test)]
fn update_sums_several_windows(device: &mut Device) {
    let corpus = corpus(60);
    let config = config(&corpus);
    let values = initial_values(&config, 1);
    for (reduction, lr) in [(LossReduction::Mean, 50.0), (LossReduction::Sum, 0.3)] {
        let recipe = Recipe {
            lr,
            reduction,
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
            let (window, _) = loader.window(device, &workspace, number, 0);
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
                "{} hardly moved; the test shows nothing",
                one.name
            );
            assert_close(
                &format!("{reduction:?}, {}", one.name),
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
