//! Test cases of [`SoftmaxBackward`].

use std::fmt;

use super::SoftmaxBackward;
use crate::error::Result;
use crate::kernels::Exponential;
use crate::kernels::cases::{
    Cases, Harness, KernelCase, MANY, Place, TokenDraw, TokenPattern, Tolerance, list,
};

/// Sizes and options of [`SoftmaxBackward`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoftmaxBackwardCase {
    /// V.
    pub columns: usize,
    /// A target for each row.
    pub targets: TokenDraw,
    /// Factor of the cross-entropy.
    pub scale: f32,
}

/// Vocabularies around a workgroup's width; a shape that is split between the CPU's threads; more
/// rows than a dispatch has workgroups in one dimension.
pub(in crate::kernels) fn all() -> Cases {
    let all = [
        (2, TokenPattern::Same, 1, 1.0),
        (3, TokenPattern::Mixed, 67, 0.25),
        (255, TokenPattern::Mixed, 5, 1.0),
        (256, TokenPattern::Few, 3, 0.0),
        (257, TokenPattern::Same, 7, 4.0),
        (1031, TokenPattern::Mixed, 19, 0.125),
        (40_013, TokenPattern::Mixed, 3, 1.0),
        (65, TokenPattern::Nothing, 3, 1.0),
        (2, TokenPattern::Mixed, MANY, 1.0),
    ];
    list(
        all.map(|(columns, pattern, count, scale)| SoftmaxBackwardCase {
            columns,
            targets: TokenDraw { pattern, count },
            scale,
        }),
    )
}

impl KernelCase for SoftmaxBackwardCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let shape = [self.targets.count, self.columns];
        let mut values = harness.uniform(shape[0] * shape[1], 4.0);
        for row in values.chunks_exact_mut(self.columns) {
            Exponential::Exact.log_softmax(row);
            row.iter_mut().for_each(|log| *log = log.exp());
        }
        let probabilities = harness.in_place("probabilities", Place::Part, shape, values)?;
        let gradient = harness.random_input("gradient", Place::Part, shape)?;
        let drawn = harness.draw(self.targets, self.columns);
        let targets = harness.tokens("targets", drawn)?;
        harness.run(&SoftmaxBackward {
            probabilities,
            gradient,
            targets,
            scale: self.scale,
        });
        Ok(())
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance::bits(4.0 + f64::from(self.scale))
    }
}

impl fmt::Display for SoftmaxBackwardCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            columns,
            targets,
            scale,
        } = self;
        write!(f, "{targets} of {columns} x {scale}")
    }
}
