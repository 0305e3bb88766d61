//! Averaged weights: their values, and what starts averaging.

use elman::device::Device;
use elman::evaluate::Evaluator;
use elman::model::Model;
use elman::train::{AverageKind, Keep, Recipe, ScheduleKind};

use super::compare::{Tolerance, assert_close};
use super::runs::{config, corpus, resumes_bit_identically, start};
use super::schedules::{HIGH_RATE, device_parameters, epochs, recipe};
use crate::harness::{apply, test};

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
        let evaluation = Evaluator::new(device, &model, false, 1)
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
