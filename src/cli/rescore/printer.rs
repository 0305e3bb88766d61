//! Ranks the hypotheses of a list and prints lists.

use serde_json::json;

use super::{RescoreFlags, RescoreOutput};
use crate::cli::output::Output;
use crate::corpus::UnknownWords;
use crate::error::Result;
use crate::rescore::{Hypothesis, ListIds, NbestList};

/// A list with the scores of its hypotheses.
pub(super) struct RankedList {
    pub(super) list: NbestList,
    /// log10 P of each hypothesis by the models.
    log10_probs: Vec<f64>,
    /// The total score of each hypothesis.
    totals: Vec<f64>,
    /// The unknown words of each hypothesis.
    unknown: Vec<UnknownWords>,
    /// The indices of the hypotheses, the best first. Equal hypotheses keep the order of the list.
    pub(super) order: Vec<usize>,
}

impl RankedList {
    /// Takes the list's scores from `scores`.
    pub(super) fn new(
        list: NbestList,
        scores: impl Iterator<Item = f64>,
        unknown: Vec<UnknownWords>,
        flags: &RescoreFlags,
    ) -> Self {
        let log10_probs: Vec<f64> = scores.take(list.hypotheses.len()).collect();
        let totals: Vec<f64> = list
            .hypotheses
            .iter()
            .zip(&log10_probs)
            .map(|(hypothesis, &log10_prob)| total(hypothesis, log10_prob, flags))
            .collect();
        let mut order: Vec<usize> = (0..totals.len()).collect();
        order.sort_by(|&a, &b| totals[b].total_cmp(&totals[a]));
        Self {
            list,
            log10_probs,
            totals,
            unknown,
            order,
        }
    }
}

/// The total score of a hypothesis.
fn total(hypothesis: &Hypothesis, log10_prob: f64, flags: &RescoreFlags) -> f64 {
    let weight = flags.old_lm_weight;
    // With weight 0, an old score of minus infinity has no effect.
    let language = if weight > 0.0 {
        (1.0 - weight) * log10_prob + weight * hypothesis.language.unwrap_or(0.0)
    } else {
        log10_prob
    };
    hypothesis.acoustic
        + flags.lm_scale * language
        + flags.word_penalty * hypothesis.words.len() as f64
}

/// Prints lists, or collects them for the JSON object.
pub(super) struct RescorePrinter<'a> {
    flags: &'a RescoreFlags,
    output: Output,
    json_lists: Vec<serde_json::Value>,
    /// The unknown words of all hypotheses.
    unknown: UnknownWords,
}

impl<'a> RescorePrinter<'a> {
    pub(super) fn new(flags: &'a RescoreFlags) -> Self {
        Self {
            flags,
            output: Output::new(),
            json_lists: Vec::new(),
            unknown: UnknownWords::default(),
        }
    }

    pub(super) fn print(&mut self, ranked: RankedList) -> Result<()> {
        let RankedList {
            list,
            log10_probs,
            totals,
            unknown,
            order,
        } = ranked;
        unknown.iter().for_each(|words| self.unknown += *words);
        if self.flags.json {
            let each = |count: fn(&UnknownWords) -> u64| -> Vec<u64> {
                unknown.iter().map(count).collect()
            };
            self.json_lists.push(json!({
                "id": list.id,
                "log10_prob": log10_probs,
                "score": totals,
                "best": order[0],
                "oov_words": each(|words| words.oov_words),
                "predicted_as_unk": each(|words| words.predicted_as_unk),
            }));
            return Ok(());
        }
        let id = match self.flags.ids {
            ListIds::FirstColumn => Some(list.id),
            ListIds::None => None,
        };
        // An empty hypothesis leaves no space at the end of its line.
        let line = |index: usize, total: Option<String>| {
            let words = list.hypotheses[index].words.iter().cloned();
            let fields: Vec<String> = id.clone().into_iter().chain(total).chain(words).collect();
            fields.join(" ")
        };
        match self.flags.output {
            RescoreOutput::Scores => {
                for log10_prob in log10_probs {
                    self.output.line(format_args!("{log10_prob:.6}"))?;
                }
            }
            RescoreOutput::Best => {
                self.output.line(line(order[0], None))?;
            }
            RescoreOutput::Ranked => {
                for index in order {
                    let total = format!("{:.6}", totals[index]);
                    self.output.line(line(index, Some(total)))?;
                }
                // Lists without names are separated by empty lines.
                if id.is_none() {
                    self.output.line("")?;
                }
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
            self.output.json(&json!({ "lists": self.json_lists }))?;
        }
        self.output.flush()?;
        let UnknownWords {
            oov_words,
            read_as_unk,
            ..
        } = self.unknown;
        if oov_words > 0 {
            note_line!(
                "unknown words: {oov_words} ({read_as_unk} read as <unk>, {} given the unknown \
                 penalty alone)",
                oov_words - read_as_unk
            );
        }
        Ok(())
    }
}
