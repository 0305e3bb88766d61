//! Tests: flags repeat every setting of a run.

use super::*;
use crate::checkpoint::FORMAT;
use crate::cli::{Cli, Subcommand};
use crate::corpus::Limits;
use crate::kernels::Activation;
use crate::model::{Binning, Classes, Clusters, Config, DropoutRates, Noise, SampledObjective};
use crate::train::{AverageKind, Keep, LossReduction, PrecisionKind, ScheduleKind};
use clap::Parser;

/// A configuration and a recipe without default values.
fn without_defaults() -> (Config, Recipe) {
    let config = Config {
        cell: "elman".into(),
        activation: Activation::Relu,
        vocab_size: 50,
        embedding_size: 6,
        hidden_size: 5,
        hidden_sizes: vec![5, 7],
        num_layers: 2,
        context: 0,
        skip_connection: false,
        mogrifier_rounds: 0,
        mogrifier_rank: 0,
        residual: false,
        cap_input_gate: false,
        layer_norm: false,
        bias: true,
        decoder_bias: true,
        tied: true,
        projection: true,
        compression_size: 0,
        output: "softmax".into(),
        mixture: 0,
        past_decode: false,
        classes: None,
        clusters: None,
        noise: None,
        direct_size: 0,
        direct_order: 0,
        initial_state: 0.1,
        zoneout: 0.0,
        independent: false,
    };
    let recipe = Recipe {
        batch: 3,
        bptt: 9,
        bptt_block: Some(4),
        bptt_jitter: 0,
        epochs: 7,
        optimizer: "rmsprop".into(),
        lr: 0.3,
        direct_lr: Some(0.07),
        schedule: ScheduleKind::Plateau,
        lr_decay: 0.7,
        lr_patience: 2,
        lr_decay_after: 1,
        lr_end: 0.0,
        warm_up: 11,
        patience: Some(4),
        keep: Keep::Last,
        min_improvement: 1.003,
        average: AverageKind::Triggered,
        reduction: LossReduction::Sum,
        accumulate: 2,
        clip_value: 15.5,
        clip: 0.1,
        l2: 1e-7,
        activation_l2: 2.0,
        temporal_l2: 1.0,
        past_decode: 0.001,
        reset_states: 0.01,
        independent: true,
        dropout: DropoutRates {
            words: 0.1,
            input: 0.2,
            hidden: 0.3,
            output: 0.4,
            latent: 0.0,
            weights: 0.5,
            zoneout: 0.25,
            variational: true,
        },
        forget_bias: -1.0,
        precision: PrecisionKind::Mixed,
        seed: 4_000_000_000_000,
    };
    (config, recipe)
}

#[test]
fn flags_of_a_run_make_the_run() {
    let (config, recipe) = without_defaults();
    let gated = Config {
        cell: "gru".into(),
        activation: Activation::Sigmoid,
        initial_state: 0.0,
        tied: false,
        ..config.clone()
    };
    let mogrifier = Config {
        cell: "mogrifier".into(),
        mogrifier_rounds: 4,
        mogrifier_rank: 3,
        ..gated.clone()
    };
    let plain = Config {
        embedding_size: 0,
        hidden_sizes: Vec::new(),
        tied: false,
        projection: false,
        ..config.clone()
    };
    let classes = Some(Classes {
        asked: 3,
        binning: Binning::Frequency,
        sizes: vec![1, 9, 40],
    });
    let of_classes = Config {
        output: "class".into(),
        classes,
        direct_size: 320,
        direct_order: 4,
        compression_size: 3,
        ..plain.clone()
    };
    let clusters = Some(Clusters {
        cutoffs: vec![7, 20],
        divisor: 3.5,
    });
    let of_clusters = Config {
        output: "adaptive".into(),
        clusters,
        ..plain.clone()
    };
    let noise = Noise {
        samples: 7,
        power: 0.3,
        objective: SampledObjective::Nce,
        ln_z: -0.7,
    };
    let of_noise = Config {
        output: "sampled".into(),
        noise: Some(noise),
        ..plain.clone()
    };
    let noise = Noise {
        objective: SampledObjective::Softmax,
        ln_z: 0.0,
        ..noise
    };
    let of_sample = Config {
        noise: Some(noise),
        ..of_noise.clone()
    };
    let of_mixture = Config {
        projection: false,
        mixture: 3,
        ..config.clone()
    };
    let latent = Recipe {
        dropout: DropoutRates {
            latent: 0.25,
            ..recipe.dropout
        },
        ..recipe.clone()
    };
    let of = |schedule| Recipe {
        schedule,
        lr_patience: 0,
        ..recipe.clone()
    };
    let step = Recipe {
        lr_decay_after: 3,
        ..of(ScheduleKind::Step)
    };
    let cosine = Recipe {
        lr_end: 0.01,
        lr_decay: 0.5,
        ..of(ScheduleKind::Cosine)
    };
    let halve = Recipe {
        patience: None,
        keep: Keep::Best,
        average: AverageKind::Off,
        lr_decay: 0.5,
        min_improvement: 1.25,
        ..of(ScheduleKind::Halve)
    };
    let jitter = Recipe {
        bptt_block: None,
        bptt_jitter: 2,
        accumulate: 1,
        lr_decay: 0.5,
        ..of(ScheduleKind::Constant)
    };
    let no_input = Recipe {
        dropout: DropoutRates {
            input: 0.0,
            ..recipe.dropout
        },
        ..recipe.clone()
    };
    let cases = [
        (&config, recipe.clone()),
        (&gated, recipe.clone()),
        (&mogrifier, recipe),
        (&plain, no_input.clone()),
        (&of_classes, no_input.clone()),
        (&of_clusters, no_input.clone()),
        (&of_noise, no_input.clone()),
        (&of_sample, no_input),
        (&of_mixture, latent),
        (&config, step),
        (&config, cosine),
        (&config, halve),
        (&config, jitter),
        (&Config::default(), Recipe::default()),
    ];
    let learnt = CorpusRecord {
        limits: Limits {
            vocab_size: Some(300),
            min_count: 3,
        },
        ..CorpusRecord::default()
    };
    let given = CorpusRecord {
        tokenizer: Some("a b/tokenizer.json".into()),
        ..CorpusRecord::default()
    };
    let listed = CorpusRecord {
        vocab: vec!["a.txt".into(), "b/c.txt".into()],
        ..CorpusRecord::default()
    };
    let units = [
        (Unit::Char, &learnt),
        (Unit::Bpe, &learnt),
        (Unit::Bpe, &given),
        (Unit::Word, &listed),
    ];
    for ((config, recipe), (unit, corpus)) in cases.into_iter().zip(units.into_iter().cycle()) {
        let description = Description {
            version: FORMAT,
            unit,
            skip_unknown: false,
            config: config.clone(),
        };
        let arguments = run_flags(&description, corpus, &recipe)
            .into_iter()
            .map(|(name, value)| format!("--{name}={}", value.display()));
        let arguments: Vec<_> = ["elman".to_owned(), "train".to_owned()]
            .into_iter()
            .chain(arguments)
            .collect();
        let Subcommand::Train(flags) = Cli::try_parse_from(&arguments).expect("flags").command
        else {
            panic!("another command")
        };
        assert_eq!(flags.recipe().expect("a recipe"), recipe);
        let classes = |asked, binning| {
            Ok(Classes {
                asked,
                binning,
                sizes: config.class_sizes().to_vec(),
            })
        };
        assert_eq!(
            &flags.config(config.vocab_size, classes).expect("a model"),
            config
        );
        assert_eq!(flags.vocabulary.unit(), unit);
        assert_eq!(flags.vocabulary.limits().expect("limits"), corpus.limits);
        assert_eq!(flags.vocabulary.tokenizer, corpus.tokenizer);
        assert_eq!(flags.vocabulary.vocab, corpus.vocab);
    }
}
