//! Schedules, early stopping and the choice of weights: whole runs on a small corpus.

use std::sync::Arc;

use elman::device::Device;
use elman::field::Choice;
use elman::train::{AverageKind, Event, Keep, OPTIMIZERS, Recipe, ScheduleKind, Trainer};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::runs::{advance, corpus, load, rate, resumes_bit_identically, save, start};
use crate::harness::{apply, test};

/// A rate at which some epochs are worse than the best before them.
pub const HIGH_RATE: f32 = 30.0;

pub fn recipe(schedule: ScheduleKind) -> Recipe {
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
pub fn device_parameters(trainer: &Trainer<'_>, device: &mut Device) -> Values {
    Arc::new(
        trainer
            .model()
            .parameters()
            .download(device)
            .expect("the device works"),
    )
}

/// Trains to the end and returns the weights on the device after every epoch.
pub fn epochs(
    trainer: &mut Trainer<'_>,
    device: &mut Device,
    after: impl Fn(&mut Trainer<'_>, &mut Device, &[Values]),
) -> Vec<Values> {
    let mut weights = Vec::new();
    loop {
        match trainer.advance(device).expect("training continues") {
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
            "the last epoch is the best; the test proves nothing"
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
        "the last epoch is the best; the test proves nothing"
    );
    let directory = save(&mut first, &mut device, &corpus);
    let mut second = load(&directory, &mut device, &corpus, |recipe| {
        recipe
            .with_epochs(want.len())
            .expect("the constant schedule continues")
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
            "the last update of an epoch is a whole one; the test proves nothing"
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
        std::fs::remove_file(path.with_file_name("manifest.json")).expect("removed");
        let mut resumed = load(&directory, &mut device, &corpus, |recipe| recipe);
        assert_eq!(resumed.recipe(), &recipe);
        advance(&mut resumed, &mut device, usize::MAX);
        let [a, b] = [&mut whole, &mut resumed]
            .map(|trainer| trainer.snapshot(&mut device).expect("a snapshot"));
        assert!(a == b, "{}", schedule.name());
    }
}
