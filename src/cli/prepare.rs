//! `elman prepare`: tokenizes texts once, for `elman train`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::given_vocabulary::given_vocabulary;
use super::input::{check_read_once, named};
use super::models::open_model;
use super::output::Output;
use super::train::VocabularyFlags;
use super::{check_unused, default_threads, is_used, quoted, sentence_tags, with_threads};
use crate::corpus::{Limits, Subwords, TextSource, Unit, Vocabulary};
use crate::error::{Error, Result};
use crate::field::Choice;
use crate::prepared::{PreparedText, Request, Selection, is_prepared, prepare};

#[derive(Debug, Args)]
pub(super) struct PrepareFlags {
    /// Texts, plain or compressed with gzip or zstd, that are read one after the other as one
    /// training text; patterns such as 'parts/*.gz' name files in alphabetic order
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Validation texts, separated by commas [default: the last tenth of the training text, which
    /// is held out]
    #[arg(long, value_name = "FILE,FILE", value_delimiter = ',')]
    valid: Vec<PathBuf>,
    /// Directory to write, for `elman train --train DIR`
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace a prepared text in DIR
    #[arg(long)]
    force: bool,
    /// Use the vocabulary of this model, to fine-tune it with `elman train --init`
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["unit", "vocab_size", "min_count", "tokenizer", "vocab"],
    )]
    model: Option<PathBuf>,
    /// CPU threads [default: the number of cores]
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    vocabulary: VocabularyFlags,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(flags: &PrepareFlags) -> Result<()> {
    let threads = flags
        .threads
        .map_or_else(default_threads, NonZeroUsize::get);
    with_threads(threads, || flags.prepare())?
}

impl PrepareFlags {
    fn prepare(&self) -> Result<()> {
        self.check_out()?;
        let texts = named("", &self.files).chain(named("--valid", &self.valid));
        check_read_once(texts.chain(named("--vocab", &self.vocabulary.vocab)))?;
        let (train, valid) = (expand(&self.files)?, expand(&self.valid)?);
        let (unit, vocabulary) = self.vocabulary()?;
        let request = Request {
            train: TextSource::Files(&train),
            valid: (!valid.is_empty()).then_some(TextSource::Files(&valid)),
            unit,
            vocabulary,
            selection: self.selection()?,
        };
        prepare(request, &self.out)?;
        self.print(&PreparedText::open(&self.out)?)
    }

    /// Checks that nothing but a prepared text is replaced.
    fn check_out(&self) -> Result<()> {
        check_unused(&self.out, self.force, "")?;
        if !is_used(&self.out)? || is_prepared(&self.out) {
            return Ok(());
        }
        Err(Error::invalid(
            self.out.display().to_string(),
            "it has no prepared text, and --force replaces only those",
            "Give --out another directory",
        ))
    }

    /// The unit, and the vocabulary unless it is that of the training text.
    fn vocabulary(&self) -> Result<(Unit, Option<Vocabulary>)> {
        if let Some(directory) = &self.model {
            let files = open_model(directory)?;
            let description = files.description()?;
            let vocabulary = files.vocabulary(&description)?;
            return Ok((description.unit, Some(vocabulary)));
        }
        let unit = self.vocabulary.unit();
        Ok((unit, self.vocabulary.given(unit)?))
    }

    fn selection(&self) -> Result<Selection> {
        Ok(Selection {
            limits: match self.model {
                Some(_) => Limits::default(),
                None => self.vocabulary.limits()?,
            },
            tokenizer: self.vocabulary.tokenizer.clone(),
            vocab: self.vocabulary.vocab.clone(),
            model: self.model.clone(),
        })
    }

    fn print(&self, text: &PreparedText) -> Result<()> {
        let corpus = &text.corpus;
        sentence_tags::note("the text", corpus.tags);
        let mut output = Output::new();
        let bytes = corpus.train.bytes_per_token();
        if self.json {
            output.json(&json!({
                "directory": self.out,
                "unit": text.unit.name(),
                "text_bytes": corpus.report.bytes,
                "text_sha256": corpus.report.sha256,
                "train_tokens": corpus.train.len(),
                "valid_tokens": corpus.valid.len(),
                "types": corpus.vocabulary.len(),
                "bytes_per_token": bytes,
            }))?;
            return output.flush();
        }
        output.line(format_args!("text        {} bytes", corpus.report.bytes))?;
        output.line(format_args!(
            "tokens      {} training, {} validation; {bytes} bytes each",
            corpus.train.len(),
            corpus.valid.len()
        ))?;
        output.line(format_args!("types       {}", corpus.vocabulary.len()))?;
        output.line("try next:")?;
        output.line(format_args!("  elman train --train {}", quoted(&self.out)))?;
        output.flush()
    }
}

impl VocabularyFlags {
    /// The vocabulary that a tokenizer or texts give; `None` if the training text gives it.
    ///
    /// # Errors
    /// If a file cannot be read or used.
    pub(super) fn given(&self, unit: Unit) -> Result<Option<Vocabulary>> {
        match (&self.tokenizer, self.vocab.as_slice()) {
            (Some(path), _) => Vocabulary::from_subwords(Subwords::read(path)?).map(Some),
            (None, []) => Ok(None),
            (None, texts) => given_vocabulary(texts, unit).map(Some),
        }
    }
}

/// The files that paths and patterns name, in this order; those of a pattern in alphabetic order.
fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        match path.to_str().filter(|text| is_pattern(text, path)) {
            None => files.push(path.clone()),
            Some(pattern) => files.extend(matches(pattern)?),
        }
    }
    Ok(files)
}

/// Whether a path is a pattern and not the name of a file that has such characters.
fn is_pattern(text: &str, path: &Path) -> bool {
    text.contains(['*', '?', '[']) && !path.exists()
}

fn matches(pattern: &str) -> Result<Vec<PathBuf>> {
    let invalid = |rule: String| {
        Error::invalid(
            format!("the pattern {pattern}"),
            rule,
            "Give the name of a file, or a pattern such as 'parts/*.gz'",
        )
    };
    let found = glob::glob(pattern).map_err(|error| invalid(error.to_string()))?;
    let files: Vec<PathBuf> = found
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| invalid(error.to_string()))?;
    if files.is_empty() {
        return Err(invalid("no file matches it".to_owned()));
    }
    Ok(files)
}
