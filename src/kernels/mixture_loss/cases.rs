//! Test cases of [`MixtureLoss`].

use std::fmt;

use super::MixtureLoss;
use crate::error::Result;
use crate::kernels::cases::{
    Cases, EPSILON, Harness, KernelCase, MANY, Place, TokenDraw, TokenPattern, Tolerance, list,
    option,
};

/// Sizes and options of [`MixtureLoss`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MixtureLossCase {
    /// K.
    pub columns: usize,
    /// A target for each row; only whether there is one matters.
    pub targets: TokenDraw,
    /// Whether responsibilities and gradient are computed.
    pub gradient: bool,
    /// Factor of the gradient.
    pub scale: f32,
    /// Bound of the logits, before `shift` is added, and of half the components.
    pub bound: f32,
    /// Added to the logits. The softmax does not depend on it, except that it rounds the logits.
    pub shift: f32,
}

/// Few and many softmaxes; rows around a workgroup, and many; probabilities from moderate to far
/// below the smallest number.
pub(in crate::kernels) fn all() -> Cases {
    let mut all = Vec::new();
    for (columns, pattern, count, bound, shift) in [
        (2, TokenPattern::Same, 1, 1.0, 0.0),
        (3, TokenPattern::Mixed, 67, 4.0, 0.0),
        (15, TokenPattern::Mixed, 129, 4.0, 1e6),
        (16, TokenPattern::Mixed, 65, 100.0, 0.0),
        (7, TokenPattern::Mixed, 63, 1e4, 0.0),
        (5, TokenPattern::Nothing, 3, 4.0, 0.0),
        (17, TokenPattern::Same, 5, 40.0, -1e6),
        (1, TokenPattern::Mixed, 11, 4.0, 0.0),
        (2, TokenPattern::Mixed, MANY, 4.0, 0.0),
    ] {
        let scale = if count % 2 == 1 {
            1.0 / count as f32
        } else {
            1.0
        };
        all.extend([false, true].map(|gradient| MixtureLossCase {
            columns,
            targets: TokenDraw { pattern, count },
            gradient,
            scale,
            bound,
            shift,
        }));
    }
    list(all)
}

impl KernelCase for MixtureLossCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let shape = [self.targets.count, self.columns];
        let mut logits = harness.uniform(shape[0] * shape[1], self.bound);
        logits.iter_mut().for_each(|logit| *logit += self.shift);
        let mut components = harness.uniform(shape[0] * shape[1], self.bound);
        components.iter_mut().for_each(|loss| *loss += self.bound);
        let mut place = |name, values| match self.gradient {
            true => harness.in_place(name, Place::Part, shape, values),
            false => harness.consumed(name, Place::Part, shape, values),
        };
        let prior = place("prior", logits)?;
        let components = place("components", components)?;
        let drawn = harness.draw(self.targets, 300);
        let targets = harness.tokens("targets", drawn)?;
        let losses = harness.output("losses", Place::Part, [self.targets.count, 1])?;
        harness.run(&MixtureLoss {
            prior,
            components,
            targets,
            losses,
            gradient: self.gradient,
            scale: self.scale,
        });
        Ok(())
    }

    fn tolerance(&self, output: &str) -> Tolerance {
        let exponent = EPSILON * (16.0 + 6.0 * f64::from(self.bound));
        let absolute = match output {
            "prior" => exponent * f64::from(self.scale),
            _ => exponent,
        };
        Tolerance {
            absolute,
            relative: match output {
                "losses" => EPSILON,
                _ => exponent,
            },
        }
    }
}

impl fmt::Display for MixtureLossCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            columns,
            targets,
            bound,
            ..
        } = self;
        let gradient = option(self.gradient, &format!("gradient x {}", self.scale));
        let shift = option(self.shift != 0.0, &format!("+ {}", self.shift));
        write!(f, "{targets} of {columns} below {bound}{shift}{gradient}")
    }
}
