//! `elman score`: one log10 probability a line.

use std::f64::consts::LN_10;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::DeviceFlags;
use super::input::InputLines;
use super::mix::{MixFlags, Sources};
use super::output::Output;
use crate::corpus::{Tokens, Vocabulary};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::mixture::{self, ExternalProbs, NetworkOptions, NgramReader, Weights};
use crate::model::Model;
use crate::score::{Score, Scorer, tokenize};
use crate::tensor::NONE;

#[derive(Debug, Args)]
pub(super) struct ScoreFlags {
    #[command(flatten)]
    mix: MixFlags,
    #[command(flatten)]
    pub(super) device: DeviceFlags,
    /// The sentences, one a line; - is standard input
    #[arg(default_value = "-", value_name = "FILE")]
    file: PathBuf,
    /// Print the log10 probability of every token after the line's
    #[arg(long)]
    per_token: bool,
    /// Carry the state from line to line instead of scoring each for itself
    #[arg(long)]
    carry: bool,
    /// What is printed [default: lines]
    #[arg(long, conflicts_with_all = ["per_token", "json"])]
    format: Option<Format>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is printed of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Its log10 probability
    InputLines,
    /// The number, the probability and the text of every token, as `rnnlm -debug 2` prints them
    Rnnlm,
}

/// Lines that are read before they are scored together.
const LINES: usize = 1024;

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
    let mut printer = Printer {
        flags,
        vocabulary: &sources.vocabulary,
        output: Output::new(),
        report: Report::default(),
    };
    // What a model has learnt or remembers by a line is known at the next: there is one stream.
    let in_order = options.dynamic.is_some() || options.cache.is_some();
    let mut batches = None;
    loop {
        let mut sentences = Vec::new();
        while sentences.len() < LINES || in_order {
            let Some(line) = lines.next()? else { break };
            let ids = tokenize(&line, unit, &sources.vocabulary);
            sentences.push(ids.map_err(|error| {
                Error::invalid(
                    format!("line {} of {}", lines.count, flags.file.display()),
                    error.to_string(),
                    "Correct the line",
                )
            })?);
        }
        if sentences.is_empty() {
            break;
        }
        let scores = if in_order {
            one_by_one(
                &mut device,
                &sources,
                &models,
                &sentences,
                options,
                flags,
                &weights,
            )?
        } else {
            let batches = match &mut batches {
                Some(batches) => batches,
                None => batches.insert(Batches::new(
                    &mut device,
                    &sources,
                    &models,
                    sentences.len(),
                    flags,
                    &weights,
                )?),
            };
            batches.score(&mut device, &sentences)?
        };
        scores
            .into_iter()
            .zip(&sentences)
            .try_for_each(|(score, sentence)| printer.print(score, sentence))?;
        printer.output.flush()?;
    }
    if let Some(batches) = batches {
        batches.finish()?;
    }
    printer.finish()
}

/// All lines as one text.
fn one_by_one(
    device: &mut Device,
    sources: &Sources,
    models: &[Model],
    sentences: &[Vec<u32>],
    options: NetworkOptions,
    flags: &ScoreFlags,
    weights: &Weights,
) -> Result<Vec<Score>> {
    let tokens: Tokens = sentences
        .iter()
        .flat_map(|sentence| sentence.iter().copied().chain([0]))
        .collect();
    let mut components =
        sources.components(device, models, &tokens, options, &flags.mix.sources)?;
    let (mut scores, mut line) = (Vec::new(), Vec::new());
    let mut lengths = sentences.iter().map(|sentence| sentence.len() + 1);
    let mut length = lengths.next().unwrap_or(0);
    mixture::read(device, &mut components, weights, &tokens, &mut |found| {
        line.push((found.token != NONE).then_some(found.log_probability / LN_10));
        if line.len() == length {
            scores.push(Score::new(std::mem::take(&mut line)));
            length = lengths.next().unwrap_or(0);
        }
        Ok(())
    })?;
    Ok(scores)
}

/// Lines side by side, each for itself: what every source says of them, mixed.
struct Batches<'a> {
    models: &'a [Model],
    scorers: Vec<Scorer>,
    ngram: Option<NgramReader<'a>>,
    listed: Option<ExternalProbs>,
    weights: &'a Weights,
    /// Tokens of the lines so far.
    tokens: usize,
}

impl<'a> Batches<'a> {
    fn new(
        device: &mut Device,
        sources: &'a Sources,
        models: &'a [Model],
        sentences: usize,
        flags: &ScoreFlags,
        weights: &'a Weights,
    ) -> Result<Self> {
        let scorers = models
            .iter()
            .map(|model| Scorer::new(device, model, sentences, flags.carry))
            .collect::<Result<_>>()?;
        let ngram = sources
            .ngram
            .as_ref()
            .map(|ngram| NgramReader::new(ngram, &sources.vocabulary))
            .transpose()?;
        let listed = flags
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
            listed,
            weights,
            tokens: 0,
        })
    }

    fn score(&mut self, device: &mut Device, sentences: &[Vec<u32>]) -> Result<Vec<Score>> {
        let pairs = self.scorers.iter_mut().zip(self.models);
        let of_models = pairs
            .map(|(scorer, model)| scorer.score(device, model, sentences))
            .collect::<Result<Vec<_>>>()?;
        if let (None, None, [_]) = (&self.ngram, &self.listed, &*of_models) {
            return Ok(of_models.into_iter().flatten().collect());
        }
        let mut mixed = Vec::with_capacity(sentences.len());
        for (number, sentence) in sentences.iter().enumerate() {
            let mut history = self
                .ngram
                .as_ref()
                .map(NgramReader::start)
                .unwrap_or_default();
            let mut tokens = Vec::with_capacity(sentence.len() + 1);
            for (place, token) in sentence.iter().copied().chain([0]).enumerate() {
                self.tokens += 1;
                let of_token = |scores: &Vec<Score>| {
                    scores[number].token_log10_probs[place].unwrap_or(0.0) * LN_10
                };
                let mut parts: Vec<f64> = of_models.iter().map(of_token).collect();
                if let Some(ngram) = &self.ngram {
                    let (part, next) = ngram.next(&history, token);
                    parts.push(part);
                    history = next;
                }
                if let Some(listed) = &mut self.listed {
                    parts.push(listed.next(self.tokens)?);
                }
                tokens.push((token != NONE).then(|| self.weights.mean(&parts) / LN_10));
            }
            mixed.push(Score::new(tokens));
        }
        Ok(mixed)
    }

    fn finish(self) -> Result<()> {
        self.listed
            .map_or(Ok(()), |mut listed| listed.end(self.tokens))
    }
}

/// Prints scores, or collects them for the JSON object.
struct Printer<'a> {
    flags: &'a ScoreFlags,
    vocabulary: &'a Vocabulary,
    output: Output,
    report: Report,
}

impl Printer<'_> {
    fn print(&mut self, score: Score, sentence: &[u32]) -> Result<()> {
        if self.flags.json {
            self.report.add(score, self.flags.per_token);
            return Ok(());
        }
        if self.flags.format != Some(Format::Rnnlm) {
            return self.output.line(text(&score, self.flags.per_token));
        }
        for (token, log10) in sentence
            .iter()
            .copied()
            .chain([0])
            .zip(&score.token_log10_probs)
        {
            match log10 {
                None => self.output.line("-1\t0\t\tOOV")?,
                Some(log10) => self.output.line(format_args!(
                    "{token}\t{:.10}\t{}",
                    10_f64.powf(*log10),
                    self.vocabulary.token(token)
                ))?,
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        if self.flags.json {
            self.output.json(&self.report.json(self.flags.per_token))?;
        }
        self.output.flush()
    }
}

/// A line's score for people and shells: tabs between the numbers, `OOV` for an unknown word.
fn text(score: &Score, per_token: bool) -> String {
    let mut text = format!("{:.6}", score.log10_prob);
    if per_token {
        for probability in &score.token_log10_probs {
            text.push('\t');
            text.push_str(&probability.map_or_else(
                || "OOV".to_owned(),
                |probability| format!("{probability:.6}"),
            ));
        }
    }
    text
}

/// The JSON object: an array over the lines for each number.
#[derive(Default)]
struct Report {
    log10_prob: Vec<f64>,
    tokens: Vec<usize>,
    oov: Vec<usize>,
    token_log10_probs: Vec<Vec<Option<f64>>>,
}

impl Report {
    fn add(&mut self, score: Score, per_token: bool) {
        self.log10_prob.push(score.log10_prob);
        self.tokens.push(score.tokens);
        self.oov.push(score.oov);
        if per_token {
            self.token_log10_probs.push(score.token_log10_probs);
        }
    }

    fn json(self, per_token: bool) -> Value {
        let mut value =
            json!({ "log10_prob": self.log10_prob, "tokens": self.tokens, "oov": self.oov });
        if per_token {
            value["token_log10_probs"] = json!(self.token_log10_probs);
        }
        value
    }
}
