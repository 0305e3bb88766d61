//! Replaces byte-pair encoding in builds without the feature `tokenizers`: creating subwords
//! returns an error that names the feature.

use std::path::Path;

use crate::corpus::Limits;
use crate::error::{Error, Result};

/// A byte-level BPE tokenizer. Not available in this build, because it requires the feature
/// `tokenizers`.
#[derive(Debug, PartialEq, Eq)]
pub enum Subwords {}

fn missing_feature() -> Error {
    Error::config(
        "unit",
        "bpe",
        "this build of Elman does not support subwords",
        "Enable the Cargo feature `tokenizers`, or use another unit",
    )
}

/// Returns no pieces, because subwords cannot be learned.
pub(super) fn split_pieces(_line: &str) -> Vec<String> {
    Vec::new()
}

/// The UTF-8 bytes of the token.
pub(super) fn token_bytes(token: &str) -> Vec<u8> {
    token.as_bytes().to_vec()
}

/// Returns a length of 1 for each type.
pub(super) fn byte_lengths(types: &[String]) -> Vec<usize> {
    vec![1; types.len()]
}

impl Subwords {
    /// Fails, because the feature `tokenizers` is disabled.
    ///
    /// # Errors
    /// Always.
    pub fn read(_path: &Path) -> Result<Self> {
        Err(missing_feature())
    }

    /// Fails, because the feature `tokenizers` is disabled.
    ///
    /// # Errors
    /// Always.
    pub fn parse(_json: String, _file: &str) -> Result<Self> {
        Err(missing_feature())
    }

    pub(super) fn train(_counts: &[(&str, u64)], _limits: Limits) -> Result<Self> {
        Err(missing_feature())
    }

    /// Cannot be called.
    pub fn json(&self) -> &str {
        match *self {}
    }

    pub(super) fn types(&self) -> Vec<String> {
        match *self {}
    }

    pub(super) fn encode_line(&self, _line: &str) -> Vec<u32> {
        match *self {}
    }

    pub(super) fn encode_pieces(&self, _pieces: &[String]) -> Vec<Box<[u32]>> {
        match *self {}
    }
}
