//! Test cases of [`AddRuns`].

use std::fmt;

use super::AddRuns;
use crate::error::Result;
use crate::kernels::BLOCK;
use crate::kernels::cases::{Cases, Harness, KernelCase, Place, Tolerance, irregular, list};
use crate::tensor::NONE;

/// Sizes of [`AddRuns`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AddRunsCase {
    /// Records.
    pub records: usize,
    /// Runs of the table that each record adds.
    pub order: usize,
    /// Length of the longest run.
    pub longest: usize,
    /// Blocks of the table.
    pub blocks: usize,
}

/// Runs past the table's end, and records without some of their runs.
pub(in crate::kernels) fn all() -> Cases {
    let cases = [
        (1, 1, 1, 1),
        (5, 3, 7, 2),
        (67, 4, 131, 31),
        (1031, 3, 65, 97),
    ];
    list(cases.map(|(records, order, longest, blocks)| AddRunsCase {
        records,
        order,
        longest,
        blocks,
    }))
}

impl KernelCase for AddRunsCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let table = harness.random_input("table", Place::Whole, [self.blocks, BLOCK])?;
        let mut runs = Vec::new();
        let mut place = 1;
        for record in 0..self.records {
            let length = irregular(record, 5, self.longest);
            runs.extend([place as u32, length as u32]);
            // The last runs go past the table's end; every fourth is missing.
            runs.extend((0..self.order).map(|run| match (record + run) % 4 {
                3 => NONE,
                _ => ((record * 37 + run * 101 + 11) % (self.blocks * BLOCK)) as u32,
            }));
            place += length + record % 2;
        }
        let output = harness.random_in_place("output", Place::Part, [1, place + 2])?;
        let runs = harness
            .tokens("runs", runs)?
            .reshape(self.records, 2 + self.order);
        harness.run(&AddRuns {
            table,
            runs,
            output,
        });
        Ok(())
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance::sum_of(self.order + 1)
    }
}

impl fmt::Display for AddRunsCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            records,
            order,
            longest,
            blocks,
        } = self;
        write!(
            f,
            "{records} x {order} runs of up to {longest} of {blocks} blocks"
        )
    }
}
