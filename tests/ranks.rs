//! Training on several ranks: the losses of one rank, the same weights on all, runs that move
//! between numbers of ranks (`ranks_runs`). The ranks are threads; `mpi` tests processes.

use std::sync::Mutex;
use std::thread::ScopedJoinHandle;

use elman::corpus::Corpus;
use elman::device::Device;
use elman::model::{CELLS, Classes, Config, DropoutRates, ModelOptions, OUTPUTS, initial_values};
use elman::parallel::Ranks;
use elman::train::{
    AverageKind, CorpusShare, LossReduction, OPTIMIZERS, Progress, Recipe, ScheduleKind, Snapshot,
    Trainer,
};

use super::runs::{advance, bits, corpus, rate};
use crate::harness::{apply, test};

/// Windows that are compared.
pub const WINDOWS: usize = 50;
/// The largest relative difference of a window's loss from that of one rank.
const TOLERANCE: f64 = 1e-4;

/// What a run on some ranks gives.
pub struct Trained {
    pub losses: Vec<f32>,
    pub valid_losses: Vec<f64>,
    pub snapshot: Snapshot,
    pub progress: Progress,
}

/// A run: its model, its recipe and the state from which it continues, if it does.
pub struct Setup<'a> {
    pub corpus: &'a Corpus,
    pub config: Config,
    pub recipe: Recipe,
    pub from: Option<(Snapshot, Progress)>,
    pub windows: usize,
}

fn options(corpus: &Corpus, options: &ModelOptions) -> Config {
    let counts = corpus.counts().expect("counts");
    let classes = |count, binning| Classes::new(count, binning, &counts);
    let vocab_size = corpus.vocabulary.len();
    options
        .resolve(vocab_size, classes)
        .expect("a configuration")
}

/// The model of a cell with an output layer.
pub fn model(corpus: &Corpus, cell: &str, output: &str) -> Config {
    let reads_ids = ["elman", "gru", "lstm"].contains(&cell);
    let given = ModelOptions {
        cell: Some(cell.into()),
        hidden: vec![7],
        embedding: (!reads_ids).then_some(5),
        output: Some(output.into()),
        samples: (output == "sampled").then_some(20),
        cutoffs: match output {
            "adaptive" => vec![10, 30],
            _ => Vec::new(),
        },
        classes: (output == "class").then_some(5),
        ..ModelOptions::default()
    };
    options(corpus, &given)
}

pub fn recipe() -> Recipe {
    Recipe {
        batch: 8,
        bptt: 4,
        epochs: 2,
        clip: 1.0,
        ..Recipe::default()
    }
}

/// What `work` returns on each of `count` ranks.
pub fn on_ranks<R: Send>(count: usize, work: &(impl Fn(Ranks) -> R + Sync)) -> Vec<R> {
    std::thread::scope(|scope| {
        let ranks = Ranks::in_threads(count).into_iter();
        let threads: Vec<_> = ranks
            .map(|ranks| scope.spawn(move || work(ranks)))
            .collect();
        let results = threads.into_iter().map(ScopedJoinHandle::join);
        results
            .map(|result| result.expect("the rank does not panic"))
            .collect()
    })
}

/// Trains on `count` ranks, each with its own device.
pub fn train_on(count: usize, setup: &Setup<'_>, open: impl Fn() -> Device + Sync) -> Trained {
    let first = Mutex::new(None);
    let weights = on_ranks(count, &|ranks| {
        let mut device = open();
        let mut trainer = start(&mut device, setup, ranks);
        // Otherwise it depends on the time where a run stops.
        trainer.set_max_steps_per_event(1);
        let losses = advance(&mut trainer, &mut device, setup.windows);
        let weights = trainer.model().parameters().download(&mut device);
        if trainer.ranks().is_first() {
            let snapshot = trainer.snapshot(&mut device).expect("a snapshot");
            let progress = trainer.progress().clone();
            let valid_losses = progress.history.iter().map(|epoch| epoch.valid_loss);
            *first.lock().expect("no panic") = Some(Trained {
                losses,
                valid_losses: valid_losses.collect(),
                snapshot,
                progress,
            });
        } else {
            trainer.join_snapshot(&mut device).expect("joined");
        }
        let weights = weights.expect("downloaded");
        let bits = weights.iter().flatten().map(|value| value.to_bits());
        bits.collect::<Vec<_>>()
    });
    assert!(
        weights.iter().all(|others| *others == weights[0]),
        "all ranks have the same weights"
    );
    first.into_inner().expect("no panic").expect("a first rank")
}

fn start<'a>(device: &mut Device, setup: &Setup<'a>, ranks: Ranks) -> Trainer<'a> {
    let share = CorpusShare {
        corpus: setup.corpus,
        ranks,
    };
    let (config, recipe) = (setup.config.clone(), setup.recipe.clone());
    match setup.from.clone() {
        None => {
            let values = initial_values(&config, recipe.seed);
            Trainer::new(device, config, &values, recipe, share).expect("a trainer")
        }
        Some((snapshot, progress)) => {
            Trainer::resume(device, config, snapshot, progress, recipe, share).expect("resumed")
        }
    }
}

/// Compares losses with those of one rank.
pub fn assert_close(what: &str, losses: &[f32], one: &[f32]) {
    let count = losses.len().min(one.len());
    assert!(count > 0, "{what}: no losses");
    for (window, (&loss, &one)) in losses.iter().zip(one).enumerate() {
        let [loss, one] = [loss, one].map(f64::from);
        assert!(
            (loss - one).abs() <= TOLERANCE * one.abs(),
            "{what}: loss {loss} of window {window}, {one} on one rank"
        );
    }
}

/// Trains on 1, 2 and 4 ranks and compares the losses.
pub fn compare(what: &str, corpus: &Corpus, config: Config, recipe: Recipe) {
    let setup = Setup {
        corpus,
        config,
        recipe,
        from: None,
        windows: WINDOWS,
    };
    let cpu = || Device::cpu(1);
    let one = train_on(1, &setup, cpu);
    for count in [2, 4] {
        let several = train_on(count, &setup, cpu);
        let what = format!("{what} on {count} ranks");
        assert_close(&what, &several.losses, &one.losses);
        for (loss, one) in several.valid_losses.iter().zip(&one.valid_losses) {
            assert!((loss - one).abs() <= TOLERANCE * one, "{what}: validation");
        }
        let again = train_on(count, &setup, cpu);
        assert!(
            bits(&again.snapshot) == bits(&several.snapshot),
            "{what}: another run has other bits"
        );
    }
}

#[apply(test)]
fn every_optimizer_has_the_losses_of_one_rank() {
    let corpus = corpus(250);
    for optimizer in OPTIMIZERS {
        for output in ["softmax", "sampled"] {
            let recipe = Recipe {
                optimizer: optimizer.name.into(),
                lr: rate(optimizer.name),
                l2: if optimizer.name == "adam" { 0.0 } else { 1e-4 },
                ..recipe()
            };
            let what = format!("{} {output}", optimizer.name);
            compare(&what, &corpus, model(&corpus, "lstm", output), recipe);
        }
    }
}

#[apply(test)]
fn every_output_layer_has_the_losses_of_one_rank() {
    let corpus = corpus(250);
    for output in OUTPUTS {
        for optimizer in ["adagrad", "adam"] {
            let recipe = Recipe {
                optimizer: optimizer.into(),
                lr: rate(optimizer),
                ..recipe()
            };
            let what = format!("{} with {optimizer}", output.name);
            compare(&what, &corpus, model(&corpus, "gru", output.name), recipe);
        }
    }
    let direct = ModelOptions {
        output: Some("class".into()),
        hidden: vec![7],
        direct: Some(640),
        ..ModelOptions::default()
    };
    compare(
        "direct connections",
        &corpus,
        options(&corpus, &direct),
        recipe(),
    );
    let mixture = ModelOptions {
        cell: Some("lstm".into()),
        hidden: vec![7],
        embedding: Some(5),
        mixture: Some(3),
        ..ModelOptions::default()
    };
    let dropout = DropoutRates {
        latent: 0.25,
        ..DropoutRates::default()
    };
    let recipe = Recipe {
        dropout,
        ..recipe()
    };
    compare("a mixture", &corpus, options(&corpus, &mixture), recipe);
}

#[apply(test)]
fn every_cell_has_the_losses_of_one_rank() {
    let corpus = corpus(250);
    for cell in CELLS {
        // Masks of all kinds that a cell can have, and windows with a history.
        let rates = DropoutRates {
            words: 0.1,
            input: 0.1,
            hidden: 0.2,
            output: 0.3,
            ..DropoutRates::default()
        };
        for variational in [false, true] {
            let recipe = Recipe {
                bptt: 5,
                bptt_block: Some(3),
                dropout: DropoutRates {
                    variational,
                    ..rates
                },
                ..recipe()
            };
            let what = format!("{} with variational = {variational}", cell.name);
            compare(&what, &corpus, model(&corpus, cell.name, "softmax"), recipe);
        }
    }
}

/// Whatever else depends on the streams of a window, or on the number of its tokens.
#[apply(test)]
fn every_recipe_has_the_losses_of_one_rank() {
    let corpus = corpus(250);
    let lstm = model(&corpus, "lstm", "softmax");
    let zoneout = Config {
        zoneout: 0.25,
        ..model(&corpus, "qrnn", "softmax")
    };
    let dropout = |dropout| Recipe {
        dropout,
        ..recipe()
    };
    let none = DropoutRates::default();
    let cases = [
        (
            "accumulated",
            lstm.clone(),
            Recipe {
                accumulate: 3,
                ..recipe()
            },
        ),
        (
            "sums of losses",
            lstm.clone(),
            Recipe {
                reduction: LossReduction::Sum,
                lr: 0.01,
                ..recipe()
            },
        ),
        (
            "windows of random lengths",
            lstm.clone(),
            Recipe {
                bptt: 8,
                bptt_jitter: 2,
                ..recipe()
            },
        ),
        (
            "independent",
            lstm.clone(),
            Recipe {
                independent: true,
                ..recipe()
            },
        ),
        (
            "clipped values",
            lstm.clone(),
            Recipe {
                clip_value: 0.01,
                ..recipe()
            },
        ),
        (
            "penalties",
            lstm.clone(),
            Recipe {
                activation_l2: 2.0,
                temporal_l2: 1.0,
                ..recipe()
            },
        ),
        (
            "reset states",
            lstm.clone(),
            Recipe {
                reset_states: 0.2,
                ..recipe()
            },
        ),
        (
            "averages",
            lstm.clone(),
            Recipe {
                average: AverageKind::Always,
                schedule: ScheduleKind::Constant,
                ..recipe()
            },
        ),
        (
            "dropped weights",
            lstm,
            dropout(DropoutRates {
                weights: 0.3,
                ..none
            }),
        ),
        (
            "zoneout",
            zoneout,
            dropout(DropoutRates {
                zoneout: 0.25,
                ..none
            }),
        ),
    ];
    for (what, config, recipe) in cases {
        compare(what, &corpus, config, recipe);
    }
}
