//! N-gram language models: back-off models from ARPA files, and interpolated modified Kneser-Ney
//! models from text.
//!
//! In: an ARPA file ([`NgramModel::read`]), or sentences of word numbers ([`KneserNey`]). Out:
//! log10 probabilities of words after histories, and ARPA files ([`NgramModel::write`]). Nothing
//! here knows a corpus, a checkpoint or a device: tokens are text, words are numbers of the model's
//! own vocabulary.

mod arpa;
mod build;
mod count;
mod discounts;
mod kneser_ney;
mod lines;
mod trie;
mod words;
mod write;

use std::path::Path;

pub use count::{KneserNey, KneserNeyOptions};
pub use discounts::{DiscountOrigin, Discounts};
pub use kneser_ney::Estimate;

use crate::error::Result;
use trie::Trie;
use words::TypeTable;

/// The token before the first word of a sentence: a context, never predicted.
pub const SENTENCE_START: &str = "<s>";
/// The token after the last word of a sentence, predicted like any word.
pub const SENTENCE_END: &str = "</s>";
/// The token that words outside the vocabulary become, where a model has it.
const UNKNOWN: &str = "<unk>";

/// What stands in ARPA files for the logarithm of 0.
const LOG10_ZERO: f32 = -99.0;

/// What stands in a history for a context that the model does not know.
const NONE: u32 = u32::MAX;

/// A back-off n-gram model of any order:
///
/// ```text
/// log10 p(w | h) = the n-gram's own number, where the model has the n-gram h w
///                  b(h) + log10 p(w | h less its first word), where it has not;
///                  b is 0 where it has no h
/// ```
///
/// Numbers are f32 and take 8 bytes an n-gram of the highest order and 16 of the others.
#[derive(Debug, Clone)]
pub struct NgramModel {
    words: TypeTable,
    trie: Trie,
    /// log10 p of each n-gram, one list an order; NaN for a context that is no n-gram itself.
    probabilities: Vec<Vec<f32>>,
    /// log10 of the back-off weight of each n-gram, one list an order but the highest.
    backoffs: Vec<Vec<f32>>,
    unknown: Option<u32>,
    start: Option<u32>,
}

/// What a model remembers of the words before the next: the nodes of the contexts that matter to
/// it.
///
/// Two histories are equal where no words to come can tell them apart by the contexts that the
/// model has. A history belongs to the model that made it; the empty one belongs to all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct History {
    /// The node of the last word, of the last two words, …; [`NONE`] where the model has no such
    /// context. The last is never [`NONE`].
    nodes: Vec<u32>,
}

impl NgramModel {
    /// From parts that fit each other.
    fn new(
        words: TypeTable,
        trie: Trie,
        probabilities: Vec<Vec<f32>>,
        backoffs: Vec<Vec<f32>>,
    ) -> Self {
        let (unknown, start) = (words.id(UNKNOWN), words.id(SENTENCE_START));
        Self {
            words,
            trie,
            probabilities,
            backoffs,
            unknown,
            start,
        }
    }

    /// Reads an ARPA file, plain or compressed with gzip, which its first bytes tell.
    ///
    /// Text before `\data\` and after `\end\` is skipped. Fields are separated by spaces or tabs,
    /// and words may be any text without white space of ASCII; a back-off weight that is not there
    /// is 0. A logarithm of -99 stays as it is, and `-inf` becomes -99. Logarithms of probabilities
    /// up to 0.0001 are taken for rounded zeros. A weight after an n-gram of the highest order must
    /// be 0. Where the context of an n-gram is no n-gram of the file, it is put in as a context
    /// with weight 0 and no number of its own, so that every lookup follows the format's
    /// definition.
    ///
    /// # Errors
    /// If the file cannot be read, or breaks a rule of the format; the message has the line's
    /// number.
    pub fn read(path: &Path) -> Result<Self> {
        arpa::read(lines::open(path)?)
    }

    /// Writes an ARPA file, compressed with gzip if the name ends in `.gz`, under a temporary name
    /// first. Numbers have the fewest digits that read back as the same bits. Contexts that were
    /// put in are left out.
    ///
    /// # Errors
    /// If it cannot be written, and then what was there before is there still; or if a token cannot
    /// stand in such a file because it is empty or has white space of ASCII in it.
    pub fn write(&self, path: &Path) -> Result<()> {
        write::write(self, path)
    }

    /// The number of words in the longest n-grams.
    pub fn order(&self) -> usize {
        self.trie.order()
    }

    /// The number of unigrams, `<s>` among them.
    pub fn vocab_size(&self) -> usize {
        self.words.len()
    }

    /// The number of a token; nothing for one outside the vocabulary, for which [`Self::unknown`]
    /// may stand in.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.words.id(token)
    }

    /// The token of a number.
    ///
    /// # Panics
    /// If there is no such number.
    pub fn token(&self, id: u32) -> &str {
        self.words.token(id)
    }

    /// The number of `<unk>`, where the model has it.
    pub fn unknown(&self) -> Option<u32> {
        self.unknown
    }

    /// How many n-grams the model has, by order from 1 on. Contexts that were put in are not
    /// counted.
    pub fn counts(&self) -> Vec<usize> {
        self.probabilities
            .iter()
            .map(|values| values.iter().filter(|value| !value.is_nan()).count())
            .collect()
    }

    /// Bytes of memory that the model takes.
    pub fn bytes(&self) -> usize {
        let numbers: usize = self
            .probabilities
            .iter()
            .chain(&self.backoffs)
            .map(Vec::capacity)
            .sum();
        self.words.bytes() + self.trie.bytes() + numbers * size_of::<f32>()
    }

    /// The history at the beginning of a sentence: `<s>`, or nothing where the model has no `<s>`.
    /// After `</s>` it is the next sentence's.
    pub fn sentence_start(&self) -> History {
        self.advance(&History::default(), self.start)
    }

    /// log10 of the probability of a word after a history; the sum of weights is taken in f64.
    ///
    /// # Panics
    /// May panic if the word is not below [`Self::vocab_size`] or the history is another model's.
    pub fn log10_prob(&self, history: &History, word: u32) -> f64 {
        let mut backoff = 0.0;
        for order in (1..=history.nodes.len()).rev() {
            let context = history.nodes[order - 1];
            if context == NONE {
                continue;
            }
            if let Some(own) = self.own(order, context, word) {
                return backoff + f64::from(own);
            }
            backoff += f64::from(self.backoffs[order - 1][context as usize]);
        }
        backoff + f64::from(self.probabilities[0][word as usize])
    }

    /// The number that an n-gram has itself; the context's order is given.
    fn own(&self, order: usize, context: u32, word: u32) -> Option<f32> {
        let node = self.trie.child(order, context, word)?;
        Some(self.probabilities[order][node as usize]).filter(|value| !value.is_nan())
    }

    /// The history after one word more: the last `order - 1` words at most. A word without a number
    /// (outside the vocabulary, and the model has no `<unk>`) leaves nothing.
    ///
    /// # Panics
    /// May panic if the word is not below [`Self::vocab_size`] or the history is another model's.
    pub fn advance(&self, history: &History, word: Option<u32>) -> History {
        let mut nodes = Vec::with_capacity(self.order());
        if let Some(word) = word
            && self.order() > 1
        {
            nodes.push(self.if_it_matters(1, word));
            for (&node, order) in history.nodes.iter().zip(1..self.order() - 1) {
                let longer = if node == NONE {
                    None
                } else {
                    self.trie.child(order, node, word)
                };
                nodes.push(longer.map_or(NONE, |node| self.if_it_matters(order + 1, node)));
            }
        }
        while nodes.last() == Some(&NONE) {
            nodes.pop();
        }
        History { nodes }
    }

    /// A context that nothing continues and that weighs nothing says as much as none.
    fn if_it_matters(&self, order: usize, node: u32) -> u32 {
        let idle = self.trie.children(order, node).is_empty()
            && self.backoffs[order - 1][node as usize] == 0.0;
        if idle { NONE } else { node }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\\data\\\nngram 1=4\nngram 2=2\nngram 3=1\n\\1-grams:\n-99 <s> -0.5\n-1 \
        </s>\n-0.5 a -0.25\n-0.75 b\n\
        \\2-grams:\n-0.125 <s> a -2\n-0.25 a b\n\\3-grams:\n-0.0625 <s> a b\n\\end\\\n";

    #[test]
    fn back_off_goes_down_to_the_unigrams() {
        let model = arpa::read(lines::ArpaLines::new(TEXT.as_bytes(), "text")).expect("a model");
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
            "nothing continues b and it weighs nothing"
        );
        assert_eq!(model.advance(&after_a, None), History::default());
        assert_eq!(
            (model.order(), model.vocab_size(), model.counts()),
            (3, 4, vec![4, 2, 1])
        );
    }
}
