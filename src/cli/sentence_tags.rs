//! A note about the sentence tags `<s>` and `</s>` in a text.

use crate::corpus::SentenceTags;

/// Prints how the sentence tags of a text are read, if it has any.
pub(super) fn note(text: &str, tags: SentenceTags) {
    if tags.dropped > 0 {
        stderr_line!(
            "note: {text}: {} sentence tag(s) are dropped, <s> and a </s> at the end of a line: \
             the end of a line is the end of a sentence",
            tags.dropped
        );
    }
    if tags.inside > 0 {
        stderr_line!(
            "note: {text}: {} </s> inside lines are read as ends of sentences",
            tags.inside
        );
    }
}
