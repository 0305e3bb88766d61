//! Prints the scores of lines.

use serde_json::{Value, json};

use super::{ScoreFlags, ScoreFormat};
use crate::cli::output::Output;
use crate::corpus::{UnknownWords, Vocabulary};
use crate::error::Result;
use crate::score::Score;

/// Prints scores, or collects them for the JSON object.
pub(super) struct ScorePrinter<'a> {
    flags: &'a ScoreFlags,
    vocabulary: &'a Vocabulary,
    output: Output,
    report: ScoreReport,
    /// The unknown words of all lines.
    unknown: UnknownWords,
}

impl<'a> ScorePrinter<'a> {
    pub(super) fn new(flags: &'a ScoreFlags, vocabulary: &'a Vocabulary) -> Self {
        Self {
            flags,
            vocabulary,
            output: Output::new(),
            report: ScoreReport::default(),
            unknown: UnknownWords::default(),
        }
    }

    pub(super) fn print(
        &mut self,
        score: Score,
        sentence: &[u32],
        unknown: UnknownWords,
    ) -> Result<()> {
        self.unknown += unknown;
        if self.flags.json {
            self.report.add(score, unknown, self.flags.per_token);
            return Ok(());
        }
        if self.flags.format != Some(ScoreFormat::Rnnlm) {
            return self.output.line(text(&score, self.flags.per_token));
        }
        let tokens = sentence.iter().copied().chain([0]);
        for (token, log10_prob) in tokens.zip(score.token_log10_probs) {
            match log10_prob {
                None => self.output.line("-1\t0\t\tOOV")?,
                Some(log10_prob) => self.output.line(format_args!(
                    "{token}\t{:.10}\t{}",
                    10_f64.powf(log10_prob),
                    self.vocabulary.token(token)
                ))?,
            }
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.output.flush()
    }

    /// Prints the JSON object, if it is requested.
    pub(super) fn finish(mut self) -> Result<()> {
        if self.flags.json {
            self.output.json(&self.report.json(self.flags.per_token))?;
        }
        self.output.flush()?;
        if self.unknown.oov_words > 0 {
            note_line!("unknown words: {}", self.unknown);
        }
        Ok(())
    }
}

/// The score of a line as text: numbers separated by tabs, `OOV` for an unknown word.
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

/// The JSON object: an array over the lines for each measure.
#[derive(Default)]
struct ScoreReport {
    log10_prob: Vec<f64>,
    tokens: Vec<usize>,
    oov: Vec<usize>,
    oov_words: Vec<u64>,
    predicted_as_unk: Vec<u64>,
    token_log10_probs: Vec<Vec<Option<f64>>>,
}

impl ScoreReport {
    fn add(&mut self, score: Score, unknown: UnknownWords, per_token: bool) {
        self.log10_prob.push(score.log10_prob);
        self.tokens.push(score.tokens);
        self.oov.push(score.oov);
        self.oov_words.push(unknown.oov_words);
        self.predicted_as_unk.push(unknown.predicted_as_unk);
        if per_token {
            self.token_log10_probs.push(score.token_log10_probs);
        }
    }

    fn json(self, per_token: bool) -> Value {
        let mut value = json!({
            "log10_prob": self.log10_prob,
            "tokens": self.tokens,
            "oov": self.oov,
            "oov_words": self.oov_words,
            "predicted_as_unk": self.predicted_as_unk,
        });
        if per_token {
            value["token_log10_probs"] = json!(self.token_log10_probs);
        }
        value
    }
}
