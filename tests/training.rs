//! Training runs: resumed bit-identically, moved between devices, equal on all devices.

use std::sync::Arc;

use elman::device::Device;
use elman::kernels::Activation;
use elman::model::{Config, initial_values, parameter_specs};
use elman::train::{Event, LossReduction, OPTIMIZERS, PrecisionKind, Recipe, Trainer};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::runs::{advance, config, corpus, load, rate, resumes_bit_identically, save, start};
use crate::environment::RandomSeed;
use crate::harness::{apply, gpu_test, test};

#[apply(test)]
fn resumed_runs_are_bit_identical() {
    let corpus = corpus(150);
    let seed = RandomSeed::new();
    let mut random = ChaCha8Rng::seed_from_u64(seed.0);
    let mut within_epochs = 0;
    for optimizer in OPTIMIZERS {
        for independent in [false, true] {
            let recipe = Recipe {
                optimizer: optimizer.name.into(),
                lr: rate(optimizer.name),
                // More windows than a run has: a run may end within an epoch.
                batch: 1,
                bptt: 2,
                epochs: 4,
                clip: 0.5,
                l2: if optimizer.name == "adam" { 0.0 } else { 1e-4 },
                independent,
                ..Recipe::default()
            };
            within_epochs += usize::from(resumes_bit_identically(
                &mut Device::cpu(2),
                &corpus,
                &recipe,
                random.random_range(1..400),
            ));
        }
    }
    assert!(
        within_epochs > 0,
        "every run was interrupted between epochs; the test proves nothing"
    );
}

#[apply(gpu_test)]
fn resumed_run_is_bit_identical(device: &mut Device) {
    let recipe = Recipe {
        batch: 4,
        bptt: 5,
        epochs: 2,
        clip: 0.5,
        ..Recipe::default()
    };
    // The first progress report comes after one window, so the first interruption is always within
    // an epoch; the second may be between two.
    let corpus = corpus(60);
    let within = [1, 12].map(|windows| resumes_bit_identically(device, &corpus, &recipe, windows));
    assert!(within[0], "interrupted between epochs");
}

#[apply(test)]
fn worse_epoch_restores_the_weights() {
    // These rates are far too large: at some of them, an epoch is worse than the one before.
    let rolled_back: usize = [10.0, 30.0, 60.0, 100.0].map(worse_epochs).iter().sum();
    assert!(
        rolled_back > 0,
        "no epoch was worse; the test proves nothing"
    );
}

/// Trains at this rate and checks after every epoch that the weights are those of the last kept
/// one. Returns the number of epochs that were rolled back.
fn worse_epochs(lr: f32) -> usize {
    let corpus = corpus(100);
    let recipe = Recipe {
        optimizer: "sgd".into(),
        lr,
        batch: 2,
        bptt: 4,
        epochs: 8,
        ..Recipe::default()
    };
    let mut device = Device::cpu(2);
    let mut trainer = start(&mut device, &corpus, &recipe);
    let mut kept: Option<(f64, Arc<elman::model::ParameterValues>)> = None;
    let mut rolled_back = 0;
    loop {
        match trainer.advance(&mut device).expect("training continues") {
            Event::Steps { .. } => {}
            Event::Finished => return rolled_back,
            Event::Epoch(record) => {
                // The parameters on the device, not the trainer's copies.
                let parameters = Arc::new(
                    trainer
                        .model()
                        .parameters()
                        .download(&mut device)
                        .expect("the device works"),
                );
                match &kept {
                    Some((_, before)) if record.rolled_back => {
                        rolled_back += 1;
                        assert_eq!(parameters, *before, "rate {lr}, epoch {}", record.epoch);
                    }
                    _ => kept = Some((record.valid_loss, parameters)),
                }
                assert_eq!(
                    trainer.progress().best_valid_loss,
                    kept.as_ref().map(|kept| kept.0)
                );
            }
        }
    }
}

#[apply(test)]
fn every_layout_learns() {
    let corpus = corpus(400);
    for (num_layers, embedding_size, bias) in
        [(1, 0, false), (1, 8, true), (2, 0, true), (3, 5, false)]
    {
        for reduction in [LossReduction::Mean, LossReduction::Sum] {
            let config = Config {
                num_layers,
                embedding_size,
                bias,
                decoder_bias: bias,
                ..config(&corpus)
            };
            let lr = if reduction == LossReduction::Mean {
                0.1
            } else {
                0.05
            };
            let recipe = Recipe {
                batch: 4,
                bptt: 8,
                epochs: 3,
                lr,
                reduction,
                ..Recipe::default()
            };
            let mut device = Device::cpu(2);
            let values = initial_values(&config, 1);
            let mut trainer =
                Trainer::new(&mut device, config, &values, recipe, &corpus).expect("a trainer");
            advance(&mut trainer, &mut device, usize::MAX);
            let perplexity = trainer.progress().best_valid_loss.expect("validated").exp();
            assert!(
                perplexity < 120.0,
                "{num_layers} layers, embedding {embedding_size}, {reduction:?}: {perplexity}"
            );
        }
    }
}

#[apply(gpu_test)]
fn fifty_windows_match_the_cpu(device: &mut Device) {
    let corpus = corpus(500);
    for optimizer in OPTIMIZERS {
        let recipe = Recipe {
            optimizer: optimizer.name.into(),
            lr: rate(optimizer.name),
            batch: 8,
            bptt: 6,
            epochs: 1,
            clip: 1.0,
            ..Recipe::default()
        };
        let mut cpu = Device::cpu(2);
        let [want, got] = [&mut cpu, &mut *device].map(|device| {
            let mut trainer = start(device, &corpus, &recipe);
            advance(&mut trainer, device, 50)
        });
        assert!(want.len() >= 50);
        for (window, (got, want)) in got.iter().zip(&want).take(50).enumerate() {
            assert!(
                got.is_finite() && (got - want).abs() <= 1e-4 * want.abs(),
                "{} window {window}: {got} and {want}",
                optimizer.name
            );
        }
    }
}

#[apply(gpu_test)]
fn checkpoint_moves_between_devices(device: &mut Device) {
    let corpus = corpus(60);
    let recipe = Recipe {
        batch: 4,
        bptt: 5,
        epochs: 2,
        ..Recipe::default()
    };
    let mut cpu = Device::cpu(2);
    let mut whole = start(&mut cpu, &corpus, &recipe);
    advance(&mut whole, &mut cpu, usize::MAX);
    let want = whole.progress().best_valid_loss.expect("validated");
    for cpu_first in [true, false] {
        let (first, second) = if cpu_first {
            (&mut cpu, &mut *device)
        } else {
            (&mut *device, &mut cpu)
        };
        let mut part = start(first, &corpus, &recipe);
        advance(&mut part, first, 10);
        let directory = save(&mut part, first, &corpus);
        let mut resumed = load(&directory, second, &corpus, |recipe| recipe);
        advance(&mut resumed, second, usize::MAX);
        let got = resumed.progress().best_valid_loss.expect("validated");
        assert!(
            (got - want).abs() <= 1e-4 * want,
            "the CPU first: {cpu_first}; {got} and {want}"
        );
    }
}

#[apply(gpu_test)]
fn matrix_beyond_the_limits_is_rejected(device: &mut Device) {
    // 16 TiB: more than any adapter can bind.
    let error = device
        .tensor::<f32>("decoder.weight", 1 << 32, 1 << 10)
        .expect_err("too large")
        .to_string();
    for part in ["decoder.weight", "max_", "At most", "`device = cpu`"] {
        assert!(error.contains(part), "{error}");
    }
}

/// Factors of 11 bits: the losses of the first windows are within a thousandth of those in f32, the
/// validation perplexity after an epoch within a hundredth.
#[apply(gpu_test)]
fn mixed_precision_learns_equally(device: &mut Device) {
    assert!(device.has_f16(), "{} has no f16", device.name());
    elman::check::check_mixed_products(device).expect("products of mixed precision are right");
    let corpus = corpus(300);
    for reduction in [LossReduction::Mean, LossReduction::Sum] {
        let full = Recipe {
            batch: 8,
            bptt: 6,
            epochs: 1,
            lr: 0.05,
            reduction,
            ..Recipe::default()
        };
        let mixed = Recipe {
            precision: PrecisionKind::Mixed,
            ..full.clone()
        };
        let [(want, want_valid), (got, got_valid)] = [&full, &mixed].map(|recipe| {
            let mut trainer = start(device, &corpus, recipe);
            let losses = advance(&mut trainer, device, usize::MAX);
            (
                losses,
                trainer.progress().best_valid_loss.expect("validated").exp(),
            )
        });
        assert!(got != want, "nothing was rounded");
        for (window, (got, want)) in got.iter().zip(&want).take(20).enumerate() {
            assert!(
                got.is_finite() && (got - want).abs() <= 1e-3 * want,
                "{reduction:?}, window {window}: {got} and {want}"
            );
        }
        assert!(
            (got_valid - want_valid).abs() <= 0.01 * want_valid,
            "{reduction:?}: {got_valid} and {want_valid}"
        );
    }
}

#[apply(test)]
fn mixed_precision_requires_f16() {
    let corpus = corpus(60);
    let recipe = Recipe {
        batch: 4,
        bptt: 5,
        precision: PrecisionKind::Mixed,
        ..Recipe::default()
    };
    let config = config(&corpus);
    let values = initial_values(&config, 1);
    let error = Trainer::new(&mut Device::cpu(2), config, &values, recipe, &corpus)
        .expect_err("the CPU has no f16")
        .to_string();
    for part in ["`precision = mixed`", "CPU", "f16", "`precision = full`"] {
        assert!(error.contains(part), "{error}");
    }
}

/// Gradients that double at every step back through a window are far beyond the range of f16 before
/// they are clipped.
#[apply(gpu_test)]
fn mixed_precision_survives_exploding_gradients(device: &mut Device) {
    assert!(device.has_f16(), "{} has no f16", device.name());
    let corpus = corpus(100);
    let config = Config {
        activation: Activation::Tanh,
        initial_state: 0.0,
        ..config(&corpus)
    };
    let size = config.hidden_size;
    let mut values = initial_values(&config, 1);
    for (spec, values) in parameter_specs(&config).iter().zip(values.iter_mut()) {
        match spec.name.as_str() {
            // States stay small, where the slope of tanh is 1.
            "rnn.weight_ih_l0" => values.iter_mut().for_each(|value| *value *= 1e-9),
            "rnn.weight_hh_l0" => {
                for (place, value) in values.iter_mut().enumerate() {
                    *value = if place / size == place % size {
                        2.0
                    } else {
                        0.0
                    };
                }
            }
            _ => (),
        }
    }
    let [full, mixed] = [PrecisionKind::Full, PrecisionKind::Mixed].map(|precision| {
        let recipe = Recipe {
            batch: 4,
            bptt: 24,
            epochs: 1,
            clip: 0.25,
            precision,
            ..Recipe::default()
        };
        let mut trainer =
            Trainer::new(device, config.clone(), &values, recipe, &corpus).expect("a trainer");
        advance(&mut trainer, device, 3)
    });
    for (window, (full, mixed)) in full.iter().zip(&mixed).take(3).enumerate() {
        assert!(
            mixed.is_finite() && (mixed - full).abs() <= 0.01 * full,
            "window {window}: {mixed} and {full}"
        );
    }
}
