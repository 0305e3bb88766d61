//! What a unit may follow: properties of every position of a text.

use crate::corpus::{Tokens, Unit, Vocabulary};
use crate::tensor::NONE;

/// The properties, in the order of [`Features::values`].
pub(super) const NAMES: [&str; 7] = [
    "position in the line",
    "inside quotes",
    "inside brackets",
    "length of the line",
    "end of the line comes next",
    "end of a word comes next",
    "inside a line that ends with a colon",
];

/// The number of properties.
pub(super) const COUNT: usize = NAMES.len();

/// What a type does to quotes and brackets.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    /// 1 opens a quotation, -1 closes it.
    quote: i8,
    /// Whether it opens a quotation outside of one, and closes it inside.
    toggles: bool,
    bracket: i8,
    is_colon: bool,
    /// Whether a word ends before it.
    is_separator: bool,
}

/// The properties of every position of a text, after the token there.
#[derive(Debug)]
pub(super) struct Features<'a> {
    tokens: &'a Tokens,
    unit: Unit,
    marks: Vec<Marks>,
    /// The next position.
    position: usize,
    line_position: usize,
    line_length: usize,
    /// Whether the line ends with a colon, as names of speakers and headings do.
    has_colon: bool,
    is_quoted: bool,
    depth: i32,
    /// Number of line ends one after the other.
    line_ends: usize,
}

impl Marks {
    fn of(token: &str) -> Self {
        let is_any = |list: &[&str]| list.contains(&token);
        let opens = is_any(&["``", "“", "«", "„"]);
        let quote = i8::from(opens) - i8::from(is_any(&["''", "”", "»"]));
        let bracket = i8::from(is_any(&["(", "[", "{", "-LRB-"]))
            - i8::from(is_any(&[")", "]", "}", "-RRB-"]));
        Self {
            quote,
            toggles: token == "\"",
            bracket,
            is_colon: token == ":",
            is_separator: !token
                .chars()
                .any(|c| c.is_alphanumeric() || "'’-".contains(c)),
        }
    }
}

impl<'a> Features<'a> {
    pub(super) fn new(tokens: &'a Tokens, unit: Unit, vocabulary: &Vocabulary) -> Self {
        let mut features = Self {
            tokens,
            unit,
            marks: vocabulary.types().iter().map(|it| Marks::of(it)).collect(),
            position: 0,
            line_position: 0,
            line_length: 0,
            has_colon: false,
            is_quoted: false,
            depth: 0,
            line_ends: 0,
        };
        features.start_line();
        features
    }

    /// Starts the line at the next position.
    fn start_line(&mut self) {
        let line = self.position..self.tokens.len();
        let length = line
            .take_while(|&position| self.tokens.get(position) != 0)
            .count();
        self.line_position = 0;
        self.line_length = length;
        self.has_colon = length > 0 && {
            let last = self.tokens.get(self.position + length - 1);
            self.marks(last).is_colon
        };
    }

    fn marks(&self, id: u32) -> Marks {
        match id {
            NONE => Marks::default(),
            id => self.marks[id as usize],
        }
    }

    /// The properties after the next token.
    pub(super) fn next(&mut self) -> [f64; COUNT] {
        let id = self.tokens.get(self.position);
        self.position += 1;
        let has_next = self.position < self.tokens.len();
        if id == 0 {
            self.end_line();
        } else {
            self.line_position += 1;
            self.line_ends = 0;
            self.read(self.marks(id));
        }
        let next = match has_next {
            true => self.tokens.get(self.position),
            false => 0,
        };
        let in_word = id != 0 && !self.marks(id).is_separator;
        let ends_word = match self.unit {
            // A token is a word.
            Unit::Word | Unit::Bpe => false,
            Unit::Char | Unit::Byte => in_word && (next == 0 || self.marks(next).is_separator),
        };
        let flag = |is_true: bool| f64::from(u8::from(is_true));
        [
            self.line_position as f64,
            flag(self.is_quoted),
            flag(self.depth > 0),
            self.line_length as f64,
            flag(next == 0),
            flag(ends_word),
            // Before its first token, nothing tells what the line is.
            flag(self.has_colon && self.line_position > 0),
        ]
    }

    fn end_line(&mut self) {
        self.start_line();
        self.line_ends += 1;
        // A quotation that never ends must not swallow the rest of the text: it ends with the
        // sentence or, where lines are not sentences, with the paragraph.
        if self.unit.has_sentences() || self.line_ends > 1 {
            self.is_quoted = false;
            self.depth = 0;
        }
    }

    fn read(&mut self, marks: Marks) {
        self.is_quoted = match marks {
            Marks { toggles: true, .. } => !self.is_quoted,
            Marks { quote: 1, .. } => true,
            Marks { quote: -1, .. } => false,
            _ => self.is_quoted,
        };
        self.depth = (self.depth + i32::from(marks.bracket)).max(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::{TextSource, read_with_types};

    fn of(text: &str, unit: Unit) -> Vec<[f64; COUNT]> {
        let source = TextSource::Memory(text.as_bytes());
        let (vocabulary, tokens, _) = read_with_types(source, unit).expect("a text");
        let mut features = Features::new(&tokens, unit, &vocabulary);
        (0..tokens.len()).map(|_| features.next()).collect()
    }

    fn column(rows: &[[f64; COUNT]], name: &str) -> Vec<u8> {
        let index = NAMES.iter().position(|it| *it == name).expect("a name");
        rows.iter().map(|row| row[index] as u8).collect()
    }

    #[test]
    fn words_in_quotes_and_brackets() {
        let rows = of("a `` b ( c ) '' d\ne\n", Unit::Word);
        assert_eq!(
            column(&rows, "inside quotes"),
            [0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]
        );
        assert_eq!(
            column(&rows, "inside brackets"),
            [0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(
            column(&rows, "position in the line"),
            [1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0]
        );
        assert_eq!(
            column(&rows, "length of the line"),
            [8, 8, 8, 8, 8, 8, 8, 8, 1, 1, 0]
        );
        assert_eq!(
            column(&rows, "end of the line comes next"),
            [0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1]
        );
    }

    #[test]
    fn lines_that_end_with_a_colon() {
        let rows = of("a:\nb: c\nd:\n", Unit::Char);
        assert_eq!(
            column(&rows, "inside a line that ends with a colon"),
            [1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0]
        );
    }

    #[test]
    fn characters_at_the_end_of_a_word() {
        let rows = of("ab \"c\n d\n\ne", Unit::Char);
        assert_eq!(
            column(&rows, "end of a word comes next"),
            [0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1]
        );
        assert_eq!(
            column(&rows, "inside quotes"),
            [0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0]
        );
    }
}
