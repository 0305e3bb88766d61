//! Copies of matrices in f16, for products of mixed precision. A copy is current until a dispatch
//! or an upload writes to the buffer of its source: weights are copied once per update, activations
//! and gradients once per window.

use std::collections::HashMap;
use std::ops::Range;

use super::Gpu;
use super::shader::Binding;

/// A matrix in f32 that may be copied.
#[derive(Debug, Clone, Copy)]
pub struct HalfSource {
    /// Its buffer.
    pub binding: Binding,
    /// The index in the buffer of its first element.
    pub offset: usize,
    /// Elements from row to row.
    pub stride: usize,
    /// Rows and columns.
    pub shape: [usize; 2],
    /// The factor of the copy.
    pub scale: f32,
}

/// A copy of a matrix, or memory for it.
#[derive(Debug, Clone, Copy)]
pub struct HalfCopy {
    /// A buffer that begins with the copy.
    pub binding: Binding,
    /// Elements from row to row: a multiple of 8. Those after the last column are zeros.
    pub stride: usize,
    /// Whether the copy has the values of the source; otherwise whoever asked has to write them.
    pub is_current: bool,
}

/// Sources with the same key share a copy, which has the rows of the one that was copied last.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    buffer: usize,
    offset: usize,
    stride: usize,
    columns: usize,
    scale: u32,
}

#[derive(Debug)]
struct Entry {
    buffer: usize,
    /// The rows that fit.
    capacity: usize,
    rows: usize,
    /// The number of writes to the source's buffer when it was copied.
    writes: u64,
}

/// The buffer of a copy.
#[derive(Debug, PartialEq)]
enum Found {
    /// It has the source's values.
    Current(usize),
    /// It has room for them.
    Outdated(usize),
    /// There is none, or it is too small.
    Missing,
}

/// All copies.
#[derive(Debug, Default)]
pub(super) struct HalfCopies {
    entries: HashMap<Key, Entry>,
}

impl HalfCopies {
    /// The copy of `rows` rows of a source whose buffer was written to `writes` times.
    fn find(&self, key: &Key, rows: usize, writes: u64) -> Found {
        match self.entries.get(key) {
            Some(entry) if entry.writes == writes && entry.rows >= rows => {
                Found::Current(entry.buffer)
            }
            Some(entry) if entry.capacity >= rows => Found::Outdated(entry.buffer),
            _ => Found::Missing,
        }
    }

    /// Records that a copy is made in its buffer.
    fn record(&mut self, key: &Key, rows: usize, writes: u64) {
        if let Some(entry) = self.entries.get_mut(key) {
            (entry.rows, entry.writes) = (rows, writes);
        }
    }

    /// Adds a copy with room for `rows` rows, which is made in this buffer.
    fn add(&mut self, key: Key, buffer: usize, rows: usize, writes: u64) {
        let entry = Entry {
            buffer,
            capacity: rows,
            rows,
            writes,
        };
        self.entries.insert(key, entry);
    }

    /// Removes the copies whose sources are in these buffers and returns the copies' buffers.
    pub(super) fn remove(&mut self, sources: &Range<usize>) -> Vec<usize> {
        self.entries
            .extract_if(|key, _| sources.contains(&key.buffer))
            .map(|(_, entry)| entry.buffer)
            .collect()
    }
}

impl Gpu {
    /// The current copy of a matrix. Where there is none and it is worth making one, memory for it;
    /// it counts as current from now on. None if it is not worth making one, or if the GPU has no
    /// memory for it.
    pub fn half_copy(&mut self, source: &HalfSource, is_worthwhile: bool) -> Option<HalfCopy> {
        let [rows, columns] = source.shape;
        let key = Key {
            buffer: source.binding.buffer,
            offset: source.offset,
            stride: source.stride,
            columns,
            scale: source.scale.to_bits(),
        };
        let stride = columns.next_multiple_of(8);
        let writes = self.buffers.writes(source.binding.buffer);
        let found = self.half_copies.find(&key, rows, writes);
        let (buffer, is_current) = match found {
            Found::Current(buffer) => (buffer, true),
            _ if !is_worthwhile => return None,
            Found::Outdated(buffer) => {
                self.half_copies.record(&key, rows, writes);
                (buffer, false)
            }
            Found::Missing => {
                if let Some(smaller) = self.half_copies.entries.remove(&key) {
                    self.release(smaller.buffer);
                }
                let buffer = self.allocate("copy in f16", rows, stride / 2).ok()?;
                self.half_copies.add(key, buffer, rows, writes);
                (buffer, false)
            }
        };
        Some(HalfCopy {
            binding: Binding { buffer },
            stride,
            is_current,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_current_until_their_source_is_written() {
        let key = Key {
            buffer: 3,
            offset: 0,
            stride: 10,
            columns: 10,
            scale: 1.0f32.to_bits(),
        };
        let scaled = Key {
            scale: 2.0f32.to_bits(),
            ..key.clone()
        };
        let mut copies = HalfCopies::default();
        assert_eq!(copies.find(&key, 5, 7), Found::Missing);
        copies.add(key.clone(), 20, 5, 7);
        for (key, rows, writes, found) in [
            (&key, 5, 7, Found::Current(20)),
            (&key, 4, 7, Found::Current(20)),
            (&key, 5, 8, Found::Outdated(20)),
            (&key, 6, 7, Found::Missing),
            (&scaled, 5, 7, Found::Missing),
        ] {
            assert_eq!(copies.find(key, rows, writes), found, "{rows} {writes}");
        }
        // Fewer rows than before: the others are of an older source.
        copies.record(&key, 2, 8);
        assert_eq!(copies.find(&key, 2, 8), Found::Current(20));
        assert_eq!(copies.find(&key, 5, 8), Found::Outdated(20));
        assert_eq!(copies.remove(&(4..9)), [0; 0]);
        assert_eq!(copies.remove(&(3..4)), [20]);
        assert_eq!(copies.find(&key, 2, 8), Found::Missing);
    }
}
