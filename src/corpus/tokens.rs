//! Token ids in memory, two bytes each while the vocabulary allows it.

use crate::tensor::NONE;

/// A text as token ids. [`NONE`] stands for an unknown word.
#[derive(Debug, Clone)]
pub struct Tokens {
    ids: Ids,
    /// Tokens that are not [`NONE`].
    known: usize,
}

#[derive(Debug, Clone)]
enum Ids {
    Narrow(Vec<u16>),
    Wide(Vec<u32>),
}

/// [`NONE`] in two bytes; ids from here on need four.
const NARROW_NONE: u16 = u16::MAX;

impl Default for Tokens {
    fn default() -> Self {
        Self {
            ids: Ids::Narrow(Vec::new()),
            known: 0,
        }
    }
}

impl Tokens {
    /// Adds a token at the end.
    pub fn push(&mut self, id: u32) {
        self.known += usize::from(id != NONE);
        match &mut self.ids {
            Ids::Narrow(ids) if id == NONE => ids.push(NARROW_NONE),
            Ids::Narrow(ids) if id < u32::from(NARROW_NONE) => ids.push(id as u16),
            Ids::Narrow(ids) => {
                let mut wide: Vec<u32> = ids.iter().map(|&id| widen(id)).collect();
                wide.push(id);
                self.ids = Ids::Wide(wide);
            }
            Ids::Wide(ids) => ids.push(id),
        }
    }

    /// The token at `position`.
    ///
    /// # Panics
    /// If the text ends before it.
    pub fn get(&self, position: usize) -> u32 {
        match &self.ids {
            Ids::Narrow(ids) => widen(ids[position]),
            Ids::Wide(ids) => ids[position],
        }
    }

    /// Number of tokens, unknown ones too.
    pub fn len(&self) -> usize {
        match &self.ids {
            Ids::Narrow(ids) => ids.len(),
            Ids::Wide(ids) => ids.len(),
        }
    }

    /// Whether there is no token.
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

    /// Bytes that a token takes.
    pub fn bytes_per_token(&self) -> usize {
        match &self.ids {
            Ids::Narrow(_) => 2,
            Ids::Wide(_) => 4,
        }
    }

    /// Replaces every id by its entry in `numbers`.
    pub(super) fn renumber(&mut self, numbers: &[u32]) {
        *self = self
            .iter()
            .map(|id| {
                if id == NONE {
                    NONE
                } else {
                    numbers[id as usize]
                }
            })
            .collect();
    }

    /// Replaces every id by its entries in `numbers`.
    pub(super) fn expand(&mut self, numbers: &[Box<[u32]>]) {
        *self = self
            .iter()
            .flat_map(|id| numbers[id as usize].iter().copied())
            .collect();
    }

    /// The tokens before `position` and those from it on.
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
    fn two_bytes_become_four_where_needed_and_lose_nothing() {
        let narrow: Tokens = [0, 65_534, NONE, 7].into_iter().collect();
        assert_eq!(narrow.bytes_per_token(), 2);
        assert_eq!(narrow.iter().collect::<Vec<_>>(), [0, 65_534, NONE, 7]);
        let wide: Tokens = [0, NONE, 65_535, 70_000].into_iter().collect();
        assert_eq!(wide.bytes_per_token(), 4);
        assert_eq!(wide.iter().collect::<Vec<_>>(), [0, NONE, 65_535, 70_000]);
        assert_eq!((wide.len(), wide.known()), (4, 3));
    }
}
