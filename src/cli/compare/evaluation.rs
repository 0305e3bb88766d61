//! The figures of one row: a model on the validation text and on the test text, as `elman eval`
//! measures them.
//!
//! In: the directory of a model. Out: a [`Row`].

use std::path::{Path, PathBuf};

use super::table::{Kind, Row};
use super::{CompareFlags, NGRAM_ROW, Ngram};
use crate::checkpoint::Checkpoint;
use crate::cli::models::open_model;
use crate::cli::train::SharedCorpus;
use crate::cli::{model, sentence_tags};
use crate::corpus::{Tokens, Vocabulary, read_tokens};
use crate::device::Device;
use crate::error::Result;
use crate::evaluate::Evaluation;
use crate::mixture::{
    self, Component, NetworkComponent, NetworkOptions, NgramComponent, NgramReader, Weights,
};
use crate::model::{Model, ParameterSpec, parameter_specs};
use crate::ngram::NgramModel;

/// The texts that all models read, and the n-gram model that they are mixed with.
pub(super) struct Evaluator<'a> {
    flags: &'a CompareFlags,
    shared: &'a SharedCorpus,
    test: Option<&'a Tokens>,
    ngram: Option<&'a NgramModel>,
}

/// The texts in the vocabulary of a model.
struct Texts<'a> {
    valid: &'a Tokens,
    test: Option<&'a Tokens>,
    vocabulary: &'a Vocabulary,
}

impl<'a> Texts<'a> {
    /// The text of the figures: the test text, or else the validation text.
    fn measured(&self) -> &'a Tokens {
        self.test.unwrap_or(self.valid)
    }
}

/// Reads the test text in the shared vocabulary.
///
/// # Errors
/// If it cannot be read.
pub(super) fn read_test(flags: &CompareFlags, shared: &SharedCorpus) -> Result<Option<Tokens>> {
    let vocabulary = &shared.corpus.vocabulary;
    let read = |path: &PathBuf| sentence_tags::read_text(path, shared.unit, vocabulary);
    let test = flags.test.as_ref().map(read).transpose()?;
    Ok(test.map(|(tokens, _)| tokens))
}

impl<'a> Evaluator<'a> {
    /// The texts, each in the shared vocabulary.
    pub(super) fn new(
        flags: &'a CompareFlags,
        shared: &'a SharedCorpus,
        test: Option<&'a Tokens>,
        ngram: Option<&'a NgramModel>,
    ) -> Self {
        Self {
            flags,
            shared,
            test,
            ngram,
        }
    }

    /// Evaluates the model in a directory.
    ///
    /// # Errors
    /// If it cannot be read, the device fails, or the model is damaged.
    pub(super) fn row(&self, name: &str, kind: Kind, directory: &Path) -> Result<Row> {
        let files = open_model(directory)?;
        let checkpoint = files.checkpoint()?;
        let config = &checkpoint.description.config;
        let specs = parameter_specs(config);
        let mut row = Row {
            directory: Some(directory.to_owned()),
            parameters: Some(specs.iter().map(ParameterSpec::len).sum()),
            vocab_size: Some(checkpoint.vocabulary.len()),
            ..Row::new(name, kind)
        };
        if files.has_training() {
            let record = files.training_record()?;
            row.seconds = Some(record.progress.total_seconds());
            row.tokens_per_second = record.progress.tokens_per_second();
            row.epochs = Some(record.progress.epochs);
            row.cut_short = record.progress.cut_short;
            if !record.progress.is_finished(&record.recipe) {
                row.notes.push("its training is not complete".to_owned());
            }
            if row.cut_short {
                let (epoch, all) = (record.progress.epochs, record.recipe.epochs);
                row.notes
                    .push(format!("time ended its training in epoch {epoch} of {all}"));
            }
        }
        self.measure(&checkpoint, &mut row)?;
        Ok(row)
    }

    /// Fills in the figures of a model.
    fn measure(&self, checkpoint: &Checkpoint, row: &mut Row) -> Result<()> {
        let shared = &self.shared.corpus;
        let unit = checkpoint.description.unit;
        if checkpoint.vocabulary == shared.vocabulary && unit == self.shared.unit {
            let texts = Texts {
                valid: &shared.valid,
                test: self.test,
                vocabulary: &shared.vocabulary,
            };
            return self.measure_on(checkpoint, &texts, self.ngram, row);
        }
        row.notes.push(format!(
            "its vocabulary of {} {} is not that of the other rows, of {} {}, so its perplexities \
             do not compare with theirs",
            checkpoint.vocabulary.len(),
            unit.plural(),
            shared.vocabulary.len(),
            self.shared.unit.plural()
        ));
        let valid = self.shared.valid_in(&checkpoint.vocabulary, unit)?;
        let test = match &self.flags.test {
            Some(path) => Some(read_tokens(path, unit, &checkpoint.vocabulary)?.0),
            None => None,
        };
        let texts = Texts {
            valid: &valid,
            test: test.as_ref(),
            vocabulary: &checkpoint.vocabulary,
        };
        self.measure_on(checkpoint, &texts, None, row)
    }

    fn measure_on(
        &self,
        checkpoint: &Checkpoint,
        texts: &Texts<'_>,
        ngram: Option<&NgramModel>,
        row: &mut Row,
    ) -> Result<()> {
        let mut device = self.flags.device.reopen()?;
        let mut run = ModelRun {
            model: model(&mut device, checkpoint)?,
            device: &mut device,
            vocabulary: texts.vocabulary,
            options: NetworkOptions {
                independent: checkpoint.description.config.independent,
                ..NetworkOptions::default()
            },
        };
        row.valid = Some(run.evaluate(texts.valid, None, &Weights::even(1))?);
        if let Some(test) = texts.test {
            row.test = Some(run.evaluate(test, None, &Weights::even(1))?);
        }
        if let Some(ngram) = ngram {
            // Weights are found on the validation text, unless the figures are those of that text.
            let weights = match texts.test {
                Some(_) => run.tune(texts.valid, ngram)?,
                None => Weights::even(2),
            };
            row.mixed = Some(run.evaluate(texts.measured(), Some(ngram), &weights)?);
            row.mixed_weight = Some(weights.values()[0]);
        }
        if self.flags.dynamic > 0.0 {
            run.options.dynamic = Some(self.flags.dynamic_options());
            row.dynamic = Some(run.evaluate(texts.measured(), None, &Weights::even(1))?);
        }
        Ok(())
    }

    /// The row of the n-gram model.
    ///
    /// # Errors
    /// If a text has no known token.
    pub(super) fn ngram_row(&self, ngram: &Ngram) -> Result<Row> {
        let corpus = &self.shared.corpus;
        // The n-gram model computes on the host.
        let mut device = Device::cpu(1);
        let mut evaluate = |tokens: &Tokens| {
            let reader = NgramReader::new(&ngram.model, &corpus.vocabulary)?;
            let mut components: Vec<Box<dyn Component>> =
                vec![Box::new(NgramComponent::new(reader))];
            read(
                &mut device,
                &mut components,
                &Weights::even(1),
                tokens,
                &corpus.vocabulary,
            )
        };
        Ok(Row {
            directory: Some(ngram.file.clone()),
            parameters: Some(ngram.model.counts().iter().sum()),
            vocab_size: Some(corpus.vocabulary.len()),
            seconds: Some(ngram.seconds),
            valid: Some(evaluate(&corpus.valid)?),
            test: self.test.map(&mut evaluate).transpose()?,
            notes: vec!["its parameters are n-grams".to_owned()],
            ..Row::new(NGRAM_ROW, Kind::Ngram)
        })
    }
}

/// A model on a device.
struct ModelRun<'a> {
    model: Model,
    device: &'a mut Device,
    vocabulary: &'a Vocabulary,
    options: NetworkOptions,
}

impl ModelRun<'_> {
    /// Evaluates the model, mixed with an n-gram model if there is one, on a text.
    fn evaluate(
        &mut self,
        tokens: &Tokens,
        ngram: Option<&NgramModel>,
        weights: &Weights,
    ) -> Result<Evaluation> {
        let vocabulary = self.vocabulary;
        let mut components = components(
            self.device,
            &self.model,
            tokens,
            self.options,
            ngram,
            vocabulary,
        )?;
        read(self.device, &mut components, weights, tokens, vocabulary)
    }

    /// The best weights of the model and the n-gram model on a text.
    fn tune(&mut self, tokens: &Tokens, ngram: &NgramModel) -> Result<Weights> {
        let mut components = components(
            self.device,
            &self.model,
            tokens,
            self.options,
            Some(ngram),
            self.vocabulary,
        )?;
        mixture::tune(self.device, &mut components, tokens)
    }
}

/// A model and an n-gram model at the start of a text.
fn components<'a>(
    device: &mut Device,
    model: &'a Model,
    tokens: &'a Tokens,
    options: NetworkOptions,
    ngram: Option<&'a NgramModel>,
    vocabulary: &Vocabulary,
) -> Result<Vec<Box<dyn Component + 'a>>> {
    let network = NetworkComponent::new(device, model, tokens, options, None)?;
    let mut components: Vec<Box<dyn Component + 'a>> = vec![Box::new(network)];
    if let Some(ngram) = ngram {
        let reader = NgramReader::new(ngram, vocabulary)?;
        components.push(Box::new(NgramComponent::new(reader)));
    }
    Ok(components)
}

fn read(
    device: &mut Device,
    components: &mut [Box<dyn Component + '_>],
    weights: &Weights,
    tokens: &Tokens,
    vocabulary: &Vocabulary,
) -> Result<Evaluation> {
    mixture::read(device, components, weights, tokens, vocabulary, &mut |_| {
        Ok(())
    })
}
