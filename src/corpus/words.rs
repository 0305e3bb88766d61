//! Splits characters into words and sentences: the one rule for what separates words.
//!
//! In: the characters of a text, one at a time. Out: its words, and `</s>` at the end of each
//! sentence.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::unit::Unit;

/// The tag that other programs write at the start of a sentence.
const START_TAG: &str = "<s>";

/// Whether a character separates words: a space, a tab, a carriage return or a newline. All other
/// characters are parts of words, such as the no-break space, as in rnnlm, SRILM and KenLM.
pub fn is_separator(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

/// The sentence tags `<s>` and `</s>` in a text of words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentenceTags {
    /// Number of tags that were dropped: every `<s>`, and a `</s>` at the end of a line, which ends
    /// the sentence itself.
    pub dropped: u64,
    /// Number of `</s>` inside lines: they end a sentence, as a line ending does.
    pub inside: u64,
}

impl AddAssign for SentenceTags {
    fn add_assign(&mut self, other: Self) {
        self.dropped += other.dropped;
        self.inside += other.inside;
    }
}

/// The state of the splitter between two characters.
#[derive(Debug)]
pub(super) struct WordSplitter {
    /// The current word, or its first bytes.
    word: String,
    /// The number of bytes after which further characters of a word are dropped.
    max_length: usize,
    /// Whether the current line has a word or a tag.
    line_has_words: bool,
    /// Whether the last word of the current line is `</s>`.
    end_tag: bool,
    tags: SentenceTags,
}

impl WordSplitter {
    pub(super) fn new() -> Self {
        Self {
            word: String::new(),
            max_length: usize::MAX,
            line_has_words: false,
            end_tag: false,
            tags: SentenceTags::default(),
        }
    }

    /// A splitter for counting: of long words, it returns only the first characters. A text of
    /// bytes may be a single word of any length.
    pub(super) fn counting() -> Self {
        Self {
            max_length: 2 * Unit::Word.boundary().len(),
            ..Self::new()
        }
    }

    pub(super) fn push(&mut self, character: char, take: &mut impl FnMut(&str)) {
        if !is_separator(character) {
            if self.word.len() < self.max_length {
                self.word.push(character);
            }
            return;
        }
        self.end_of_word(take);
        if character == '\n' {
            self.end_of_line();
            take(Unit::Word.boundary());
        }
    }

    /// Pushes characters none of which is a separator.
    pub(super) fn push_run(&mut self, run: &str) {
        if self.word.len() < self.max_length {
            self.word.push_str(run);
        }
    }

    fn end_of_word(&mut self, take: &mut impl FnMut(&str)) {
        if self.word.is_empty() {
            return;
        }
        self.line_has_words = true;
        if self.word == START_TAG {
            self.tags.dropped += 1;
        } else {
            self.end_of_sentence(take);
            if self.word == Unit::Word.boundary() {
                self.end_tag = true;
            } else {
                take(&self.word);
            }
        }
        self.word.clear();
    }

    /// Ends the sentence at a `</s>` that is not the last word of its line.
    fn end_of_sentence(&mut self, take: &mut impl FnMut(&str)) {
        if std::mem::take(&mut self.end_tag) {
            self.tags.inside += 1;
            take(Unit::Word.boundary());
        }
    }

    fn end_of_line(&mut self) {
        self.tags.dropped += u64::from(std::mem::take(&mut self.end_tag));
        self.line_has_words = false;
    }

    /// Ends the text: a last line without a newline counts as a line.
    pub(super) fn finish(&mut self, take: &mut impl FnMut(&str)) {
        self.end_of_word(take);
        if self.line_has_words {
            self.end_of_line();
            take(Unit::Word.boundary());
        }
    }

    /// Ends a line without its newline; the caller adds the boundary.
    pub(super) fn finish_line(&mut self, take: &mut impl FnMut(&str)) {
        self.end_of_word(take);
        self.end_of_line();
    }

    /// Ends a text that continues, such as a prompt: its last line is not ended.
    pub(super) fn finish_open(&mut self, take: &mut impl FnMut(&str)) {
        self.end_of_word(take);
        self.end_of_sentence(take);
    }

    pub(super) fn tags(&self) -> SentenceTags {
        self.tags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> (String, SentenceTags) {
        let mut splitter = WordSplitter::new();
        let mut words = Vec::new();
        let mut take = |word: &str| words.push(word.to_owned());
        text.chars()
            .for_each(|character| splitter.push(character, &mut take));
        splitter.finish(&mut take);
        (words.join("|"), splitter.tags())
    }

    #[test]
    fn only_space_tab_return_and_newline_separate_words() {
        let text = "a\u{a0}b \u{a0}\tc\u{2028}d\re\u{85}f\u{b}g\u{c}h\u{3000}i\r\n";
        let words = "a\u{a0}b|\u{a0}|c\u{2028}d|e\u{85}f\u{b}g\u{c}h\u{3000}i|</s>";
        assert_eq!(split(text).0, words);
    }

    #[test]
    fn a_sentence_tag_is_the_boundary() {
        for (text, words, dropped, inside) in [
            ("a b </s>\nc</s>\n", "a|b|</s>|c</s>|</s>", 1, 0),
            ("<s> a </s>\r\n<s> b </s>", "a|</s>|b|</s>", 4, 0),
            ("a </s> <s> b </s>\n", "a|</s>|b|</s>", 2, 1),
            ("a <s> b\n", "a|b|</s>", 1, 0),
            ("<s> </s>\n</s>\n\n<s>", "</s>|</s>|</s>|</s>", 4, 0),
            ("</s> a\n", "</s>|a|</s>", 0, 1),
            ("a </s> </s>\n", "a|</s>|</s>", 1, 1),
        ] {
            let tags = SentenceTags { dropped, inside };
            assert_eq!(split(text), (words.to_owned(), tags), "{text:?}");
        }
    }
}
