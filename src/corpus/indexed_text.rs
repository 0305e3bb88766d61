//! A text whose types are numbered in the order of their first occurrence.
//!
//! In: a [`TextSource`]. Out: token ids and the list of types, from which a vocabulary is built.

use std::collections::HashMap;

use super::source::{TextReport, TextSource};
use super::subwords::split_pieces;
use super::tokens::Tokens;
use super::unit::Unit;
use crate::error::{Error, Result};
use crate::tensor::NONE;

/// A text whose types are numbered in the order of their first occurrence; the boundary is type 0.
/// For subwords, the types are the pieces from which subwords are learned.
#[derive(Debug)]
pub(super) struct IndexedText {
    pub(super) tokens: Tokens,
    pub(super) types: Vec<String>,
    pub(super) report: TextReport,
}

impl IndexedText {
    /// Reads a text and numbers its types.
    ///
    /// # Errors
    /// If the text cannot be read, is not UTF-8 where the unit requires it, is empty, or has too
    /// many types.
    pub(super) fn read(source: TextSource<'_>, unit: Unit) -> Result<Self> {
        let mut ids: HashMap<String, u32> = HashMap::from([(unit.boundary().to_owned(), 0)]);
        let mut tokens = Tokens::default();
        let mut overflow = false;
        let mut push = |token: &str| {
            let id = ids.get(token).copied().unwrap_or_else(|| {
                let id = u32::try_from(ids.len()).unwrap_or(NONE);
                overflow |= id == NONE;
                ids.insert(token.to_owned(), id);
                id
            });
            tokens.push(id);
        };
        let report = if unit == Unit::Bpe {
            source.read_lines(split_line, |pieces| {
                pieces.iter().for_each(|piece| push(piece));
            })?
        } else {
            source.read(unit, push)?
        };
        if overflow {
            return Err(Error::invalid(
                "the text",
                "it has more than 2^32 - 1 types",
                "Split words into smaller units",
            ));
        }
        let mut types = vec![String::new(); ids.len()];
        for (token, id) in ids {
            types[id as usize] = token;
        }
        Ok(Self {
            tokens,
            types,
            report,
        })
    }
}

/// Splits a line into pieces, followed by the boundary if the line ends in a newline. No piece is
/// `</s>`, because a piece never contains both letters and punctuation.
fn split_line(line: &str) -> Vec<String> {
    match line.strip_suffix('\n') {
        None => split_pieces(line),
        Some(line) => {
            let mut pieces = split_pieces(line);
            pieces.push(Unit::Bpe.boundary().to_owned());
            pieces
        }
    }
}
