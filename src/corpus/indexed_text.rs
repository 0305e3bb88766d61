//! A text whose types are numbered in the order of their first occurrence.
//!
//! In: a [`TextSource`]. Out: token ids and the list of types, from which a vocabulary is built.

use std::collections::HashMap;

use super::chunks::Units;
use super::source::TextSource;
use super::subwords::split_pieces;
use super::text_report::TextReport;
use super::token_writer::TokenWriter;
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

/// The types of a text or of a part of it, by their ids.
#[derive(Debug, Default)]
struct TypeIds(HashMap<String, u32>);

impl TypeIds {
    /// The id of a type, which is the next one if the type is new; `None` if there is no next one.
    fn id(&mut self, token: &str) -> Option<u32> {
        if let Some(&id) = self.0.get(token) {
            return Some(id);
        }
        let id = u32::try_from(self.0.len()).ok().filter(|&id| id != NONE)?;
        self.0.insert(token.to_owned(), id);
        Some(id)
    }

    /// The types in the order of their ids.
    fn into_types(self) -> Vec<String> {
        let mut types = vec![String::new(); self.0.len()];
        for (token, id) in self.0 {
            types[id as usize] = token;
        }
        types
    }
}

/// Numbers the types of each group of units.
struct Numbering(Unit);

/// A part of a text, with ids for its types.
#[derive(Default)]
struct NumberedPart {
    types: TypeIds,
    tokens: Vec<u32>,
}

impl Numbering {
    fn push_type(part: &mut NumberedPart, token: &str) {
        // A part has fewer units than there are ids.
        part.tokens.push(part.types.id(token).unwrap_or(NONE));
    }
}

impl Units for Numbering {
    type Group = NumberedPart;

    fn start(&self) -> NumberedPart {
        NumberedPart::default()
    }

    fn push(&self, part: &mut NumberedPart, unit: &str) {
        if self.0 == Unit::Bpe {
            push_pieces(unit, |piece| Self::push_type(part, piece));
        } else {
            Self::push_type(part, unit);
        }
    }
}

impl IndexedText {
    /// Reads a text, writes its tokens with `writer`, and numbers its types.
    ///
    /// # Errors
    /// If the text cannot be read, is not UTF-8 where the unit requires it, is empty, or has too
    /// many types, or if the tokens cannot be written.
    pub(super) fn read(
        source: TextSource<'_>,
        unit: Unit,
        mut writer: TokenWriter,
    ) -> Result<Self> {
        let mut types = TypeIds(HashMap::from([(unit.boundary().to_owned(), 0)]));
        let report = source.read(unit, &Numbering(unit), |part| {
            let ids: Option<Vec<u32>> = part
                .types
                .into_types()
                .iter()
                .map(|token| types.id(token))
                .collect();
            let ids = ids.ok_or_else(too_many_types)?;
            writer.extend(part.tokens.iter().map(|&token| ids[token as usize]))
        })?;
        Ok(Self {
            tokens: writer.finish()?,
            types: types.into_types(),
            report,
        })
    }
}

fn too_many_types() -> Error {
    Error::invalid(
        "the text",
        "it has more than 2^32 - 1 types",
        "Split words into smaller units",
    )
}

/// Splits a line into pieces, followed by the boundary if the line ends in a newline. No piece is
/// `</s>`, because a piece never contains both letters and punctuation.
fn push_pieces(line: &str, mut take: impl FnMut(&str)) {
    let (text, is_ended) = match line.strip_suffix('\n') {
        None => (line, false),
        Some(text) => (text, true),
    };
    split_pieces(text).iter().for_each(|piece| take(piece));
    if is_ended {
        take(Unit::Bpe.boundary());
    }
}
