//! Texts that are tokenized once, as a directory: for texts larger than memory, and for many runs
//! on one text.
//!
//! In: texts, and how their types are selected. Out: a [`Corpus`] whose tokens are read from the
//! directory by position. The directory has
//!
//! - `corpus.json`: the unit, the sizes and the counts of the types,
//! - `vocab.txt`, or `tokenizer.json` for subwords, as a model has them,
//! - `text.tokens`: the token ids of the training text, which a held-out part follows; and
//!   `valid.tokens`, if there is a validation text. The format is in `corpus/token_file.rs`,
//! - `manifest.json`: length and SHA-256 of the files but those of tokens, whose pages have a
//!   checksum each.

mod cache;
mod new_directory;
mod reader;
mod writer;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use cache::TokenCache;
pub use reader::{PreparedText, check_no_valid, is_prepared, read_corpus_with};
pub use writer::{Request, prepare};

use crate::corpus::{Limits, SentenceTags, TextReport, Tokens, Unit};

#[cfg(doc)]
use crate::corpus::Corpus;

/// The version of the format. Directories with a larger version are rejected.
const FORMAT: u32 = 1;
/// The description.
const DESCRIPTION: &str = "corpus.json";
/// How to get a directory whose files belong together.
const AGAIN: &str = "Make the directory again with `elman prepare`, or restore it from a copy";

/// How the types of a prepared text were selected: the flags that would select them again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// The limits on the types of the training text.
    pub limits: Limits,
    /// The file of a tokenizer.
    pub tokenizer: Option<PathBuf>,
    /// Texts whose words are the vocabulary.
    pub vocab: Vec<PathBuf>,
    /// The model whose vocabulary it is.
    pub model: Option<PathBuf>,
}

/// The content of `corpus.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    version: u32,
    unit: Unit,
    selection: Selection,
    /// Number of types.
    vocab_size: usize,
    /// Whether the vocabulary has `<unk>`, and words outside the vocabulary are read as `<unk>`.
    maps_unknown: bool,
    /// Size and hash of the training text, with its held-out part.
    report: TextReport,
    /// The sentence tags of both texts.
    tags: SentenceTags,
    train: TokensRecord,
    valid: TokensRecord,
    /// Whether the validation text is the end of the training text.
    is_held_out: bool,
    /// The number of occurrences of each type in the training text.
    counts: Vec<u64>,
}

/// The size of a text.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokensRecord {
    tokens: usize,
    /// Tokens in the vocabulary.
    known: usize,
    bytes_per_token: usize,
}

impl TokensRecord {
    fn of(tokens: &Tokens) -> Self {
        Self {
            tokens: tokens.len(),
            known: tokens.known(),
            bytes_per_token: tokens.bytes_per_token(),
        }
    }
}
