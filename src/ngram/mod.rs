//! N-gram language models: back-off models from ARPA files, and interpolated modified Kneser-Ney
//! models from text.
//!
//! In: an ARPA file ([`NgramModel::read`]), or sentences of word ids ([`KneserNey`]). Out: log10
//! probabilities of words after histories, and ARPA files ([`NgramModel::write`]). This module does
//! not depend on corpora, checkpoints or devices: tokens are text, and words are ids of the model's
//! vocabulary.

mod arpa_lines;
mod arpa_reader;
mod arpa_writer;
mod builder;
mod count;
mod discounts;
mod estimate;
mod interpolation;
mod kneser_ney;
mod options;
mod trie;
mod type_table;

use std::path::Path;

pub use discounts::{DiscountOrigin, Discounts};
pub use estimate::Estimate;
pub use kneser_ney::KneserNey;
pub use options::KneserNeyOptions;

use crate::error::Result;
use trie::Trie;
use type_table::TypeTable;

/// The token before the first word of a sentence. It is only a context and is never predicted.
pub const SENTENCE_START: &str = "<s>";
/// The token after the last word of a sentence. It is predicted like a word.
pub const SENTENCE_END: &str = "</s>";
/// The token that replaces words outside the vocabulary, if the model contains it. Some programs
/// write it in capitals.
const UNKNOWN: &str = "<unk>";

/// The logarithm of 0 in ARPA files.
const LOG10_ZERO: f32 = -99.0;

/// Marks a context in a history that is not in the model.
const NONE: u32 = u32::MAX;

/// A back-off n-gram model of any order:
///
/// ```text
/// log10 p(w | h) = the value of the n-gram h w, if the model contains it,
///                  else b(h) + log10 p(w | h without its first word),
///                  where b(h) is 0 if the model does not contain h
/// ```
///
/// Values are f32. An n-gram takes 8 bytes in the highest order and 16 bytes in all others.
#[derive(Debug, Clone)]
pub struct NgramModel {
    types: TypeTable,
    trie: Trie,
    /// log10 p of each n-gram, one list per order; NaN for an implicit context, which is not an
    /// n-gram of the model.
    probabilities: Vec<Vec<f32>>,
    /// log10 of the back-off weight of each n-gram, one list per order except the highest.
    backoffs: Vec<Vec<f32>>,
    unknown: Option<u32>,
    start: Option<u32>,
}

/// The state of a model before the next word: the nodes of the contexts that affect later
/// probabilities.
///
/// Two histories are equal if the model assigns the same probabilities to all continuations because
/// it contains the same contexts for both. A history can be used only with the model that created
/// it; the empty history can be used with every model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct History {
    /// The node of the last word, of the last two words, …; [`NONE`] for contexts that are not in
    /// the model. The last element is never [`NONE`].
    nodes: Vec<u32>,
}

impl NgramModel {
    /// Creates a model from consistent parts.
    fn new(
        types: TypeTable,
        trie: Trie,
        probabilities: Vec<Vec<f32>>,
        backoffs: Vec<Vec<f32>>,
    ) -> Self {
        let in_any_case = |&id: &u32| types.token(id).eq_ignore_ascii_case(UNKNOWN);
        let unknown = types
            .id(UNKNOWN)
            .or_else(|| (0..types.len() as u32).find(in_any_case));
        let start = types.id(SENTENCE_START);
        Self {
            types,
            trie,
            probabilities,
            backoffs,
            unknown,
            start,
        }
    }

    /// Reads an ARPA file, plain or compressed with gzip or zstd. Compression is detected from the
    /// first bytes.
    ///
    /// Text before `\data\` and after `\end\` is skipped. Fields are separated by spaces or tabs,
    /// and words may be any text without spaces, tabs and line endings. `<unk>` is the unknown word
    /// in any letter case; if it occurs in several, that in small letters is, and the others are
    /// ordinary words. If the first word of the file is `iARPA`, it is an interpolated model of
    /// IRSTLM, and its probabilities are computed by IRSTLM's rule. A missing back-off weight is 0.
    /// A logarithm of -99 is kept, and `-inf` becomes -99. Logarithms of probabilities between 0
    /// and 0.0001 are rounded to 0. A back-off weight of an n-gram of the highest order must be 0.
    /// If the context of an n-gram is not an n-gram of the file, it is inserted as an implicit
    /// context with weight 0 and no probability, so that every lookup follows the definition of the
    /// format.
    ///
    /// # Errors
    /// If the file cannot be read or violates the format; the message contains the line number.
    pub fn read(path: &Path) -> Result<Self> {
        arpa_reader::read(arpa_lines::open(path)?)
    }

    /// Writes an ARPA file, compressed with gzip if the name ends in `.gz`. The file is first
    /// written under a temporary name. Numbers have the fewest digits that read back as the same
    /// bits. Implicit contexts are omitted.
    ///
    /// # Errors
    /// If the file cannot be written; an existing file then remains unchanged. If a token is empty
    /// or contains a space, a tab or a line ending.
    pub fn write(&self, path: &Path) -> Result<()> {
        arpa_writer::write(self, path)
    }

    /// The number of words in the longest n-grams.
    pub fn order(&self) -> usize {
        self.trie.order()
    }

    /// The number of unigrams, including `<s>`.
    pub fn vocab_size(&self) -> usize {
        self.types.len()
    }

    /// The id of a token. `None` for a token outside the vocabulary; [`Self::unknown`] may replace
    /// it.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.types.id(token)
    }

    /// The token of an id.
    ///
    /// # Panics
    /// If the id is out of range.
    pub fn token(&self, id: u32) -> &str {
        self.types.token(id)
    }

    /// The id of `<unk>`, in any letter case, if the model contains it.
    pub fn unknown(&self) -> Option<u32> {
        self.unknown
    }

    /// The number of n-grams of each order, starting at 1. Implicit contexts are not counted.
    pub fn counts(&self) -> Vec<usize> {
        self.probabilities
            .iter()
            .map(|values| values.iter().filter(|value| !value.is_nan()).count())
            .collect()
    }

    /// Size of the model in memory, in bytes.
    pub fn bytes(&self) -> usize {
        let values: usize = self
            .probabilities
            .iter()
            .chain(&self.backoffs)
            .map(Vec::capacity)
            .sum();
        self.types.bytes() + self.trie.bytes() + values * size_of::<f32>()
    }

    /// The history at the start of a sentence: `<s>`, or the empty history if the model does not
    /// contain `<s>`. Also the history to use after `</s>`.
    pub fn sentence_start(&self) -> History {
        self.advance(&History::default(), self.start)
    }

    /// The history that consists of the given words.
    fn history(&self, words: &[u32]) -> History {
        words.iter().fold(History::default(), |history, &word| {
            self.advance(&history, Some(word))
        })
    }

    /// log10 of the probability of a word after a history. Back-off weights are summed in f64.
    ///
    /// # Panics
    /// May panic if the word is not below [`Self::vocab_size`] or the history belongs to another
    /// model.
    pub fn log10_prob(&self, history: &History, word: u32) -> f64 {
        let mut backoff = 0.0;
        for order in (1..=history.nodes.len()).rev() {
            let context = history.nodes[order - 1];
            if context == NONE {
                continue;
            }
            if let Some(value) = self.ngram_log10_prob(order, context, word) {
                return backoff + f64::from(value);
            }
            backoff += f64::from(self.backoffs[order - 1][context as usize]);
        }
        backoff + f64::from(self.probabilities[0][word as usize])
    }

    /// The stored log10 probability of an n-gram, given the order and the node of its context.
    fn ngram_log10_prob(&self, order: usize, context: u32, word: u32) -> Option<f32> {
        let node = self.trie.child(order, context, word)?;
        Some(self.probabilities[order][node as usize]).filter(|value| !value.is_nan())
    }

    /// The history after one more word: at most the last `order - 1` words. A word without an id
    /// (outside the vocabulary of a model without `<unk>`) gives the empty history.
    ///
    /// # Panics
    /// May panic if the word is not below [`Self::vocab_size`] or the history belongs to another
    /// model.
    pub fn advance(&self, history: &History, word: Option<u32>) -> History {
        let mut nodes = Vec::with_capacity(self.order());
        if let Some(word) = word
            && self.order() > 1
        {
            nodes.push(self.relevant_context(1, word));
            for (&node, order) in history.nodes.iter().zip(1..self.order() - 1) {
                let longer = if node == NONE {
                    None
                } else {
                    self.trie.child(order, node, word)
                };
                nodes.push(longer.map_or(NONE, |node| self.relevant_context(order + 1, node)));
            }
        }
        while nodes.last() == Some(&NONE) {
            nodes.pop();
        }
        History { nodes }
    }

    /// The node itself, or [`NONE`] if the context has no continuations and a back-off weight of 0,
    /// so that it does not affect any probability.
    fn relevant_context(&self, order: usize, node: u32) -> u32 {
        let is_irrelevant = self.trie.children(order, node).is_empty()
            && self.backoffs[order - 1][node as usize] == 0.0;
        if is_irrelevant { NONE } else { node }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\\data\\\nngram 1=4\nngram 2=2\nngram 3=1\n\\1-grams:\n-99 <s> -0.5\n-1 \
        </s>\n-0.5 a -0.25\n-0.75 b\n\
        \\2-grams:\n-0.125 <s> a -2\n-0.25 a b\n\\3-grams:\n-0.0625 <s> a b\n\\end\\\n";

    #[test]
    fn probabilities_back_off_to_unigrams() {
        let model = arpa_reader::read(arpa_lines::ArpaLines::new(TEXT.as_bytes(), "text"))
            .expect("a model");
        let [a, b, end] = ["a", "b", "</s>"].map(|token| model.id(token).expect("a word"));
        let start = model.sentence_start();
        let after_a = model.advance(&start, Some(a));
        assert_eq!(model.log10_prob(&start, a), -0.125);
        assert_eq!(model.log10_prob(&start, b), -0.5 - 0.75);
        assert_eq!(model.log10_prob(&after_a, b), -0.0625);
        assert_eq!(model.log10_prob(&after_a, end), -2.0 - 0.25 - 1.0);
        let after_b = model.advance(&after_a, Some(b));
        assert_eq!(
            after_b,
            History::default(),
            "b has no continuations and no back-off weight"
        );
        assert_eq!(model.advance(&after_a, None), History::default());
        assert_eq!(
            (model.order(), model.vocab_size(), model.counts()),
            (3, 4, vec![4, 2, 1])
        );
    }
}
