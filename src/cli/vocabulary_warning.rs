//! A warning where an n-gram model does not have the words of the networks that it is mixed with.

use std::path::Path;

use super::quoted;
use crate::corpus::Vocabulary;
use crate::mixture::VocabularyDifference;
use crate::ngram::NgramModel;

/// The warning for the n-gram model of `arpa` and the network in `directory`; `None` if both have
/// the same words.
pub(super) fn vocabulary_warning(
    arpa: &Path,
    ngram: &NgramModel,
    directory: &Path,
    vocabulary: &Vocabulary,
) -> Option<String> {
    let VocabularyDifference { missing, extra } = VocabularyDifference::new(ngram, vocabulary);
    let mut parts = Vec::new();
    if let Some(example) = missing.first() {
        let effect = match ngram.unknown() {
            Some(_) => "it reads them as <unk>",
            None => "it gives them the probability 0, because it has no <unk>",
        };
        parts.push(format!(
            "lacks {} of the network's {} words, such as {example:?}: {effect}",
            missing.len(),
            vocabulary.len()
        ));
    }
    if let Some(example) = extra.first() {
        parts.push(format!(
            "has {} word(s) that the network lacks, such as {example:?}",
            extra.len()
        ));
    }
    let kind = if missing.is_empty() {
        "note"
    } else {
        "warning"
    };
    (!parts.is_empty()).then(|| {
        format!(
            "{kind}: {} {}. For an n-gram model of the network's words, use `elman ngram --vocab \
             {}`",
            arpa.display(),
            parts.join(", and it "),
            quoted(&directory.join("vocab.txt"))
        )
    })
}
