//! The texts of a corpus and how they become one: vocabulary, tokens, and the held-out part.

use super::Corpus;
use super::indexed_text::IndexedText;
use super::limits::Limits;
use super::reader::read_source;
use super::source::TextSource;
use super::subwords::byte_lengths;
use super::text_report::TextReport;
use super::token_writer::Store;
use super::tokens::Tokens;
use super::unit::Unit;
use super::vocabulary::Vocabulary;
use crate::error::{Error, Result};
use crate::tensor::NONE;

/// The file of the training text's tokens, which a held-out part follows.
pub(crate) const TEXT_TOKENS: &str = "text.tokens";
/// The file of the validation text's tokens.
pub(crate) const VALID_TOKENS: &str = "valid.tokens";
/// A file of tokens whose types are not yet selected.
const ALL_TYPES_TOKENS: &str = "all-types.tokens";

/// The texts of a corpus.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CorpusTexts<'a> {
    pub(crate) train: TextSource<'a>,
    /// `None` if the last tenth of the training text is held out.
    pub(crate) valid: Option<TextSource<'a>>,
    pub(crate) unit: Unit,
}

/// Where the types of a corpus come from.
#[derive(Debug, Clone)]
pub(crate) enum Types {
    /// From the training text.
    Selected(Limits),
    Given(Vocabulary),
}

impl CorpusTexts<'_> {
    /// Reads the texts, and keeps their tokens in `store`.
    ///
    /// # Errors
    /// If a text cannot be read or has no tokens, or the tokens cannot be written.
    pub(crate) fn read(self, types: Types, store: Store<'_>) -> Result<Corpus> {
        let (vocabulary, tokens, report) = match types {
            Types::Selected(limits) => {
                let holds_out = self.valid.is_none();
                read_selecting(self.train, self.unit, limits, holds_out, store)?
            }
            Types::Given(vocabulary) => {
                let writer = store.writer(TEXT_TOKENS)?;
                let (tokens, report) = read_source(self.train, self.unit, &vocabulary, writer)?;
                (vocabulary, tokens, report)
            }
        };
        let mut tags = report.tags;
        let (train, valid) = match self.valid {
            Some(source) => {
                let writer = store.writer(VALID_TOKENS)?;
                let (valid, valid_report) = read_source(source, self.unit, &vocabulary, writer)?;
                tags += valid_report.tags;
                (tokens, valid)
            }
            None => {
                let held_out = match vocabulary.subwords() {
                    None => held_out_start(&tokens, self.unit)?,
                    Some(_) => held_out_bytes(&tokens, &byte_lengths(vocabulary.types()))?,
                };
                tokens.split(held_out)
            }
        };
        let corpus = Corpus {
            vocabulary,
            train,
            valid,
            report,
            tags,
            counts: None,
        };
        self.check(&corpus)?;
        Ok(corpus)
    }

    fn check(self, corpus: &Corpus) -> Result<()> {
        let name = self.train.name();
        if corpus.train.is_empty() {
            return Err(Error::invalid(
                name,
                "there is no token to train on",
                "Give a text with at least one sentence",
            ));
        }
        if corpus.valid.known() == 0 {
            return Err(Error::invalid(
                self.valid
                    .map_or_else(|| format!("the held-out tenth of {name}"), TextSource::name),
                "none of its words is in the vocabulary, so it measures nothing",
                "Give a `valid` text that resembles the training text, or use a larger vocabulary",
            ));
        }
        Ok(())
    }
}

/// Reads a text with the types that `limits` select from it. If it `holds_out` the last tenth, they
/// are selected from the rest.
fn read_selecting(
    source: TextSource<'_>,
    unit: Unit,
    limits: Limits,
    holds_out: bool,
    store: Store<'_>,
) -> Result<(Vocabulary, Tokens, TextReport)> {
    let writer = store.writer(ALL_TYPES_TOKENS)?;
    let IndexedText {
        tokens,
        types,
        report,
    } = IndexedText::read(source, unit, writer)?;
    let length = match (holds_out, unit) {
        (false, _) => tokens.len(),
        (true, Unit::Bpe) => held_out_bytes(&tokens, &byte_lengths(&types))?,
        (true, _) => held_out_start(&tokens, unit)?,
    };
    let mut writer = store.writer(TEXT_TOKENS)?;
    let vocabulary = if unit == Unit::Bpe {
        let (vocabulary, encodings) = Vocabulary::learn_subwords(&types, &tokens, length, limits)
            .map_err(|error| source.in_text(error))?;
        for token in tokens.iter() {
            writer.extend(encodings[token as usize].iter().copied())?;
        }
        vocabulary
    } else {
        let (vocabulary, ids) = Vocabulary::select(types, &tokens, length, unit, limits)
            .map_err(|error| source.in_text(error))?;
        writer.extend(tokens.iter().map(|token| ids[token as usize]))?;
        vocabulary
    };
    tokens.check()?;
    drop(tokens);
    store.remove(ALL_TYPES_TOKENS)?;
    Ok((vocabulary, writer.finish()?, report))
}

/// Reads a text once, with all of its types, or with subwords that are learned from it. Also
/// returns what was read.
///
/// # Errors
/// If the text cannot be read, or there is no type besides the boundary.
pub fn read_with_types(
    source: TextSource<'_>,
    unit: Unit,
) -> Result<(Vocabulary, Tokens, TextReport)> {
    read_selecting(source, unit, Limits::default(), false, Store::Memory)
}

/// The types that `limits` select from a training text of which the last tenth is held out unless
/// there is a validation text. The training text alone is read.
///
/// # Errors
/// As [`read_with_types`].
pub fn types_of_training_text(
    train: TextSource<'_>,
    has_valid: bool,
    unit: Unit,
    limits: Limits,
) -> Result<Vocabulary> {
    let (vocabulary, ..) = read_selecting(train, unit, limits, !has_valid, Store::Memory)?;
    Ok(vocabulary)
}

/// Nine tenths of a length.
fn nine_tenths(total: usize) -> usize {
    total / 10 * 9 + total % 10 * 9 / 10
}

/// Where the held-out tenth starts: at 90 % of the tokens or, if lines are sentences, at the first
/// sentence after that.
fn held_out_start(tokens: &Tokens, unit: Unit) -> Result<usize> {
    let first = nine_tenths(tokens.len());
    if !unit.has_sentences() || first == 0 {
        return Ok(first);
    }
    // The token before the start is the boundary.
    let boundary = tokens
        .range(first - 1..tokens.len() - 1)
        .position(|id| id == 0);
    tokens.check()?;
    Ok(boundary.map_or(first, |index| first + index))
}

/// Where the held-out tenth of a text of subwords, or of the pieces they are learned from, starts:
/// at the first sentence after 90 % of its bytes, so that it is the same line for every tokenizer.
fn held_out_bytes(tokens: &Tokens, lengths: &[usize]) -> Result<usize> {
    let length = |id: u32| lengths.get(id as usize).copied().unwrap_or(1);
    let train_length = nine_tenths(tokens.iter().map(length).sum());
    let mut length_before = 0;
    let mut first = None;
    let mut before = NONE;
    for (position, token) in tokens.iter().enumerate() {
        if length_before >= train_length {
            first.get_or_insert(position);
            if before == 0 {
                first = Some(position);
                break;
            }
        }
        length_before += length(token);
        before = token;
    }
    tokens.check()?;
    Ok(first.unwrap_or(tokens.len()))
}
