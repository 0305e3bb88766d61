//! `elman score`: prints the log10 probability of each line.

mod printer;

use std::f64::consts::LN_10;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::input::InputLines;
use super::mix::{MixFlags, Sources};
use super::{DeviceFlags, sentence_tags};
use crate::corpus::{
    SentenceTags, Tokens, Unit, UnknownWords, Vocabulary, without_byte_order_mark,
};
use crate::decompress;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::mixture::{self, ExternalProbs, NgramReader, Weights};
use crate::model::Model;
use crate::score::{Score, Scorer, TokenizedLine, tokenize_line};
use crate::tensor::NONE;
use printer::ScorePrinter;

#[derive(Debug, Args)]
pub(super) struct ScoreFlags {
    #[command(flatten)]
    mix: MixFlags,
    #[command(flatten)]
    pub(super) device: DeviceFlags,
    /// File of sentences, one per line; - is standard input
    #[arg(default_value = "-", value_name = "FILE")]
    file: PathBuf,
    /// Print the log10 probability of each token after that of the line
    #[arg(long)]
    per_token: bool,
    /// Carry the state from line to line instead of resetting it
    #[arg(long)]
    carry: bool,
    /// What to print [default: lines]
    #[arg(long, conflicts_with_all = ["per_token", "json"])]
    format: Option<ScoreFormat>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What to print of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ScoreFormat {
    /// Its log10 probability
    Lines,
    /// The id, the probability and the text of each token, as `rnnlm -debug 2` prints them
    Rnnlm,
}

/// The number of lines that are scored together.
const BATCH: usize = 1024;

pub(super) fn run(flags: &ScoreFlags) -> Result<()> {
    let mut sources = flags.mix.sources.read()?;
    flags.mix.adaptation.read(&mut sources)?;
    let options = flags.mix.adaptation.options(!flags.carry)?;
    flags.mix.sources.weights()?;
    let mut device = flags.device.open()?;
    let models = sources.load(&mut device)?;
    let weights = sources.weights(&mut device, &models, options, &flags.mix.sources)?;
    let unit = sources.checkpoints[0].description.unit;
    let mut lines = InputLines::open(&flags.file)?;
    let mut printer = ScorePrinter::new(flags, &sources.vocabulary);
    // Models that adapt read one line after the other.
    let is_sequential = options.dynamic.is_some() || options.cache.is_some();
    let batch = if is_sequential { usize::MAX } else { BATCH };
    let mut scorer = None;
    let mut tags = SentenceTags::default();
    loop {
        let SentenceBatch {
            sentences,
            unknown,
            end,
        } = flags.read_sentences(&mut lines, batch, unit, &sources.vocabulary, &mut tags);
        if sentences.is_empty() {
            end?;
            break;
        }
        let mut scores = Vec::new();
        let scored = if is_sequential {
            score_sequentially(
                &mut device,
                &sources,
                &models,
                &sentences,
                flags,
                &weights,
                &mut scores,
            )
        } else {
            let scorer = match &mut scorer {
                Some(scorer) => scorer,
                None => scorer.insert(BatchScorer::new(
                    &mut device,
                    &sources,
                    &models,
                    flags,
                    &weights,
                )?),
            };
            scorer.score(&mut device, &sentences, &mut scores)
        };
        // The lines before the one that failed have their results.
        for ((score, sentence), unknown) in scores.into_iter().zip(&sentences).zip(unknown) {
            printer.print(score, sentence, unknown)?;
        }
        printer.flush()?;
        scored.and(end)?;
    }
    if let Some(scorer) = scorer {
        scorer.finish()?;
    }
    sentence_tags::note(&decompress::name(&flags.file), tags);
    printer.finish()
}

impl ScoreFlags {
    /// Reads at most `limit` lines as token ids, of standard input those that are there already, so
    /// that a program that waits for an answer gets it, and adds their sentence tags to `tags`.
    /// Empty at the end of the file, or where its first line cannot be read.
    fn read_sentences(
        &self,
        lines: &mut InputLines,
        limit: usize,
        unit: Unit,
        vocabulary: &Vocabulary,
        tags: &mut SentenceTags,
    ) -> SentenceBatch {
        let mut batch = SentenceBatch {
            sentences: Vec::new(),
            unknown: Vec::new(),
            end: Ok(()),
        };
        let reads_all = limit == usize::MAX;
        while batch.sentences.len() < limit
            && (batch.sentences.is_empty() || reads_all || lines.is_ready())
        {
            match self.read_sentence(lines, unit, vocabulary) {
                Ok(Some(line)) => {
                    *tags += line.tags;
                    batch.sentences.push(line.ids);
                    batch.unknown.push(line.unknown);
                }
                Ok(None) => break,
                Err(error) => {
                    batch.end = Err(error);
                    break;
                }
            }
        }
        batch
    }

    /// Reads a line. `None` at the end of the file.
    fn read_sentence(
        &self,
        lines: &mut InputLines,
        unit: Unit,
        vocabulary: &Vocabulary,
    ) -> Result<Option<TokenizedLine>> {
        let Some(line) = lines.next()? else {
            return Ok(None);
        };
        let text = match lines.count {
            1 => without_byte_order_mark(&line, unit),
            _ => &line,
        };
        let line = tokenize_line(text, unit, vocabulary).map_err(|error| {
            Error::invalid(
                format!("line {} of {}", lines.count, self.file.display()),
                error.to_string(),
                "Correct the line",
            )
        })?;
        Ok(Some(line))
    }
}

/// Lines that are scored together.
struct SentenceBatch {
    sentences: Vec<Vec<u32>>,
    /// The unknown words of each line.
    unknown: Vec<UnknownWords>,
    /// An error in the line after them.
    end: Result<()>,
}

/// Scores all lines as one text, and appends the scores of those that precede an error.
fn score_sequentially(
    device: &mut Device,
    sources: &Sources,
    models: &[Model],
    sentences: &[Vec<u32>],
    flags: &ScoreFlags,
    weights: &Weights,
    scores: &mut Vec<Score>,
) -> Result<()> {
    let options = flags.mix.adaptation.options(!flags.carry)?;
    let tokens: Tokens = sentences
        .iter()
        .flat_map(|sentence| sentence.iter().copied().chain([0]))
        .collect();
    let mut components =
        sources.components(device, models, &tokens, options, &flags.mix.sources)?;
    let mut line = Vec::new();
    let mut lengths = sentences.iter().map(|sentence| sentence.len() + 1);
    let mut length = lengths.next().unwrap_or(0);
    mixture::score(device, &mut components, weights, &tokens, &mut |score| {
        line.push((score.token != NONE).then_some(score.log_probability / LN_10));
        if line.len() == length {
            scores.push(Score::new(std::mem::take(&mut line)));
            length = lengths.next().unwrap_or(0);
        }
        Ok(())
    })
}

/// Scores independent lines in parallel with all sources.
struct BatchScorer<'a> {
    models: &'a [Model],
    scorers: Vec<Scorer>,
    ngram: Option<NgramReader<'a>>,
    external_probs: Option<ExternalProbs>,
    weights: &'a Weights,
    /// The number of tokens of the lines so far.
    tokens: usize,
}

impl<'a> BatchScorer<'a> {
    fn new(
        device: &mut Device,
        sources: &'a Sources,
        models: &'a [Model],
        flags: &ScoreFlags,
        weights: &'a Weights,
    ) -> Result<Self> {
        let scorers = models
            .iter()
            .map(|model| Scorer::new(device, model, flags.carry))
            .collect::<Result<_>>()?;
        let ngram = sources
            .ngram
            .as_ref()
            .map(|ngram| NgramReader::new(ngram, &sources.vocabulary))
            .transpose()?;
        let external_probs = flags
            .mix
            .sources
            .lm_prob
            .as_deref()
            .map(ExternalProbs::open)
            .transpose()?;
        Ok(Self {
            models,
            scorers,
            ngram,
            external_probs,
            weights,
            tokens: 0,
        })
    }

    /// Appends the scores of the sentences in the mixture of all sources, also of those before an
    /// error.
    fn score(
        &mut self,
        device: &mut Device,
        sentences: &[Vec<u32>],
        scores: &mut Vec<Score>,
    ) -> Result<()> {
        let pairs = self.scorers.iter_mut().zip(self.models);
        let model_scores = pairs
            .map(|(scorer, model)| scorer.score(device, model, sentences))
            .collect::<Result<Vec<_>>>()?;
        let has_other = self.ngram.is_some() || self.external_probs.is_some();
        if model_scores.len() == 1 && !has_other {
            scores.extend(model_scores.into_iter().flatten());
            return Ok(());
        }
        for (index, sentence) in sentences.iter().enumerate() {
            let mut history = self
                .ngram
                .as_ref()
                .map(NgramReader::start)
                .unwrap_or_default();
            let mut tokens = Vec::with_capacity(sentence.len() + 1);
            for (position, token) in sentence.iter().copied().chain([0]).enumerate() {
                self.tokens += 1;
                let log_prob = |scores: &Vec<Score>| {
                    scores[index].token_log10_probs[position].unwrap_or(0.0) * LN_10
                };
                let mut parts: Vec<f64> = model_scores.iter().map(log_prob).collect();
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
