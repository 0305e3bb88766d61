//! What an output layer finds out about a window's words on the host, before the window is walked:
//! sorted orders, lists of what is touched.

use std::ops::Range;

use crate::device::Device;
use crate::tensor::Tensor;

/// A window's words, for plans.
pub struct WindowWords<'a> {
    /// What is predicted: a token for each row that predicts, or [`NONE`](crate::tensor::NONE).
    pub targets: Vec<u32>,
    /// The words before a row's target: `before(row, 0)` is what the row's step reads,
    /// `before(row, 1)` the word before that, and so on; the boundary before the text begins.
    pub before: Box<dyn Fn(usize, usize) -> u32 + 'a>,
    /// The number of the draw, where a plan has something to draw.
    pub draw: u32,
}

impl std::fmt::Debug for WindowWords<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Words")
            .field("targets", &self.targets)
            .field("draw", &self.draw)
            .finish_non_exhaustive()
    }
}

/// The most sections of a plan.
pub(super) const SECTIONS: usize = 104;

/// Where in its layer's memory the lists of a plan lie. It holds until the layer makes its next
/// plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputPlan {
    ends: [usize; SECTIONS],
}

impl Default for OutputPlan {
    /// No list has anything.
    fn default() -> Self {
        Self {
            ends: [0; SECTIONS],
        }
    }
}

impl OutputPlan {
    /// Where the list of this number lies.
    fn range(&self, number: usize) -> Range<usize> {
        let begin = if number == 0 {
            0
        } else {
            self.ends[number - 1]
        };
        begin..self.ends[number]
    }

    /// How many numbers a list has.
    pub(super) fn len(&self, number: usize) -> usize {
        self.range(number).len()
    }

    /// A list as records of `columns` numbers.
    pub(super) fn list(&self, memory: &Tensor<u32>, number: usize, columns: usize) -> Tensor<u32> {
        let range = self.range(number);
        let rows = range.len() / columns;
        memory.slice_rows(range).reshape(rows, columns)
    }
}

/// Lists of a plan in the making, one after the other.
#[derive(Debug, Default)]
pub(super) struct Lists {
    numbers: Vec<u32>,
    ends: Vec<usize>,
}

impl Lists {
    /// Adds a list, which is number 0 if it is the first.
    pub(super) fn push(&mut self, list: impl IntoIterator<Item = u32>) {
        self.numbers.extend(list);
        self.ends.push(self.numbers.len());
    }

    /// Uploads the lists to the layer's memory, `[numbers, 1]`.
    ///
    /// # Panics
    /// If the memory is too small, or there are more lists than a plan has.
    pub(super) fn upload(self, device: &mut Device, memory: &Tensor<u32>) -> OutputPlan {
        assert!(
            self.ends.len() <= SECTIONS,
            "a plan of {} lists",
            self.ends.len()
        );
        device.upload(&memory.slice_rows(0..self.numbers.len()), &self.numbers);
        let mut ends = [self.numbers.len(); SECTIONS];
        ends[..self.ends.len()].copy_from_slice(&self.ends);
        OutputPlan { ends }
    }
}
