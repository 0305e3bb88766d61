//! The buffers of a GPU, by index. A table that exceeds the adapter's limits is split into shards:
//! several buffers of whole rows.
//!
//! Kernels that accept sharded tables launch one dispatch per [`Shard`]; every other tensor is a
//! single shard.

use std::collections::HashMap;
use std::ops::Range;

use crate::tensor::{Element, Tensor};

/// Rows of a tensor that are stored in one buffer.
#[derive(Debug, Clone)]
pub struct Shard<T: Element = f32> {
    /// The range of the tensor's rows.
    pub rows: Range<usize>,
    /// These rows as a tensor that can be bound.
    pub tensor: Tensor<T>,
}

#[derive(Debug)]
enum BufferEntry {
    Buffer(wgpu::Buffer),
    /// A sharded table. Its shards are the next `shards` entries: `shard_rows` rows each, except
    /// that the last may have fewer.
    Table {
        shards: usize,
        shard_rows: usize,
        columns: usize,
    },
    Released,
}

/// All buffers, by the index that tensors store. Indices increase and are never reused.
#[derive(Debug, Default)]
pub(super) struct BufferRegistry {
    entries: Vec<BufferEntry>,
    /// The number of dispatches and uploads that wrote to each buffer, as far as there were any.
    writes: HashMap<usize, u64>,
}

impl BufferRegistry {
    /// Adds a buffer and returns its index.
    pub(super) fn add(&mut self, buffer: wgpu::Buffer) -> usize {
        self.entries.push(BufferEntry::Buffer(buffer));
        self.entries.len() - 1
    }

    /// Adds the shards of a table and returns the table's index. Every shard but the last has
    /// `shard_rows` rows.
    pub(super) fn add_table(
        &mut self,
        buffers: Vec<wgpu::Buffer>,
        shard_rows: usize,
        columns: usize,
    ) -> usize {
        let index = self.entries.len();
        self.entries.push(BufferEntry::Table {
            shards: buffers.len(),
            shard_rows,
            columns,
        });
        self.entries
            .extend(buffers.into_iter().map(BufferEntry::Buffer));
        index
    }

    /// The buffer of a tensor that is not a sharded table.
    ///
    /// # Panics
    /// If it is a sharded table or was released.
    pub(super) fn buffer(&self, index: usize) -> &wgpu::Buffer {
        match &self.entries[index] {
            BufferEntry::Buffer(buffer) => buffer,
            BufferEntry::Table { .. } => panic!("this kernel does not accept sharded tables"),
            BufferEntry::Released => panic!("the tensor was released"),
        }
    }

    /// The number of dispatches and uploads that wrote to a buffer.
    pub(super) fn writes(&self, index: usize) -> u64 {
        self.writes.get(&index).copied().unwrap_or(0)
    }

    /// Records a dispatch or an upload that writes to a buffer.
    pub(super) fn record_write(&mut self, index: usize) {
        *self.writes.entry(index).or_default() += 1;
    }

    /// Removes a tensor's buffers and returns their indices.
    pub(super) fn release(&mut self, index: usize) -> Range<usize> {
        let range = match self.entries[index] {
            BufferEntry::Table { shards, .. } => index..index + 1 + shards,
            _ => index..index + 1,
        };
        for index in range.clone() {
            self.entries[index] = BufferEntry::Released;
            self.writes.remove(&index);
        }
        range
    }

    /// The tensor's rows, shard by shard.
    ///
    /// # Panics
    /// If the tensor is a slice of a sharded table that does not consist of whole rows.
    pub(super) fn shards<T: Element>(&self, tensor: &Tensor<T>) -> Vec<Shard<T>> {
        let BufferEntry::Table {
            shard_rows,
            columns,
            ..
        } = self.entries[tensor.buffer]
        else {
            return vec![Shard {
                rows: 0..tensor.rows(),
                tensor: *tensor,
            }];
        };
        assert!(
            tensor.columns() == columns && tensor.offset.is_multiple_of(columns),
            "a slice of a sharded table must consist of whole rows"
        );
        let first = tensor.offset / columns;
        let end = first + tensor.rows();
        let shard = |index: usize| {
            let start = index * shard_rows;
            let rows = first.max(start)..end.min(start + shard_rows);
            let whole = Tensor::new(tensor.buffer + 1 + index, shard_rows, columns);
            Shard {
                rows: rows.start - first..rows.end - first,
                tensor: whole.slice_rows(rows.start - start..rows.end - start),
            }
        };
        (first / shard_rows..end.div_ceil(shard_rows))
            .map(shard)
            .collect()
    }
}
