//! Test cases of [`RunsGradient`].

use std::fmt;

use super::{BLOCK, RunsGradient, SEGMENT_FIELDS};
use crate::error::Result;
use crate::kernels::cases::{Cases, Harness, KernelCase, Place, Tolerance, irregular, list};

/// Sizes of [`RunsGradient`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunsGradientCase {
    /// Blocks that runs touched.
    pub blocks: usize,
    /// The largest number of pieces of a block.
    pub most: usize,
}

/// One block and one piece, and many of both.
pub(in crate::kernels) fn all() -> Cases {
    let cases = [(1, 1), (3, 2), (67, 9), (1031, 5)];
    list(cases.map(|(blocks, most)| RunsGradientCase { blocks, most }))
}

impl KernelCase for RunsGradientCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let mut begins = vec![0_u32];
        let mut pieces = Vec::new();
        let mut end = 0;
        for block in 0..self.blocks {
            for piece in 0..irregular(block, 3, self.most) {
                let index = block * 5 + piece;
                // From 40 elements before the block's first to its last, and long enough to reach
                // it.
                let behind = (index * 7 % (40 + BLOCK)) as i32 - 40;
                let length = 1 + (-behind).max(0) as usize + index * 13 % 50;
                let place = index * 3 % 20;
                pieces.extend([place as u32, behind as u32, length as u32]);
                end = end.max(place + length);
            }
            begins.push((pieces.len() / SEGMENT_FIELDS) as u32);
        }
        let count = pieces.len() / SEGMENT_FIELDS;
        let gradient = harness.random_input("gradient", Place::Part, [1, end])?;
        let begins = harness.tokens("begins", begins)?;
        let pieces = harness
            .tokens("pieces", pieces)?
            .reshape(count, SEGMENT_FIELDS);
        let sums = harness.output("sums", Place::Whole, [self.blocks, BLOCK])?;
        harness.run(&RunsGradient {
            gradient,
            segment_starts: begins,
            segments: pieces,
            sums,
        });
        Ok(())
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance::sum_of(self.most)
    }
}

impl fmt::Display for RunsGradientCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} blocks of up to {} pieces", self.blocks, self.most)
    }
}
