//! Models of Mikolov's rnnlm (rnnlm 0.3 and 0.4, format version 10), text or binary: classes,
//! direct connections, a compression layer, the state after the validation text.
//!
//! In: a file that `rnnlm -train` wrote. Out: an [`Imported`] and what its tensors do not tell.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::{CLASS_WEIGHT, COMPRESSION, DECODER, DIRECT, Imported, ImportedShape};
use crate::corpus::{Unit, Vocabulary};
use crate::error::{Error, Result};
use crate::model::{Activation, Binning, Classes, Config};

/// The format that is read.
const VERSION: usize = 10;
/// What rnnlm puts into every unit at the end of a sentence in its independent mode.
const INDEPENDENT_STATE: f32 = 1.0;

/// Reads a model: the network, and the configuration with what the layout does not say.
///
/// # Errors
/// If the file cannot be read, is of another version, is cut short or longer than its sizes say, or
/// has words twice, words that are not UTF-8, or classes that are no runs of the vocabulary.
pub fn read(path: &Path) -> Result<(Imported, Config)> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    parse(&bytes, &path.display().to_string())
}

/// A file being read.
struct Reader<'a> {
    bytes: &'a [u8],
    /// What was read already.
    position: usize,
    file: &'a str,
}

/// The sizes of a network, as the head of the file has them.
struct Sizes {
    words: usize,
    hidden: usize,
    compression: usize,
    classes: usize,
    direct: usize,
}

fn parse(bytes: &[u8], file: &str) -> Result<(Imported, Config)> {
    let mut reader = Reader {
        bytes,
        position: 0,
        file,
    };
    let head = reader.head()?;
    let number = |name: &str| head.number(name, file);
    if number("version")? != VERSION {
        return Err(Error::invalid(
            format!("{file}, version {}", number("version")?),
            format!("Elman reads version {VERSION}, which rnnlm 0.3 and 0.4 write"),
            "Train with one of these, or let one go on with the model for no epoch: it writes its \
             own version",
        ));
    }
    let is_binary = match number("file format")? {
        0 => false,
        1 => true,
        other => {
            return Err(Error::invalid(
                format!("{file}, file format {other}"),
                "it must be 0 (text) or 1 (binary)",
                "Save it as one of them",
            ));
        }
    };
    let sizes = Sizes {
        words: number("vocabulary size")?,
        hidden: number("hidden layer size")?,
        compression: number("compression layer size")?,
        classes: number("class size")?,
        direct: number("direct connections")?,
    };
    sizes.check(
        number("input layer size")?,
        number("output layer size")?,
        file,
    )?;
    let (vocabulary, class_sizes) = reader.vocabulary(&sizes)?;
    let (state, values) = reader.numbers(&sizes, is_binary)?;
    let independent = number("independent sentences mode")? != 0;
    let old_classes = number("old classes")? != 0;

    let layout = ImportedShape {
        cell: "elman",
        gates: 1,
        vocab_size: sizes.words,
        embedding_size: 0,
        hidden_sizes: vec![sizes.hidden],
        bias: false,
        decoder_bias: false,
        tied: false,
        projection: false,
    };
    let binning = if old_classes {
        Binning::Frequency
    } else {
        Binning::Sqrt
    };
    let config = Config {
        activation: Activation::RnnlmSigmoid,
        compression_size: sizes.compression,
        output: "class".into(),
        classes: Some(Classes {
            asked: sizes.classes,
            binning,
            sizes: class_sizes,
        }),
        direct_size: sizes.direct,
        direct_order: if sizes.direct > 0 {
            number("direct order")?
        } else {
            0
        },
        initial_state: if independent {
            INDEPENDENT_STATE
        } else {
            Config::default().initial_state
        },
        independent,
        ..Config::default()
    };
    let mut notes = Vec::new();
    if !is_binary {
        notes.push(
            "rnnlm's text format keeps four decimals of every number; -binary keeps them all"
                .to_owned(),
        );
    }
    // In the independent mode no text begins with the state.
    let initial_states = (!independent).then(|| vec![state]);
    Ok((
        Imported {
            layout,
            unit: Unit::Word,
            vocabulary,
            values,
            skip_unknown: true,
            initial_states,
            notes,
        },
        config,
    ))
}

impl Sizes {
    /// The sizes of whole layers must follow from their parts.
    fn check(&self, input: usize, output: usize, file: &str) -> Result<()> {
        let fits = input.checked_sub(self.hidden) == Some(self.words)
            && output.checked_sub(self.classes) == Some(self.words);
        if fits && self.words > 0 && self.hidden > 0 && (1..=self.words).contains(&self.classes) {
            return Ok(());
        }
        Err(Error::invalid(
            file,
            format!(
                "an input layer of {input}, a hidden layer of {}, an output layer of {output}, {} \
                 words and {} classes make no network",
                self.hidden, self.words, self.classes
            ),
            "Restore the file from a copy",
        ))
    }
}

/// The state, and the parameters under Elman's names.
type Numbers = (Vec<f32>, HashMap<String, Vec<f32>>);

/// The lines before the vocabulary.
struct Head(HashMap<String, String>);

impl Head {
    fn number(&self, name: &str, file: &str) -> Result<usize> {
        let value = self.0.get(name);
        value.and_then(|value| value.parse().ok()).ok_or_else(|| {
            let rule = match value {
                None => "it is not there, so this is no model of rnnlm".to_owned(),
                Some(value) => format!("{value:?} is no number from 0 on"),
            };
            Error::invalid(
                format!("`{name}:` in the head of {file}"),
                rule,
                "Give the file that `rnnlm -train -rnnlm FILE` wrote",
            )
        })
    }
}

impl<'a> Reader<'a> {
    fn cut_short(&self, what: &str) -> Error {
        let rule = format!("the file ends before {what}");
        Error::invalid(
            self.file,
            rule,
            "It is cut short: restore it from a copy, or train it again",
        )
    }

    /// The next line, without its end; none at the end of the file.
    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = &self.bytes[self.position..];
        if rest.is_empty() {
            return None;
        }
        let end = rest.iter().position(|&byte| byte == b'\n');
        self.position += end.map_or(rest.len(), |end| end + 1);
        Some(&rest[..end.unwrap_or(rest.len())])
    }

    /// Everything up to the vocabulary.
    fn head(&mut self) -> Result<Head> {
        let mut head = HashMap::new();
        loop {
            let line = self.line().map(String::from_utf8_lossy);
            match line.as_deref().and_then(|line| line.split_once(':')) {
                Some(("Vocabulary", _)) => return Ok(Head(head)),
                Some((name, value)) => {
                    drop(head.insert(name.trim().to_owned(), value.trim().to_owned()));
                }
                None if line.is_some() => {}
                None if head.contains_key("version") => {
                    return Err(self.cut_short("its vocabulary"));
                }
                None => {
                    let hint = "Give the file that `rnnlm -train -rnnlm FILE` wrote";
                    return Err(Error::invalid(self.file, "it is no model of rnnlm", hint));
                }
            }
        }
    }

    /// The words, and how many of them each class has.
    fn vocabulary(&mut self, sizes: &Sizes) -> Result<(Vocabulary, Vec<usize>)> {
        // A word takes a line: no memory for more than the file can hold, whatever it says.
        if sizes.words > self.bytes.len() {
            return Err(self.cut_short(&format!(
                "the end of its vocabulary of {} words",
                sizes.words
            )));
        }
        let mut types = Vec::with_capacity(sizes.words);
        let (mut classes, mut last, mut words) = (vec![0; sizes.classes], 0, HashSet::new());
        while types.len() < sizes.words {
            let line = self.line().ok_or_else(|| {
                self.cut_short(&format!("word {} of {}", types.len(), sizes.words))
            })?;
            let place = format!("{}, word {}", self.file, types.len());
            let text = std::str::from_utf8(line).map_err(|_| {
                Error::invalid(
                    &*place,
                    "it is not UTF-8",
                    "Convert the training text to UTF-8 and train again",
                )
            })?;
            if text.trim().is_empty() {
                continue;
            }
            let fields: Vec<&str> = text.split_ascii_whitespace().collect();
            let number = |field: usize| {
                fields
                    .get(field)
                    .and_then(|field| field.parse::<usize>().ok())
            };
            let (true, Some(index), Some(class)) = (fields.len() == 4, number(0), number(3)) else {
                return Err(Error::invalid(
                    format!("{place}: {text:?}"),
                    "a line of the vocabulary has a number, a count, a word and a class",
                    "Restore the file from a copy",
                ));
            };
            if index != types.len() || class < last || class >= sizes.classes {
                let rule = format!(
                    "words count up from 0, and their classes ascend below {}",
                    sizes.classes
                );
                return Err(Error::invalid(
                    format!("{place}: {text:?}"),
                    rule,
                    "Restore the file from a copy",
                ));
            }
            if !words.insert(fields[2]) {
                return Err(Error::invalid(
                    format!("{place}: {text:?}"),
                    "the word stands there twice",
                    "Restore the file from a copy",
                ));
            }
            last = class;
            classes[class] += 1;
            types.push(fields[2].to_owned());
        }
        if types
            .first()
            .is_none_or(|first| first != Unit::Word.boundary())
        {
            return Err(Error::invalid(
                self.file,
                "its first word is not </s>",
                "Restore the file from a copy",
            ));
        }
        Ok((Vocabulary::new(types)?, classes))
    }

    /// The state, and the parameters under Elman's names.
    fn numbers(&mut self, sizes: &Sizes, is_binary: bool) -> Result<Numbers> {
        let &Sizes {
            words,
            hidden,
            compression,
            classes,
            direct,
        } = sizes;
        let input = words + hidden;
        let read = if is_binary { Self::binary } else { Self::text };
        let state = read(self, "the hidden layer's state", hidden)?;
        let first = read(self, "the weights 0->1", hidden.saturating_mul(input))?;
        let mut values = HashMap::new();
        let last = match compression {
            0 => hidden,
            _ => {
                values.insert(
                    COMPRESSION.to_owned(),
                    read(self, "the weights 1->c", compression.saturating_mul(hidden))?,
                );
                compression
            }
        };
        let mut output = read(
            self,
            "the weights to the output layer",
            (words + classes).saturating_mul(last),
        )?;
        values.insert(CLASS_WEIGHT.to_owned(), output.split_off(words * last));
        values.insert(DECODER.to_owned(), output);
        if direct > 0 {
            values.insert(
                DIRECT.to_owned(),
                read(self, "the direct connections", direct)?,
            );
        }
        if self.bytes[self.position..]
            .iter()
            .any(|byte| is_binary || !byte.is_ascii_whitespace())
            && !self.ends_with_title(is_binary)
        {
            let rule = format!("{} bytes are left over", self.bytes.len() - self.position);
            return Err(Error::invalid(
                self.file,
                rule,
                "The sizes in its head are wrong, or something was written behind the model",
            ));
        }
        // A row has a unit's weights from the words, then those from the previous state.
        let rows = || first.chunks_exact(input);
        values.insert(
            "rnn.weight_ih_l0".to_owned(),
            rows().flat_map(|row| &row[..words]).copied().collect(),
        );
        values.insert(
            "rnn.weight_hh_l0".to_owned(),
            rows().flat_map(|row| &row[words..]).copied().collect(),
        );
        Ok((state, values))
    }

    /// In text the title of the direct connections stands there where there are none.
    fn ends_with_title(&self, is_binary: bool) -> bool {
        !is_binary
            && String::from_utf8_lossy(&self.bytes[self.position..])
                .trim()
                .ends_with(':')
    }

    /// The next numbers of a binary file.
    fn binary(&mut self, what: &str, count: usize) -> Result<Vec<f32>> {
        let bytes = self.bytes[self.position..]
            .get(..count.saturating_mul(4))
            .ok_or_else(|| self.cut_short(&format!("the end of {what}")))?;
        self.position += bytes.len();
        let numbers = bytes
            .chunks_exact(4)
            .map(|four| f32::from_le_bytes(four.try_into().unwrap_or_default()));
        self.finite(what, numbers.collect())
    }

    /// The next numbers of a text file, behind their title.
    fn text(&mut self, what: &str, count: usize) -> Result<Vec<f32>> {
        let title = self.bytes[self.position..]
            .iter()
            .position(|&byte| byte == b':');
        self.position += title.ok_or_else(|| self.cut_short(what))? + 1;
        let mut numbers = Vec::with_capacity(count.min(self.bytes.len()));
        while numbers.len() < count {
            let rest = &self.bytes[self.position..];
            let begin = rest
                .iter()
                .position(|byte| !byte.is_ascii_whitespace())
                .ok_or_else(|| self.cut_short(&format!("the end of {what}")))?;
            // A number that the file ends with may have lost digits: rnnlm ends every line.
            let length = rest[begin..].iter().position(u8::is_ascii_whitespace);
            let length = length.ok_or_else(|| self.cut_short(&format!("the end of {what}")))?;
            let word = String::from_utf8_lossy(&rest[begin..begin + length]);
            let number = word.parse().map_err(|_| {
                let rule = format!(
                    "{word:?} is no number, and {} of {count} are still to come",
                    count - numbers.len()
                );
                Error::invalid(
                    format!("{what} of {}", self.file),
                    rule,
                    "It is cut short or damaged: restore it from a copy",
                )
            })?;
            numbers.push(number);
            self.position += begin + length;
        }
        self.finite(what, numbers)
    }

    fn finite(&self, what: &str, numbers: Vec<f32>) -> Result<Vec<f32>> {
        match numbers.iter().find(|number| !number.is_finite()) {
            None => Ok(numbers),
            Some(number) => Err(Error::invalid(
                format!("{what} of {}", self.file),
                format!("{number} is among them, and all must be finite"),
                "Its training diverged, or the file is damaged: train it again with a smaller \
                 -alpha",
            )),
        }
    }
}
