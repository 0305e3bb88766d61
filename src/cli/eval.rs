//! `elman eval`: evaluates models on a text.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::DeviceFlags;
use super::mix::MixFlags;
use super::output::Output;
use super::perplexity::perplexity;
use crate::corpus::{Vocabulary, read_tokens};
use crate::error::Result;
use crate::evaluate::{Evaluation, TextEvaluation};
use crate::mixture::{self, TokenScore, Weights};
use crate::tensor::NONE;

#[derive(Debug, Args)]
pub(super) struct EvalFlags {
    #[command(flatten)]
    mix: MixFlags,
    #[command(flatten)]
    pub(super) device: DeviceFlags,
    /// Text to evaluate
    #[arg(long, value_name = "FILE")]
    text: PathBuf,
    /// Reset the state at the start of each sentence instead of carrying it from sentence to
    /// sentence [default: as the model was trained]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    independent: Option<bool>,
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

/// What `--json` prints.
#[derive(Serialize)]
struct EvalReport<'a> {
    #[serde(flatten)]
    by_token: Evaluation,
    #[serde(flatten)]
    by_text: TextEvaluation,
    /// The weights of the models and of the other source, if there is more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<&'a [f64]>,
}

pub(super) fn run(flags: &EvalFlags) -> Result<()> {
    let mut sources = flags.mix.sources.read()?;
    flags.mix.adaptation.read(&mut sources)?;
    let description = &sources.checkpoints[0].description;
    let options = flags
        .mix
        .adaptation
        .options(flags.independent.unwrap_or(description.config.independent))?;
    // Reject invalid weights before loading the models.
    flags.mix.sources.weights()?;
    let mut device = flags.device.open()?;
    let models = sources.load(&mut device)?;
    let weights = sources.weights(&mut device, &models, options, &flags.mix.sources)?;
    let (tokens, text) = read_tokens(&flags.text, description.unit, &sources.vocabulary)?;
    let mut components =
        sources.components(&mut device, &models, &tokens, options, &flags.mix.sources)?;
    let mut output = Output::new();
    if flags.format == Some(EvalFormat::Rnnlm) {
        let mut printer = RnnlmPrinter::new(&sources.vocabulary, models.len(), &weights);
        output.line("Index   P(NET)          Word")?;
        output.line("----------------------------------")?;
        let evaluation = mixture::read(
            &mut device,
            &mut components,
            &weights,
            &tokens,
            &sources.vocabulary,
            &mut |score| output.line(printer.token(score)),
        )?;
        printer.summary(&mut output, &evaluation)?;
        return output.flush();
    }
    let evaluation = mixture::read(
        &mut device,
        &mut components,
        &weights,
        &tokens,
        &sources.vocabulary,
        &mut |_| Ok(()),
    )?;
    let by_text = evaluation.by_text(&text);
    if flags.json {
        let weights = (weights.values().len() > 1).then(|| weights.values());
        output.json(&EvalReport {
            by_token: evaluation,
            by_text,
            weights,
        })?;
    } else {
        print_summary(&mut output, &evaluation)?;
        print_by_text(&mut output, &by_text)?;
    }
    output.flush()
}

/// Prints the measures by token.
fn print_summary(output: &mut Output, evaluation: &Evaluation) -> Result<()> {
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
    output.line(format_args!("unknown words      {}", evaluation.oov))
}

/// Prints the measures by word and character, which compare models of different units.
fn print_by_text(output: &mut Output, by_text: &TextEvaluation) -> Result<()> {
    if let (Some(words), Some(value)) = (by_text.words, by_text.word_perplexity) {
        output.line(format_args!(
            "per word           {}  ({words} words and line endings)",
            perplexity(value, value.ln(), 4)
        ))?;
    }
    if let (Some(characters), Some(value), Some(bits)) = (
        by_text.characters,
        by_text.character_perplexity,
        by_text.bits_per_character,
    ) {
        output.line(format_args!(
            "per character      {}  ({characters} characters, {bits:.4} bits each)",
            perplexity(value, value.ln(), 4)
        ))?;
    }
    match &by_text.incomparable {
        Some(reason) => output.line(format_args!(
            "per word and per character are not reported: {reason}"
        )),
        None => Ok(()),
    }
}

/// Prints in rnnlm's format: the probability of the networks and, if there is one, of the other
/// model.
struct RnnlmPrinter<'a> {
    vocabulary: &'a Vocabulary,
    /// The number of networks; they are the first components.
    networks: usize,
    network_weights: Weights,
    has_other: bool,
    /// The weight of the networks together.
    lambda: f64,
    network_sum: LogProbSum,
    other_sum: LogProbSum,
}

/// ln P of the tokens that a model knows.
#[derive(Debug, Clone, Copy, Default)]
struct LogProbSum {
    sum: f64,
    tokens: usize,
}

impl LogProbSum {
    fn add(&mut self, log_prob: f64) {
        if log_prob.is_finite() {
            self.sum += log_prob;
            self.tokens += 1;
        }
    }

    fn log10(self) -> f64 {
        self.sum / std::f64::consts::LN_10
    }

    fn perplexity(self) -> String {
        let loss = -self.sum / self.tokens.max(1) as f64;
        perplexity(loss.exp(), loss, 6)
    }
}

impl<'a> RnnlmPrinter<'a> {
    fn new(vocabulary: &'a Vocabulary, networks: usize, weights: &Weights) -> Self {
        let network_weights = &weights.values()[..networks];
        Self {
            vocabulary,
            networks,
            // If all networks have weight 0, print them with equal weights.
            network_weights: Weights::new(network_weights)
                .unwrap_or_else(|_| Weights::even(networks)),
            has_other: weights.values().len() > networks,
            lambda: network_weights.iter().sum(),
            network_sum: LogProbSum::default(),
            other_sum: LogProbSum::default(),
        }
    }

    /// The line of a token.
    fn token(&mut self, score: &TokenScore<'_>) -> String {
        let other = score.components.get(self.networks).copied();
        if score.token == NONE {
            return if self.has_other {
                "-1\t0\t\t0\t\tOOV".to_owned()
            } else {
                "-1\t0\t\tOOV".to_owned()
            };
        }
        let network = self
            .network_weights
            .mean(&score.components[..self.networks]);
        self.network_sum.add(network);
        if let Some(other) = other {
            self.other_sum.add(other);
        }
        let word = self.vocabulary.token(score.token);
        match other {
            None => format!("{}\t{:.10}\t{word}", score.token, network.exp()),
            Some(other) => format!(
                "{}\t{:.10}\t{:.10}\t{word}",
                score.token,
                network.exp(),
                other.exp()
            ),
        }
    }

    fn summary(&self, output: &mut Output, evaluation: &Evaluation) -> Result<()> {
        output.line(format_args!(
            "\ntest log probability: {:.6}",
            self.network_sum.log10()
        ))?;
        if self.has_other {
            output.line(format_args!(
                "test log probability given by other lm: {:.6}",
                self.other_sum.log10()
            ))?;
            output.line(format_args!(
                "test log probability {:.6}*rnn + {:.6}*other_lm: {:.6}",
                self.lambda,
                1.0 - self.lambda,
                evaluation.log10_prob
            ))?;
        }
        output.line(format_args!("\nPPL net: {}", self.network_sum.perplexity()))?;
        if self.has_other {
            output.line(format_args!("PPL other: {}", self.other_sum.perplexity()))?;
            output.line(format_args!(
                "PPL combine: {}",
                perplexity(evaluation.perplexity, evaluation.loss(), 6)
            ))?;
        }
        Ok(())
    }
}
