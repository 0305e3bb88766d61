//! The token ids of a text, in memory or in a file that is read by position.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::id_width::IdWidth;
use super::token_file::TokenFile;
use crate::error::{Error, Result};
use crate::tensor::NONE;

/// A text as token ids, each of one, two or four bytes. [`NONE`] represents an unknown word.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Storage);

#[derive(Debug, Clone)]
enum Storage {
    Memory(IdList),
    File(FileRange),
}

/// Token ids in memory, in the narrowest width that holds all of them.
#[derive(Debug, Clone)]
pub(super) struct IdList {
    bytes: Vec<u8>,
    width: IdWidth,
    /// Number of tokens that are not [`NONE`].
    known: usize,
}

/// A range of the tokens of a file.
#[derive(Debug, Clone)]
struct FileRange {
    file: Arc<TokenFile>,
    start: usize,
    len: usize,
    known: usize,
}

/// Tokens read at a time by [`Tokens::iter`].
const BLOCK: usize = 1 << 13;

impl Default for IdList {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            width: IdWidth::One,
            known: 0,
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self::Memory(IdList::default())
    }
}

impl IdList {
    /// Appends a token.
    pub(super) fn push(&mut self, id: u32) {
        while !self.width.fits(id) {
            self.widen();
        }
        self.width.push(id, &mut self.bytes);
        self.known += usize::from(id != NONE);
    }

    fn widen(&mut self) {
        let wider = self.width.wider();
        let mut bytes = Vec::with_capacity(self.len() * wider.bytes());
        for index in 0..self.len() {
            wider.push(self.width.get(&self.bytes, index), &mut bytes);
        }
        (self.bytes, self.width) = (bytes, wider);
    }

    fn len(&self) -> usize {
        self.bytes.len() / self.width.bytes()
    }
}

impl Tokens {
    /// Opens a file of `tokens` tokens below `types`, of which `known` are not [`NONE`].
    ///
    /// # Errors
    /// If the file cannot be read or has another length, or there are no tokens of this size.
    pub(crate) fn open(
        path: &Path,
        tokens: usize,
        known: usize,
        bytes_per_token: usize,
        types: usize,
    ) -> Result<Self> {
        let Some(width) = IdWidth::of_bytes(bytes_per_token) else {
            return Err(Error::invalid(
                path.display().to_string(),
                format!("it has {bytes_per_token} bytes per token; the rule is 1, 2 or 4"),
                "Restore the directory from a copy",
            ));
        };
        Ok(Self::of_file(
            TokenFile::open(path, tokens, width, types)?,
            known,
        ))
    }

    /// The tokens of a file, of which `known` are in the vocabulary.
    pub(super) fn of_file(file: TokenFile, known: usize) -> Self {
        Self(Storage::File(FileRange {
            start: 0,
            len: file.len(),
            known,
            file: Arc::new(file),
        }))
    }

    /// The token at `position`. [`NONE`] if a file cannot be read: see [`Tokens::check`].
    ///
    /// # Panics
    /// If `position` is out of range.
    pub fn get(&self, position: usize) -> u32 {
        let mut id = [NONE];
        self.copy(position, &mut id);
        id[0]
    }

    /// Copies the tokens from position `start` on. [`NONE`] if a file cannot be read: see
    /// [`Tokens::check`].
    ///
    /// # Panics
    /// If they are out of range.
    pub fn copy(&self, start: usize, ids: &mut [u32]) {
        match &self.0 {
            Storage::Memory(list) => list.width.copy(&list.bytes, start, ids),
            Storage::File(range) => {
                assert!(start + ids.len() <= range.len, "out of range");
                range.file.copy(range.start + start, ids);
            }
        }
    }

    /// Checks that all tokens so far could be read. Who reads tokens calls this afterwards.
    ///
    /// # Errors
    /// If they are in a file that could not be read, or whose content is damaged.
    pub fn check(&self) -> Result<()> {
        match &self.0 {
            Storage::Memory(_) => Ok(()),
            Storage::File(range) => range.file.check(),
        }
    }

    /// Number of tokens, including unknown ones.
    pub fn len(&self) -> usize {
        match &self.0 {
            Storage::Memory(list) => list.len(),
            Storage::File(range) => range.len,
        }
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of tokens that are in the vocabulary.
    pub fn known(&self) -> usize {
        match &self.0 {
            Storage::Memory(list) => list.known,
            Storage::File(range) => range.known,
        }
    }

    /// The tokens in order. [`NONE`] where a file cannot be read: see [`Tokens::check`].
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.range(0..self.len())
    }

    /// The tokens of a range in order, as [`Tokens::iter`] returns them.
    ///
    /// # Panics
    /// If the range is out of range.
    pub(super) fn range(&self, range: Range<usize>) -> impl Iterator<Item = u32> {
        range.clone().step_by(BLOCK).flat_map(move |start| {
            let mut block = vec![NONE; BLOCK.min(range.end - start)];
            self.copy(start, &mut block);
            block
        })
    }

    /// Bytes per token.
    pub fn bytes_per_token(&self) -> usize {
        match &self.0 {
            Storage::Memory(list) => list.width.bytes(),
            Storage::File(range) => range.file.width().bytes(),
        }
    }

    /// The tokens before `position`, and the others.
    pub(super) fn split(self, position: usize) -> (Self, Self) {
        match self.0 {
            Storage::Memory(_) => (
                self.iter().take(position).collect(),
                self.iter().skip(position).collect(),
            ),
            Storage::File(_) => {
                let last = self.range(position..self.len());
                let last = last.filter(|&id| id != NONE).count();
                let known = self.known().saturating_sub(last);
                self.split_known(position, known)
            }
        }
    }

    /// The tokens before `position`, of which `known` are in the vocabulary, and the others.
    pub(crate) fn split_known(self, position: usize, known: usize) -> (Self, Self) {
        match self.0 {
            Storage::Memory(_) => self.split(position),
            Storage::File(range) => {
                let second = FileRange {
                    start: range.start + position,
                    len: range.len - position,
                    known: range.known - known,
                    ..range.clone()
                };
                let first = FileRange {
                    len: position,
                    known,
                    ..range
                };
                (Self(Storage::File(first)), Self(Storage::File(second)))
            }
        }
    }
}

impl From<IdList> for Tokens {
    fn from(list: IdList) -> Self {
        Self(Storage::Memory(list))
    }
}

impl FromIterator<u32> for Tokens {
    fn from_iter<I: IntoIterator<Item = u32>>(ids: I) -> Self {
        let mut list = IdList::default();
        ids.into_iter().for_each(|id| list.push(id));
        list.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_widen_without_loss() {
        for (ids, width) in [
            (&[0, 254, NONE, 7][..], 1),
            (&[0, NONE, 255, 7], 2),
            (&[0, 65_534, NONE, 7], 2),
            (&[0, NONE, 65_535, 70_000], 4),
            (&[NONE, 3, u32::MAX - 1], 4),
        ] {
            let tokens: Tokens = ids.iter().copied().collect();
            assert_eq!(tokens.bytes_per_token(), width, "{ids:?}");
            assert_eq!(tokens.iter().collect::<Vec<_>>(), ids);
            let positions: Vec<u32> = (0..ids.len()).map(|it| tokens.get(it)).collect();
            assert_eq!(positions, ids);
            assert_eq!((tokens.len(), tokens.known()), (ids.len(), ids.len() - 1));
        }
    }
}
