//! Types and their numbers.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::reader::{Census, TextSource, census};
use super::subwords::{Subwords, lengths};
use super::tokens::Tokens;
use super::unit::Unit;
use crate::error::{Error, Result};
use crate::tensor::NONE;

/// The token that words outside the vocabulary become, where a vocabulary has it.
pub const UNKNOWN: &str = "<unk>";

/// Which types a vocabulary keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// At most so many types, the boundary and `<unk>` among them; the most frequent stay. Of
    /// subwords, as many as there shall be.
    pub vocab_size: Option<usize>,
    /// Only types that occur at least so often. Of subwords, those whose two parts stood side by
    /// side at least so often.
    pub min_count: u64,
}

/// The types of a text: the boundary is 0, the others follow by falling frequency, equals by their
/// text; subwords in their tokenizer's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    types: Vec<String>,
    numbers: HashMap<String, u32>,
    unknown: Option<u32>,
    /// What makes subwords of a line, where types are that.
    subwords: Option<Arc<Subwords>>,
}

fn too_small(types: usize) -> Error {
    Error::invalid(
        format!("a vocabulary of {types} type(s)"),
        "there must be a type beside the boundary and <unk>",
        "Give more text, a larger --vocab-size or a smaller --min-count",
    )
}

/// How often each of `types` types is among the first `counted` tokens.
fn count(types: usize, tokens: &Tokens, counted: usize) -> Vec<u64> {
    let mut counts = vec![0; types];
    tokens
        .iter()
        .take(counted)
        .for_each(|id| counts[id as usize] += 1);
    counts
}

impl Vocabulary {
    /// A vocabulary of the given types; the first is the boundary.
    ///
    /// # Errors
    /// If there is none but the boundary, or a type stands twice.
    pub fn new(types: Vec<String>) -> Result<Self> {
        if types.len() < 2 {
            return Err(too_small(types.len()));
        }
        let mut numbers = HashMap::with_capacity(types.len());
        for (token, id) in types.iter().zip(0..) {
            if numbers.insert(token.clone(), id).is_some() {
                return Err(Error::invalid(
                    format!("the vocabulary's type {token:?}"),
                    "it stands there twice",
                    "Remove one of the lines",
                ));
            }
        }
        let unknown = numbers.get(UNKNOWN).copied();
        Ok(Self {
            types,
            numbers,
            unknown,
            subwords: None,
        })
    }

    /// The vocabulary of a tokenizer.
    ///
    /// # Errors
    /// Never: a tokenizer has no token twice.
    pub fn of_subwords(subwords: Subwords) -> Result<Self> {
        let vocabulary = Self::new(subwords.types())?;
        // No text has an unknown subword, whatever somebody's tokenizer calls one.
        Ok(Self {
            unknown: None,
            subwords: Some(Arc::new(subwords)),
            ..vocabulary
        })
    }

    /// Learns subwords from the first `counted` of the pieces that a text was split into, which
    /// were numbered as they came.
    ///
    /// The second value gives every piece its subwords.
    ///
    /// # Errors
    /// If the tokenizer's library refuses.
    pub(super) fn learn(
        types: &[String],
        tokens: &Tokens,
        counted: usize,
        limits: Limits,
    ) -> Result<(Self, Vec<Box<[u32]>>)> {
        let counts = count(types.len(), tokens, counted);
        // The boundary is no piece.
        let pieces: Vec<_> = types
            .iter()
            .map(String::as_str)
            .zip(counts)
            .skip(1)
            .filter(|(_, count)| *count > 0)
            .collect();
        let subwords = Subwords::train(&pieces, limits)?;
        let mut numbers = subwords.encode_pieces(types);
        numbers[0] = [0].into();
        Ok((Self::of_subwords(subwords)?, numbers))
    }

    /// The types of several texts together.
    ///
    /// # Errors
    /// If one cannot be read, or there is no type but the boundary.
    pub fn of_texts(paths: &[PathBuf], unit: Unit) -> Result<Self> {
        let mut counts = HashMap::<String, u64>::new();
        for path in paths {
            let Census { tokens, types, .. } = census(TextSource::File(path), unit)?;
            let mut of_text = vec![0; types.len()];
            tokens.iter().for_each(|id| of_text[id as usize] += 1);
            types
                .into_iter()
                .zip(of_text)
                .for_each(|(token, count)| *counts.entry(token).or_default() += count);
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

    /// The same, whose `<unk>` is a type like any other: tokens outside have no number, as in
    /// rnnlm.
    pub fn skipping_unknown(self) -> Self {
        Self {
            unknown: None,
            ..self
        }
    }

    /// The same, in which tokens outside become `<unk>` where there is such a type.
    pub fn taking_unknown(self) -> Self {
        Self {
            unknown: self.numbers.get(UNKNOWN).copied(),
            ..self
        }
    }

    /// Counts the first `counted` tokens of a text whose types were numbered as they came, and
    /// keeps what the limits allow. Where they cut anything, `<unk>` takes its place.
    ///
    /// The second value gives every old number its new one: [`NONE`] for types that occur only
    /// later and have no `<unk>` to become.
    ///
    /// # Errors
    /// If too few types are left.
    pub(super) fn count(
        types: Vec<String>,
        tokens: &Tokens,
        counted: usize,
        unit: Unit,
        limits: Limits,
    ) -> Result<(Self, Vec<u32>)> {
        let counts = count(types.len(), tokens, counted);
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
        // The boundary takes a place; so does <unk> where words must be cut and the text has none.
        let room = limits
            .vocab_size
            .map_or(usize::MAX, |size| size.saturating_sub(1));
        let cuts = frequent < order.len() || frequent > room;
        let room = if cuts && !has_unknown {
            room.saturating_sub(1)
        } else {
            room
        };
        let mut kept: Vec<usize> = order.into_iter().take(frequent.min(room)).collect();
        if cuts && has_unknown && !kept.iter().any(|&id| types[id] == UNKNOWN) {
            // The text's own <unk> stays, whatever its count.
            kept.pop();
            kept.extend(types.iter().position(|token| token == UNKNOWN));
        }
        if kept.iter().all(|&id| types[id] == UNKNOWN) {
            return Err(too_small(1));
        }
        let mut names = vec![unit.boundary().to_owned()];
        names.extend(kept.iter().map(|&id| types[id].clone()));
        if cuts && !has_unknown {
            names.push(UNKNOWN.to_owned());
        }
        let vocabulary = Self::new(names)?;
        let numbers = types
            .iter()
            .map(|token| vocabulary.id(token).unwrap_or(NONE))
            .collect();
        Ok((vocabulary, numbers))
    }

    /// The token's number: that of `<unk>` where the vocabulary lacks the token and has `<unk>`,
    /// else nothing.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.numbers.get(token).copied().or(self.unknown)
    }

    /// Calls `take` with the numbers of what [`split`](super::split) hands out: one of a word,
    /// character or byte, as [`Vocabulary::id`] has it, or [`NONE`]; those of a line's subwords,
    /// and of its end.
    pub fn encode(&self, piece: &str, mut take: impl FnMut(u32)) {
        match &self.subwords {
            None => take(self.id(piece).unwrap_or(NONE)),
            Some(subwords) => subwords.encode_line(piece).into_iter().for_each(take),
        }
    }

    /// How much of a text each type is: of subwords their bytes, else one.
    pub(super) fn lengths(&self) -> Vec<usize> {
        match self.subwords {
            None => vec![1; self.len()],
            Some(_) => lengths(&self.types),
        }
    }

    /// What makes subwords of a line, where types are that.
    pub fn subwords(&self) -> Option<&Subwords> {
        self.subwords.as_deref()
    }

    /// The number of `<unk>`, where the vocabulary has it.
    pub fn unknown(&self) -> Option<u32> {
        self.unknown
    }

    /// The token of a number.
    ///
    /// # Panics
    /// If there is no such number.
    pub fn token(&self, id: u32) -> &str {
        &self.types[id as usize]
    }

    /// V.
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// Never: a vocabulary has a boundary.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// The types in order.
    pub fn types(&self) -> &[String] {
        &self.types
    }
}
