//! The lowest perplexity that a model can be expected to reach on a run's validation text.

use serde::Serialize;

use super::ngram::NgramReading;
use crate::checkpoint::TrainingRecord;
use crate::corpus::{Corpus, TextSource, Unit, builtin};
use crate::error::Result;
use crate::ngram::NgramModel;

/// A perplexity to compare the curve of a run with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Floor {
    /// What has this perplexity, such as `the grammar itself`.
    pub name: String,
    /// Perplexity per token of the validation text.
    pub perplexity: f64,
}

impl Floor {
    /// The perplexity of the built-in grammar itself on the validation part of the built-in corpus;
    /// none for a run on another text, or whose tokens are not words.
    ///
    /// # Errors
    /// Never: a test checks that the grammar is valid.
    pub fn of_grammar(record: &TrainingRecord, unit: Unit) -> Result<Option<Self>> {
        if record.corpus.train.is_some() || unit != Unit::Word {
            return Ok(None);
        }
        let sampled = builtin::draw(builtin::SENTENCES, builtin::SEED)?;
        let source = TextSource::Memory(sampled.text.as_bytes());
        let corpus = Corpus::read(source, None, unit, record.corpus.limits)?;
        let sentences = corpus.valid.iter().filter(|&id| id == 0).count();
        Ok(Some(Self {
            name: "the grammar itself".to_owned(),
            perplexity: sampled.perplexity_of_last(sentences),
        }))
    }

    /// The perplexity of an n-gram model of a corpus on its validation text.
    ///
    /// # Errors
    /// If the vocabularies do not fit, or the validation text has no known word.
    pub fn of_ngram(name: &str, model: &NgramModel, corpus: &Corpus) -> Result<Self> {
        let reading = NgramReading::measure(name, model, &corpus.vocabulary, &corpus.valid, 0)?;
        Ok(Self {
            name: reading.name,
            perplexity: reading.evaluation.perplexity,
        })
    }

    /// Its mean loss in nats per token.
    pub fn loss(&self) -> f64 {
        self.perplexity.ln()
    }
}
