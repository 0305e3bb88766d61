//! Byte-pair encoding: a line of text into subwords, and subwords into bytes.
//!
//! In: the pieces of a text and how often each occurs, or a `tokenizer.json` in Hugging Face's
//! format. Out: numbers of subwords, 0 for the boundary, and the file again. The letters are
//! GPT-2's, one for each byte, so that no text has an unknown token.

mod file;

use std::collections::HashMap;
use std::fmt;

use rayon::prelude::*;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    AddedToken, Model, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer,
};

use super::unit::Unit;
use super::vocabulary::Limits;
use crate::error::{Error, Result};
pub(super) use file::bytes;

/// Subwords where no other number is asked for.
pub const DEFAULT_SUBWORDS: usize = 4096;
/// The least: a subword a byte, and the boundary.
pub const FEWEST_SUBWORDS: usize = 257;

/// What splits a line before its pieces become subwords: GPT-2's expression, no space put before
/// the first word.
const PIECES: fn() -> ByteLevel = || ByteLevel::new(false, false, true);

/// A tokenizer whose every text comes back as it was.
pub struct Subwords {
    tokenizer: Tokenizer,
    /// The file, as it was read or made.
    json: String,
    /// The file's number of `</s>`; where it has none, one more than its last.
    boundary: u32,
    /// The text of each subword in the file's order; the boundary's is a newline.
    texts: Vec<Vec<u8>>,
    /// The file's number of each byte's letter.
    letters: Vec<u32>,
}

/// The file is all there is to it.
impl PartialEq for Subwords {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl Eq for Subwords {}

impl fmt::Debug for Subwords {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Subwords")
            .field("boundary", &self.boundary)
            .field("len", &self.texts.len())
            .finish_non_exhaustive()
    }
}

/// Splits a line, without its end, into the pieces that subwords do not go beyond, in GPT-2's
/// letters.
pub(super) fn pieces(line: &str) -> Vec<String> {
    let mut split = PreTokenizedString::from(line);
    // It fails for no text.
    let _ = PIECES().pre_tokenize(&mut split);
    split
        .get_splits(OffsetReferential::Original, OffsetType::Byte)
        .into_iter()
        .map(|(piece, ..)| piece.to_owned())
        .collect()
}

/// The bytes of pieces or subwords, whose first is the boundary: a newline.
pub(super) fn lengths(types: &[String]) -> Vec<usize> {
    let of_others = types.iter().skip(1).map(|token| bytes(token).len());
    std::iter::once(1).chain(of_others).collect()
}

/// The trainer counts pairs in 31 bits: the counts of a text that has more of a pair are divided.
fn divisor(counts: &[(&str, u64)]) -> u64 {
    let mut pairs: HashMap<(char, char), u64> = HashMap::new();
    for (piece, count) in counts {
        for pair in piece.chars().zip(piece.chars().skip(1)) {
            *pairs.entry(pair).or_default() += count;
        }
    }
    let most = pairs.into_values().max().unwrap_or(0);
    most.div_ceil(i32::MAX as u64).max(1)
}

impl Subwords {
    /// Learns subwords from the pieces of a text and how often each occurs: pair after pair, the
    /// most frequent first, equal ones by their numbers, so that a text means one tokenizer.
    ///
    /// # Errors
    /// If the tokenizer's library refuses.
    pub(super) fn train(counts: &[(&str, u64)], limits: Limits) -> Result<Self> {
        let failed = |error: tokenizers::Error| {
            Error::invalid("byte-pair encoding", error.to_string(), "Report the text")
        };
        let end = AddedToken::from(Unit::Bpe.boundary(), true);
        let divisor = divisor(counts);
        let trainer = BpeTrainer::builder()
            .vocab_size(limits.vocab_size.unwrap_or(DEFAULT_SUBWORDS))
            .min_frequency(limits.min_count.div_ceil(divisor))
            .show_progress(false)
            .special_tokens(vec![end.clone()])
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let counts = counts
            .iter()
            .map(|&(piece, count)| (piece.into(), count / divisor))
            .collect();
        let mut model = BPE::default();
        trainer.do_train(&counts, &mut model).map_err(failed)?;
        let mut tokenizer: Tokenizer = Tokenizer::new(model);
        tokenizer
            .with_pre_tokenizer(Some(PIECES()))
            .with_decoder(Some(PIECES()));
        tokenizer.add_special_tokens([end]).map_err(failed)?;
        Self::parse(tokenizer.to_string(true).map_err(failed)?, "tokenizer.json")
    }

    /// The file, in Hugging Face's format.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The subwords in the order of their numbers, in GPT-2's letters.
    pub(super) fn types(&self) -> Vec<String> {
        let mut types = vec![String::new(); self.texts.len().max(self.boundary as usize + 1)];
        Unit::Bpe.boundary().clone_into(&mut types[0]);
        for (token, id) in self.tokenizer.get_vocab(true) {
            types[self.number(id) as usize] = token;
        }
        types
    }

    /// A subword's number: the boundary is 0, and what stands before it in the file moves up by
    /// one.
    fn number(&self, id: u32) -> u32 {
        match id.cmp(&self.boundary) {
            std::cmp::Ordering::Less => id + 1,
            std::cmp::Ordering::Equal => 0,
            std::cmp::Ordering::Greater => id,
        }
    }

    /// The numbers of a line's subwords, without an end.
    pub fn encode(&self, line: &str) -> Vec<u32> {
        let encoding = self.tokenizer.encode_fast(line, false);
        let ids = encoding
            .as_ref()
            .map_or(&[][..], |encoding| encoding.get_ids());
        if self.spells(ids, line.as_bytes()) {
            return ids.iter().map(|&id| self.number(id)).collect();
        }
        // Somebody's tokenizer changes this text, or takes a part of it for a mark of its own:
        // letters are always right.
        line.bytes()
            .map(|byte| self.number(self.letters[usize::from(byte)]))
            .collect()
    }

    /// The same of a line that may end in a newline, which is then the boundary.
    pub(super) fn encode_line(&self, line: &str) -> Vec<u32> {
        match line.strip_suffix('\n') {
            None => self.encode(line),
            Some(line) => {
                let mut numbers = self.encode(line);
                numbers.push(0);
                numbers
            }
        }
    }

    /// Whether the subwords are this text.
    fn spells(&self, ids: &[u32], mut text: &[u8]) -> bool {
        for &id in ids {
            match text.strip_prefix(self.texts[id as usize].as_slice()) {
                Some(rest) => text = rest,
                None => return false,
            }
        }
        text.is_empty()
    }

    /// The numbers of the subwords of every piece.
    pub(super) fn encode_pieces(&self, pieces: &[String]) -> Vec<Box<[u32]>> {
        let encode = |piece: &String| {
            let tokens = self
                .tokenizer
                .get_model()
                .tokenize(piece)
                .unwrap_or_default();
            tokens
                .into_iter()
                .map(|token| self.number(token.id))
                .collect()
        };
        pieces.par_iter().map(encode).collect()
    }
}
