//! The parts of an rnnlm model file: header, vocabulary, and arrays of values in text or binary.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::{LayerSizes, RESTORE};
use crate::checkpoint::in_file;
use crate::corpus::{Unit, Vocabulary, is_separator};
use crate::error::{Error, Result};

const GIVE_MODEL: &str = "Give the file that `rnnlm -train -rnnlm FILE` wrote";

/// How values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileFormat {
    /// Decimal digits, each array after a title that ends with a colon.
    Text,
    /// f32, little-endian, without titles.
    Binary,
}

/// A position in a file.
pub(super) struct RnnlmReader<'a> {
    bytes: &'a [u8],
    /// The number of bytes that were read.
    position: usize,
    file: &'a str,
}

/// The `name: value` lines before the vocabulary.
pub(super) struct Header<'a> {
    lines: HashMap<String, String>,
    file: &'a str,
}

impl Header<'_> {
    /// The value of a line that must be a nonnegative integer.
    pub(super) fn integer(&self, name: &str) -> Result<usize> {
        let value = self.lines.get(name);
        value.and_then(|value| value.parse().ok()).ok_or_else(|| {
            let rule = match value {
                None => "it is missing, so this is not a model of rnnlm".to_owned(),
                Some(value) => format!("{value:?} is not a nonnegative integer"),
            };
            Error::invalid(
                format!("`{name}:` in the header of {}", self.file),
                rule,
                GIVE_MODEL,
            )
        })
    }
}

impl<'a> RnnlmReader<'a> {
    pub(super) fn new(bytes: &'a [u8], file: &'a str) -> Self {
        Self {
            bytes,
            position: 0,
            file,
        }
    }

    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.position..]
    }

    fn cut_short(&self, what: &str) -> Error {
        Error::invalid(
            self.file,
            format!("the file ends before {what}"),
            "It is cut short: restore it from a copy, or train it again",
        )
    }

    /// The next line without its line ending; `None` at the end of the file.
    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest();
        if rest.is_empty() {
            return None;
        }
        let end = rest.iter().position(|&byte| byte == b'\n');
        self.position += end.map_or(rest.len(), |end| end + 1);
        Some(&rest[..end.unwrap_or(rest.len())])
    }

    /// Reads everything up to the vocabulary.
    pub(super) fn header(&mut self) -> Result<Header<'a>> {
        let mut lines = HashMap::new();
        while let Some(line) = self.line() {
            match String::from_utf8_lossy(line).split_once(':') {
                Some(("Vocabulary", _)) => {
                    let file = self.file;
                    return Ok(Header { lines, file });
                }
                Some((name, value)) => {
                    lines.insert(name.trim().to_owned(), value.trim().to_owned());
                }
                None => {}
            }
        }
        if lines.contains_key("version") {
            return Err(self.cut_short("its vocabulary"));
        }
        Err(Error::invalid(
            self.file,
            "it is not a model of rnnlm",
            GIVE_MODEL,
        ))
    }

    /// Reads the words and the number of words in each class.
    pub(super) fn vocabulary(&mut self, sizes: &LayerSizes) -> Result<(Vocabulary, Vec<usize>)> {
        // Each word takes a line, so the file cannot have more words than bytes. This limits the
        // memory that a wrong size allocates.
        if sizes.words > self.bytes.len() {
            let what = format!("the end of its vocabulary of {} words", sizes.words);
            return Err(self.cut_short(&what));
        }
        let mut types = Vec::with_capacity(sizes.words);
        let mut class_sizes = vec![0; sizes.classes];
        let mut last_class = 0;
        let mut words = HashSet::new();
        while types.len() < sizes.words {
            let line = self.line().ok_or_else(|| {
                self.cut_short(&format!("word {} of {}", types.len(), sizes.words))
            })?;
            let location = format!("{}, word {}", self.file, types.len());
            let text = std::str::from_utf8(line).map_err(|_| {
                Error::invalid(
                    &*location,
                    "it is not UTF-8",
                    "Convert the training text to UTF-8 and train again",
                )
            })?;
            if text.trim().is_empty() {
                continue;
            }
            let bad_line =
                |rule: String| Error::invalid(format!("{location}: {text:?}"), rule, RESTORE);
            let Some((index, word, class)) = parse_word(text) else {
                return Err(bad_line(
                    "a line of the vocabulary has an index, a count, a word and a class".into(),
                ));
            };
            if index != types.len() || class < last_class || class >= sizes.classes {
                return Err(bad_line(format!(
                    "words count up from 0, and their classes ascend below {}",
                    sizes.classes
                )));
            }
            if !words.insert(word) {
                return Err(bad_line("the word occurs twice".into()));
            }
            last_class = class;
            class_sizes[class] += 1;
            types.push(word.to_owned());
        }
        if types.first().map(String::as_str) != Some(Unit::Word.boundary()) {
            return Err(Error::invalid(
                self.file,
                "its first word is not </s>",
                RESTORE,
            ));
        }
        let vocabulary = Vocabulary::new(types);
        let vocabulary = vocabulary.map_err(|error| in_file(Path::new(self.file), error))?;
        Ok((vocabulary, class_sizes))
    }

    /// Reads an array of `count` values; `what` names it in messages.
    pub(super) fn values(
        &mut self,
        what: &str,
        count: usize,
        format: FileFormat,
    ) -> Result<Vec<f32>> {
        let values = match format {
            FileFormat::Text => self.text_values(what, count)?,
            FileFormat::Binary => self.binary_values(what, count)?,
        };
        match values.iter().find(|value| !value.is_finite()) {
            None => Ok(values),
            Some(value) => Err(Error::invalid(
                format!("{what} of {}", self.file),
                format!("{value} is among them, and all must be finite"),
                "Its training diverged, or the file is damaged: train it again with a smaller \
                 -alpha",
            )),
        }
    }

    fn binary_values(&mut self, what: &str, count: usize) -> Result<Vec<f32>> {
        let bytes = self
            .rest()
            .get(..count.saturating_mul(4))
            .ok_or_else(|| self.cut_short(&format!("the end of {what}")))?;
        self.position += bytes.len();
        let (values, _) = bytes.as_chunks();
        Ok(values.iter().copied().map(f32::from_le_bytes).collect())
    }

    /// Reads values after their title.
    fn text_values(&mut self, what: &str, count: usize) -> Result<Vec<f32>> {
        let title = self.rest().iter().position(|&byte| byte == b':');
        self.position += title.ok_or_else(|| self.cut_short(what))? + 1;
        let mut values = Vec::with_capacity(count.min(self.bytes.len()));
        while values.len() < count {
            let rest = self.rest();
            let start = rest
                .iter()
                .position(|byte| !byte.is_ascii_whitespace())
                .ok_or_else(|| self.cut_short(&format!("the end of {what}")))?;
            // rnnlm ends every line, so a value at the end of the file may lack digits.
            let length = rest[start..]
                .iter()
                .position(u8::is_ascii_whitespace)
                .ok_or_else(|| self.cut_short(&format!("the end of {what}")))?;
            let word = String::from_utf8_lossy(&rest[start..start + length]);
            let value = word.parse().map_err(|_| {
                Error::invalid(
                    format!("{what} of {}", self.file),
                    format!(
                        "{word:?} is not a number, and {} of {count} values are missing",
                        count - values.len()
                    ),
                    "It is cut short or damaged: restore it from a copy",
                )
            })?;
            values.push(value);
            self.position += start + length;
        }
        Ok(values)
    }

    /// Checks that nothing follows the values.
    pub(super) fn finish(&self, format: FileFormat) -> Result<()> {
        let is_complete = match format {
            FileFormat::Binary => self.rest().is_empty(),
            FileFormat::Text => {
                let rest = String::from_utf8_lossy(self.rest());
                // The title of the direct connections is there even if there are none.
                rest.trim_ascii().is_empty() || rest.trim().ends_with(':')
            }
        };
        if is_complete {
            return Ok(());
        }
        Err(Error::invalid(
            self.file,
            format!("{} bytes follow the values", self.rest().len()),
            "The sizes in its header are wrong, or something was written after the model",
        ))
    }
}

/// Parses a line of the vocabulary: index, count, word and class. The result has no count.
fn parse_word(line: &str) -> Option<(usize, &str, usize)> {
    let fields: Vec<&str> = line
        .split(is_separator)
        .filter(|field| !field.is_empty())
        .collect();
    let [index, _, word, class] = fields[..] else {
        return None;
    };
    Some((index.parse().ok()?, word, class.parse().ok()?))
}
