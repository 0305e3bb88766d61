//! Prints the probability of each token as `rnnlm -test -debug 2` prints it.
//!
//! In: the scores of the tokens of a text. Out: rnnlm's table and its sums.

use super::super::output::Output;
use super::super::perplexity::perplexity;
use crate::corpus::Vocabulary;
use crate::error::Result;
use crate::mixture::{TokenScore, Weights};
use crate::tensor::NONE;

/// log10 P by the network of a word that it does not know, in rnnlm's sums.
const RNNLM_UNKNOWN: f64 = -8.0;

/// Prints in rnnlm's format: the probability of the networks and, if there is one, of the other
/// model.
pub(super) struct RnnlmPrinter<'a> {
    vocabulary: &'a Vocabulary,
    /// The number of networks; they are the first components.
    networks: usize,
    network_weights: Weights,
    has_other: bool,
    /// The weight of the networks together.
    lambda: f64,
    /// Whether the sums count words that the networks do not know and the other model does.
    counts_unknown: bool,
    network_sum: LogProbSum,
    other_sum: LogProbSum,
    mixture_sum: LogProbSum,
}

/// ln P of the tokens that a model knows.
#[derive(Debug, Clone, Copy, Default)]
struct LogProbSum {
    sum: f64,
    tokens: usize,
}

impl LogProbSum {
    fn add(&mut self, log_prob: f64) {
        self.sum += log_prob;
        self.tokens += 1;
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
    pub(super) fn new(
        vocabulary: &'a Vocabulary,
        networks: usize,
        weights: &Weights,
        counts_unknown: bool,
    ) -> Self {
        let network_weights = &weights.values()[..networks];
        Self {
            vocabulary,
            networks,
            // If all networks have weight 0, print them with equal weights.
            network_weights: Weights::new(network_weights)
                .unwrap_or_else(|_| Weights::even(networks)),
            has_other: weights.values().len() > networks,
            lambda: network_weights.iter().sum(),
            counts_unknown,
            network_sum: LogProbSum::default(),
            other_sum: LogProbSum::default(),
            mixture_sum: LogProbSum::default(),
        }
    }

    pub(super) fn title(&self, output: &mut Output) -> Result<()> {
        if self.has_other {
            output.line("Index   P(NET)          P(LM)           Word")?;
            output.line("--------------------------------------------------")
        } else {
            output.line("Index   P(NET)          Word")?;
            output.line("----------------------------------")
        }
    }

    /// The line of a token.
    pub(super) fn token(&mut self, score: &TokenScore<'_>) -> String {
        let other = score.components.get(self.networks).copied();
        if score.token == NONE {
            if let Some(other) = other.filter(|other| self.counts_unknown && other.is_finite()) {
                self.add_unknown(other);
            }
            return if self.has_other {
                "-1\t0\t\t0\t\tOOV".to_owned()
            } else {
                "-1\t0\t\tOOV".to_owned()
            };
        }
        let network = self
            .network_weights
            .mean(&score.components[..self.networks]);
        if network.is_finite() {
            self.network_sum.add(network);
        }
        if let Some(other) = other.filter(|other| other.is_finite()) {
            self.other_sum.add(other);
        }
        self.mixture_sum.add(score.log_probability);
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

    /// Adds a word that the networks do not know, as rnnlm does: their probability of it is a
    /// penalty in their own sum, and 0 in the mixture.
    fn add_unknown(&mut self, other: f64) {
        self.network_sum
            .add(RNNLM_UNKNOWN * std::f64::consts::LN_10);
        self.other_sum.add(other);
        self.mixture_sum.add((1.0 - self.lambda).ln() + other);
    }

    pub(super) fn summary(&self, output: &mut Output) -> Result<()> {
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
                self.mixture_sum.log10()
            ))?;
        }
        output.line(format_args!("\nPPL net: {}", self.network_sum.perplexity()))?;
        if self.has_other {
            output.line(format_args!("PPL other: {}", self.other_sum.perplexity()))?;
            output.line(format_args!(
                "PPL combine: {}",
                self.mixture_sum.perplexity()
            ))?;
        }
        Ok(())
    }
}
