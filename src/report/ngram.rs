//! An n-gram model on a text, to compare a network with.

use std::f64::consts::LN_2;

use serde::Serialize;

use crate::corpus::{Tokens, Vocabulary};
use crate::device::Device;
use crate::error::Result;
use crate::evaluate::Evaluation;
use crate::mixture::{self, Component, NgramComponent, NgramReader, Weights};
use crate::ngram::NgramModel;
use crate::tensor::NONE;

/// What an n-gram model expects of a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NgramReading {
    /// The name of the model.
    pub name: String,
    /// Perplexity and counts over the whole text.
    #[serde(flatten)]
    pub evaluation: Evaluation,
    /// The surprisal of each token of the excerpt in bits; none for an unknown word.
    pub excerpt: Vec<Option<f64>>,
}

impl NgramReading {
    /// Reads a text, whose tokens are those of `vocabulary`, with an excerpt of this many tokens.
    ///
    /// # Errors
    /// If the n-gram model cannot predict the words of the vocabulary, or the text has no known
    /// word.
    pub fn measure(
        name: &str,
        model: &NgramModel,
        vocabulary: &Vocabulary,
        tokens: &Tokens,
        excerpt_len: usize,
    ) -> Result<Self> {
        let reader = NgramReader::new(model, vocabulary)?;
        let mut components: Vec<Box<dyn Component>> = vec![Box::new(NgramComponent::new(reader))];
        let mut excerpt = Vec::new();
        let evaluation = mixture::read(
            // The n-gram model computes on the host.
            &mut Device::cpu(1),
            &mut components,
            &Weights::even(1),
            tokens,
            vocabulary,
            &mut |score| {
                if excerpt.len() < excerpt_len {
                    let bits = -score.log_probability / LN_2;
                    excerpt.push((score.token != NONE).then_some(bits));
                }
                Ok(())
            },
        )?;
        Ok(Self {
            name: name.to_owned(),
            evaluation,
            excerpt,
        })
    }
}
