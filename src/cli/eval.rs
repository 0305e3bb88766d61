//! `elman eval`: evaluates models on texts.

mod divided;
mod rnnlm;

use std::f64::consts::LN_2;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::input::{check_read_once, named};
use super::mix::{MixFlags, Sources};
use super::output::Output;
use super::perplexity::perplexity;
use super::ranks::START_AGAIN;
use super::{RankDeviceFlags, ranks, sentence_tags};
use crate::corpus::{TextReport, UnknownWords};
use crate::decompress;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::evaluate::{Evaluation, TextEvaluation};
use crate::mixture::{self, NetworkOptions, TokenScore, Weights};
use crate::model::Model;
use crate::parallel::world;
use divided::{Division, Networks};
use rnnlm::RnnlmPrinter;

#[derive(Debug, Args)]
pub(super) struct EvalFlags {
    #[command(flatten)]
    mix: MixFlags,
    #[command(flatten)]
    pub(super) device: RankDeviceFlags,
    /// Text to evaluate, plain, gzip or zstd; - is standard input. Several texts are evaluated each
    /// from its start, and together
    #[arg(long = "text", value_name = "FILE", required = true, num_args = 1..)]
    texts: Vec<PathBuf>,
    /// Reset the state at the start of each sentence instead of carrying it from sentence to
    /// sentence [default: as the model was trained]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    independent: Option<bool>,
    /// Read each text in N streams at once, which is faster and nearly exact: each stream first
    /// reads the 128 tokens before its part. 1 is exact; a mogrifier that was trained without
    /// --reset-states needs it
    #[arg(long, value_name = "N", default_value_t = 1)]
    streams: usize,
    /// What to print [default: summary]
    #[arg(long)]
    format: Option<EvalFormat>,
    /// Print one JSON object
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// What to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EvalFormat {
    /// Perplexity, entropy, log10 probability, tokens, unknown words
    Summary,
    /// The probability of each token, as `rnnlm -test -debug 2` prints it
    Rnnlm,
}

/// A text and its evaluation.
#[derive(Serialize)]
struct EvaluatedText {
    #[serde(skip)]
    report: TextReport,
    #[serde(flatten)]
    by_token: Evaluation,
    #[serde(flatten)]
    unknown: UnknownWords,
    #[serde(flatten)]
    by_text: TextEvaluation,
}

/// What `--json` prints.
#[derive(Serialize)]
struct EvalReport<'a> {
    /// The only text, or all together.
    #[serde(flatten)]
    total: &'a EvaluatedText,
    /// The weights of the models and of the other source, if there is more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<&'a [f64]>,
    /// The texts, if there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    texts: Vec<NamedText<'a>>,
}

/// One of several texts.
#[derive(Serialize)]
struct NamedText<'a> {
    file: &'a Path,
    #[serde(flatten)]
    text: &'a EvaluatedText,
}

pub(super) fn run(flags: &EvalFlags) -> Result<()> {
    let ranks = world();
    let (sources, options) = ranks.agree(flags.read_sources())?;
    let division = ranks.agree(Division::of(flags, options, &ranks))?;
    let mut device = ranks.agree(flags.device.open())?;
    let models = ranks.agree(sources.load(&mut device))?;
    ranks::check_models(&ranks, &sources.checkpoints)?;
    let inputs = named("--text", &flags.texts).chain(flags.mix.inputs());
    flags
        .device
        .rank_timeout
        .watch_reading(&ranks, START_AGAIN, inputs)?;
    let mix = &flags.mix.sources;
    let weights = sources.weights_on(&ranks, &mut device, &models, options, mix)?;
    let mut run = EvalRun {
        flags,
        sources: &sources,
        models: &models,
        options,
        weights: &weights,
        device,
        output: Output::new(),
    };
    if flags.format == Some(EvalFormat::Rnnlm) {
        return run.for_each_text(&ranks, division, &mut EvalRun::print_rnnlm);
    }
    let mut texts = Vec::new();
    let evaluate = &mut |run: &mut EvalRun<'_>, path: &Path, networks: Networks<'_>| {
        texts.push(run.evaluate(path, networks)?);
        Ok(())
    };
    run.for_each_text(&ranks, division, evaluate)?;
    ranks::on_first(&ranks, || run.print(&texts))
}

impl EvalFlags {
    /// Reads the sources, and the options of the networks.
    fn read_sources(&self) -> Result<(Sources, NetworkOptions)> {
        self.check_texts()?;
        self.check_streams()?;
        let mut sources = self.mix.sources.read()?;
        self.mix.adaptation.read(&mut sources)?;
        let description = &sources.checkpoints[0].description;
        let independent = self.independent.unwrap_or(description.config.independent);
        let options = NetworkOptions {
            streams: self.streams,
            ..self.mix.adaptation.options(independent)?
        };
        options.validate()?;
        // Reject invalid weights before loading the models.
        self.mix.sources.weights()?;
        Ok((sources, options))
    }

    /// Checks that probabilities that are printed one by one are exact.
    fn check_streams(&self) -> Result<()> {
        if self.streams == 1 || self.format != Some(EvalFormat::Rnnlm) {
            return Ok(());
        }
        Err(Error::usage(
            format!("--streams {} with --format rnnlm", self.streams),
            "the probability of each token is exact with one stream only",
            "Leave one of them out",
        ))
    }

    /// Checks that the flags for one text are not given with several, and that standard input is
    /// read once.
    fn check_texts(&self) -> Result<()> {
        check_read_once(named("--text", &self.texts).chain(self.mix.inputs()))?;
        if self.texts.len() < 2 {
            return Ok(());
        }
        for (flag, is_given) in [
            ("--format rnnlm", self.format == Some(EvalFormat::Rnnlm)),
            ("--lm-prob", self.mix.sources.lm_prob.is_some()),
        ] {
            if is_given {
                return Err(Error::usage(
                    format!("{flag} with several texts"),
                    "it belongs to one text",
                    "Evaluate one text at a time",
                ));
            }
        }
        Ok(())
    }
}

/// The sources on a device, and where results go.
struct EvalRun<'a> {
    flags: &'a EvalFlags,
    sources: &'a Sources,
    models: &'a [Model],
    options: NetworkOptions,
    weights: &'a Weights,
    device: Device,
    output: Output,
}

impl EvalRun<'_> {
    /// Evaluates a text, from the start of its first sentence with the models as they were trained.
    fn read(
        &mut self,
        path: &Path,
        networks: Networks<'_>,
        take: &mut dyn FnMut(&mut Output, &TokenScore<'_>) -> Result<()>,
    ) -> Result<(Evaluation, TextReport)> {
        let unit = self.sources.checkpoints[0].description.unit;
        let (tokens, report) = sentence_tags::read_text(path, unit, &self.sources.vocabulary)?;
        let sources = &self.flags.mix.sources;
        let mut components = match networks {
            Some(probs) => {
                let mut components = probs.components(path, &report)?;
                components.extend(self.sources.others(sources)?);
                components
            }
            None => self.sources.components(
                &mut self.device,
                self.models,
                &tokens,
                self.options,
                sources,
            )?,
        };
        let output = &mut self.output;
        let evaluation = mixture::read(
            &mut self.device,
            &mut components,
            self.weights,
            &tokens,
            &self.sources.vocabulary,
            &mut |score| take(output, score),
        )?;
        drop(components);
        if self.options.dynamic.is_some() {
            self.sources.reset(&mut self.device, self.models)?;
        }
        Ok((evaluation, report))
    }

    fn evaluate(&mut self, path: &Path, networks: Networks<'_>) -> Result<EvaluatedText> {
        let (by_token, report) = self.read(path, networks, &mut |_, _| Ok(()))?;
        Ok(EvaluatedText {
            by_text: by_token.by_text(&report),
            by_token,
            unknown: report.unknown,
            report,
        })
    }

    fn print_rnnlm(&mut self, path: &Path, networks: Networks<'_>) -> Result<()> {
        let vocabulary = &self.sources.vocabulary;
        let counts_unknown = self.flags.mix.sources.lm_prob.is_some();
        let mut printer =
            RnnlmPrinter::new(vocabulary, self.models.len(), self.weights, counts_unknown);
        printer.title(&mut self.output)?;
        self.read(path, networks, &mut |output, score| {
            output.line(printer.token(score))
        })?;
        printer.summary(&mut self.output)?;
        self.output.flush()
    }

    /// Prints the evaluation of each text and, of several, that of all together.
    fn print(&mut self, texts: &[EvaluatedText]) -> Result<()> {
        let named = || self.flags.texts.iter().zip(texts);
        let sum = match texts {
            [text] => return self.print_results(text, Vec::new()),
            texts => total(texts)?,
        };
        if !self.flags.json {
            for (path, text) in named() {
                self.output.line(decompress::name(path))?;
                print_text(&mut self.output, text)?;
                self.output.line("")?;
            }
            let count = texts.len();
            self.output.line(format_args!("total of {count} texts"))?;
        }
        let named = named().map(|(path, text)| NamedText { file: path, text });
        self.print_results(&sum, named.collect())
    }

    /// Prints the evaluation of the only text or of all together.
    fn print_results(&mut self, total: &EvaluatedText, texts: Vec<NamedText<'_>>) -> Result<()> {
        if self.flags.json {
            let weights = self.weights.values();
            self.output.json(&EvalReport {
                total,
                weights: (weights.len() > 1).then_some(weights),
                texts,
            })?;
        } else {
            print_text(&mut self.output, total)?;
        }
        self.output.flush()
    }
}

/// The evaluation of several texts together.
fn total(texts: &[EvaluatedText]) -> Result<EvaluatedText> {
    let by_token = Evaluation::of_all(texts.iter().map(|text| &text.by_token))?;
    let report = texts
        .iter()
        .map(|text| text.report.clone())
        .reduce(TextReport::with)
        .unwrap_or_default();
    Ok(EvaluatedText {
        by_text: by_token.by_text(&report),
        by_token,
        unknown: report.unknown,
        report,
    })
}

/// Prints the measures of a text.
fn print_text(output: &mut Output, text: &EvaluatedText) -> Result<()> {
    print_summary(output, &text.by_token, &text.unknown)?;
    print_by_text(output, &text.by_text)
}

/// Prints the measures by token.
fn print_summary(
    output: &mut Output,
    evaluation: &Evaluation,
    unknown: &UnknownWords,
) -> Result<()> {
    output.line(format_args!(
        "perplexity         {}",
        perplexity(evaluation.perplexity, evaluation.loss(), 4)
    ))?;
    output.line(format_args!(
        "entropy            {:.6} bits per token ({:.6} nats)",
        evaluation.entropy_bits,
        evaluation.loss()
    ))?;
    output.line(format_args!(
        "log10 probability  {:.4}",
        evaluation.log10_prob
    ))?;
    output.line(format_args!("tokens             {}", evaluation.tokens))?;
    print_unknown(output, unknown)
}

/// Prints the counts of unknown words.
pub(super) fn print_unknown(output: &mut Output, unknown: &UnknownWords) -> Result<()> {
    output.line(format_args!("unknown words      {unknown}"))?;
    match unknown.predicted_as_unk {
        0 => Ok(()),
        tokens => output.line(format_args!("predicted as <unk> {tokens}")),
    }
}

/// Prints the measures by word and character, which compare models of different units.
fn print_by_text(output: &mut Output, by_text: &TextEvaluation) -> Result<()> {
    if let (Some(words), Some(value), Some(bits)) = (
        by_text.words,
        by_text.word_perplexity,
        by_text.bits_per_word,
    ) {
        output.line(format_args!(
            "per word           {}  ({words} words and line endings)",
            perplexity(value, bits * LN_2, 4)
        ))?;
    }
    if let (Some(characters), Some(value), Some(bits)) = (
        by_text.characters,
        by_text.character_perplexity,
        by_text.bits_per_character,
    ) {
        output.line(format_args!(
            "per character      {}  ({characters} characters, {bits:.4} bits each)",
            perplexity(value, bits * LN_2, 4)
        ))?;
    }
    match &by_text.incomparable {
        Some(reason) => output.line(format_args!(
            "per word and per character are not reported: {reason}"
        )),
        None => Ok(()),
    }
}
