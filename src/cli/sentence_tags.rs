//! A note about the sentence tags `<s>` and `</s>` in a text.

use std::path::Path;

use crate::corpus::{SentenceTags, TextReport, Tokens, Unit, Vocabulary, read_tokens};
use crate::decompress;
use crate::error::Result;

/// Reads a text, and prints how its sentence tags are read.
pub(super) fn read_text(
    path: &Path,
    unit: Unit,
    vocabulary: &Vocabulary,
) -> Result<(Tokens, TextReport)> {
    let (tokens, report) = read_tokens(path, unit, vocabulary)?;
    note(&decompress::name(path), report.tags);
    Ok((tokens, report))
}

/// Prints how the sentence tags of a text are read, if it has any.
pub(super) fn note(text: &str, tags: SentenceTags) {
    if tags.dropped > 0 {
        note_line!(
            "note: {text}: {} sentence tag(s) are dropped, <s> and a </s> at the end of a line: \
             the end of a line is the end of a sentence",
            tags.dropped
        );
    }
    if tags.inside > 0 {
        note_line!(
            "note: {text}: {} </s> inside lines are read as ends of sentences",
            tags.inside
        );
    }
}
