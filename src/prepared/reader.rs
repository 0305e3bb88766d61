//! Opens the directory of a prepared text.

use std::fs;
use std::path::Path;

use super::{AGAIN, DESCRIPTION, Description, FORMAT, Selection};
use crate::checkpoint::{MANIFEST, Manifest, TOKENIZER, VOCABULARY, read_types};
use crate::corpus::{
    Corpus, Subwords, TEXT_TOKENS, TextSource, Tokens, Unit, VALID_TOKENS, Vocabulary,
};
use crate::error::{Error, Result};

/// Whether a path is the directory of a prepared text.
pub fn is_prepared(path: &Path) -> bool {
    path.join(DESCRIPTION).is_file()
}

/// A prepared text.
#[derive(Debug)]
pub struct PreparedText {
    /// The texts; their tokens are read from the directory.
    pub corpus: Corpus,
    /// The unit of text that a token represents.
    pub unit: Unit,
    /// How the types were selected.
    pub selection: Selection,
}

impl PreparedText {
    /// Opens a directory.
    ///
    /// # Errors
    /// If a file is missing, damaged, or was written by a newer version.
    pub fn open(directory: &Path) -> Result<Self> {
        let files = Files::open(directory)?;
        let description = files.description()?;
        let vocabulary = files.vocabulary(&description)?;
        let (train, valid) = tokens(directory, &description)?;
        check_counts(directory, &description)?;
        Ok(Self {
            corpus: Corpus {
                vocabulary,
                train,
                valid,
                report: description.report,
                tags: description.tags,
                counts: Some(description.counts),
            },
            unit: description.unit,
            selection: description.selection,
        })
    }

    /// The unit of a prepared text, and how its types were selected.
    ///
    /// # Errors
    /// If the description is damaged, or was written by a newer version.
    pub fn selection(directory: &Path) -> Result<(Unit, Selection)> {
        let description = Files::open(directory)?.description()?;
        Ok((description.unit, description.selection))
    }

    /// Opens a directory whose text has the vocabulary of a model.
    ///
    /// # Errors
    /// As [`PreparedText::open`], or if its vocabulary or unit is another one.
    pub fn open_with(directory: &Path, vocabulary: &Vocabulary, unit: Unit) -> Result<Self> {
        let text = Self::open(directory)?;
        if text.unit == unit && text.corpus.vocabulary == *vocabulary {
            return Ok(text);
        }
        Err(Error::invalid(
            directory.display().to_string(),
            "it was prepared with another vocabulary than that of the model",
            "Prepare the text with `elman prepare --model`, or give the text itself",
        ))
    }
}

/// Reads a training text, prepared or not, and a validation text with an existing vocabulary.
///
/// # Errors
/// As [`Corpus::read_with`] and [`PreparedText::open_with`], or if a prepared text comes with
/// another validation text.
pub fn read_corpus_with(
    vocabulary: Vocabulary,
    train: &Path,
    valid: Option<&Path>,
    unit: Unit,
) -> Result<Corpus> {
    if !is_prepared(train) {
        return Corpus::read_with(vocabulary, TextSource::File(train), valid, unit);
    }
    check_no_valid(train, valid)?;
    Ok(PreparedText::open_with(train, &vocabulary, unit)?.corpus)
}

/// Checks that no validation text is given beside a prepared text.
///
/// # Errors
/// If one is.
pub fn check_no_valid(train: &Path, valid: Option<&Path>) -> Result<()> {
    let Some(valid) = valid else {
        return Ok(());
    };
    Err(Error::invalid(
        valid.display().to_string(),
        format!(
            "the prepared text {} has its own validation text",
            train.display()
        ),
        "Remove it here, or give it to `elman prepare --valid`",
    ))
}

/// The files of a directory, checked against its manifest where there is one.
struct Files<'a> {
    directory: &'a Path,
    manifest: Option<Manifest>,
}

impl<'a> Files<'a> {
    fn open(directory: &'a Path) -> Result<Self> {
        let path = directory.join(MANIFEST);
        let manifest = if path.exists() {
            let content = fs::read(&path).map_err(Error::io("read", &path))?;
            Some(parse(&content, directory, MANIFEST)?)
        } else {
            None
        };
        Ok(Self {
            directory,
            manifest,
        })
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.directory.join(name);
        let content = fs::read(&path).map_err(Error::io("read", &path))?;
        if let Some(manifest) = &self.manifest {
            manifest.check(name, &content, &path, AGAIN)?;
        }
        Ok(content)
    }

    fn text(&self, name: &str) -> Result<String> {
        String::from_utf8(self.bytes(name)?)
            .map_err(|error| invalid(self.directory, name, format!("it is not UTF-8 ({error})")))
    }

    fn description(&self) -> Result<Description> {
        let content = self.bytes(DESCRIPTION)?;
        let newer: Version = parse(&content, self.directory, DESCRIPTION)?;
        if newer.version > FORMAT {
            return Err(Error::invalid(
                self.directory.join(DESCRIPTION).display().to_string(),
                format!(
                    "it has version {}, and this program reads up to version {FORMAT}",
                    newer.version
                ),
                "Use a newer version of Elman",
            ));
        }
        parse(&content, self.directory, DESCRIPTION)
    }

    fn vocabulary(&self, description: &Description) -> Result<Vocabulary> {
        let (name, vocabulary) = match description.unit {
            Unit::Bpe => {
                let name = self.directory.join(TOKENIZER).display().to_string();
                let subwords = Subwords::parse(self.text(TOKENIZER)?, &name)?;
                (TOKENIZER, Vocabulary::from_subwords(subwords)?)
            }
            Unit::Word | Unit::Char | Unit::Byte => {
                let types = read_types(&self.text(VOCABULARY)?, &self.directory.join(VOCABULARY))?;
                let vocabulary = Vocabulary::new(types)
                    .map_err(|error| invalid(self.directory, VOCABULARY, error.to_string()))?;
                (VOCABULARY, vocabulary)
            }
        };
        if vocabulary.len() != description.vocab_size {
            let rule = format!(
                "it has {} types, and {DESCRIPTION} says vocab_size {}",
                vocabulary.len(),
                description.vocab_size
            );
            return Err(invalid(self.directory, name, rule));
        }
        Ok(match description.maps_unknown {
            true => vocabulary,
            false => vocabulary.skipping_unknown(),
        })
    }
}

/// The only field that is read of a description of any version.
#[derive(serde::Deserialize)]
struct Version {
    version: u32,
}

fn parse<T: serde::de::DeserializeOwned>(
    content: &[u8],
    directory: &Path,
    name: &str,
) -> Result<T> {
    serde_json::from_slice(content)
        .map_err(|error| invalid(directory, name, format!("it cannot be parsed: {error}")))
}

/// Checks that the counts are those of a text with these sizes.
fn check_counts(directory: &Path, description: &Description) -> Result<()> {
    let Description {
        counts,
        train,
        vocab_size,
        ..
    } = description;
    let sum = counts
        .iter()
        .try_fold(0_u64, |sum, &count| sum.checked_add(count));
    if counts.len() == *vocab_size && sum == Some(train.known as u64) {
        return Ok(());
    }
    let rule = format!(
        "its counts are not those of {} tokens and {vocab_size} types",
        train.known
    );
    Err(invalid(directory, DESCRIPTION, rule))
}

/// The training tokens and the validation tokens.
fn tokens(directory: &Path, description: &Description) -> Result<(Tokens, Tokens)> {
    let (train, valid) = (description.train, description.valid);
    let types = description.vocab_size;
    let open = |name, tokens, known, bytes_per_token| {
        Tokens::open(&directory.join(name), tokens, known, bytes_per_token, types)
    };
    let is_sound = train.tokens > 0
        && valid.known > 0
        && train.known <= train.tokens
        && valid.known <= valid.tokens;
    let Some(both) = train.tokens.checked_add(valid.tokens).filter(|_| is_sound) else {
        return Err(invalid(
            directory,
            DESCRIPTION,
            "its sizes contradict each other",
        ));
    };
    if description.is_held_out {
        let all = open(
            TEXT_TOKENS,
            both,
            train.known + valid.known,
            train.bytes_per_token,
        )?;
        Ok(all.split_known(train.tokens, train.known))
    } else {
        Ok((
            open(
                TEXT_TOKENS,
                train.tokens,
                train.known,
                train.bytes_per_token,
            )?,
            open(
                VALID_TOKENS,
                valid.tokens,
                valid.known,
                valid.bytes_per_token,
            )?,
        ))
    }
}

fn invalid(directory: &Path, name: &str, rule: impl Into<String>) -> Error {
    Error::invalid(directory.join(name).display().to_string(), rule, AGAIN)
}
