//! Scores hypotheses with all sources of probabilities.

use std::f64::consts::LN_10;

use super::printer::RankedList;
use super::{BATCH, CarriedHypothesis, RescoreFlags};
use crate::cli::mix::Sources;
use crate::corpus::UnknownWords;
use crate::device::Device;
use crate::error::Result;
use crate::mixture::{ExternalProbs, NgramReader, Weights};
use crate::model::{LONGEST_HISTORY, Model};
use crate::parallel::world;
use crate::rescore::{Hypothesis, NbestList, PrefixContext, PrefixScorer};
use crate::score::Scorer;
use crate::tensor::NONE;

/// log10 penalty of a word outside the vocabulary in rnnlm.
const RNNLM_PENALTY: f64 = -5.0;

/// All sources of probabilities, with the states that are carried from list to list.
pub(super) struct Rescorer<'a> {
    flags: &'a RescoreFlags,
    sources: &'a Sources,
    models: &'a [Model],
    weights: Weights,
    scorers: Vec<PrefixScorer<'a>>,
    ngram: Option<NgramReader<'a>>,
    external_probs: Option<ExternalProbs>,
    /// The context of the next list, for each model.
    contexts: Vec<PrefixContext>,
    /// Compute the carried states; empty unless states are carried.
    carriers: Vec<Scorer>,
    /// The number of tokens of all hypotheses so far.
    tokens: usize,
}

impl<'a> Rescorer<'a> {
    pub(super) fn new(
        device: &mut Device,
        flags: &'a RescoreFlags,
        sources: &'a Sources,
        models: &'a [Model],
        weights: Weights,
    ) -> Result<Self> {
        let mut scorers = Vec::new();
        let mut carriers = Vec::new();
        for model in models {
            scorers.push(PrefixScorer::new(device, model, BATCH)?);
        }
        if flags.carry.is_some() {
            for model in models {
                carriers.push(Scorer::new(device, model, true)?);
            }
        }
        let ngram = sources.ngram.as_ref();
        // Of several ranks, the first one mixes.
        let lm_prob = flags.sources.lm_prob.as_deref();
        let lm_prob = lm_prob.filter(|_| world().is_first());
        Ok(Self {
            flags,
            sources,
            models,
            weights,
            scorers,
            ngram: ngram
                .map(|ngram| NgramReader::new(ngram, &sources.vocabulary))
                .transpose()?,
            external_probs: lm_prob.map(ExternalProbs::open).transpose()?,
            contexts: vec![PrefixContext::default(); models.len()],
            carriers,
            tokens: 0,
        })
    }

    /// The ids of the words of a hypothesis; [`NONE`] for words outside the vocabulary.
    fn ids(&self, hypothesis: &Hypothesis) -> Vec<u32> {
        let vocabulary = &self.sources.vocabulary;
        hypothesis
            .words
            .iter()
            .map(|word| vocabulary.id(word).unwrap_or(NONE))
            .collect()
    }

    /// The words of each hypothesis that the vocabulary lacks.
    pub(super) fn unknown(&self, list: &NbestList) -> Vec<UnknownWords> {
        let count = |hypothesis: &Hypothesis| {
            let mut unknown = UnknownWords::default();
            for word in &hypothesis.words {
                self.sources.vocabulary.count_unknown(word, &mut unknown);
            }
            unknown
        };
        list.hypotheses.iter().map(count).collect()
    }

    /// The ids of the words of all hypotheses.
    pub(super) fn sequences(&self, lists: &[NbestList]) -> Vec<Vec<u32>> {
        let hypotheses = lists.iter().flat_map(|list| &list.hypotheses);
        hypotheses.map(|hypothesis| self.ids(hypothesis)).collect()
    }

    /// For each model, ln P of each token of each sequence.
    pub(super) fn log_probs(
        &mut self,
        device: &mut Device,
        sequences: &[Vec<u32>],
    ) -> Result<Vec<f64>> {
        let mut log_probs = Vec::new();
        for (scorer, context) in self.scorers.iter_mut().zip(&self.contexts) {
            for chunk in sequences.chunks(scorer.rows()) {
                let chunk: Vec<&[u32]> = chunk.iter().map(Vec::as_slice).collect();
                log_probs.extend(scorer.score(device, context, &chunk)?.concat());
            }
        }
        Ok(log_probs)
    }

    /// Appends the log10 probabilities of the hypotheses of all lists, in order, those of the
    /// hypotheses that precede an error too. `of_models` has ln P of their tokens for each model.
    pub(super) fn score(
        &mut self,
        lists: &[NbestList],
        sequences: &[Vec<u32>],
        of_models: &[Vec<&[f64]>],
        scores: &mut Vec<f64>,
    ) -> Result<()> {
        let hypotheses = lists.iter().flat_map(|list| &list.hypotheses);
        for (index, hypothesis) in hypotheses.enumerate() {
            let log_probs: Vec<&[f64]> = of_models.iter().map(|model| model[index]).collect();
            scores.push(self.mix(hypothesis, &sequences[index], &log_probs)? / LN_10);
        }
        Ok(())
    }

    /// ln P of a hypothesis in the mixture of all sources. `model_log_probs` has ln P of each token
    /// for each model.
    fn mix(
        &mut self,
        hypothesis: &Hypothesis,
        ids: &[u32],
        model_log_probs: &[&[f64]],
    ) -> Result<f64> {
        let mut history = self
            .ngram
            .as_ref()
            .map(NgramReader::start)
            .unwrap_or_default();
        let mut sum = 0.0;
        for position in 0..=ids.len() {
            self.tokens += 1;
            let token = ids.get(position).copied().unwrap_or(0);
            let word = hypothesis.words.get(position).map(String::as_str);
            let penalty = self.penalty(token, word);
            let mut parts: Vec<f64> = model_log_probs
                .iter()
                .map(|log_probs| match token {
                    NONE => penalty,
                    _ => log_probs[position] + penalty,
                })
                .collect();
            if let Some(ngram) = &self.ngram {
                // A `</s>` inside the hypothesis starts a sentence, as the boundary does.
                let (log_prob, next) = match word {
                    Some(word) if token != 0 => ngram.next_word(&history, ngram.id(word)),
                    _ => ngram.next(&history, 0),
                };
                parts.push(log_prob);
                history = next;
            }
            if let Some(external_probs) = &mut self.external_probs {
                parts.push(external_probs.next(self.tokens)?);
            }
            sum += self.weights.mean(&parts);
        }
        Ok(sum)
    }

    /// The penalty of a word in nats; 0 for words in the vocabulary. `word` is `None` for the end
    /// of the hypothesis.
    fn penalty(&self, token: u32, word: Option<&str>) -> f64 {
        let vocabulary = &self.sources.vocabulary;
        // The word <unk> itself is in the vocabulary.
        let is_read_as_unknown = Some(token) == vocabulary.unknown()
            && word.is_some_and(|word| vocabulary.token(token) != word);
        let default = match token {
            NONE => RNNLM_PENALTY,
            _ => 0.0,
        };
        if token == NONE || is_read_as_unknown {
            self.flags.unknown_penalty.unwrap_or(default) * LN_10
        } else {
            0.0
        }
    }

    /// Makes the chosen hypothesis of a list the context of the next list, if states are carried.
    pub(super) fn carry(&mut self, device: &mut Device, ranked: &RankedList) -> Result<()> {
        let index = match self.flags.carry {
            None => return Ok(()),
            Some(CarriedHypothesis::First) => 0,
            Some(CarriedHypothesis::Best) => ranked.order[0],
        };
        let ids = self.ids(&ranked.list.hypotheses[index]);
        for (index, carrier) in self.carriers.iter_mut().enumerate() {
            carrier.score(device, &self.models[index], std::slice::from_ref(&ids))?;
            let context = &mut self.contexts[index];
            context.states = Some(carrier.carried(device)?);
            context.tokens.push(0);
            context.tokens.extend(&ids);
            let surplus = context.tokens.len().saturating_sub(LONGEST_HISTORY);
            context.tokens.drain(..surplus);
        }
        Ok(())
    }

    /// Checks that the external probabilities end with the last token.
    pub(super) fn finish(self) -> Result<()> {
        match self.external_probs {
            None => Ok(()),
            Some(mut external_probs) => external_probs.end(self.tokens),
        }
    }
}
