//! Runs on several ranks that are special: they move between numbers of ranks, run on a GPU, have
//! streams without targets, or cannot be divided.

use elman::device::{AdapterUse, Device, DeviceChoice};
use elman::model::{Classes, Config, DropoutRates, ModelOptions, initial_values};
use elman::train::{CorpusShare, Recipe, Trainer};

use super::environment::cpu_only;
use super::ranks::{Setup, WINDOWS, assert_close, compare, model, on_ranks, recipe, train_on};
use super::runs::{corpus, rate};
use crate::harness::{apply, test};

/// A run that moves from 1 to 2 to 4 ranks and back has the losses of one that stays.
#[apply(test)]
fn a_run_moves_between_numbers_of_ranks() {
    let corpus = corpus(250);
    for (cell, output) in [
        ("lstm", "softmax"),
        ("gru", "class"),
        ("feedforward", "sampled"),
    ] {
        let config = model(&corpus, cell, output);
        let mut setup = Setup {
            corpus: &corpus,
            config,
            recipe: Recipe {
                epochs: 4,
                ..recipe()
            },
            from: None,
            windows: 4 * WINDOWS,
        };
        let cpu = || Device::cpu(1);
        let whole = train_on(1, &setup, cpu);
        setup.windows = 20;
        let mut losses = Vec::new();
        for count in [1, 2, 4, 1] {
            let part = train_on(count, &setup, cpu);
            losses.extend(part.losses);
            setup.from = Some((part.snapshot, part.progress));
        }
        assert_close(&format!("{cell} {output}"), &losses, &whole.losses);
    }
}

#[apply(test)]
fn streams_that_ranks_cannot_divide_are_an_error() {
    let corpus = corpus(100);
    let config = model(&corpus, "lstm", "softmax");
    let messages = on_ranks(4, &|ranks| {
        let share = CorpusShare {
            corpus: &corpus,
            ranks,
        };
        let recipe = Recipe {
            batch: 10,
            ..recipe()
        };
        let values = initial_values(&config, 1);
        let device = &mut Device::cpu(1);
        let trainer = Trainer::new(device, config.clone(), &values, recipe, share);
        trainer.map(|_| ()).map_err(|error| error.to_string())
    });
    for message in messages {
        let message = message.expect_err("10 streams for 4 ranks");
        assert!(message.contains("`batch = 8` or `batch = 12`"), "{message}");
    }
}

/// The first adapter, which several ranks may use.
fn shared_adapter() -> Device {
    let choice = DeviceChoice::Name(elman::device::adapters()[0].name.clone());
    let opened = choice.open_for_rank(1, AdapterUse::Shared(1));
    opened.expect("it opens").0
}

/// Ranks that share an adapter have the losses of one rank on the CPU.
#[apply(test)]
#[ignore_unless(!cpu_only())]
fn ranks_on_a_gpu_have_the_losses_of_one_rank() {
    let corpus = corpus(100);
    for (cell, output, optimizer) in [("lstm", "softmax", "sgd"), ("gru", "sampled", "adam")] {
        let dropout = DropoutRates {
            output: 0.25,
            ..DropoutRates::default()
        };
        let setup = Setup {
            corpus: &corpus,
            config: model(&corpus, cell, output),
            recipe: Recipe {
                optimizer: optimizer.into(),
                lr: rate(optimizer),
                dropout,
                epochs: 1,
                ..recipe()
            },
            from: None,
            windows: 8,
        };
        let one = train_on(1, &setup, || Device::cpu(1));
        let two = train_on(2, &setup, shared_adapter);
        let count = one.losses.len().min(two.losses.len());
        assert!(count >= 8, "{count} windows");
        assert_close(&format!("{cell} {output}"), &two.losses, &one.losses);
    }
}

/// The gradients of a layer's weights are large enough to be copied while the GPU computes others.
#[apply(test)]
#[ignore_unless(!cpu_only())]
fn large_gradients_are_summed_on_a_gpu() {
    let corpus = corpus(60);
    let hidden = 260;
    assert!(hidden * hidden > 1 << 16);
    let config = Config {
        hidden_size: hidden,
        ..model(&corpus, "elman", "softmax")
    };
    let setup = Setup {
        corpus: &corpus,
        config,
        recipe: Recipe {
            epochs: 1,
            ..recipe()
        },
        from: None,
        windows: 3,
    };
    let one = train_on(1, &setup, || Device::cpu(1));
    let two = train_on(2, &setup, shared_adapter);
    let count = one.losses.len().min(two.losses.len());
    assert_close("260 units", &two.losses[..count], &one.losses[..count]);
}

#[apply(test)]
fn tied_weights_have_the_losses_of_one_rank() {
    let corpus = corpus(200);
    let options = ModelOptions {
        cell: Some("lstm".into()),
        hidden: vec![6],
        embedding: Some(6),
        tied: Some(true),
        ..ModelOptions::default()
    };
    let no_classes = |count, binning| Classes::new(count, binning, &[]);
    let config = options.resolve(corpus.vocabulary.len(), no_classes);
    let config = config.expect("a configuration");
    compare("tied", &corpus, config, recipe());
}

/// In the last window of an epoch, some streams have no targets, and neither have the ranks whose
/// streams they are.
#[apply(test)]
fn ranks_without_targets_have_the_losses_of_one_rank() {
    for sentences in [101, 102, 103] {
        let corpus = corpus(sentences);
        for output in ["softmax", "class", "sampled", "adaptive"] {
            let what = format!("{output}, {sentences} sentences");
            let config = model(&corpus, "gru", output);
            let recipe = Recipe {
                bptt: 1,
                epochs: 1,
                ..recipe()
            };
            let setup = Setup {
                corpus: &corpus,
                config,
                recipe,
                from: None,
                windows: usize::MAX,
            };
            let cpu = || Device::cpu(1);
            let one = train_on(1, &setup, cpu);
            let four = train_on(4, &setup, cpu);
            assert_close(&what, &four.losses, &one.losses);
        }
    }
}
