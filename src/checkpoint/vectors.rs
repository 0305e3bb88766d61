//! Word vectors as text, word2vec's format: a line with how many there are and how long they are,
//! then a line for each word with its numbers.
//!
//! In: a file, to begin an embedding with. Out: a table of a model, for other programs.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::BufRead;
use std::path::Path;

use super::{Checkpoint, replace_file};
use crate::corpus::Vocabulary;
use crate::error::{Error, Result};
use crate::field::choices;
use crate::gzip;
use crate::model::parameter_specs;

/// Vectors of some words, all of one length.
#[derive(Debug, Clone, PartialEq)]
pub struct WordVectors {
    /// Numbers of a vector.
    pub size: usize,
    /// The vectors of the words that were asked for.
    pub vectors: HashMap<String, Vec<f32>>,
}

impl WordVectors {
    /// Reads the vectors of a vocabulary's words, plain or compressed with gzip; those of other
    /// words are left out.
    ///
    /// # Errors
    /// If the file cannot be read, or is not of the format; the message names the line.
    pub fn read(path: &Path, vocabulary: &Vocabulary) -> Result<Self> {
        Self::parse(gzip::open(path)?, path, vocabulary)
    }

    fn parse(reader: impl BufRead, path: &Path, vocabulary: &Vocabulary) -> Result<Self> {
        let wrong = |line: usize, rule: String| {
            Error::invalid(
                format!("{}, line {line}", path.display()),
                rule,
                "Give vectors in word2vec's text format: `words size`, then `word number number \
                 …` \
                 on every line",
            )
        };
        let wanted: HashMap<&str, ()> = vocabulary
            .types()
            .iter()
            .map(|token| (token.as_str(), ()))
            .collect();
        let mut lines = reader.lines();
        let head = lines
            .next()
            .transpose()
            .map_err(Error::io("read", path))?
            .unwrap_or_default();
        let fields: Vec<_> = head
            .split_ascii_whitespace()
            .map(str::parse::<usize>)
            .collect();
        let [Ok(count), Ok(size)] = fields[..] else {
            return Err(wrong(
                1,
                format!("{head:?} is not the number of words and the length of vectors"),
            ));
        };
        if size == 0 {
            return Err(wrong(1, "vectors have no numbers".into()));
        }
        let (mut vectors, mut found) = (HashMap::new(), 0);
        for (number, line) in (2..).zip(lines) {
            let line = line.map_err(Error::io("read", path))?;
            let mut fields = line.split_ascii_whitespace();
            let Some(word) = fields.next() else { continue };
            found += 1;
            if !wanted.contains_key(word) {
                continue;
            }
            let vector: Vec<f32> = fields
                .filter_map(|field| field.parse().ok())
                .filter(|value: &f32| value.is_finite())
                .collect();
            if vector.len() != size || line.split_ascii_whitespace().count() != size + 1 {
                return Err(wrong(
                    number,
                    format!(
                        "{word:?} has {} finite numbers, and vectors have {size}",
                        vector.len()
                    ),
                ));
            }
            vectors.insert(word.to_owned(), vector);
        }
        if found != count {
            return Err(wrong(
                1,
                format!("it says {count} words, and there are {found}"),
            ));
        }
        Ok(Self { size, vectors })
    }

    /// Puts the vectors into an embedding, `[V, size]`; how many words had one.
    pub fn put_into(&self, embedding: &mut [f32], vocabulary: &Vocabulary) -> usize {
        let rows = embedding
            .chunks_exact_mut(self.size)
            .zip(vocabulary.types());
        let pairs = rows.filter_map(|(row, token)| Some((row, self.vectors.get(token)?)));
        pairs
            .map(|(row, vector)| row.copy_from_slice(vector))
            .count()
    }
}

choices! {
    /// Which of a model's tables has a vector for each word.
    pub enum WordTable {
        /// What the network reads: the embedding, or without one the first layer's weights from
        /// each word.
        Input = "input",
        /// What the output layer multiplies the last state by.
        Output = "output",
    }
}

/// Writes a table of a model.
///
/// # Errors
/// If the model has no such table, a token cannot stand in such a file, or the file cannot be
/// written.
pub fn write(checkpoint: &Checkpoint, table: WordTable, path: &Path) -> Result<usize> {
    let config = &checkpoint.description.config;
    let names = match table {
        WordTable::Input => ["embedding.weight", "rnn.weight_ih_l0"],
        WordTable::Output => ["decoder.weight", "embedding.weight"],
    };
    let parameter_specs = parameter_specs(config);
    let place = names
        .iter()
        .find_map(|name| parameter_specs.iter().position(|one| one.name == *name));
    let words = checkpoint.vocabulary.len();
    let found = place
        .map(|place| (&parameter_specs[place], &checkpoint.parameters[place]))
        .filter(|(one, _)| one.shape.contains(&words));
    let Some((spec, values)) = found else {
        return Err(Error::invalid(
            format!(
                "the {} table",
                if table == WordTable::Input {
                    "input"
                } else {
                    "output"
                }
            ),
            format!(
                "--output {} has no vector of one length for every word",
                config.output
            ),
            "Take the input table",
        ));
    };
    let by_row = spec.shape[0] == words && spec.name != "rnn.weight_ih_l0";
    let size = values.len() / words;
    let mut text = format!("{words} {size}\n");
    for (word, token) in checkpoint.vocabulary.types().iter().enumerate() {
        if token.is_empty() || token.contains(|character: char| character.is_whitespace()) {
            return Err(Error::invalid(
                format!("the token {token:?}"),
                "word2vec's text format separates fields by white space",
                "Export the vectors of a model of words",
            ));
        }
        text.push_str(token);
        for number in 0..size {
            let value = if by_row {
                values[word * size + number]
            } else {
                values[number * words + word]
            };
            // Writing to a string cannot fail.
            let _ = write!(text, " {value}");
        }
        text.push('\n');
    }
    replace_file(path, text.as_bytes())?;
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
        assert_eq!(read.put_into(&mut embedding, &vocabulary()), 2);
        assert_eq!(embedding, [9.0, 9.0, 1e-3, 2.0, 0.5, -1.0, 9.0, 9.0]);
    }

    #[test]
    fn bad_vectors_are_named() {
        for (text, line, why) in [
            ("", "line 1", "number of words"),
            ("a 1 2\n", "line 1", "number of words"),
            ("1 0\na\n", "line 1", "no numbers"),
            ("1 2\na 1\n", "line 2", "1 finite"),
            ("1 2\na 1 nan\n", "line 2", "1 finite"),
            ("1 2\na 1 2 3\n", "line 2", "3 finite"),
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
