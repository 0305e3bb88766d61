//! Buffers by number. A table, whose rows may take more than one binding, lies in several buffers
//! of whole rows.
//!
//! Kernels that take tables ask for their [`Piece`]s and make a dispatch of each; every other
//! tensor is one piece.

use std::ops::Range;

use crate::tensor::{Element, Tensor};

/// Rows of a tensor that lie in one buffer.
#[derive(Debug, Clone)]
pub struct Piece<T: Element = f32> {
    /// Which of the tensor's rows.
    pub rows: Range<usize>,
    /// These rows as a tensor that can be bound.
    pub tensor: Tensor<T>,
}

#[derive(Debug)]
enum Slot {
    Buffer(wgpu::Buffer),
    /// Parts of `rows` rows each, the last one perhaps shorter, in the slots that follow this one.
    Table {
        parts: usize,
        rows: usize,
        columns: usize,
    },
    Released,
}

/// What tensors' buffer numbers stand for. Numbers count up and are never used again.
#[derive(Debug, Default)]
pub(super) struct Memory {
    slots: Vec<Slot>,
}

impl Memory {
    /// Keeps one buffer; returns its number.
    pub(super) fn keep(&mut self, buffer: wgpu::Buffer) -> usize {
        self.slots.push(Slot::Buffer(buffer));
        self.slots.len() - 1
    }

    /// Keeps the buffers of a table of which each but the last has `rows` rows; returns the table's
    /// number.
    pub(super) fn keep_table(
        &mut self,
        buffers: Vec<wgpu::Buffer>,
        rows: usize,
        columns: usize,
    ) -> usize {
        let number = self.slots.len();
        self.slots.push(Slot::Table {
            parts: buffers.len(),
            rows,
            columns,
        });
        self.slots.extend(buffers.into_iter().map(Slot::Buffer));
        number
    }

    /// The buffer of a tensor that is no table.
    pub(super) fn buffer(&self, number: usize) -> &wgpu::Buffer {
        match &self.slots[number] {
            Slot::Buffer(buffer) => buffer,
            Slot::Table { .. } => panic!("this kernel takes no table of several parts"),
            Slot::Released => panic!("the tensor was released"),
        }
    }

    /// Forgets a tensor's buffers; returns their numbers.
    pub(super) fn release(&mut self, number: usize) -> Range<usize> {
        let range = match self.slots[number] {
            Slot::Table { parts, .. } => number..number + 1 + parts,
            _ => number..number + 1,
        };
        for slot in &mut self.slots[range.clone()] {
            *slot = Slot::Released;
        }
        range
    }

    /// The tensor's rows, buffer by buffer.
    pub(super) fn pieces<T: Element>(&self, tensor: &Tensor<T>) -> Vec<Piece<T>> {
        let Slot::Table {
            rows: part,
            columns,
            ..
        } = self.slots[tensor.buffer]
        else {
            return vec![Piece {
                rows: 0..tensor.rows(),
                tensor: *tensor,
            }];
        };
        assert!(
            tensor.columns() == columns && tensor.offset.is_multiple_of(columns),
            "a table is cut between rows only"
        );
        let first = tensor.offset / columns;
        let last = first + tensor.rows();
        let parts = first / part..last.div_ceil(part);
        let piece = |number: usize| {
            let rows = first.max(number * part)..last.min((number + 1) * part);
            let whole = Tensor::new(tensor.buffer + 1 + number, part, columns);
            Piece {
                rows: rows.start - first..rows.end - first,
                tensor: whole.slice_rows(rows.start - number * part..rows.end - number * part),
            }
        };
        parts.map(piece).collect()
    }
}
