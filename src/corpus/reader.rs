//! Encodes a text with an existing vocabulary.

use std::path::Path;

use super::source::{TextReport, TextSource};
use super::tokens::Tokens;
use super::unit::Unit;
use super::unknown::UnknownWords;
use super::vocabulary::Vocabulary;
use crate::error::Result;
use crate::tensor::NONE;

/// Reads a text file with an existing vocabulary. Words outside the vocabulary become `<unk>`, or
/// [`NONE`] if the vocabulary does not map unknown words to `<unk>`.
///
/// # Errors
/// If the file cannot be read, is not UTF-8 where the unit requires it, or is empty.
pub fn read_tokens(
    path: &Path,
    unit: Unit,
    vocabulary: &Vocabulary,
) -> Result<(Tokens, TextReport)> {
    read_source(TextSource::File(path), unit, vocabulary)
}

/// [`read_tokens`] for any source.
pub(super) fn read_source(
    source: TextSource<'_>,
    unit: Unit,
    vocabulary: &Vocabulary,
) -> Result<(Tokens, TextReport)> {
    let mut tokens = Tokens::default();
    let mut unknown = UnknownWords::default();
    let report = match vocabulary.subwords() {
        None => source.read(unit, |token| {
            vocabulary.count_unknown(token, &mut unknown);
            tokens.push(vocabulary.id(token).unwrap_or(NONE));
        })?,
        Some(subwords) => source.read_lines(
            |line| subwords.encode_line(line),
            |ids: Vec<u32>| ids.into_iter().for_each(|id| tokens.push(id)),
        )?,
    };
    Ok((tokens, TextReport { unknown, ..report }))
}
