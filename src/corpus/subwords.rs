//! Byte-pair encoding: converts lines of text to subwords, and subwords to bytes.
//!
//! In: the pieces of a text with their counts, or a `tokenizer.json` in Hugging Face's format. Out:
//! subword ids, with 0 for the boundary, and the tokenizer file. Each byte is represented by one
//! letter of GPT-2's byte alphabet, so every text can be encoded.

mod file;

use std::collections::HashMap;
use std::fmt;

use rayon::prelude::*;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    AddedToken, Model, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer,
};

use super::limits::{DEFAULT_SUBWORDS, Limits};
use super::unit::Unit;
use crate::activity::Activity;
use crate::error::{Error, Result};
pub(super) use file::token_bytes;

/// Splits a line into pieces before the pieces are encoded as subwords: GPT-2's regular expression,
/// without a space prepended to the first word.
const PRE_TOKENIZER: fn() -> ByteLevel = || ByteLevel::new(false, false, true);

/// A byte-level BPE tokenizer from which every text can be recovered exactly.
pub struct Subwords {
    tokenizer: Tokenizer,
    /// The text of the file, as read or generated.
    json: String,
    /// The id of `</s>` in the file; if the file has none, one more than its last id.
    boundary: u32,
    /// The bytes of each subword, by id in the file; the boundary is a newline.
    texts: Vec<Vec<u8>>,
    /// The id in the file of each byte's letter.
    letters: Vec<u32>,
}

/// Two tokenizers are equal if their files are equal.
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

/// Splits a line, without its newline, into pieces in GPT-2's byte alphabet. Subwords do not cross
/// the boundaries of pieces.
pub(super) fn split_pieces(line: &str) -> Vec<String> {
    let mut split = PreTokenizedString::from(line);
    // Pre-tokenization does not fail for any text.
    let _ = PRE_TOKENIZER().pre_tokenize(&mut split);
    split
        .get_splits(OffsetReferential::Original, OffsetType::Byte)
        .into_iter()
        .map(|(piece, ..)| piece.to_owned())
        .collect()
}

/// The number of bytes of each piece or subword. The first is the boundary, which is one newline.
pub(super) fn byte_lengths(types: &[String]) -> Vec<usize> {
    let lengths = types.iter().skip(1).map(|token| token_bytes(token).len());
    std::iter::once(1).chain(lengths).collect()
}

/// The divisor of the counts that keeps every pair's count within 31 bits, the trainer's limit.
fn count_divisor(counts: &[(&str, u64)]) -> u64 {
    let mut pairs: HashMap<(char, char), u64> = HashMap::new();
    for (piece, count) in counts {
        for pair in piece.chars().zip(piece.chars().skip(1)) {
            *pairs.entry(pair).or_default() += count;
        }
    }
    let largest = pairs.into_values().max().unwrap_or(0);
    largest.div_ceil(i32::MAX as u64).max(1)
}

impl Subwords {
    /// Learns subwords from the pieces of a text and their counts. The most frequent pair is merged
    /// first; pairs of equal frequency are merged in the order of their ids, so the result is
    /// deterministic.
    ///
    /// # Errors
    /// If the tokenizer library fails.
    pub(super) fn train(counts: &[(&str, u64)], limits: Limits) -> Result<Self> {
        let failed = |error: tokenizers::Error| {
            Error::invalid("byte-pair encoding", error.to_string(), "Report the text")
        };
        let end = AddedToken::from(Unit::Bpe.boundary(), true);
        let divisor = count_divisor(counts);
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
        let activity = Activity::start("learning subwords", None);
        let mut model = BPE::default();
        trainer.do_train(&counts, &mut model).map_err(failed)?;
        drop(activity);
        let mut tokenizer: Tokenizer = Tokenizer::new(model);
        tokenizer
            .with_pre_tokenizer(Some(PRE_TOKENIZER()))
            .with_decoder(Some(PRE_TOKENIZER()));
        tokenizer.add_special_tokens([end]).map_err(failed)?;
        Self::parse(tokenizer.to_string(true).map_err(failed)?, "tokenizer.json")
    }

    /// The text of the tokenizer file, in Hugging Face's format.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The subwords in the order of their ids, in GPT-2's byte alphabet.
    pub(super) fn types(&self) -> Vec<String> {
        let mut types = vec![String::new(); self.texts.len().max(self.boundary as usize + 1)];
        Unit::Bpe.boundary().clone_into(&mut types[0]);
        for (token, id) in self.tokenizer.get_vocab(true) {
            types[self.id_from_file(id) as usize] = token;
        }
        types
    }

    /// Converts an id of the file to an id of the vocabulary: the boundary becomes 0, and the ids
    /// before it in the file move up by one.
    fn id_from_file(&self, id: u32) -> u32 {
        match id.cmp(&self.boundary) {
            std::cmp::Ordering::Less => id + 1,
            std::cmp::Ordering::Equal => 0,
            std::cmp::Ordering::Greater => id,
        }
    }

    /// The subword ids of a line without its newline.
    pub fn encode(&self, line: &str) -> Vec<u32> {
        let encoding = self.tokenizer.encode_fast(line, false);
        let ids = encoding
            .as_ref()
            .map_or(&[][..], |encoding| encoding.get_ids());
        if self.decodes_to(ids, line.as_bytes()) {
            return ids.iter().map(|&id| self.id_from_file(id)).collect();
        }
        // A foreign tokenizer may normalize this text or treat part of it as a special token. The
        // letters of its bytes always represent it exactly.
        line.bytes()
            .map(|byte| self.id_from_file(self.letters[usize::from(byte)]))
            .collect()
    }

    /// The subword ids of a line. A trailing newline is encoded as the boundary.
    pub(super) fn encode_line(&self, line: &str) -> Vec<u32> {
        match line.strip_suffix('\n') {
            None => self.encode(line),
            Some(line) => {
                let mut ids = self.encode(line);
                ids.push(0);
                ids
            }
        }
    }

    /// Whether the subwords with these ids of the file decode to this text.
    fn decodes_to(&self, ids: &[u32], mut text: &[u8]) -> bool {
        for &id in ids {
            match text.strip_prefix(self.texts[id as usize].as_slice()) {
                Some(rest) => text = rest,
                None => return false,
            }
        }
        text.is_empty()
    }

    /// The subword ids of each piece.
    pub(super) fn encode_pieces(&self, pieces: &[String]) -> Vec<Box<[u32]>> {
        let encode = |piece: &String| {
            let tokens = self
                .tokenizer
                .get_model()
                .tokenize(piece)
                .unwrap_or_default();
            tokens
                .into_iter()
                .map(|token| self.id_from_file(token.id))
                .collect()
        };
        pieces.par_iter().map(encode).collect()
    }
}
