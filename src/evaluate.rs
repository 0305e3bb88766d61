//! Evaluation of a model on a text: log-probability, entropy, perplexity.
//!
//! In: a model and a tokenized text. Out: an [`Evaluation`].

mod evaluator;

use serde::Serialize;

use crate::corpus::{TextReport, TextSize};
use crate::error::{Error, Result};
pub use evaluator::{Evaluator, check_streams, nearly_exact_streams, warm_up};

/// The result of evaluating a model on a text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Evaluation {
    /// Tokens predicted, including sentence ends.
    pub tokens: usize,
    /// Unknown words, which are skipped.
    pub oov: usize,
    /// log10 probability of the text.
    pub log10_prob: f64,
    /// Entropy in bits per token.
    pub entropy_bits: f64,
    /// 2 to the power of the entropy; infinite where that is too large for a number.
    pub perplexity: f64,
    /// The mean loss in nats per token.
    #[serde(skip)]
    loss: f64,
}

impl Evaluation {
    /// Computes the measures from the sum of losses in nats.
    ///
    /// # Errors
    /// If no token was predicted or the sum is not finite.
    pub fn new(nats: f64, tokens: usize, oov: usize) -> Result<Self> {
        if tokens == 0 {
            return Err(Error::invalid(
                "the text",
                "none of its words is in the vocabulary",
                "Use a text like the one the model was trained on",
            ));
        }
        if !nats.is_finite() {
            return Err(Error::invalid(
                format!("a sum of losses of {nats}"),
                "it must be finite",
                "The model is damaged or its training diverged",
            ));
        }
        let mean = nats / tokens as f64;
        Ok(Self {
            tokens,
            oov,
            log10_prob: -nats / std::f64::consts::LN_10,
            entropy_bits: mean / std::f64::consts::LN_2,
            perplexity: mean.exp(),
            loss: mean,
        })
    }

    /// The evaluation of several texts together.
    ///
    /// # Errors
    /// If there is none.
    pub fn of_all<'a>(texts: impl Iterator<Item = &'a Self> + Clone) -> Result<Self> {
        Self::new(
            texts.clone().map(Self::nats).sum(),
            texts.clone().map(|text| text.tokens).sum(),
            texts.map(|text| text.oov).sum(),
        )
    }

    /// The sum of the losses in nats.
    fn nats(&self) -> f64 {
        -self.log10_prob * std::f64::consts::LN_10
    }

    /// The mean loss in nats per token.
    pub fn loss(&self) -> f64 {
        self.loss
    }

    /// The evaluation per word and per character, which does not depend on what a token is.
    pub fn by_text(&self, text: &TextReport) -> TextEvaluation {
        let incomparable = match (text.size, self.oov, text.unknown.read_as_unk) {
            (None, ..) => {
                Some("the text is not UTF-8, so it has no words and characters".to_owned())
            }
            (_, 1.., _) => Some(format!(
                "{} unknown token(s) were skipped, and what they would have cost is not known",
                self.oov
            )),
            (.., 1..) => Some(format!(
                "{} token(s) were read as <unk>, and what they are would cost more",
                text.unknown.read_as_unk
            )),
            _ => None,
        };
        let nats = self.nats();
        let mean = |count: fn(TextSize) -> u64| {
            let size = text.size.filter(|_| incomparable.is_none())?;
            Some(nats / count(size) as f64)
        };
        let bits = |nats: f64| nats / std::f64::consts::LN_2;
        let (word, character) = (mean(|size| size.words), mean(|size| size.characters));
        TextEvaluation {
            words: text.size.map(|size| size.words),
            characters: text.size.map(|size| size.characters),
            word_perplexity: word.map(f64::exp),
            bits_per_word: word.map(bits),
            character_perplexity: character.map(f64::exp),
            bits_per_character: character.map(bits),
            incomparable,
        }
    }
}

/// Measures per word and per character of a text. They allow comparing models of words, characters,
/// bytes and subwords.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextEvaluation {
    /// Words and sentence ends, as models of words count them; none if the text is not UTF-8.
    pub words: Option<u64>,
    /// Unicode scalar values, including newlines; none if the text is not UTF-8.
    pub characters: Option<u64>,
    /// Perplexity per word: e to the power of the text's nats divided by its words; infinite where
    /// that is too large for a number, none if the model did not predict the whole text.
    pub word_perplexity: Option<f64>,
    /// The base-2 logarithm of the perplexity per word, which is finite.
    pub bits_per_word: Option<f64>,
    /// Perplexity per character, likewise.
    pub character_perplexity: Option<f64>,
    /// The base-2 logarithm of the perplexity per character, which is finite.
    pub bits_per_character: Option<f64>,
    /// Why the last four are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomparable: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::UnknownWords;

    #[test]
    fn uniform_model_per_word_and_character() {
        // "ab c" and its newline: 5 characters, 3 words with `</s>`. With 8 equally likely
        // characters, each costs 3 bits.
        let size = Some(TextSize {
            words: 3,
            characters: 5,
        });
        let of = |oov, report: TextReport| {
            Evaluation::new(5.0 * 8_f64.ln(), 5, oov)
                .expect("finite")
                .by_text(&report)
        };
        let found = of(
            0,
            TextReport {
                size,
                ..TextReport::default()
            },
        );
        assert_eq!(
            (found.words, found.characters, &found.incomparable),
            (Some(3), Some(5), &None)
        );
        let close = |found: Option<f64>, want: f64| {
            found.is_some_and(|found| (found - want).abs() < 1e-12 * want)
        };
        assert!(close(found.word_perplexity, 32.0), "{found:?}");
        assert!(
            close(found.character_perplexity, 8.0) && close(found.bits_per_character, 3.0),
            "{found:?}"
        );
        for (oov, size, replaced, why) in [
            (1, size, 0, "skipped"),
            (0, size, 2, "<unk>"),
            (0, None, 0, "UTF-8"),
        ] {
            let found = of(
                oov,
                TextReport {
                    size,
                    unknown: UnknownWords {
                        read_as_unk: replaced,
                        ..UnknownWords::default()
                    },
                    ..TextReport::default()
                },
            );
            assert_eq!(
                (
                    found.word_perplexity,
                    found.character_perplexity,
                    found.bits_per_character
                ),
                (None, None, None)
            );
            assert!(
                found
                    .incomparable
                    .is_some_and(|reason| reason.contains(why)),
                "{why}"
            );
        }
    }
}
