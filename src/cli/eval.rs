//! `elman eval`: what models say of a text.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::DeviceFlags;
use super::mix::MixFlags;
use super::output::Output;
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
    /// The text to measure
    #[arg(long, value_name = "FILE")]
    text: PathBuf,
    /// Begin every sentence with the initial state instead of carrying the state from sentence to
    /// sentence [default: as the model was trained]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    independent: Option<bool>,
    /// What is printed [default: summary]
    #[arg(long)]
    format: Option<Format>,
    /// Print one JSON object
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// What is printed of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Perplexity, entropy, log10 probability, tokens, unknown words
    Summary,
    /// The probability of every token as `rnnlm -test -debug 2` prints it
    Rnnlm,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    by_token: Evaluation,
    #[serde(flatten)]
    by_text: TextEvaluation,
    /// Of the models and of the other source, where there are several.
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
    // Wrong weights are refused before anything is read.
    flags.mix.sources.weights()?;
    let mut device = flags.device.open()?;
    let models = sources.load(&mut device)?;
    let weights = sources.weights(&mut device, &models, options, &flags.mix.sources)?;
    let (tokens, text) = read_tokens(&flags.text, description.unit, &sources.vocabulary)?;
    let mut components =
        sources.components(&mut device, &models, &tokens, options, &flags.mix.sources)?;
    let mut output = Output::new();
    if flags.format == Some(Format::Rnnlm) {
        let mut printer = Printer::new(&sources.vocabulary, models.len(), &weights);
        output.line("Index   P(NET)          Word")?;
        output.line("----------------------------------")?;
        let evaluation = mixture::read(
            &mut device,
            &mut components,
            &weights,
            &tokens,
            &mut |found| output.line(printer.token(found)),
        )?;
        printer.summary(&mut output, &evaluation)?;
        return output.flush();
    }
    let evaluation = mixture::read(&mut device, &mut components, &weights, &tokens, &mut |_| {
        Ok(())
    })?;
    let by_text = evaluation.by_text(&text);
    if flags.json {
        let weights = (weights.values().len() > 1).then(|| weights.values());
        output.json(&Report {
            by_token: evaluation,
            by_text,
            weights,
        })?;
    } else {
        output.line(format_args!(
            "perplexity         {:.4}",
            evaluation.perplexity
        ))?;
        output.line(format_args!(
            "entropy            {:.6} bits a token ({:.6} nats)",
            evaluation.entropy_bits,
            evaluation.loss()
        ))?;
        output.line(format_args!(
            "log10 probability  {:.4}",
            evaluation.log10_prob
        ))?;
        output.line(format_args!("tokens             {}", evaluation.tokens))?;
        output.line(format_args!("unknown words      {}", evaluation.oov))?;
        tell_by_text(&mut output, &by_text)?;
    }
    output.flush()
}

/// What models of different units compare by.
fn tell_by_text(output: &mut Output, by_text: &TextEvaluation) -> Result<()> {
    if let (Some(words), Some(perplexity)) = (by_text.words, by_text.word_perplexity) {
        output.line(format_args!(
            "per word           {perplexity:.4}  ({words} words and ends of lines)"
        ))?;
    }
    if let (Some(characters), Some(perplexity), Some(bits)) = (
        by_text.characters,
        by_text.character_perplexity,
        by_text.bits_per_character,
    ) {
        output.line(format_args!(
            "per character      {perplexity:.4}  ({characters} characters, {bits:.4} bits each)"
        ))?;
    }
    match &by_text.incomparable {
        Some(reason) => output.line(format_args!(
            "per word and per character are not told: {reason}"
        )),
        None => Ok(()),
    }
}

/// Prints as rnnlm does: its networks' probability and, where there is one, the other model's.
struct Printer<'a> {
    vocabulary: &'a Vocabulary,
    /// The networks among the components, and their weights.
    networks: usize,
    of_networks: Weights,
    has_other: bool,
    lambda: f64,
    /// ln P of the text under the networks and under the other model, and the tokens that each
    /// knows.
    sums: [(f64, usize); 2],
}

impl<'a> Printer<'a> {
    fn new(vocabulary: &'a Vocabulary, networks: usize, weights: &Weights) -> Self {
        let of_networks = &weights.values()[..networks];
        Self {
            vocabulary,
            networks,
            // Where the networks have no weight at all, they are printed as if they had the same.
            of_networks: Weights::new(of_networks).unwrap_or_else(|_| Weights::even(networks)),
            has_other: weights.values().len() > networks,
            lambda: of_networks.iter().sum(),
            sums: [(0.0, 0); 2],
        }
    }

    fn token(&mut self, found: &TokenScore<'_>) -> String {
        let other = found.parts.get(self.networks).copied();
        if found.token == NONE {
            return if self.has_other {
                "-1\t0\t\t0\t\tOOV".to_owned()
            } else {
                "-1\t0\t\tOOV".to_owned()
            };
        }
        let network = self.of_networks.mean(&found.parts[..self.networks]);
        for (sum, part) in self.sums.iter_mut().zip([Some(network), other]) {
            if let Some(part) = part.filter(|part| part.is_finite()) {
                *sum = (sum.0 + part, sum.1 + 1);
            }
        }
        let word = self.vocabulary.token(found.token);
        match other {
            None => format!("{}\t{:.10}\t{word}", found.token, network.exp()),
            Some(other) => format!(
                "{}\t{:.10}\t{:.10}\t{word}",
                found.token,
                network.exp(),
                other.exp()
            ),
        }
    }

    fn summary(&self, output: &mut Output, evaluation: &Evaluation) -> Result<()> {
        let log10 = |(sum, _): (f64, usize)| sum / std::f64::consts::LN_10;
        let perplexity = |(sum, tokens): (f64, usize)| (-sum / tokens.max(1) as f64).exp();
        let [network, other] = self.sums;
        output.line(format_args!(
            "\ntest log probability: {:.6}",
            log10(network)
        ))?;
        if self.has_other {
            output.line(format_args!(
                "test log probability given by other lm: {:.6}",
                log10(other)
            ))?;
            let (lambda, rest) = (self.lambda, 1.0 - self.lambda);
            output.line(format_args!(
                "test log probability {lambda:.6}*rnn + {rest:.6}*other_lm: {:.6}",
                evaluation.log10_prob
            ))?;
        }
        output.line(format_args!("\nPPL net: {:.6}", perplexity(network)))?;
        if self.has_other {
            output.line(format_args!("PPL other: {:.6}", perplexity(other)))?;
            output.line(format_args!("PPL combine: {:.6}", evaluation.perplexity))?;
        }
        Ok(())
    }
}
