//! What an output layer computes from a window's words on the host before the window is processed:
//! sorted orders and lists of touched rows.

use std::ops::Range;

use crate::device::Device;
use crate::tensor::Tensor;

/// A window's words, from which an output layer makes a plan.
pub struct WindowWords<'a> {
    /// The token to predict in each row that predicts, or [`NONE`](crate::tensor::NONE).
    pub targets: Vec<u32>,
    /// The words before a row's target: `before(row, 0)` is the input of the row's step,
    /// `before(row, 1)` the word before that, and so on; the boundary before the start of the text.
    pub before: Box<dyn Fn(usize, usize) -> u32 + 'a>,
    /// The index of the random draw, for layers that sample words.
    pub draw: u32,
}

impl std::fmt::Debug for WindowWords<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WindowWords")
            .field("targets", &self.targets)
            .field("draw", &self.draw)
            .finish_non_exhaustive()
    }
}

/// The largest number of lists in a plan.
pub(super) const MAX_LISTS: usize = 104;

/// Where the lists of a plan lie in the output layer's memory. A plan is valid until the layer
/// makes the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputPlan {
    ends: [usize; MAX_LISTS],
}

impl Default for OutputPlan {
    /// All lists are empty.
    fn default() -> Self {
        Self {
            ends: [0; MAX_LISTS],
        }
    }
}

impl OutputPlan {
    fn range(&self, index: usize) -> Range<usize> {
        let start = match index {
            0 => 0,
            _ => self.ends[index - 1],
        };
        start..self.ends[index]
    }

    /// Number of values in a list.
    pub(super) fn len(&self, index: usize) -> usize {
        self.range(index).len()
    }

    /// A list as records of `columns` values.
    pub(super) fn list(&self, memory: &Tensor<u32>, index: usize, columns: usize) -> Tensor<u32> {
        let range = self.range(index);
        let rows = range.len() / columns;
        memory.slice_rows(range).reshape(rows, columns)
    }
}

/// Concatenates the lists of a plan.
#[derive(Debug, Default)]
pub(super) struct PlanBuilder {
    values: Vec<u32>,
    ends: Vec<usize>,
}

impl PlanBuilder {
    /// Adds the next list; the first has index 0.
    pub(super) fn push(&mut self, list: impl IntoIterator<Item = u32>) {
        self.values.extend(list);
        self.ends.push(self.values.len());
    }

    /// Uploads the lists to the layer's memory, `[values, 1]`.
    ///
    /// # Panics
    /// If the memory is too small, or there are more than [`MAX_LISTS`] lists.
    pub(super) fn upload(self, device: &mut Device, memory: &Tensor<u32>) -> OutputPlan {
        let count = self.ends.len();
        assert!(count <= MAX_LISTS, "a plan of {count} lists");
        device.upload(&memory.slice_rows(0..self.values.len()), &self.values);
        let mut ends = [self.values.len(); MAX_LISTS];
        ends[..count].copy_from_slice(&self.ends);
        OutputPlan { ends }
    }
}
