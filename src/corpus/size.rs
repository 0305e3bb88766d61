//! Text size in measures that do not depend on the unit.

/// The number of words and characters of a text, whatever its unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TextSize {
    /// Words and line endings: the tokens of [`Unit::Word`](super::Unit::Word).
    pub words: u64,
    /// Unicode scalar values including newlines: the tokens of [`Unit::Char`](super::Unit::Char).
    pub characters: u64,
}

impl TextSize {
    /// The size of two texts together.
    pub(super) fn add(self, other: Self) -> Self {
        Self {
            words: self.words + other.words,
            characters: self.characters + other.characters,
        }
    }
}

/// Counts words and characters, one character at a time. The caller skips the byte order mark.
#[derive(Debug, Default)]
pub(super) struct SizeCounter {
    size: TextSize,
    in_word: bool,
    line_has_words: bool,
    /// Whether the previous character is a carriage return, which is not counted if a newline
    /// follows.
    carriage_return: bool,
}

impl SizeCounter {
    pub(super) fn push(&mut self, character: char) {
        let completes_crlf = std::mem::take(&mut self.carriage_return) && character == '\n';
        self.size.characters += u64::from(!completes_crlf);
        self.carriage_return = character == '\r';
        if !character.is_whitespace() {
            self.size.words += u64::from(!self.in_word);
            self.in_word = true;
            self.line_has_words = true;
            return;
        }
        self.in_word = false;
        if character == '\n' {
            self.size.words += 1;
            self.line_has_words = false;
        }
    }

    /// Ends the text: a last line without a newline counts as a line.
    pub(super) fn finish(self) -> TextSize {
        TextSize {
            words: self.size.words + u64::from(self.line_has_words),
            ..self.size
        }
    }
}
