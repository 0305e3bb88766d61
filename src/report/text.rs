//! What models do with a text: everything that a report measures on one.

use serde::Serialize;

use super::memory::{self, Memory, MemoryOptions};
use super::ngram::NgramReading;
use super::pass::{self, PassOptions};
use super::reading::{Reading, ReadingCollector};
use super::units::{Units, UnitsCollector};
use crate::checkpoint::Checkpoint;
use crate::corpus::{Tokens, UnknownWords};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::model::Model;

/// The most tokens of an excerpt.
pub const MAX_EXCERPT: usize = 2000;

/// A text as models read it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextReport {
    /// The name of the text.
    pub name: String,
    /// Words that the vocabulary lacks.
    #[serde(flatten)]
    pub unknown: UnknownWords,
    /// The excerpt: the tokens at the start of the text, as they are written.
    pub excerpt: Vec<String>,
    /// An n-gram model on the text, where there is one; the caller adds it.
    pub ngram: Option<NgramReading>,
    /// The models, in the order of the runs.
    pub models: Vec<ModelOnText>,
}

/// A model on a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelOnText {
    /// The directory of the model.
    pub name: String,
    /// Losses, surprisals, calibration.
    pub reading: Reading,
    /// What its units follow; none for a network without units that a report knows.
    pub units: Option<Units>,
    /// How far gradients reach back; none for a network without a state, or a short text.
    pub memory: Option<Memory>,
}

/// A text that models are to read.
#[derive(Debug)]
pub struct Text<'a> {
    /// Its name.
    pub name: String,
    /// Its tokens in the vocabulary of all models.
    pub tokens: &'a Tokens,
    /// Words that the vocabulary lacks.
    pub unknown: UnknownWords,
    /// The number of tokens at its start that are shown one by one, at most [`MAX_EXCERPT`].
    pub excerpt: usize,
}

impl TextReport {
    /// Reads a text with several models, which have a name each. The text is carried from sentence
    /// to sentence unless a model was trained on independent ones, as in `elman eval`.
    ///
    /// # Errors
    /// If the models have different vocabularies, no word of the text is in it, the excerpt is too
    /// long, or the device fails.
    pub fn measure(
        device: &mut Device,
        models: &[(String, Checkpoint)],
        text: &Text<'_>,
    ) -> Result<Self> {
        if !(1..=MAX_EXCERPT).contains(&text.excerpt) {
            return Err(Error::config(
                "excerpt",
                text.excerpt,
                format!("an excerpt has from 1 to {MAX_EXCERPT} tokens"),
                "Figures over the whole text do not depend on it",
            ));
        }
        check_vocabularies(models)?;
        let excerpt = text.excerpt.min(text.tokens.len());
        let writer = |checkpoint: &Checkpoint| {
            let ids = text.tokens.iter().take(excerpt);
            super::tokens::written(ids, checkpoint.description.unit, &checkpoint.vocabulary)
        };
        let measured = models
            .iter()
            .map(|(name, checkpoint)| measure(device, name, checkpoint, text, excerpt));
        Ok(Self {
            name: text.name.clone(),
            unknown: text.unknown,
            excerpt: models
                .first()
                .map_or_else(Vec::new, |(_, first)| writer(first)),
            ngram: None,
            models: measured.collect::<Result<_>>()?,
        })
    }
}

/// Checks that all models have the same tokens.
fn check_vocabularies(models: &[(String, Checkpoint)]) -> Result<()> {
    let Some(((first_name, first), others)) = models.split_first() else {
        return Ok(());
    };
    for (name, other) in others {
        if other.vocabulary != first.vocabulary || other.description.unit != first.description.unit
        {
            let size = |one: &Checkpoint| {
                format!("{} {}", one.vocabulary.len(), one.description.unit.plural())
            };
            return Err(Error::invalid(
                format!("the vocabulary of {name}"),
                format!(
                    "its {} are not those of {first_name}, {}, and only surprisals of the same \
                     tokens compare",
                    size(other),
                    size(first)
                ),
                "Report on one model at a time, or leave out the text and compare the curves of \
                 the runs",
            ));
        }
    }
    Ok(())
}

fn measure(
    device: &mut Device,
    name: &str,
    checkpoint: &Checkpoint,
    text: &Text<'_>,
    excerpt: usize,
) -> Result<ModelOnText> {
    let config = checkpoint.description.config.clone().with_full_softmax();
    let model = Model::new(device, config, &checkpoint.parameters)?
        .with_initial_states(checkpoint.initial_states.clone())?;
    let unit = checkpoint.description.unit;
    let options = PassOptions {
        independent: model.config().independent,
        excerpt,
    };
    let mut reading = ReadingCollector::new(checkpoint, text.tokens, excerpt);
    let mut units = UnitsCollector::new(
        model.config(),
        unit,
        &checkpoint.vocabulary,
        text.tokens,
        excerpt,
    );
    pass::read(device, &model, text.tokens, options, &mut |window| {
        reading.take(window);
        units.take(window);
    })?;
    Ok(ModelOnText {
        name: name.to_owned(),
        reading: reading.finish()?,
        units: units.finish(),
        memory: memory::measure(device, &model, text.tokens, &MemoryOptions::default())?,
    })
}
