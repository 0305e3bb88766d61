//! Scores independent lines, batch after batch, on one rank or on several.
//!
//! Every rank computes the probabilities of some batches with the models. The first one reads the
//! lines, mixes in what other sources say of them, and prints.

use std::f64::consts::LN_10;

use super::printer::ScorePrinter;
use super::{BATCH, Scoring, SentenceBatch};
use crate::cli::input::InputLines;
use crate::cli::ranks::batches::Batches;
use crate::cli::ranks::{self, sequences};
use crate::cli::sentence_tags;
use crate::corpus::SentenceTags;
use crate::decompress;
use crate::error::Result;
use crate::mixture::{ExternalProbs, NgramReader, Weights};
use crate::parallel::{Ranks, Work};
use crate::score::{Score, Scorer};
use crate::tensor::NONE;

/// What a rank does.
pub(super) struct ScoreWork<'a> {
    scoring: Scoring<'a>,
    /// For each model, once there are lines.
    scorers: Vec<Scorer>,
    /// On the first rank, the lines.
    lines: Option<InputLines>,
    printer: ScorePrinter<'a>,
    /// The other sources, once there are lines.
    mixer: Option<Mixer<'a>>,
    batches: Batches<SentenceBatch>,
    tags: SentenceTags,
}

impl<'a> ScoreWork<'a> {
    pub(super) fn new(scoring: Scoring<'a>, lines: Option<InputLines>) -> Self {
        Self {
            printer: ScorePrinter::new(scoring.flags, &scoring.sources.vocabulary),
            scoring,
            scorers: Vec::new(),
            lines,
            mixer: None,
            batches: Batches::new(),
            tags: SentenceTags::default(),
        }
    }

    /// Scores all lines.
    pub(super) fn run(mut self, ranks: &Ranks) -> Result<()> {
        ranks.divide(&mut self)?;
        ranks::on_first(ranks, || self.finish())
    }

    fn finish(self) -> Result<()> {
        self.batches.finish()?;
        if let Some(mixer) = self.mixer {
            mixer.finish()?;
        }
        sentence_tags::note(&decompress::name(&self.scoring.flags.file), self.tags);
        self.printer.finish()
    }
}

impl Work for ScoreWork<'_> {
    fn waits_for_parts(&self) -> bool {
        decompress::is_read_once(&self.scoring.flags.file)
    }

    fn next(&mut self, count: usize) -> Result<Vec<Vec<u32>>> {
        let Some(lines) = &mut self.lines else {
            return Ok(Vec::new());
        };
        let batches = self.batches.read(count, |waits| {
            if !waits && !lines.is_ready() {
                return (None, Ok(()));
            }
            let mut batch = self.scoring.read_sentences(lines, BATCH, &mut self.tags);
            let end = std::mem::replace(&mut batch.end, Ok(()));
            ((!batch.sentences.is_empty()).then_some(batch), end)
        })?;
        let part = |batch: &SentenceBatch| sequences::to_part(&batch.sentences);
        Ok(batches.iter().map(part).collect())
    }

    fn compute(&mut self, part: &[u32]) -> Result<Vec<f64>> {
        let Scoring {
            flags,
            models,
            device,
            ..
        } = &mut self.scoring;
        if self.scorers.is_empty() {
            self.scorers = models
                .iter()
                .map(|model| Scorer::new(device, model, flags.carry))
                .collect::<Result<_>>()?;
        }
        let sentences = sequences::of_part(part);
        let mut log10_probs = Vec::new();
        for (scorer, model) in self.scorers.iter_mut().zip(*models) {
            for score in scorer.score(device, model, &sentences)? {
                let values = score.token_log10_probs.into_iter();
                log10_probs.extend(values.map(|value| value.unwrap_or(0.0)));
            }
        }
        Ok(log10_probs)
    }

    fn take(&mut self, results: Vec<Vec<f64>>) -> Result<()> {
        let mixer = match &mut self.mixer {
            Some(mixer) => mixer,
            None => self.mixer.insert(Mixer::new(&self.scoring)?),
        };
        let models = self.scoring.models.len();
        let printer = &mut self.printer;
        self.batches.print(&results, |batch, log10_probs| {
            let of_models = sequences::values_by_model(log10_probs, models, &batch.sentences);
            let mut scores = Vec::new();
            let mixed = mixer.mix(&batch.sentences, &of_models, &mut scores);
            // The lines before the one that failed have their results.
            let lines = batch.sentences.iter().zip(batch.unknown);
            for (score, (sentence, unknown)) in scores.into_iter().zip(lines) {
                printer.print(score, sentence, unknown)?;
            }
            printer.flush()?;
            mixed
        })
    }
}

/// Mixes the probabilities of the models with those of the other sources.
struct Mixer<'a> {
    ngram: Option<NgramReader<'a>>,
    external_probs: Option<ExternalProbs>,
    weights: &'a Weights,
    /// The number of tokens of the lines so far.
    tokens: usize,
}

impl<'a> Mixer<'a> {
    fn new(scoring: &Scoring<'a>) -> Result<Self> {
        let sources = scoring.sources;
        let ngram = sources
            .ngram
            .as_ref()
            .map(|ngram| NgramReader::new(ngram, &sources.vocabulary))
            .transpose()?;
        let lm_prob = scoring.flags.mix.sources.lm_prob.as_deref();
        Ok(Self {
            ngram,
            external_probs: lm_prob.map(ExternalProbs::open).transpose()?,
            weights: scoring.weights,
            tokens: 0,
        })
    }

    /// Appends the scores of the sentences in the mixture of all sources, also of those before an
    /// error. `of_models` has log10 P of their tokens for each model.
    fn mix(
        &mut self,
        sentences: &[Vec<u32>],
        of_models: &[Vec<&[f64]>],
        scores: &mut Vec<Score>,
    ) -> Result<()> {
        let is_alone =
            of_models.len() == 1 && self.ngram.is_none() && self.external_probs.is_none();
        for (index, sentence) in sentences.iter().enumerate() {
            let mut history = self
                .ngram
                .as_ref()
                .map(NgramReader::start)
                .unwrap_or_default();
            let mut tokens = Vec::with_capacity(sentence.len() + 1);
            for (position, token) in sentence.iter().copied().chain([0]).enumerate() {
                if is_alone {
                    tokens.push((token != NONE).then_some(of_models[0][index][position]));
                    continue;
                }
                self.tokens += 1;
                let log_prob = |log10_probs: &Vec<&[f64]>| log10_probs[index][position] * LN_10;
                let mut parts: Vec<f64> = of_models.iter().map(log_prob).collect();
                if let Some(ngram) = &self.ngram {
                    let (log_prob, next) = ngram.next(&history, token);
                    parts.push(log_prob);
                    history = next;
                }
                if let Some(external_probs) = &mut self.external_probs {
                    parts.push(external_probs.next(self.tokens)?);
                }
                tokens.push((token != NONE).then(|| self.weights.mean(&parts) / LN_10));
            }
            scores.push(Score::new(tokens));
        }
        Ok(())
    }

    /// Checks that the external probabilities end with the last token.
    fn finish(self) -> Result<()> {
        match self.external_probs {
            None => Ok(()),
            Some(mut external_probs) => external_probs.end(self.tokens),
        }
    }
}
