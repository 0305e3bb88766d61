//! Token ids in memory, two bytes each if the vocabulary is small enough, else four.

use crate::tensor::NONE;

/// A text as token ids. [`NONE`] represents an unknown word.
#[derive(Debug, Clone)]
pub struct Tokens {
    ids: IdStorage,
    /// Number of tokens that are not [`NONE`].
    known: usize,
}

/// The ids, in the narrowest type that holds all of them.
#[derive(Debug, Clone)]
enum IdStorage {
    Narrow(Vec<u16>),
    Wide(Vec<u32>),
}

/// [`NONE`] in two bytes. Ids greater than or equal to this value need four bytes.
const NARROW_NONE: u16 = u16::MAX;

impl Default for Tokens {
    fn default() -> Self {
        Self {
            ids: IdStorage::Narrow(Vec::new()),
            known: 0,
        }
    }
}

impl Tokens {
    /// Appends a token.
    pub fn push(&mut self, id: u32) {
        self.known += usize::from(id != NONE);
        match &mut self.ids {
            IdStorage::Narrow(ids) if id == NONE => ids.push(NARROW_NONE),
            IdStorage::Narrow(ids) if id < u32::from(NARROW_NONE) => ids.push(id as u16),
            IdStorage::Narrow(ids) => {
                let mut wide: Vec<u32> = ids.iter().map(|&id| widen(id)).collect();
                wide.push(id);
                self.ids = IdStorage::Wide(wide);
            }
            IdStorage::Wide(ids) => ids.push(id),
        }
    }

    /// The token at `position`.
    ///
    /// # Panics
    /// If `position` is out of range.
    pub fn get(&self, position: usize) -> u32 {
        match &self.ids {
            IdStorage::Narrow(ids) => widen(ids[position]),
            IdStorage::Wide(ids) => ids[position],
        }
    }

    /// Number of tokens, including unknown ones.
    pub fn len(&self) -> usize {
        match &self.ids {
            IdStorage::Narrow(ids) => ids.len(),
            IdStorage::Wide(ids) => ids.len(),
        }
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of tokens that are in the vocabulary.
    pub fn known(&self) -> usize {
        self.known
    }

    /// The tokens in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        (0..self.len()).map(|position| self.get(position))
    }

    /// Bytes of memory per token.
    pub fn bytes_per_token(&self) -> usize {
        match &self.ids {
            IdStorage::Narrow(_) => 2,
            IdStorage::Wide(_) => 4,
        }
    }

    /// Replaces every id by its entry in `new_ids`.
    pub(super) fn remap(&mut self, new_ids: &[u32]) {
        *self = self
            .iter()
            .map(|id| {
                if id == NONE {
                    NONE
                } else {
                    new_ids[id as usize]
                }
            })
            .collect();
    }

    /// Replaces every id by the ids of its entry in `encodings`.
    pub(super) fn expand(&mut self, encodings: &[Box<[u32]>]) {
        *self = self
            .iter()
            .flat_map(|id| encodings[id as usize].iter().copied())
            .collect();
    }

    /// The tokens before `position`, and the others.
    pub(super) fn split(self, position: usize) -> (Self, Self) {
        (
            self.iter().take(position).collect(),
            self.iter().skip(position).collect(),
        )
    }
}

fn widen(id: u16) -> u32 {
    if id == NARROW_NONE {
        NONE
    } else {
        u32::from(id)
    }
}

impl FromIterator<u32> for Tokens {
    fn from_iter<I: IntoIterator<Item = u32>>(ids: I) -> Self {
        let mut tokens = Self::default();
        ids.into_iter().for_each(|id| tokens.push(id));
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_widen_from_two_to_four_bytes_without_loss() {
        let narrow: Tokens = [0, 65_534, NONE, 7].into_iter().collect();
        assert_eq!(narrow.bytes_per_token(), 2);
        assert_eq!(narrow.iter().collect::<Vec<_>>(), [0, 65_534, NONE, 7]);
        let wide: Tokens = [0, NONE, 65_535, 70_000].into_iter().collect();
        assert_eq!(wide.bytes_per_token(), 4);
        assert_eq!(wide.iter().collect::<Vec<_>>(), [0, NONE, 65_535, 70_000]);
        assert_eq!((wide.len(), wide.known()), (4, 3));
    }
}
