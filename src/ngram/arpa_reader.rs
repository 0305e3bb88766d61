//! Reads the ARPA format: a header of counts, then the n-grams, order by order, with log10
//! probabilities and back-off weights.
//!
//! In: lines. Out: an [`NgramModel`], or an error with the line number. The format is described in
//! SRILM's manual page ngram-format(5).

use std::io::BufRead;

use super::arpa_lines::{ArpaLines, is_separator};
use super::builder::{DuplicateNgram, NgramBuilder, ProbBackoff};
use super::interpolation::{ImpossibleNgram, interpolate};
use super::{LOG10_ZERO, NgramModel};
use crate::error::{Error, Result};

/// The log10 of a probability may exceed 0 by this value, due to rounding.
const TOLERANCE: f32 = 1e-4;
/// Maximum number of n-grams of an order: ids are 32-bit numbers, one of which is reserved.
const MAX_NGRAMS: u64 = u32::MAX as u64 - 1;

/// The first word of an interpolated model of IRSTLM, and of one with quantized values.
const INTERPOLATED: &str = "iARPA";
const QUANTIZED: &str = "qARPA";

const DATA: &str = r"\data\";
const END: &str = r"\end\";
const REPLACE_FILE: &str = "Copy the file again, or generate it again";
const CORRECT_LINE: &str = "Correct the line, or generate the file again";
const DUPLICATE: &str = "Remove one of the lines and correct the count in the header";

/// Parses a model.
pub(super) fn read(lines: ArpaLines<impl BufRead>) -> Result<NgramModel> {
    let mut parser = ArpaParser {
        lines,
        counts: Vec::new(),
        model: NgramBuilder::default(),
    };
    let is_interpolated = parser.skip_to_data()?;
    parser.header()?;
    for order in 1..=parser.counts.len() {
        parser.heading(
            &format!(r"\{order}-grams:"),
            &format!("the header lists {} order(s)", parser.counts.len()),
        )?;
        parser.section(order)?;
    }
    parser.heading(
        END,
        &format!("the header lists {} order(s)", parser.counts.len()),
    )?;
    let name = parser.lines.name().to_owned();
    parser.lines.finish()?;
    let mut model = parser.model.finish();
    if is_interpolated {
        interpolate(&mut model, f64::from(TOLERANCE))
            .map_err(|ngram| impossible(&model, &ngram, &name))?;
    }
    Ok(model)
}

/// The error for a file that says it is interpolated and is not.
fn impossible(model: &NgramModel, ngram: &ImpossibleNgram, name: &str) -> Error {
    let words: Vec<&str> = ngram.words.iter().map(|&word| model.token(word)).collect();
    Error::invalid(
        format!("{name}: the {}-gram {:?}", words.len(), words.join(" ")),
        format!(
            "the header {INTERPOLATED} says that the file has discounted frequencies, and by \
             IRSTLM's rule the n-gram has the probability {:.4}",
            ngram.probability
        ),
        format!(
            "Remove the header if the file has probabilities, or convert the original with \
             IRSTLM's `compile-lm {name} new.arpa --text=yes`"
        ),
    )
}

struct ArpaParser<R> {
    lines: ArpaLines<R>,
    /// The number of n-grams of each order according to the header, starting at order 1.
    counts: Vec<u64>,
    model: NgramBuilder,
}

impl<R: BufRead> ArpaParser<R> {
    /// Advances to the line that starts the model and skips any text before it. Returns whether
    /// the first word of the text says that the model is interpolated.
    fn skip_to_data(&mut self) -> Result<bool> {
        let mut is_interpolated = None;
        while self.lines.advance()? {
            if self.lines.bytes() == DATA.as_bytes() {
                return Ok(is_interpolated.unwrap_or(false));
            }
            if is_interpolated.is_none() && !self.lines.bytes().is_empty() {
                is_interpolated = Some(self.header_word()?);
            }
        }
        Err(self.lines.invalid(
            "the end of the file",
            r"there is no line \data\, so there is no model",
            "Give an n-gram model in ARPA format",
        ))
    }

    /// Whether the line starts with the header of an interpolated model.
    fn header_word(&self) -> Result<bool> {
        let is_space = |byte: &u8| is_separator(char::from(*byte));
        let first = self.lines.bytes().split(is_space).next();
        if first == Some(QUANTIZED.as_bytes()) {
            return Err(self.lines.invalid(
                &format!("the header {QUANTIZED}"),
                "it is a model of IRSTLM with quantized values, which is not ARPA format",
                "Give the model from which IRSTLM's `quantize-lm` made it",
            ));
        }
        Ok(first == Some(INTERPOLATED.as_bytes()))
    }

    /// Advances to the next non-empty line.
    fn next_line(&mut self) -> Result<()> {
        while self.lines.advance()? {
            if !self.lines.bytes().is_empty() {
                return Ok(());
            }
        }
        Err(self.lines.invalid(
            "the end of the file",
            r"the line \end\ is missing, so the file is truncated",
            REPLACE_FILE,
        ))
    }

    /// Reads the counts, up to the first heading.
    fn header(&mut self) -> Result<()> {
        self.next_line()?;
        while !self.lines.bytes().starts_with(b"\\") {
            let count = self.header_count()?;
            self.counts.push(count);
            self.next_line()?;
        }
        if self.counts.first().is_none_or(|&count| count == 0) {
            return Err(self.lines.invalid(
                "the header",
                r"it lists no unigrams (ngram 1=…)",
                REPLACE_FILE,
            ));
        }
        Ok(())
    }

    /// Parses the count in a line of the header.
    fn header_count(&self) -> Result<u64> {
        let order = self.counts.len() + 1;
        let text = self.lines.text()?;
        let parts = text
            .strip_prefix("ngram")
            .and_then(|rest| rest.split_once('='));
        let parts = parts.and_then(|(order, count)| {
            Some((
                order.trim_matches(is_separator).parse::<usize>().ok()?,
                count.trim_matches(is_separator).parse::<u64>().ok()?,
            ))
        });
        match parts {
            Some((found, count)) if found == order && count <= MAX_NGRAMS => Ok(count),
            Some((found, _)) if found == order => Err(self.lines.invalid(
                text,
                &format!("an order has at most {MAX_NGRAMS} n-grams"),
                "Prune the model",
            )),
            Some(_) => Err(self.lines.invalid(
                text,
                &format!("orders start at 1 and increase by 1, so ngram {order}=… must follow"),
                REPLACE_FILE,
            )),
            None => Err(self.lines.invalid(
                &quoted(text),
                &format!("it must be `ngram {order}=` followed by a count, or a heading"),
                CORRECT_LINE,
            )),
        }
    }

    /// Checks that the line is the expected heading.
    fn heading(&self, expected: &str, reason: &str) -> Result<()> {
        let text = self.lines.text()?;
        if text == expected {
            return Ok(());
        }
        Err(self.lines.invalid(
            &quoted(text),
            &format!("{reason}, so {expected} must come here"),
            REPLACE_FILE,
        ))
    }

    /// Reads the n-grams of an order, up to the next heading.
    fn section(&mut self, order: usize) -> Result<()> {
        let expected = self.counts[order - 1];
        let heading_line = self.lines.line_number();
        let mut found = 0;
        self.next_line()?;
        while !self.lines.bytes().starts_with(b"\\") {
            found += 1;
            if found > expected {
                return Err(self.count_mismatch(order, "there are more"));
            }
            self.ngram(order, heading_line)?;
            self.next_line()?;
        }
        if found < expected {
            return Err(self.count_mismatch(order, &format!("there are {found}")));
        }
        self.model
            .finish_order()
            .map_err(|DuplicateNgram { first, second }| {
                self.lines.invalid_at(
                    heading_line + u64::from(second),
                    &format!("the n-gram of line {}", heading_line + u64::from(first)),
                    "it occurs here again, but each n-gram must occur only once",
                    DUPLICATE,
                )
            })
    }

    fn count_mismatch(&self, order: usize, found: &str) -> Error {
        let expected = self.counts[order - 1];
        self.lines.invalid(
            &format!("the {order}-grams"),
            &format!("the header says ngram {order}={expected}, but {found}"),
            REPLACE_FILE,
        )
    }

    /// Reads an n-gram from the current line. `heading_line` is the line of the order's heading.
    fn ngram(&mut self, order: usize, heading_line: u64) -> Result<()> {
        let text = self.lines.text()?;
        let fields = self.lines.fields()?;
        if fields.len() != order + 1 && fields.len() != order + 2 {
            let rule = format!(
                "a {order}-gram is a number, {order} word(s) and an optional second number, but \
                 this line has {} field(s)",
                fields.len()
            );
            return Err(self.lines.invalid(&quoted(text), &rule, CORRECT_LINE));
        }
        let probability = self.probability(fields[0])?;
        let backoff = fields
            .get(order + 1)
            .map_or(Ok(0.0), |field| self.backoff(order, field))?;
        let values = ProbBackoff {
            probability,
            backoff,
        };
        let words = &fields[1..=order];
        if order == 1 {
            if self.model.add_unigram(words[0], values) {
                return Ok(());
            }
            return Err(self.lines.invalid(
                &format!("the unigram {}", quoted(words[0])),
                "it occurs here again",
                DUPLICATE,
            ));
        }
        let mut ids = Vec::with_capacity(order);
        for word in words {
            let unknown_word = || {
                self.lines.invalid(
                    &format!("the word {}", quoted(word)),
                    "it is not among the unigrams",
                    CORRECT_LINE,
                )
            };
            ids.push(self.model.id(word).ok_or_else(unknown_word)?);
        }
        self.model.add(
            &ids,
            values,
            (self.lines.line_number() - heading_line).min(u64::from(u32::MAX)) as u32,
        );
        Ok(())
    }

    fn probability(&self, field: &str) -> Result<f32> {
        let value = self.number(field)?;
        if value > TOLERANCE {
            let rule = "it is the logarithm of a probability, so it must be at most 0";
            return Err(self
                .lines
                .invalid(&format!("the number {field}"), rule, CORRECT_LINE));
        }
        Ok(value.min(0.0))
    }

    fn backoff(&self, order: usize, field: &str) -> Result<f32> {
        let value = self.number(field)?;
        if order == self.counts.len() && value != 0.0 {
            let rule = format!(
                "the longest n-grams have {order} words, so there is nothing to back off from"
            );
            return Err(self.lines.invalid(
                &format!("the back-off weight {field}"),
                &rule,
                CORRECT_LINE,
            ));
        }
        Ok(value)
    }

    /// Parses a logarithm. That of 0 is -99 in this format.
    fn number(&self, field: &str) -> Result<f32> {
        match field.parse::<f32>() {
            Ok(f32::NEG_INFINITY) => Ok(LOG10_ZERO),
            Ok(value) if value.is_finite() => Ok(value),
            Ok(_) => Err(self.lines.invalid(
                &format!("the number {field}"),
                "it is not finite",
                CORRECT_LINE,
            )),
            Err(_) => Err(self
                .lines
                .invalid(&quoted(field), "it must be a number", CORRECT_LINE)),
        }
    }
}

/// The start of a text, in quotes.
fn quoted(text: &str) -> String {
    const LENGTH: usize = 60;
    let start: String = text.chars().take(LENGTH).collect();
    if start.len() < text.len() {
        format!("{start:?}…")
    } else {
        format!("{start:?}")
    }
}
