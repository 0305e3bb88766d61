//! Output layers for large vocabularies in whole runs: they learn, resume bit-identically, and a
//! model trained on samples is a softmax model.

use elman::device::Device;
use elman::evaluate::Evaluator;
use elman::model::{Clusters, Config, Model, Noise, SampledObjective};
use elman::train::Recipe;

use super::runs::{advance, config, corpus, resumes_bit_identically_with, start_with};
use crate::harness::{apply, gpu_test, test};

/// One model of each kind besides the plain softmax.
fn configs(plain: &Config) -> [Config; 3] {
    let noise = |objective, ln_z| {
        Some(Noise {
            samples: 60,
            power: 0.75,
            objective,
            ln_z,
        })
    };
    let sampled = |noise| Config {
        output: "sampled".into(),
        noise,
        decoder_bias: true,
        ..plain.clone()
    };
    let clusters = Some(Clusters {
        cutoffs: vec![20, 60],
        divisor: 2.0,
    });
    let nce = sampled(noise(SampledObjective::Nce, (plain.vocab_size as f32).ln()));
    [
        Config {
            output: "adaptive".into(),
            clusters,
            ..plain.clone()
        },
        sampled(noise(SampledObjective::Softmax, 0.0)),
        nce,
    ]
}

/// The validation perplexity, computed with the full softmax, is close to that of a model trained
/// on it; a sampled model declared as a softmax model has the same perplexity.
#[apply(test)]
fn every_output_layer_learns() {
    let corpus = corpus(1500);
    let recipe = Recipe {
        batch: 8,
        bptt: 8,
        epochs: 4,
        ..Recipe::default()
    };
    let mut device = Device::cpu(2);
    let plain = config(&corpus);
    let mut perplexity = |config: Config| {
        let mut trainer = start_with(&mut device, &corpus, config.clone(), &recipe);
        advance(&mut trainer, &mut device, usize::MAX);
        let got = trainer.progress().best_valid_loss.expect("validated").exp();
        if config.output == "sampled" {
            let values = trainer
                .model()
                .parameters()
                .download(&mut device)
                .expect("the device works");
            let config = Config {
                output: "softmax".into(),
                noise: None,
                ..config
            };
            let model = Model::new(&mut device, config, &values).expect("the same parameters");
            let evaluator = Evaluator::new(&mut device, &model, false, 1).expect("room");
            let again = evaluator
                .evaluate(&mut device, &model, &corpus.valid)
                .expect("measured")
                .perplexity;
            assert!(
                (again / got - 1.0).abs() < 1e-9,
                "{got} as sampled, {again} as softmax"
            );
        }
        got
    };
    let want = perplexity(Config {
        decoder_bias: true,
        ..plain.clone()
    });
    let [adaptive, few, nce] = configs(&plain);
    // A sample that contains every word many times equals the whole vocabulary up to noise.
    let many = Config {
        noise: few.noise.map(|noise| Noise {
            samples: 4_000,
            ..noise
        }),
        ..few.clone()
    };
    for (config, margin) in [(adaptive, 1.05), (few, 1.12), (many, 1.01), (nce, 1.25)] {
        let what = format!("{:?} {:?}", config.clusters, config.noise);
        let got = perplexity(config);
        println!("{what}: {got}, softmax: {want}");
        assert!(got < margin * want, "{what}: {got}, softmax: {want}");
    }
}

#[apply(test)]
fn resumed_runs_are_bit_identical() {
    let corpus = corpus(150);
    for config in configs(&config(&corpus)) {
        for optimizer in ["sgd", "adam"] {
            let lr = if optimizer == "adam" { 0.003 } else { 0.1 };
            let recipe = Recipe {
                optimizer: optimizer.into(),
                lr,
                batch: 2,
                bptt: 3,
                epochs: 3,
                seed: 5,
                ..Recipe::default()
            };
            // The first progress report comes after one window, so the first interruption is always
            // within an epoch; the second may be between two.
            let within = [1, 70].map(|windows| {
                resumes_bit_identically_with(
                    &mut Device::cpu(2),
                    &corpus,
                    &config,
                    &recipe,
                    windows,
                )
            });
            assert!(within[0], "interrupted between epochs");
        }
    }
}

#[apply(gpu_test)]
fn resumed_run_is_bit_identical(device: &mut Device) {
    let corpus = corpus(60);
    for config in configs(&config(&corpus)) {
        let recipe = Recipe {
            batch: 4,
            bptt: 5,
            epochs: 2,
            ..Recipe::default()
        };
        let within = [1, 12].map(|windows| {
            resumes_bit_identically_with(device, &corpus, &config, &recipe, windows)
        });
        assert!(within[0], "interrupted between epochs");
    }
}

/// Samples are drawn on the host, so they are the same on every device.
#[apply(gpu_test)]
fn windows_match_the_cpu(device: &mut Device) {
    let corpus = corpus(200);
    for config in configs(&config(&corpus)) {
        let recipe = Recipe {
            batch: 8,
            bptt: 6,
            epochs: 1,
            accumulate: 2,
            clip: 1.0,
            ..Recipe::default()
        };
        let mut cpu = Device::cpu(2);
        let [want, got] = [&mut cpu, &mut *device].map(|device| {
            let mut trainer = start_with(device, &corpus, config.clone(), &recipe);
            advance(&mut trainer, device, 20)
        });
        assert!(want.len() >= 20);
        for (window, (got, want)) in got.iter().zip(&want).enumerate() {
            assert!(
                got.is_finite() && (got - want).abs() <= 1e-4 * want.abs(),
                "{:?} window {window}: {got} and {want}",
                config.noise
            );
        }
    }
}
