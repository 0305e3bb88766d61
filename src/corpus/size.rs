//! How much text there is, in measures that do not depend on what a token is.

/// Words and characters of a text, whatever the unit that it is read in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TextSize {
    /// Words between white space and ends of lines: the tokens of
    /// [`Unit::Word`](super::Unit::Word).
    pub words: u64,
    /// Unicode scalar values, the newline among them: the tokens of
    /// [`Unit::Char`](super::Unit::Char).
    pub characters: u64,
}

/// Counts both, a character at a time. A byte order mark is not for it.
#[derive(Debug, Default)]
pub(super) struct Sizer {
    size: TextSize,
    in_word: bool,
    line_has_words: bool,
    /// A carriage return that is no character if a newline follows.
    carriage_return: bool,
}

impl Sizer {
    pub(super) fn add(&mut self, character: char) {
        let of_line_end = std::mem::take(&mut self.carriage_return) && character == '\n';
        self.size.characters += u64::from(!of_line_end);
        self.carriage_return = character == '\r';
        if !character.is_whitespace() {
            self.size.words += u64::from(!self.in_word);
            (self.in_word, self.line_has_words) = (true, true);
            return;
        }
        self.in_word = false;
        if character == '\n' {
            self.size.words += 1;
            self.line_has_words = false;
        }
    }

    /// The end of a file: a last line without a newline is a line.
    pub(super) fn finish(self) -> TextSize {
        TextSize {
            words: self.size.words + u64::from(self.line_has_words),
            ..self.size
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::splitter::Splitter;
    use super::super::unit::Unit;
    use super::*;

    #[test]
    fn words_and_characters_are_the_tokens_of_their_units() {
        for text in [
            "",
            "\n",
            "a",
            "a b\n",
            "\u{feff} a\r\n\r\nb\rc\r",
            "  \n x",
            "漢字 e\u{301}\u{2028}k\n\n",
            "a\n  ",
            "\r\r\n\r",
        ] {
            let tokens = |unit| {
                let (mut splitter, mut tokens) = (Splitter::new(unit), 0);
                // Chunks that cut characters.
                for chunk in text.as_bytes().chunks(2) {
                    splitter.push(chunk, &mut |_| tokens += 1).expect("UTF-8");
                }
                splitter.finish(&mut |_| tokens += 1).expect("UTF-8");
                (tokens, splitter.size().expect("UTF-8"))
            };
            let ((words, size), (characters, same)) = (tokens(Unit::Word), tokens(Unit::Char));
            assert_eq!(size, TextSize { words, characters }, "{text:?}");
            assert_eq!(size, same, "{text:?}");
            assert_eq!(
                (size, size),
                (tokens(Unit::Byte).1, tokens(Unit::Bpe).1),
                "{text:?}"
            );
        }
    }
}
