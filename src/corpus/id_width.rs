//! The width of token ids: one, two or four bytes, little-endian.

use crate::tensor::NONE;

/// The number of bytes of a token id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdWidth {
    One,
    Two,
    Four,
}

impl IdWidth {
    /// The width with this number of bytes.
    pub(super) fn of_bytes(bytes: usize) -> Option<Self> {
        [Self::One, Self::Two, Self::Four]
            .into_iter()
            .find(|width| width.bytes() == bytes)
    }

    /// Bytes of an id.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// The value that represents [`NONE`]: all bits are set. Ids are less.
    fn none(self) -> u32 {
        match self {
            Self::One => u8::MAX.into(),
            Self::Two => u16::MAX.into(),
            Self::Four => NONE,
        }
    }

    /// Whether an id has this width or a narrower one.
    pub(super) fn fits(self, id: u32) -> bool {
        id == NONE || id < self.none()
    }

    /// The next wider width.
    pub(super) fn wider(self) -> Self {
        match self {
            Self::One => Self::Two,
            Self::Two | Self::Four => Self::Four,
        }
    }

    /// Appends an id that [fits](Self::fits).
    pub(super) fn push(self, id: u32, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&id.to_le_bytes()[..self.bytes()]);
    }

    /// The id with this index.
    ///
    /// # Panics
    /// If it is out of range.
    pub(super) fn get(self, bytes: &[u8], index: usize) -> u32 {
        let mut id = [0; 4];
        let start = index * self.bytes();
        id[..self.bytes()].copy_from_slice(&bytes[start..start + self.bytes()]);
        self.widen(u32::from_le_bytes(id))
    }

    /// Copies the ids from index `start` on.
    ///
    /// # Panics
    /// If they are out of range.
    pub(super) fn copy(self, bytes: &[u8], start: usize, ids: &mut [u32]) {
        let bytes = &bytes[start * self.bytes()..(start + ids.len()) * self.bytes()];
        match self {
            Self::One => {
                for (id, &byte) in ids.iter_mut().zip(bytes) {
                    *id = self.widen(byte.into());
                }
            }
            Self::Two => {
                for (id, pair) in ids.iter_mut().zip(bytes.as_chunks().0) {
                    *id = self.widen(u16::from_le_bytes(*pair).into());
                }
            }
            Self::Four => {
                for (id, four) in ids.iter_mut().zip(bytes.as_chunks().0) {
                    *id = u32::from_le_bytes(*four);
                }
            }
        }
    }

    fn widen(self, id: u32) -> u32 {
        if id == self.none() { NONE } else { id }
    }
}
