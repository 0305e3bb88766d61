//! Handles of matrices that live on a device.
//!
//! A [`Tensor`] says where in which of a device's buffers a row-major matrix lies. It holds no
//! numbers and knows no device; kernels are made of these handles, and devices resolve them to
//! slices or bindings.

use std::marker::PhantomData;
use std::ops::Range;

/// A number that a shader can hold in a storage buffer: `f32`, or `u32` for tokens.
pub trait Element: bytemuck::Pod + Send + Sync {}
impl Element for f32 {}
impl Element for u32 {}

/// The token that stands for "no word": an unknown word without `<unk>`, or padding. As an input it
/// is a row of zeros; as a target it is not predicted.
pub const NONE: u32 = u32::MAX;

/// A row-major matrix of `rows` × `columns` elements in one buffer of a device. A vector is one
/// row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tensor<T: Element = f32> {
    /// The device's number of the buffer.
    pub(crate) buffer: usize,
    /// Elements of the buffer before the first of this tensor.
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

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows of `range` as a tensor of their own, in the same memory.
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

    /// The same elements as `rows` × `columns`, or the first of them where that is less.
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

    /// The elements from `first` on, as one row.
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

    /// One element as a tensor of one row and one column.
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
