//! Reading the ARPA format: a header of counts, then the n-grams order by order with log10
//! probabilities and back-off weights.
//!
//! In: lines. Out: an [`NgramModel`], or a refusal with the line's number. The format is that of
//! SRILM's manual page ngram-format(5).

use std::io::BufRead;

use super::build::{Builder, Numbers, Twice};
use super::lines::ArpaLines;
use super::{LOG10_ZERO, NgramModel};
use crate::error::Result;

/// The logarithm of a probability may be so far above 0 by rounding.
const TOLERANCE: f32 = 1e-4;
/// N-grams of an order are numbered in 32 bits, and one number is taken.
const MOST: u64 = u32::MAX as u64 - 1;

const BEGIN: &str = r"\data\";
const END: &str = r"\end\";
const AGAIN: &str = "Copy the file again, or have the program that made it write it anew";
const CORRECT: &str = "Correct the line, or have the program that made the file write it anew";

/// Reads a model.
pub(super) fn read(lines: ArpaLines<impl BufRead>) -> Result<NgramModel> {
    let mut reader = Reader {
        lines,
        announced: Vec::new(),
        model: Builder::default(),
    };
    reader.skip_to_data()?;
    reader.header()?;
    for order in 1..=reader.announced.len() {
        reader.heading(
            &format!(r"\{order}-grams:"),
            &format!("the header announces {} order(s)", reader.announced.len()),
        )?;
        reader.section(order)?;
    }
    reader.heading(
        END,
        &format!("the header announces {} order(s)", reader.announced.len()),
    )?;
    reader.lines.finish()?;
    Ok(reader.model.finish())
}

struct Reader<R> {
    lines: ArpaLines<R>,
    /// How many n-grams the header announces, by order from 1 on.
    announced: Vec<u64>,
    model: Builder,
}

impl<R: BufRead> Reader<R> {
    /// Goes to the line that begins the model; what stands before it may be anything.
    fn skip_to_data(&mut self) -> Result<()> {
        while self.lines.advance()? {
            if self.lines.bytes() == BEGIN.as_bytes() {
                return Ok(());
            }
        }
        Err(self.lines.invalid(
            "the end of the file",
            r"no line says \data\, so there is no model",
            "Give an n-gram model in ARPA format",
        ))
    }

    /// Goes to the next line that says something.
    fn next(&mut self) -> Result<()> {
        while self.lines.advance()? {
            if !self.lines.bytes().is_empty() {
                return Ok(());
            }
        }
        Err(self.lines.invalid(
            "the end of the file",
            r"the line \end\ is missing, so the file is cut off",
            AGAIN,
        ))
    }

    /// Reads the counts, and stops at the first heading.
    fn header(&mut self) -> Result<()> {
        self.next()?;
        while !self.lines.bytes().starts_with(b"\\") {
            let count = self.announcement()?;
            self.announced.push(count);
            self.next()?;
        }
        if self.announced.first().is_none_or(|&count| count == 0) {
            return Err(self.lines.invalid(
                "the header",
                r"it announces no unigrams (ngram 1=…)",
                AGAIN,
            ));
        }
        Ok(())
    }

    /// The count in a line of the header.
    fn announcement(&self) -> Result<u64> {
        let order = self.announced.len() + 1;
        let text = self.lines.text()?;
        let parts = text
            .strip_prefix("ngram")
            .and_then(|rest| rest.split_once('='));
        let parts = parts.and_then(|(order, count)| {
            Some((
                order.trim().parse::<usize>().ok()?,
                count.trim().parse::<u64>().ok()?,
            ))
        });
        match parts {
            Some((found, count)) if found == order && count <= MOST => Ok(count),
            Some((found, _)) if found == order => Err(self.lines.invalid(
                text,
                &format!("an order holds at most {MOST} n-grams"),
                "Prune it",
            )),
            Some(_) => Err(self.lines.invalid(
                text,
                &format!("the orders begin with 1 and rise by 1, so ngram {order}=… must come"),
                AGAIN,
            )),
            None => Err(self.lines.invalid(
                &quoted(text),
                &format!("it must be `ngram {order}=` and a count, or a heading"),
                CORRECT,
            )),
        }
    }

    /// Checks that the line is the heading that must come.
    fn heading(&self, expected: &str, because: &str) -> Result<()> {
        let text = self.lines.text()?;
        if text == expected {
            return Ok(());
        }
        Err(self.lines.invalid(
            &quoted(text),
            &format!("{because}, and {expected} must come here"),
            AGAIN,
        ))
    }

    /// Reads the n-grams of an order, and stops at the next heading.
    fn section(&mut self, order: usize) -> Result<()> {
        let announced = self.announced[order - 1];
        let first = self.lines.number();
        let mut found = 0;
        self.next()?;
        while !self.lines.bytes().starts_with(b"\\") {
            found += 1;
            if found > announced {
                return Err(self.wrong_count(order, "there are more"));
            }
            self.ngram(order, first)?;
            self.next()?;
        }
        if found < announced {
            return Err(self.wrong_count(order, &format!("there are {found}")));
        }
        self.model
            .finish_order()
            .map_err(|Twice { first: one, second }| {
                self.lines.refused_at(
                    first + u64::from(second),
                    &format!("the n-gram of line {}", first + u64::from(one)),
                    "it stands here once more, and each may stand once",
                    "Remove one of the lines and correct the count in the header",
                )
            })
    }

    fn wrong_count(&self, order: usize, found: &str) -> crate::error::Error {
        let announced = self.announced[order - 1];
        self.lines.invalid(
            &format!("the {order}-grams"),
            &format!("the header says ngram {order}={announced}, and {found}"),
            AGAIN,
        )
    }

    /// Reads a line of an order's section, whose heading's line is given.
    fn ngram(&mut self, order: usize, heading: u64) -> Result<()> {
        let text = self.lines.text()?;
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        if fields.len() != order + 1 && fields.len() != order + 2 {
            let rule = format!(
                "a {order}-gram is a number, {order} word(s) and perhaps one number more, and here \
                 are {} field(s)",
                fields.len()
            );
            return Err(self.lines.invalid(&quoted(text), &rule, CORRECT));
        }
        let probability = self.probability(fields[0])?;
        let backoff = fields
            .get(order + 1)
            .map_or(Ok(0.0), |field| self.backoff(order, field))?;
        let numbers = Numbers {
            probability,
            backoff,
        };
        let words = &fields[1..=order];
        if order == 1 {
            if self.model.add_unigram(words[0], numbers) {
                return Ok(());
            }
            let hint = "Remove one of the lines and correct the count in the header";
            return Err(self.lines.invalid(
                &format!("the unigram {}", quoted(words[0])),
                "it stands here once more",
                hint,
            ));
        }
        let mut ids = Vec::with_capacity(order);
        for word in words {
            let refused = || {
                self.lines.invalid(
                    &format!("the word {}", quoted(word)),
                    "it is not among the unigrams",
                    CORRECT,
                )
            };
            ids.push(self.model.id(word).ok_or_else(refused)?);
        }
        self.model.add(
            &ids,
            numbers,
            (self.lines.number() - heading).min(u64::from(u32::MAX)) as u32,
        );
        Ok(())
    }

    fn probability(&self, field: &str) -> Result<f32> {
        let value = self.number(field)?;
        if value > TOLERANCE {
            let rule = "it is the logarithm of a probability, so at most 0";
            return Err(self
                .lines
                .invalid(&format!("the number {field}"), rule, CORRECT));
        }
        Ok(value.min(0.0))
    }

    fn backoff(&self, order: usize, field: &str) -> Result<f32> {
        let value = self.number(field)?;
        if order == self.announced.len() && value != 0.0 {
            let rule = format!(
                "nothing is longer than {order} words here, so there is nothing to back off from"
            );
            return Err(self.lines.invalid(
                &format!("the back-off weight {field}"),
                &rule,
                CORRECT,
            ));
        }
        Ok(value)
    }

    /// A logarithm; that of 0 as the format writes it.
    fn number(&self, field: &str) -> Result<f32> {
        match field.parse::<f32>() {
            Ok(f32::NEG_INFINITY) => Ok(LOG10_ZERO),
            Ok(value) if value.is_finite() => Ok(value),
            Ok(_) => {
                Err(self
                    .lines
                    .invalid(&format!("the number {field}"), "it is not finite", CORRECT))
            }
            Err(_) => Err(self
                .lines
                .invalid(&quoted(field), "it must be a number", CORRECT)),
        }
    }
}

/// The beginning of a text in quotes.
fn quoted(text: &str) -> String {
    const LENGTH: usize = 60;
    let begin: String = text.chars().take(LENGTH).collect();
    if begin.len() < text.len() {
        format!("{begin:?}…")
    } else {
        format!("{begin:?}")
    }
}
