//! Vocabularies: types and their ids.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::chunks::Units;
use super::limits::Limits;
use super::source::TextSource;
use super::subwords::Subwords;
use super::tokens::Tokens;
use super::unit::Unit;
use super::unknown::UnknownWords;
use crate::error::{Error, Result};
use crate::tensor::NONE;

/// The token that replaces words outside the vocabulary, if the vocabulary contains it.
pub const UNKNOWN: &str = "<unk>";

/// The types of a text. The boundary has id 0; the other types follow by decreasing frequency, and
/// types of equal frequency in lexicographic order. Subwords are in the order of their tokenizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    types: Vec<String>,
    ids: HashMap<String, u32>,
    unknown: Option<u32>,
    /// The tokenizer, if the types are subwords.
    subwords: Option<Arc<Subwords>>,
}

fn too_small(types: usize) -> Error {
    Error::invalid(
        format!("a vocabulary of {types} type(s)"),
        "there must be at least one type besides the boundary and <unk>",
        "Give more text, a larger `vocab_size` or a smaller `min_count`",
    )
}

/// The number of occurrences of each of `types` types in the first `length` tokens.
pub(super) fn count_types(types: usize, tokens: &Tokens, length: usize) -> Result<Vec<u64>> {
    let mut counts = vec![0; types];
    let known = tokens.iter().take(length).filter(|&id| id != NONE);
    known.for_each(|id| counts[id as usize] += 1);
    tokens.check()?;
    Ok(counts)
}

/// Counts the types of each group of units.
struct TypeCounts;

impl Units for TypeCounts {
    type Group = HashMap<String, u64>;

    fn start(&self) -> Self::Group {
        HashMap::new()
    }

    fn push(&self, counts: &mut Self::Group, unit: &str) {
        match counts.get_mut(unit) {
            Some(count) => *count += 1,
            None => {
                counts.insert(unit.to_owned(), 1);
            }
        }
    }
}

impl Vocabulary {
    /// Creates a vocabulary from a list of types, the first of which is the boundary.
    ///
    /// # Errors
    /// If there is no type besides the boundary, or a type occurs twice.
    pub fn new(types: Vec<String>) -> Result<Self> {
        if types.len() < 2 {
            return Err(too_small(types.len()));
        }
        let mut ids = HashMap::with_capacity(types.len());
        for (token, id) in types.iter().zip(0..) {
            if let Some(first) = ids.insert(token.clone(), id) {
                return Err(Error::invalid(
                    format!("the vocabulary's type {token:?}"),
                    format!("it occurs twice, with the ids {first} and {id}"),
                    "Remove one of the lines",
                ));
            }
        }
        let unknown = ids.get(UNKNOWN).copied();
        Ok(Self {
            types,
            ids,
            unknown,
            subwords: None,
        })
    }

    /// The vocabulary of a tokenizer.
    ///
    /// # Errors
    /// Never: a tokenizer has no duplicate tokens.
    pub fn from_subwords(subwords: Subwords) -> Result<Self> {
        let vocabulary = Self::new(subwords.types())?;
        // Subwords encode every text, so no token of the tokenizer acts as `<unk>`.
        Ok(Self {
            unknown: None,
            subwords: Some(Arc::new(subwords)),
            ..vocabulary
        })
    }

    /// Learns subwords from the first `length` pieces of a text whose pieces are numbered in the
    /// order of their first occurrence.
    ///
    /// Also returns the subword ids of every piece.
    ///
    /// # Errors
    /// If the tokenizer library fails, or the tokens cannot be read.
    pub(super) fn learn_subwords(
        types: &[String],
        tokens: &Tokens,
        length: usize,
        limits: Limits,
    ) -> Result<(Self, Vec<Box<[u32]>>)> {
        let counts = count_types(types.len(), tokens, length)?;
        // Type 0 is the boundary, which is not a piece.
        let pieces: Vec<_> = types
            .iter()
            .map(String::as_str)
            .zip(counts)
            .skip(1)
            .filter(|(_, count)| *count > 0)
            .collect();
        let subwords = Subwords::train(&pieces, limits)?;
        let mut encodings = subwords.encode_pieces(types);
        encodings[0] = [0].into();
        Ok((Self::from_subwords(subwords)?, encodings))
    }

    /// The combined types of several text files.
    ///
    /// # Errors
    /// If a file cannot be read, or there is no type besides the boundary.
    pub fn from_texts(paths: &[PathBuf], unit: Unit) -> Result<Self> {
        let mut counts = HashMap::<String, u64>::new();
        for path in paths {
            TextSource::File(path).read(unit, &TypeCounts, |part| {
                part.into_iter()
                    .for_each(|(token, count)| *counts.entry(token).or_default() += count);
                Ok(())
            })?;
        }
        counts.remove(unit.boundary());
        let mut types: Vec<(String, u64)> = counts.into_iter().collect();
        types.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Self::new(
            std::iter::once(unit.boundary().to_owned())
                .chain(types.into_iter().map(|(token, _)| token))
                .collect(),
        )
    }

    /// The same vocabulary with `<unk>` as an ordinary type: tokens outside the vocabulary have no
    /// id, as in rnnlm.
    pub fn skipping_unknown(self) -> Self {
        Self {
            unknown: None,
            ..self
        }
    }

    /// The same vocabulary with tokens outside it mapped to `<unk>`, if it contains `<unk>`.
    pub fn mapping_unknown(self) -> Self {
        Self {
            unknown: self.ids.get(UNKNOWN).copied(),
            ..self
        }
    }

    /// Selects the types that `limits` allow, given the first `length` tokens of a text whose types
    /// are numbered in the order of their first occurrence. If any type is dropped, `<unk>` is
    /// added.
    ///
    /// Also returns the new id of every old one: [`NONE`] for types that occur only after the first
    /// `length` tokens if there is no `<unk>`.
    ///
    /// # Errors
    /// If too few types remain, or the tokens cannot be read.
    pub(super) fn select(
        mut types: Vec<String>,
        tokens: &Tokens,
        length: usize,
        unit: Unit,
        limits: Limits,
    ) -> Result<(Self, Vec<u32>)> {
        let counts = count_types(types.len(), tokens, length)?;
        let mut order: Vec<usize> = (1..types.len()).filter(|&id| counts[id] > 0).collect();
        order.sort_by(|&a, &b| {
            counts[b]
                .cmp(&counts[a])
                .then_with(|| types[a].cmp(&types[b]))
        });
        let frequent = order
            .iter()
            .take_while(|&&id| counts[id] >= limits.min_count)
            .count();
        let has_unknown = order[..frequent].iter().any(|&id| types[id] == UNKNOWN);
        // The boundary takes one place. `<unk>` takes another if types are dropped and the text
        // does not contain it.
        let room = limits
            .vocab_size
            .map_or(usize::MAX, |size| size.saturating_sub(1));
        let drops_types = frequent < order.len() || frequent > room;
        let room = if drops_types && !has_unknown {
            room.saturating_sub(1)
        } else {
            room
        };
        let mut kept: Vec<usize> = order.into_iter().take(frequent.min(room)).collect();
        if drops_types && has_unknown && !kept.iter().any(|&id| types[id] == UNKNOWN) {
            // An `<unk>` that occurs in the text is kept, whatever its count.
            kept.pop();
            kept.extend(types.iter().position(|token| token == UNKNOWN));
        }
        if kept.iter().all(|&id| types[id] == UNKNOWN) {
            return Err(too_small(1));
        }
        let mut selected = vec![unit.boundary().to_owned()];
        selected.extend(kept.iter().map(|&id| std::mem::take(&mut types[id])));
        if drops_types && !has_unknown {
            selected.push(UNKNOWN.to_owned());
        }
        let vocabulary = Self::new(selected)?;
        let mut new_ids = vec![vocabulary.unknown.unwrap_or(NONE); types.len()];
        for (old_id, new_id) in std::iter::once(0).chain(kept).zip(0..) {
            new_ids[old_id] = new_id;
        }
        Ok((vocabulary, new_ids))
    }

    /// The id of a token. For a token outside the vocabulary, the id of `<unk>` if unknown tokens
    /// are mapped to it, else `None`.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied().or(self.unknown)
    }

    /// Counts a piece of a text that [`Vocabulary::encode`] encodes: a word, a character or a byte.
    /// Subwords are never unknown.
    pub fn count_unknown(&self, piece: &str, counts: &mut UnknownWords) {
        if self.subwords.is_some() {
            return;
        }
        let id = self.id(piece);
        if piece == UNKNOWN && id.is_some() {
            counts.predicted_as_unk += 1;
            return;
        }
        let is_replaced = id.is_some() && id == self.unknown;
        counts.oov_words += u64::from(id.is_none() || is_replaced);
        counts.read_as_unk += u64::from(is_replaced);
        counts.predicted_as_unk += u64::from(is_replaced);
    }

    /// Encodes one piece of a text as returned by [`split`](super::split) and calls `take` with
    /// each id. A word, character or byte has one id, that of [`Vocabulary::id`] or [`NONE`]; a
    /// line has the ids of its subwords and of its line ending.
    pub fn encode(&self, piece: &str, mut take: impl FnMut(u32)) {
        match &self.subwords {
            None => take(self.id(piece).unwrap_or(NONE)),
            Some(subwords) => subwords.encode_line(piece).into_iter().for_each(take),
        }
    }

    /// The tokenizer, if the types are subwords.
    pub fn subwords(&self) -> Option<&Subwords> {
        self.subwords.as_deref()
    }

    /// The id of `<unk>`, if unknown tokens are mapped to it.
    pub fn unknown(&self) -> Option<u32> {
        self.unknown
    }

    /// The token of an id.
    ///
    /// # Panics
    /// If the id is out of range.
    pub fn token(&self, id: u32) -> &str {
        &self.types[id as usize]
    }

    /// V, the number of types.
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// Always false: a vocabulary contains at least the boundary.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// The types in the order of their ids.
    pub fn types(&self) -> &[String] {
        &self.types
    }
}
