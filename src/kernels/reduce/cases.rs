//! Test cases of [`Sums`].

use std::fmt;

use super::{PARTIAL_SUMS, Summand, Sums};
use crate::error::Result;
use crate::kernels::cases::{Cases, EPSILON, Harness, KernelCase, Place, Tolerance, list};

/// The names of the tensors of a case, in their order.
pub const SUMMANDS: [&str; 6] = ["first", "second", "third", "fourth", "fifth", "sixth"];

/// Sizes of [`Sums`].
#[derive(Debug, Clone, PartialEq)]
pub struct SumsCase {
    /// Number of values of each tensor, and whether they are squared.
    pub summands: Vec<(usize, bool)>,
}

/// Up to more values than one round of all workgroups sums, and more tensors than one dispatch
/// sums.
pub(in crate::kernels) fn all() -> Cases {
    let counts = [1, 255, 257, 2048, 2049, 4099, 600_011];
    let of_one = |is_squared| counts.map(|count| vec![(count, is_squared)]);
    let mut cases = [of_one(false), of_one(true)].concat();
    cases.extend([
        vec![(3, false), (4099, true), (1, true), (2048, true)],
        vec![
            (70, true),
            (2049, false),
            (600_011, true),
            (5, true),
            (300, false),
        ],
        vec![(1, true); 6],
    ]);
    list(cases.into_iter().map(|summands| SumsCase { summands }))
}

impl KernelCase for SumsCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let mut summands = Vec::new();
        for (name, &(count, is_squared)) in SUMMANDS.iter().zip(&self.summands) {
            let values = harness.random_input(name, Place::Part, [1, count])?;
            summands.push(Summand { values, is_squared });
        }
        let partial = harness.scratch("partial", [summands.len(), PARTIAL_SUMS])?;
        let output = harness.output("output", Place::Part, [1, summands.len()])?;
        harness.run(&Sums {
            summands: &summands,
            partial,
            output,
        });
        Ok(())
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        // Sums of squares have no cancellation; a sum of values has.
        let cancelling = self.summands.iter().filter(|(_, is_squared)| !is_squared);
        match cancelling.map(|&(count, _)| count).max() {
            None => Tolerance::bits(8.0),
            Some(count) => Tolerance {
                absolute: EPSILON * (1.0 + 3.0 * (count as f64).sqrt()),
                relative: match self.summands.iter().any(|&(_, is_squared)| is_squared) {
                    true => 8.0 * EPSILON,
                    false => EPSILON,
                },
            },
        }
    }
}

impl fmt::Display for SumsCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summands: Vec<_> = self
            .summands
            .iter()
            .map(|(count, is_squared)| match is_squared {
                true => format!("{count} squares"),
                false => count.to_string(),
            })
            .collect();
        write!(f, "[{}]", summands.join(", "))
    }
}
