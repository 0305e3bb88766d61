//! Measuring a text: log-probability, entropy, perplexity.

use serde::Serialize;

use crate::corpus::{Streams, TextReport, TextSize, Tokens};
use crate::data_loader::{DataLoader, Mode};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::model::{Capacity, Model, Workspace};

/// What a model says of a text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Evaluation {
    /// Tokens that were predicted, sentence ends among them.
    pub tokens: usize,
    /// Unknown words that were skipped.
    pub oov: usize,
    /// The text's log10 probability.
    pub log10_prob: f64,
    /// Bits a token.
    pub entropy_bits: f64,
    /// 2 to the entropy.
    pub perplexity: f64,
}

impl Evaluation {
    /// From the sum of losses in nats.
    ///
    /// # Errors
    /// If the sum is not finite or nothing was predicted.
    pub fn new(nats: f64, tokens: usize, oov: usize) -> Result<Self> {
        if tokens == 0 {
            return Err(Error::invalid(
                "the text",
                "none of its words is in the vocabulary",
                "Give a text like the one the model was trained on",
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
        })
    }

    /// Nats a token.
    pub fn loss(&self) -> f64 {
        self.perplexity.ln()
    }

    /// The same by measures of the text that do not depend on what a token is.
    pub fn by_text(&self, text: &TextReport) -> TextEvaluation {
        let incomparable = match (text.size, self.oov, text.replaced) {
            (None, ..) => {
                Some("the text is not UTF-8, so it has no words and characters".to_owned())
            }
            (_, 1.., _) => Some(format!(
                "{} unknown token(s) were skipped, and what they would have cost is not known",
                self.oov
            )),
            (.., 1..) => Some(format!(
                "{} token(s) were read as <unk>, and what they are would cost more",
                text.replaced
            )),
            _ => None,
        };
        let nats = -self.log10_prob * std::f64::consts::LN_10;
        let mean = |count: fn(TextSize) -> u64| {
            let size = text.size.filter(|_| incomparable.is_none())?;
            // A text of one endless word may have a perplexity beyond all numbers.
            Some(nats / count(size) as f64).filter(|mean| mean.exp().is_finite())
        };
        let (word, character) = (mean(|size| size.words), mean(|size| size.characters));
        TextEvaluation {
            words: text.size.map(|size| size.words),
            characters: text.size.map(|size| size.characters),
            word_perplexity: word.map(f64::exp),
            character_perplexity: character.map(f64::exp),
            bits_per_character: character.map(|mean| mean / std::f64::consts::LN_2),
            incomparable,
        }
    }
}

/// What a model says of a text, by measures of the text itself: models of words, characters, bytes
/// and subwords compare by these.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextEvaluation {
    /// Words between white space, and ends of lines; none where the text is not UTF-8.
    pub words: Option<u64>,
    /// Unicode scalar values, newlines among them; none where the text is not UTF-8.
    pub characters: Option<u64>,
    /// e to the nats of the whole text divided by its words; none where the model did not predict
    /// all of the text.
    pub word_perplexity: Option<f64>,
    /// The same by its characters.
    pub character_perplexity: Option<f64>,
    /// The base-2 logarithm of that.
    pub bits_per_character: Option<f64>,
    /// Why the last three are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomparable: Option<String>,
}

/// Reads texts with one stream, the state carried from sentence to sentence or begun afresh with
/// each.
#[derive(Debug)]
pub struct Evaluator {
    workspace: Workspace,
}

impl Evaluator {
    /// Steps of a window: enough rows for a good product, few enough for one dispatch.
    const TIME_STEPS: usize = 512;

    /// Makes room for windows of one stream. `independent`: every sentence begins with the initial
    /// state.
    ///
    /// # Errors
    /// If something is too large for the device.
    pub fn new(device: &mut Device, model: &Model, independent: bool) -> Result<Self> {
        let capacity = Capacity {
            batch: 1,
            time_steps: Self::TIME_STEPS,
            independent,
            ..Capacity::default()
        };
        Ok(Self {
            workspace: Workspace::new(device, model, capacity)?,
        })
    }

    /// Measures a text from the initial state on; before it stands the boundary.
    ///
    /// # Errors
    /// If the device failed, nothing could be predicted, or the losses are not finite.
    pub fn evaluate(
        &self,
        device: &mut Device,
        model: &Model,
        tokens: &Tokens,
    ) -> Result<Evaluation> {
        self.workspace.reset(device);
        let mut loader = DataLoader::new(
            device,
            Streams::single(tokens, Self::TIME_STEPS),
            Mode::Eval,
        )?;
        let mut nats = 0.0;
        for number in 0..loader.streams().windows() {
            let (window, _) = loader.window(device, &self.workspace, number, 0);
            model.forward(device, &self.workspace, &window);
            model.losses(device, &self.workspace, &window);
            nats += device
                .download(&self.workspace.losses(&window))?
                .iter()
                .map(|&loss| f64::from(loss))
                .sum::<f64>();
        }
        loader.release(device);
        Evaluation::new(nats, tokens.known(), tokens.len() - tokens.known())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uniform_model_by_words_and_characters() {
        // "ab c" and its end: 5 characters, 3 words and ends. Of 8 equally likely characters each
        // costs 3 bits.
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
                    replaced,
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
