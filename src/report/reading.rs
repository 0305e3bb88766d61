//! What a model expects of a text: surprisals, the likeliest tokens, losses by rank, calibration.

use std::f64::consts::LN_2;

use rayon::prelude::*;
use serde::Serialize;

use super::largest::Largest;
use super::pass::WindowValues;
use super::tokens::name;
use crate::checkpoint::Checkpoint;
use crate::corpus::Tokens;
use crate::error::Result;
use crate::evaluate::Evaluation;
use crate::tensor::NONE;

/// The number of likeliest tokens of a position.
const LIKELIEST: usize = 5;
/// The number of equal intervals of probability in a calibration.
const BINS: usize = 10;

/// A model on a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reading {
    /// Perplexity and counts over the whole text, as `elman eval` reports them.
    #[serde(flatten)]
    pub evaluation: Evaluation,
    /// The tokens of the excerpt.
    pub excerpt: Vec<TokenReading>,
    /// Losses by rank in the vocabulary, over the whole text.
    pub bands: Vec<Band>,
    /// Whether the model's confidence is justified.
    pub calibration: Calibration,
}

/// A token of the excerpt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TokenReading {
    /// Surprisal, -log2 of its probability; none for an unknown word, which is skipped.
    pub bits: Option<f64>,
    /// Entropy of the distribution in bits: the surprisal that the model expects.
    pub entropy_bits: f64,
    /// The likeliest tokens, most likely first.
    pub likeliest: Vec<LikelyToken>,
}

/// A token that the model expects.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LikelyToken {
    /// The token, with signs for spaces and newlines.
    pub token: String,
    /// Its probability.
    pub probability: f64,
}

/// The tokens whose ranks in the vocabulary are in a range. A vocabulary that was made from the
/// training text is sorted by frequency there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Band {
    /// The ranks, such as `11 to 100`.
    pub ranks: String,
    /// Number of tokens of the text.
    pub tokens: usize,
    /// Their mean surprisal in bits.
    pub bits: f64,
    /// Their part in the text's surprisal.
    pub share: f64,
}

/// How often the likeliest token is right, by the probability that the model gives it, for tokens
/// spread evenly over the text.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Calibration {
    /// Number of tokens that it is measured on.
    pub tokens: usize,
    /// Mean entropy of their distributions in bits: the surprisal that the model expects.
    pub expected_bits: f64,
    /// Their mean surprisal in bits.
    pub bits: f64,
    /// Intervals of probability with at least one token.
    pub bins: Vec<CalibrationBin>,
    /// The mean distance of confidence and accuracy, weighted by tokens: 0 is perfect.
    pub error: f64,
}

/// The tokens at which the likeliest token has a probability in an interval.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CalibrationBin {
    /// Number of tokens.
    pub tokens: usize,
    /// Mean probability of the likeliest token.
    pub confidence: f64,
    /// How often it is the token of the text.
    pub accuracy: f64,
}

/// Ends of the bands of ranks; the boundary has rank 0.
const BANDS: [u32; 5] = [0, 10, 100, 1000, 10_000];

/// Collects a [`Reading`].
pub(super) struct ReadingCollector<'a> {
    checkpoint: &'a Checkpoint,
    tokens: &'a Tokens,
    excerpt_len: usize,
    nats: f64,
    bands: [(usize, f64); BANDS.len() + 1],
    excerpt: Vec<TokenReading>,
    bins: [CalibrationBin; BINS],
    expected: f64,
    surprisal: f64,
}

/// A distribution in a few figures.
struct Summary {
    entropy: f64,
    /// ln P and ids.
    likeliest: Largest<u32, LIKELIEST>,
}

impl<'a> ReadingCollector<'a> {
    pub(super) fn new(checkpoint: &'a Checkpoint, tokens: &'a Tokens, excerpt_len: usize) -> Self {
        Self {
            checkpoint,
            tokens,
            excerpt_len,
            nats: 0.0,
            bands: Default::default(),
            excerpt: Vec::new(),
            bins: Default::default(),
            expected: 0.0,
            surprisal: 0.0,
        }
    }

    pub(super) fn take(&mut self, window: &WindowValues<'_>) {
        for (position, &loss) in window.positions.clone().zip(window.losses) {
            let id = self.tokens.get(position);
            if id != NONE {
                let loss = f64::from(loss);
                self.nats += loss;
                let band = &mut self.bands[band_of(id)];
                *band = (band.0 + 1, band.1 + loss);
            }
        }
        let Some(log_probs) = window.log_probs else {
            return;
        };
        let rows = log_probs.par_chunks_exact(self.checkpoint.vocabulary.len());
        let summaries: Vec<Summary> = rows.map(Summary::of).collect();
        for (index, summary) in summaries.iter().enumerate() {
            let position = window.positions.start + index;
            let loss = f64::from(window.losses[index]);
            self.add(self.tokens.get(position), loss, summary);
            if position < self.excerpt_len {
                let reading = self.token(self.tokens.get(position), loss, summary);
                self.excerpt.push(reading);
            }
        }
    }

    /// Adds a token to the calibration.
    fn add(&mut self, id: u32, loss: f64, summary: &Summary) {
        let Some(&(log_prob, likeliest)) = summary.likeliest.iter().next() else {
            return;
        };
        if id == NONE {
            return;
        }
        let confidence = f64::from(log_prob).exp();
        let bin = &mut self.bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
        bin.tokens += 1;
        bin.confidence += confidence;
        bin.accuracy += f64::from(u8::from(likeliest == id));
        self.expected += summary.entropy;
        self.surprisal += loss;
    }

    fn token(&self, id: u32, loss: f64, summary: &Summary) -> TokenReading {
        let (unit, vocabulary) = (
            self.checkpoint.description.unit,
            &self.checkpoint.vocabulary,
        );
        let likely = |&(log_prob, id): &(f32, u32)| LikelyToken {
            token: name(id, unit, vocabulary),
            probability: f64::from(log_prob).exp(),
        };
        TokenReading {
            bits: (id != NONE).then_some(loss / LN_2),
            entropy_bits: summary.entropy / LN_2,
            likeliest: summary.likeliest.iter().map(likely).collect(),
        }
    }

    /// The figures.
    ///
    /// # Errors
    /// If no token was known or the losses are not finite.
    pub(super) fn finish(self) -> Result<Reading> {
        let known = self.tokens.known();
        let evaluation = Evaluation::new(self.nats, known, self.tokens.len() - known)?;
        let bands = self.bands.iter().enumerate().filter(|(_, band)| band.0 > 0);
        let nats = self.nats;
        let bands = bands.map(|(index, &(tokens, sum))| Band {
            ranks: band_name(index),
            tokens,
            bits: sum / tokens as f64 / LN_2,
            share: if nats > 0.0 { sum / nats } else { 0.0 },
        });
        Ok(Reading {
            evaluation,
            bands: bands.collect(),
            excerpt: self.excerpt,
            calibration: Calibration::of(&self.bins, self.expected / LN_2, self.surprisal / LN_2),
        })
    }
}

impl Calibration {
    /// From sums over tokens.
    fn of(sums: &[CalibrationBin], expected: f64, surprisal: f64) -> Self {
        let tokens: usize = sums.iter().map(|bin| bin.tokens).sum();
        let used = sums.iter().filter(|bin| bin.tokens > 0);
        let bins = used.map(|sum| CalibrationBin {
            tokens: sum.tokens,
            confidence: sum.confidence / sum.tokens as f64,
            accuracy: sum.accuracy / sum.tokens as f64,
        });
        let count = tokens.max(1) as f64;
        let distances = sums.iter().map(|sum| (sum.confidence - sum.accuracy).abs());
        Self {
            tokens,
            expected_bits: expected / count,
            bits: surprisal / count,
            bins: bins.collect(),
            error: distances.sum::<f64>() / count,
        }
    }
}

impl Summary {
    fn of(log_probs: &[f32]) -> Self {
        let mut likeliest = Largest::default();
        let mut entropy = 0.0;
        for (id, &log_prob) in (0..).zip(log_probs) {
            let probability = log_prob.exp();
            if probability > 0.0 {
                entropy -= f64::from(probability) * f64::from(log_prob);
            }
            likeliest.offer(log_prob, id);
        }
        Self { entropy, likeliest }
    }
}

/// The index of the band of a rank.
fn band_of(id: u32) -> usize {
    BANDS.partition_point(|&end| end < id)
}

fn band_name(index: usize) -> String {
    match (
        index.checked_sub(1).map(|before| BANDS[before] + 1),
        BANDS.get(index),
    ) {
        (None, _) => "end of line".to_owned(),
        (Some(first), Some(last)) => format!("{first} to {last}"),
        (Some(first), None) => format!("from {first}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_has_its_entropy_and_its_likeliest_types() {
        let probabilities: [f32; 7] = [0.25, 0.0, 0.125, 0.125, 0.25, 0.125, 0.125];
        let log_probs = probabilities.map(f32::ln);
        let summary = Summary::of(&log_probs);
        assert!(
            (summary.entropy / LN_2 - 2.5).abs() < 1e-6,
            "{}",
            summary.entropy
        );
        let ids: Vec<_> = summary.likeliest.iter().map(|it| it.1).collect();
        assert_eq!(ids, [0, 4, 2, 3, 5]);
    }

    #[test]
    fn bands_of_ranks_have_no_gap() {
        for (id, name) in [
            (0, "end of line"),
            (1, "1 to 10"),
            (10, "1 to 10"),
            (11, "11 to 100"),
            (10_000, "1001 to 10000"),
            (10_001, "from 10001"),
        ] {
            assert_eq!(band_name(band_of(id)), name, "{id}");
        }
    }

    #[test]
    fn calibration_of_a_confident_model() {
        let mut bins: [CalibrationBin; BINS] = Default::default();
        bins[9] = CalibrationBin {
            tokens: 4,
            confidence: 3.8,
            accuracy: 3.0,
        };
        let found = Calibration::of(&bins, 4.0, 8.0);
        assert_eq!(
            (found.tokens, found.expected_bits, found.bits),
            (4, 1.0, 2.0)
        );
        assert!((found.error - 0.2).abs() < 1e-12, "{found:?}");
        assert_eq!(found.bins.len(), 1);
    }
}
