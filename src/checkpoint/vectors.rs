//! Word vectors in word2vec's text format: a line with the number of vectors and their length, then
//! one line per word with the word and the elements of its vector. The elements are the last fields
//! of a line; the word is all before them, so it may contain spaces, and need not be UTF-8.
//!
//! Input: a file that initializes an embedding. Output: a table of a model, for other programs.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::{BufRead, Write};
use std::path::Path;

use super::Checkpoint;
use crate::corpus::{Unit, Vocabulary, is_separator, without_byte_order_mark};
use crate::decompress;
use crate::error::{Error, Result};
use crate::field::{Choice, choices};
use crate::model::parameter_specs;
use crate::output_file::write_file;

/// Vectors of equal length for some of a vocabulary's words.
#[derive(Debug, Clone, PartialEq)]
pub struct WordVectors {
    /// Length of a vector.
    pub size: usize,
    /// The vectors of the words that are in the vocabulary.
    pub vectors: HashMap<String, Vec<f32>>,
}

impl WordVectors {
    /// Reads the vectors of a vocabulary's words from a file, plain or compressed. Other
    /// words are skipped.
    ///
    /// # Errors
    /// If the file cannot be read or is malformed; the message names the line.
    pub fn read(path: &Path, vocabulary: &Vocabulary) -> Result<Self> {
        Self::parse(decompress::open(path)?, path, vocabulary)
    }

    fn parse(reader: impl BufRead, path: &Path, vocabulary: &Vocabulary) -> Result<Self> {
        let malformed = |line: usize, rule: String| {
            Error::invalid(
                format!("{}, line {line}", path.display()),
                rule,
                "Give vectors in word2vec's text format: `words size`, then `word value value …` \
                 on each line",
            )
        };
        let known: HashSet<&str> = vocabulary.types().iter().map(String::as_str).collect();
        let mut lines = reader.split(b'\n');
        let head = lines
            .next()
            .transpose()
            .map_err(Error::io("read", path))?
            .unwrap_or_default();
        let head = String::from_utf8_lossy(without_byte_order_mark(&head, Unit::Word));
        let fields: Vec<_> = head
            .split_ascii_whitespace()
            .map(str::parse::<usize>)
            .collect();
        let [Ok(count), Ok(size)] = fields[..] else {
            let rule = format!(
                "{:?} is not the number of words and the length of vectors",
                head.trim_end_matches(is_separator)
            );
            return Err(malformed(1, rule));
        };
        if size == 0 {
            return Err(malformed(1, "the length of vectors must be above 0".into()));
        }
        let mut vectors = HashMap::new();
        let mut found = 0;
        for (line_number, line) in (2..).zip(lines) {
            let line = line.map_err(Error::io("read", path))?;
            let line = trimmed(&line);
            if line.is_empty() {
                continue;
            }
            found += 1;
            let (word, fields) = split_fields(line, size);
            let Some(word) = known_word(word, &known) else {
                continue;
            };
            let vector: Vec<f32> = fields
                .iter()
                .filter_map(|field| std::str::from_utf8(field).ok()?.parse().ok())
                .filter(|value: &f32| value.is_finite())
                .collect();
            if vector.len() != size {
                let rule = format!(
                    "{word:?} has {} finite values, and vectors have {size}",
                    vector.len()
                );
                return Err(malformed(line_number, rule));
            }
            vectors.insert(word.to_owned(), vector);
        }
        if found != count {
            let rule = format!("it says {count} words, and there are {found}");
            return Err(malformed(1, rule));
        }
        Ok(Self { size, vectors })
    }

    /// Copies the vectors into an embedding `[V, size]` and returns the number of rows that were
    /// set.
    pub fn copy_to(&self, embedding: &mut [f32], vocabulary: &Vocabulary) -> usize {
        let rows = embedding.chunks_exact_mut(self.size);
        let mut count = 0;
        for (row, token) in rows.zip(vocabulary.types()) {
            if let Some(vector) = self.vectors.get(token) {
                row.copy_from_slice(vector);
                count += 1;
            }
        }
        count
    }
}

/// A line without separators at its start and end.
fn trimmed(line: &[u8]) -> &[u8] {
    let is_text = |&byte: &u8| !is_separator(char::from(byte));
    let start = line.iter().position(is_text).unwrap_or(line.len());
    let end = line
        .iter()
        .rposition(is_text)
        .map_or(start, |last| last + 1);
    &line[start..end]
}

/// Splits a line into the word and the last `count` fields; fewer if the line is too short. The
/// first field is always part of the word.
fn split_fields(line: &[u8], count: usize) -> (&[u8], Vec<&[u8]>) {
    let mut word = line;
    // The count is that of a file, which may state any number.
    let mut fields = Vec::with_capacity(count.min(line.len()));
    while fields.len() < count {
        let separator = word
            .iter()
            .rposition(|&byte| is_separator(char::from(byte)));
        let Some(separator) = separator else { break };
        fields.push(&word[separator + 1..]);
        word = trimmed(&word[..separator]);
    }
    fields.reverse();
    (word, fields)
}

/// The word, if it is in the vocabulary.
fn known_word<'a>(word: &'a [u8], known: &HashSet<&str>) -> Option<&'a str> {
    let word = std::str::from_utf8(word).ok()?;
    known.contains(word).then_some(word)
}

choices! {
    /// A table of a model with one vector for each word.
    pub enum WordTable {
        /// The embedding; without an embedding, the columns of the first layer's input weight.
        Input = "input",
        /// The weight of the output layer.
        Output = "output",
    }
}

impl WordTable {
    /// The parameters that can be this table, in order of precedence.
    fn parameters(self) -> [&'static str; 2] {
        match self {
            Self::Input => ["embedding.weight", "rnn.weight_ih_l0"],
            Self::Output => ["decoder.weight", "embedding.weight"],
        }
    }
}

/// Writes a table of a model and returns the length of its vectors.
///
/// # Errors
/// If the model has no such table, a token contains a separator, or the file cannot be written.
pub fn write(checkpoint: &Checkpoint, table: WordTable, path: &Path) -> Result<usize> {
    let config = &checkpoint.description.config;
    let specs = parameter_specs(config);
    let words = checkpoint.vocabulary.len();
    let parameter = table
        .parameters()
        .iter()
        .find_map(|name| specs.iter().position(|spec| spec.name == *name))
        .filter(|&index| specs[index].shape.contains(&words));
    let Some(index) = parameter else {
        return Err(Error::invalid(
            format!("the {} table", table.name()),
            format!(
                "`output = {}` has no vector of one length for every word",
                config.output
            ),
            "Export the input table",
        ));
    };
    let spec = &specs[index];
    let values = &checkpoint.parameters[index];
    // The input weight `[G*H, V]` has one column per word, every other table one row.
    let is_by_row = spec.shape[0] == words && spec.name != "rnn.weight_ih_l0";
    let size = values.len() / words;
    let mut text = format!("{words} {size}\n");
    for (word, token) in checkpoint.vocabulary.types().iter().enumerate() {
        if token.is_empty() || token.contains(is_separator) {
            return Err(Error::invalid(
                format!("the token {token:?}"),
                "word2vec's text format separates fields by spaces and lines by newlines",
                "Export the vectors of a model of words",
            ));
        }
        text.push_str(token);
        for element in 0..size {
            let value = if is_by_row {
                values[word * size + element]
            } else {
                values[element * words + word]
            };
            // Writing to a string cannot fail.
            let _ = write!(text, " {value}");
        }
        text.push('\n');
    }
    write_file(path, |mut file| file.write_all(text.as_bytes()))?;
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> Vocabulary {
        Vocabulary::new(["</s>", "a", "b", "<unk>"].map(str::to_owned).to_vec()).expect("types")
    }

    fn parse(text: &str) -> Result<WordVectors> {
        WordVectors::parse(text.as_bytes(), Path::new("vectors"), &vocabulary())
    }

    #[test]
    fn vectors_of_the_vocabulary_are_read() {
        let read = parse("3 2\nb 0.5 -1\nother x y z\na 1e-3 2\n").expect("vectors");
        assert_eq!((read.size, read.vectors.len()), (2, 2));
        let mut embedding = vec![9.0; 8];
        assert_eq!(read.copy_to(&mut embedding, &vocabulary()), 2);
        assert_eq!(embedding, [9.0, 9.0, 1e-3, 2.0, 0.5, -1.0, 9.0, 9.0]);
    }

    #[test]
    fn a_word_is_all_before_the_last_fields() {
        let text = b"\xef\xbb\xbf5 2\r\nb x@y.z 3 4\nb 0.5\t-1 \r\nf\xff\xfe 1 2\n7 8\na 1 2 3\n";
        let read = WordVectors::parse(&text[..], Path::new("vectors"), &vocabulary());
        let read = read.expect("vectors");
        let vectors = HashMap::from([("b".to_owned(), vec![0.5, -1.0])]);
        assert_eq!((read.size, read.vectors), (2, vectors));
    }

    #[test]
    fn errors_name_the_line() {
        for (text, line, why) in [
            ("", "line 1", "number of words"),
            ("a 1 2\n", "line 1", "number of words"),
            ("1 0\na\n", "line 1", "above 0"),
            ("1 2\na 1\n", "line 2", "1 finite"),
            ("1 2\na 1 nan\n", "line 2", "1 finite"),
            ("1 2\na 1 2x\n", "line 2", "1 finite"),
            ("2 2\na 1 2\n", "line 1", "says 2"),
        ] {
            let message = parse(text).expect_err(text).to_string();
            assert!(
                message.contains(line) && message.contains(why),
                "{text:?}: {message}"
            );
        }
    }
}
