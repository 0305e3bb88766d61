//! Handles of matrices that are stored on a device.
//!
//! A [`Tensor`] identifies a buffer of a device and the offset and shape of a row-major matrix in
//! it. It holds no elements and no reference to the device. Kernels are built from these handles;
//! devices resolve them to slices or bindings.

use std::marker::PhantomData;
use std::ops::Range;

/// An element type of storage buffers: `f32`, or `u32` for tokens.
pub trait Element: bytemuck::Pod + Send + Sync {}
impl Element for f32 {}
impl Element for u32 {}

/// The token for "no word": an unknown word in a vocabulary without `<unk>`, or padding. As an
/// input its embedding is zero; as a target it is ignored.
pub const NONE: u32 = u32::MAX;

/// A row-major matrix of `rows` × `columns` elements in one buffer of a device. A vector is a
/// matrix of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tensor<T: Element = f32> {
    /// The index of the buffer on its device.
    pub(crate) buffer: usize,
    /// The index in the buffer of this tensor's first element.
    pub(crate) offset: usize,
    rows: usize,
    columns: usize,
    element: PhantomData<T>,
}

impl<T: Element> Tensor<T> {
    pub(crate) fn new(buffer: usize, rows: usize, columns: usize) -> Self {
        Self {
            buffer,
            offset: 0,
            rows,
            columns,
            element: PhantomData,
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.rows * self.columns
    }

    /// Whether the tensor has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows of `range` as a tensor in the same memory.
    ///
    /// # Panics
    /// If the range ends after the last row.
    pub fn slice_rows(&self, range: Range<usize>) -> Self {
        assert!(
            range.start <= range.end && range.end <= self.rows,
            "rows {range:?} of a tensor of {} rows",
            self.rows
        );
        Self {
            offset: self.offset + range.start * self.columns,
            rows: range.len(),
            ..*self
        }
    }

    /// The first `rows * columns` elements as a matrix of shape `[rows, columns]`.
    ///
    /// # Panics
    /// If there are fewer than `rows * columns` elements.
    pub fn reshape(&self, rows: usize, columns: usize) -> Self {
        assert!(
            rows * columns <= self.len(),
            "{rows} x {columns} of a tensor of {} elements",
            self.len()
        );
        Self {
            rows,
            columns,
            ..*self
        }
    }

    /// The elements from index `first` to the end, as one row.
    ///
    /// # Panics
    /// If `first` is past the end.
    pub fn tail(&self, first: usize) -> Self {
        Self {
            offset: self.offset + first,
            rows: 1,
            columns: self.len() - first,
            ..*self
        }
    }

    /// One element as a tensor of shape `[1, 1]`.
    ///
    /// # Panics
    /// If `index` is past the end.
    pub fn element(&self, index: usize) -> Self {
        assert!(
            index < self.len(),
            "element {index} of a tensor of {} elements",
            self.len()
        );
        Self {
            offset: self.offset + index,
            rows: 1,
            columns: 1,
            ..*self
        }
    }
}
