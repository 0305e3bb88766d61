//! The flags that say what a run was started with: to repeat it, and to see what a resumed one may
//! not change.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::flag_files::Flag;
use super::train_flags::is_looked_at;
use crate::checkpoint::{Checkpoint, CorpusRecord, Description, TOKENIZER, TrainingRecord};
use crate::corpus::Unit;
use crate::error::{Error, Result};
use crate::field::Choice;
use crate::model::{Config, SampledObjective, cell_kind, comma_separated};
use crate::train::Recipe;

/// Flags of the run whose model lies in `directory`.
pub(super) fn flags_of_run(directory: &Path) -> Result<Vec<Flag>> {
    let description = Checkpoint::describe(directory)?;
    let record = TrainingRecord::read(directory)?;
    let mut flags = flags_of(&description, &record.corpus, &record.recipe);
    let CorpusRecord {
        train,
        valid,
        vectors,
        ..
    } = record.corpus;
    for (name, path) in [("train", train), ("valid", valid), ("vectors", vectors)] {
        flags.extend(path.map(|path| (name.to_owned(), path.into_os_string())));
    }
    Ok(flags)
}

/// Flags that repeat the run whose model lies in `directory`, with that model's subwords.
pub(super) fn flags_to_repeat(directory: &Path) -> Result<Vec<Flag>> {
    if let Some(init) = TrainingRecord::read(directory)?.corpus.init {
        return Err(Error::invalid(
            format!("--config {}", directory.display()),
            format!(
                "its run began with the model {}, which may have changed since",
                init.display()
            ),
            "Give --init and the flags of the run by hand",
        ));
    }
    let mut flags = flags_of_run(directory)?;
    let of_subwords = |(name, value): &Flag| name == "unit" && value == Unit::Bpe.name();
    if flags.iter().any(of_subwords) {
        flags
            .retain(|(name, _)| !["vocab-size", "min-count", "tokenizer"].contains(&name.as_str()));
        flags.push((
            "tokenizer".to_owned(),
            directory.join(TOKENIZER).into_os_string(),
        ));
    }
    Ok(flags)
}

/// Flags that make this model and train it so. Of the corpus, those are told that say what its
/// tokens are.
pub(super) fn flags_of(
    description: &Description,
    corpus: &CorpusRecord,
    recipe: &Recipe,
) -> Vec<Flag> {
    let mut flags = Flags::default();
    flags.add("unit", description.unit.name());
    match &corpus.tokenizer {
        Some(path) => flags
            .0
            .push(("tokenizer".to_owned(), path.clone().into_os_string())),
        None if !corpus.vocab.is_empty() => {
            let list: Vec<_> = corpus.vocab.iter().map(|path| path.as_os_str()).collect();
            flags
                .0
                .push(("vocab".to_owned(), list.join(OsStr::new(","))));
        }
        None => {
            flags.add_some("vocab-size", corpus.limits.vocab_size);
            flags.add("min-count", corpus.limits.min_count);
        }
    }
    flags.add_model(&description.config);
    flags.add_recipe(recipe);
    if description.config.embedding_size == 0 {
        flags.0.retain(|(name, _)| name != "dropout-input");
    }
    flags.0
}

#[derive(Default)]
struct Flags(Vec<Flag>);

impl Flags {
    fn add(&mut self, name: &str, value: impl ToString) {
        self.0
            .push((name.to_owned(), OsString::from(value.to_string())));
    }

    fn add_some(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    /// A choice by its name on the command line.
    fn add_choice(&mut self, name: &str, value: impl Choice) {
        self.add(name, value.name());
    }

    /// Flags know one bias for all layers, and states begin as the cell's row says.
    fn add_model(&mut self, config: &Config) {
        self.add("cell", &config.cell);
        if cell_kind(config).has_activation {
            self.add("activation", config.activation);
        }
        let of_layers = &config.hidden_sizes;
        self.add(
            "hidden",
            if of_layers.is_empty() {
                config.hidden_size.to_string()
            } else {
                comma_separated(of_layers)
            },
        );
        self.add("layers", config.num_layers);
        self.add("embedding", config.embedding_size);
        self.add("bias", config.bias);
        self.add("tied", config.tied);
        self.add("projection", config.projection);
        self.add("compression", config.compression_size);
        self.add("output", &config.output);
        if let Some(classes) = &config.classes {
            self.add("classes", classes.asked);
            self.add_choice("class-binning", classes.binning);
        }
        if let Some(clusters) = &config.clusters {
            self.add("cutoffs", comma_separated(&clusters.cutoffs));
            self.add("tail-divisor", clusters.divisor);
        }
        if let Some(noise) = &config.noise {
            self.add("samples", noise.samples);
            self.add("noise-power", noise.power);
            self.add_choice("loss", noise.objective);
            if noise.objective == SampledObjective::Nce {
                self.add("nce-lnz", noise.ln_z);
            }
        }
        if config.direct_size > 0 {
            self.add("direct", config.direct_size);
            self.add("direct-order", config.direct_order);
        }
    }

    fn add_recipe(&mut self, recipe: &Recipe) {
        self.add("batch", recipe.batch);
        self.add("bptt", recipe.bptt);
        self.add_some("bptt-block", recipe.bptt_block);
        self.add("bptt-jitter", recipe.bptt_jitter);
        self.add("epochs", recipe.epochs);
        self.add("optimizer", &recipe.optimizer);
        self.add("lr", recipe.lr);
        self.add_some("direct-lr", recipe.direct_lr);
        self.add_choice("schedule", recipe.schedule);
        self.add("lr-decay", recipe.lr_decay);
        self.add("lr-patience", recipe.lr_patience);
        self.add("lr-decay-after", recipe.lr_decay_after);
        self.add("lr-end", recipe.lr_end);
        self.add_choice("keep", recipe.keep);
        self.0
            .retain(|(name, _)| is_looked_at(name, recipe.schedule));
        self.add("warm-up", recipe.warm_up);
        self.add_some("patience", recipe.patience);
        self.add_choice("average", recipe.average);
        self.add("min-improvement", recipe.min_improvement);
        self.add_choice("reduction", recipe.reduction);
        self.add("accumulate", recipe.accumulate);
        self.add("clip-value", recipe.clip_value);
        self.add("clip", recipe.clip);
        self.add("l2", recipe.l2);
        self.add("independent", recipe.independent);
        self.add("dropout-words", recipe.dropout.words);
        self.add("dropout-input", recipe.dropout.input);
        self.add("dropout-hidden", recipe.dropout.hidden);
        self.add("dropout-output", recipe.dropout.output);
        self.add("dropout-weights", recipe.dropout.weights);
        self.add("variational", recipe.dropout.variational);
        self.add("forget-bias", recipe.forget_bias);
        self.add_choice("precision", recipe.precision);
        self.add("seed", recipe.seed);
    }
}

/// The first flag of `given` that says something else than `of_run`, which says it of the run: its
/// name, the two values.
pub(super) fn first_difference(
    given: Vec<Flag>,
    of_run: &[Flag],
) -> Option<(Flag, Option<OsString>)> {
    let said = |name: &str| {
        of_run
            .iter()
            .find(|(one, _)| one == name)
            .map(|(_, value)| value.clone())
    };
    given
        .into_iter()
        .find_map(|(name, value)| match said(&name) {
            Some(other) if other == value => None,
            other => Some(((name, value), other)),
        })
}

#[cfg(test)]
mod tests {
    use super::super::{Cli, Command};
    use super::*;
    use crate::checkpoint::FORMAT;
    use crate::corpus::Limits;
    use crate::kernels::Activation;
    use crate::model::{Binning, Classes, Clusters, DropoutRates, Noise};
    use crate::train::{AverageKind, Keep, LossReduction, PrecisionKind, ScheduleKind};
    use clap::Parser;

    /// No field has the value that it has when nothing is said.
    fn unusual() -> (Config, Recipe) {
        let config = Config {
            cell: "elman".into(),
            activation: Activation::Relu,
            vocab_size: 50,
            embedding_size: 6,
            hidden_size: 5,
            hidden_sizes: vec![5, 7],
            num_layers: 2,
            bias: true,
            decoder_bias: true,
            tied: true,
            projection: true,
            compression_size: 0,
            output: "softmax".into(),
            classes: None,
            clusters: None,
            noise: None,
            direct_size: 0,
            direct_order: 0,
            initial_state: 0.1,
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
            min_improvement: 1.25,
            average: AverageKind::Triggered,
            reduction: LossReduction::Sum,
            accumulate: 2,
            clip_value: 15.5,
            clip: 0.1,
            l2: 1e-7,
            independent: true,
            dropout: DropoutRates {
                words: 0.1,
                input: 0.2,
                hidden: 0.3,
                output: 0.4,
                weights: 0.5,
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
        let (config, recipe) = unusual();
        let gated = Config {
            cell: "gru".into(),
            activation: Activation::Sigmoid,
            initial_state: 0.0,
            tied: false,
            ..config.clone()
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
            (&gated, recipe),
            (&plain, no_input.clone()),
            (&of_classes, no_input.clone()),
            (&of_clusters, no_input.clone()),
            (&of_noise, no_input.clone()),
            (&of_sample, no_input),
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
            let arguments = flags_of(&description, corpus, &recipe)
                .into_iter()
                .map(|(name, value)| format!("--{name}={}", value.display()));
            let arguments: Vec<_> = ["elman".to_owned(), "train".to_owned()]
                .into_iter()
                .chain(arguments)
                .collect();
            let Command::Train(flags) = Cli::try_parse_from(&arguments).expect("flags").command
            else {
                panic!("another command")
            };
            assert_eq!(flags.recipe.resolve().expect("a recipe"), recipe);
            let classes = |asked, binning| {
                Ok(Classes {
                    asked,
                    binning,
                    sizes: config.class_sizes().to_vec(),
                })
            };
            assert_eq!(
                &flags
                    .model
                    .resolve(config.vocab_size, classes)
                    .expect("a model"),
                config
            );
            assert_eq!(flags.model.unit(), unit);
            assert_eq!(flags.model.limits().expect("limits"), corpus.limits);
            assert_eq!(flags.model.tokenizer, corpus.tokenizer);
            assert_eq!(flags.model.vocab, corpus.vocab);
        }
    }
}
