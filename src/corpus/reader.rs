//! Encodes a text with an existing vocabulary.

use std::path::Path;

use super::chunks::Units;
use super::source::TextSource;
use super::text_report::TextReport;
use super::token_writer::{Store, TokenWriter};
use super::tokens::Tokens;
use super::unit::Unit;
use super::unknown::UnknownWords;
use super::vocabulary::Vocabulary;
use crate::error::Result;

/// Reads a text file with an existing vocabulary. Words outside the vocabulary become `<unk>`, or
/// [`NONE`](crate::tensor::NONE) if the vocabulary does not map unknown words to `<unk>`.
///
/// # Errors
/// If the file cannot be read, is not UTF-8 where the unit requires it, or is empty.
pub fn read_tokens(
    path: &Path,
    unit: Unit,
    vocabulary: &Vocabulary,
) -> Result<(Tokens, TextReport)> {
    let writer = Store::Memory.writer("")?;
    read_source(TextSource::File(path), unit, vocabulary, writer)
}

/// [`read_tokens`] for any source. The tokens are written with `writer`.
///
/// # Errors
/// As [`read_tokens`], or if the tokens cannot be written.
pub(super) fn read_source(
    source: TextSource<'_>,
    unit: Unit,
    vocabulary: &Vocabulary,
    mut writer: TokenWriter,
) -> Result<(Tokens, TextReport)> {
    let mut unknown = UnknownWords::default();
    let report = source.read(unit, vocabulary, |part: EncodedPart| {
        unknown += part.unknown;
        writer.extend(part.ids)
    })?;
    Ok((writer.finish()?, TextReport { unknown, ..report }))
}

/// A part of a text as token ids.
#[derive(Debug, Default)]
pub(super) struct EncodedPart {
    ids: Vec<u32>,
    unknown: UnknownWords,
}

impl Units for Vocabulary {
    type Group = EncodedPart;

    fn start(&self) -> EncodedPart {
        EncodedPart::default()
    }

    fn push(&self, part: &mut EncodedPart, unit: &str) {
        self.count_unknown(unit, &mut part.unknown);
        self.encode(unit, |id| part.ids.push(id));
    }
}
