//! Test cases of [`Sums`].

use std::fmt;

use super::{ClipGradNorm, PARTIAL_SUMS, Summand, Sums};
use crate::error::Result;
use crate::kernels::cases::{Cases, EPSILON, Harness, KernelCase, Place, Tolerance, list};

/// The names of the tensors of a case, in their order.
pub const SUMMANDS: [&str; 9] = [
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth",
];

/// Sizes of [`Sums`].
#[derive(Debug, Clone, PartialEq)]
pub struct SumsCase {
    /// Number of values of each tensor, and whether they are squared.
    pub summands: Vec<(usize, bool)>,
    /// The largest norm that is not clipped, if a factor is wanted.
    pub clip: Option<f32>,
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
        vec![(5, true); 9],
    ]);
    let cases = cases.into_iter().map(|summands| SumsCase {
        summands,
        clip: None,
    });
    list(cases.chain(clipped()))
}

/// Norms above the maximum, below it, and 0; with and without sums that are not in the norm.
fn clipped() -> impl Iterator<Item = SumsCase> {
    let cases = [
        (vec![(3, true)], 0.25),
        (vec![(0, true)], 1.0),
        (vec![(35, false), (4099, true), (70, true)], 100.0),
        (vec![(35, false), (2049, true), (1, true), (300, true)], 0.5),
        (vec![(2, true); 9], 0.5),
    ];
    cases.into_iter().map(|(summands, maximum)| SumsCase {
        summands,
        clip: Some(maximum),
    })
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
        let clip = match self.clip {
            None => None,
            Some(maximum) => Some(ClipGradNorm {
                maximum,
                scale: harness.output("scale", Place::Whole, [1, 1])?,
            }),
        };
        harness.run(&Sums {
            summands: &summands,
            partial,
            output,
            clip,
        });
        Ok(())
    }

    fn tolerance(&self, output: &str) -> Tolerance {
        if output == "scale" {
            return Tolerance::bits(4.0);
        }
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
        write!(f, "[{}]", summands.join(", "))?;
        match self.clip {
            None => Ok(()),
            Some(maximum) => write!(f, " to {maximum}"),
        }
    }
}
