//! The table of a comparison, as text and as JSON.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{CompareFlags, SharedCorpus};
use crate::cli::message::message;
use crate::cli::output::Output;
use crate::cli::perplexity::perplexity;
use crate::corpus::Tokens;
use crate::error::{Error, Result};
use crate::evaluate::Evaluation;

/// Where a row comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// A model that the comparison has trained.
    Trained,
    /// A model that existed.
    Model,
    /// The n-gram model.
    Ngram,
}

/// What is known of a model.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) directory: Option<PathBuf>,
    /// The number of parameters, or of n-grams.
    pub(super) parameters: Option<usize>,
    pub(super) vocab_size: Option<usize>,
    pub(super) epochs: Option<usize>,
    /// The time of training and validation.
    pub(super) seconds: Option<f64>,
    pub(super) tokens_per_second: Option<f64>,
    /// Whether the budget of time ended training before its last epoch.
    pub(super) cut_short: bool,
    /// On the validation text.
    pub(super) valid: Option<Evaluation>,
    /// On the test text.
    pub(super) test: Option<Evaluation>,
    /// With dynamic evaluation, on the test text or else on the validation text.
    pub(super) dynamic: Option<Evaluation>,
    /// Mixed with the n-gram model, likewise.
    pub(super) mixed: Option<Evaluation>,
    /// The weight of the model in that mixture.
    pub(super) mixed_weight: Option<f64>,
    pub(super) notes: Vec<String>,
    /// Why there are no figures.
    pub(super) error: Option<String>,
}

impl Row {
    /// A row without figures.
    pub(super) fn new(name: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            directory: None,
            parameters: None,
            vocab_size: None,
            epochs: None,
            seconds: None,
            tokens_per_second: None,
            cut_short: false,
            valid: None,
            test: None,
            dynamic: None,
            mixed: None,
            mixed_weight: None,
            notes: Vec::new(),
            error: None,
        }
    }

    /// A model that could not be trained or evaluated.
    pub(super) fn failed(name: &str, kind: Kind, error: &Error) -> Self {
        Self {
            error: Some(message(error)),
            ..Self::new(name, kind)
        }
    }

    pub(super) fn is_failed(&self) -> bool {
        self.error.is_some()
    }

    /// The cells of the row in these columns.
    fn cells(&self, columns: &Columns) -> Vec<String> {
        let number = |value: Option<usize>| value.map(|value| value.to_string());
        let decimals = |value: Option<f64>, count: usize| value.map(|x| format!("{x:.count$}"));
        let figure = |value: &Option<Evaluation>| {
            value.map(|value| perplexity(value.perplexity, value.loss(), 4))
        };
        let cells = [
            (true, number(self.parameters)),
            (true, decimals(self.seconds, 1)),
            (true, decimals(self.tokens_per_second, 0)),
            (true, figure(&self.valid)),
            (columns.test, figure(&self.test)),
            (columns.dynamic, figure(&self.dynamic)),
            (columns.mixed, figure(&self.mixed)),
        ];
        let shown = cells.into_iter().filter(|(is_shown, _)| *is_shown);
        let shown = shown.map(|(_, cell)| cell.unwrap_or_else(|| "-".to_owned()));
        std::iter::once(self.name.clone()).chain(shown).collect()
    }
}

/// The columns that are not in every table.
#[derive(Debug)]
struct Columns {
    test: bool,
    dynamic: bool,
    mixed: bool,
}

impl Columns {
    fn titles(&self) -> Vec<String> {
        let titles = [
            (true, "model"),
            (true, "parameters"),
            (true, "seconds"),
            (true, "tokens/s"),
            (true, "valid"),
            (self.test, "test"),
            (self.dynamic, "dynamic"),
            (self.mixed, "with n-grams"),
        ];
        let shown = titles.into_iter().filter(|(is_shown, _)| *is_shown);
        shown.map(|(_, title)| title.to_owned()).collect()
    }
}

/// A text on which models are evaluated.
#[derive(Debug, Serialize)]
struct Text {
    /// The file; none for the held-out part of the training text.
    file: Option<PathBuf>,
    tokens: usize,
    /// Unknown words, which are skipped.
    oov: usize,
}

impl Text {
    fn new(file: Option<&Path>, tokens: &Tokens) -> Self {
        Self {
            file: file.map(Path::to_owned),
            tokens: tokens.known(),
            oov: tokens.len() - tokens.known(),
        }
    }

    fn described(&self, name: &str, train: &Path) -> String {
        let file = match &self.file {
            Some(file) => file.display().to_string(),
            None => format!("the last tenth of {}", train.display()),
        };
        let skipped = match self.oov {
            0 => String::new(),
            oov => format!(", {oov} unknown words skipped"),
        };
        format!("{name}: {file}, {} tokens{skipped}", self.tokens)
    }
}

/// All rows, and what they have in common.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    text: PathBuf,
    train_tokens: usize,
    vocab_size: usize,
    unit: &'static str,
    device: String,
    minutes: f64,
    valid: Text,
    test: Option<Text>,
    /// The text of the columns `dynamic` and `mixed`.
    measured_on: &'static str,
    dynamic_rate: Option<f32>,
    pub(super) rows: Vec<Row>,
    #[serde(skip)]
    columns: Columns,
}

impl Table {
    /// A table without rows.
    pub(super) fn new(
        flags: &CompareFlags,
        shared: &SharedCorpus,
        test: Option<&Tokens>,
        has_ngram: bool,
        device: String,
    ) -> Self {
        let corpus = &shared.corpus;
        let test = test.map(|tokens| Text::new(flags.test.as_deref(), tokens));
        Self {
            text: flags.text.clone(),
            train_tokens: corpus.train.known(),
            vocab_size: corpus.vocabulary.len(),
            unit: shared.unit.plural(),
            device,
            minutes: flags.minutes,
            valid: Text::new(flags.valid.as_deref(), &corpus.valid),
            measured_on: if test.is_some() { "test" } else { "valid" },
            dynamic_rate: (flags.dynamic > 0.0).then_some(flags.dynamic),
            rows: Vec::new(),
            columns: Columns {
                test: test.is_some(),
                dynamic: flags.dynamic > 0.0,
                mixed: has_ngram,
            },
            test,
        }
    }

    /// Prints the table, and below it what its columns mean.
    ///
    /// # Errors
    /// If standard output fails.
    pub(super) fn print(&self, output: &mut Output) -> Result<()> {
        let mut lines = vec![self.columns.titles()];
        lines.extend(self.rows.iter().map(|row| row.cells(&self.columns)));
        let widths: Vec<usize> = (0..lines[0].len())
            .map(|column| {
                let widths = lines.iter().map(|line| line[column].chars().count());
                widths.max().unwrap_or(0)
            })
            .collect();
        for line in &lines {
            let cells = line.iter().zip(&widths).enumerate();
            let cells = cells.map(|(column, (cell, &width))| match column {
                0 => format!("{cell:width$}"),
                _ => format!("{cell:>width$}"),
            });
            output.line(cells.collect::<Vec<_>>().join("  "))?;
        }
        output.line("")?;
        for line in self.legend() {
            output.line(line)?;
        }
        for row in &self.rows {
            for note in row.notes.iter().chain(&row.error) {
                output.line(format_args!("{}: {note}", row.name))?;
            }
        }
        Ok(())
    }

    /// What the columns mean.
    fn legend(&self) -> Vec<String> {
        let mut lines = vec![
            format!(
                "vocabulary: {} {}; training: at most {} min with validation, on {} tokens",
                self.vocab_size, self.unit, self.minutes, self.train_tokens
            ),
            self.valid.described("valid", &self.text),
        ];
        if let Some(test) = &self.test {
            lines.push(test.described("test", &self.text));
        }
        let on = self.measured_on;
        if let Some(rate) = self.dynamic_rate {
            lines.push(format!(
                "dynamic: on {on}, with dynamic evaluation at the rate {rate}"
            ));
        }
        if self.columns.mixed {
            lines.push(match self.test {
                Some(_) => format!(
                    "with n-grams: on {on}, mixed with the n-gram model by the best weights on \
                     valid"
                ),
                None => format!("with n-grams: on {on}, mixed half and half with the n-gram model"),
            });
        }
        lines
    }
}
