//! What the cases of optimisers, and of kernels that add gradients, have in common: a parameter and
//! its gradient, dense or by rows.

use std::fmt;

use super::{Harness, MANY, Place, TokenDraw, TokenPattern};
use crate::error::Result;
use crate::kernels::Gradient;
use crate::tensor::{NONE, Tensor};

use Place::Whole;

/// The learning rate of the optimisers.
pub const RATE: f32 = 0.1;
/// The factor of gradients.
const SCALE: f32 = 0.75;

/// A parameter and the form of its gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UpdateCase {
    /// Rows of the parameter.
    pub rows: usize,
    /// Columns of the parameter.
    pub columns: usize,
    /// Where the gradient is by rows: the tokens that own them.
    pub tokens: Option<TokenDraw>,
}

/// The tensors that every optimiser has.
pub(in crate::kernels) struct UpdateTensors {
    pub(in crate::kernels) parameter: Tensor,
    pub(in crate::kernels) gradient: Gradient,
    pub(in crate::kernels) scale: Tensor,
}

impl UpdateCase {
    /// Dense gradients; and those of tables of which a window touches few rows, all, or none.
    pub(in crate::kernels) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for (rows, columns) in [(1, 1), (7, 3), (67, 65), (131, 137)] {
            all.push(Self {
                rows,
                columns,
                tokens: None,
            });
        }
        for (rows, columns, pattern, count) in [
            (2, 1, TokenPattern::Same, 1),
            (7, 3, TokenPattern::Mixed, 5),
            (300, 65, TokenPattern::Mixed, 67),
            (5, 64, TokenPattern::Nothing, 4),
            (11, 67, TokenPattern::Same, 63),
            (5, 7, TokenPattern::Few, 1031),
            (65_521, 1, TokenPattern::Mixed, MANY),
        ] {
            all.push(Self {
                rows,
                columns,
                tokens: Some(TokenDraw { pattern, count }),
            });
        }
        all
    }

    /// The parameter's shape.
    pub(in crate::kernels) fn shape(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// The input `gradient`, in the case's form.
    pub(in crate::kernels) fn gradient(
        &self,
        harness: &mut Harness<'_>,
        place: Place,
    ) -> Result<Gradient> {
        let Some(tokens) = self.tokens else {
            let gradient = harness.random_input("gradient", place, self.shape())?;
            return Ok(Gradient::Dense(gradient));
        };
        let drawn = tokens.rows(harness, self.rows)?;
        let token = |p: usize| drawn.tokens[drawn.order[p] as usize];
        let mut sums = harness.uniform(tokens.count * self.columns, 1.0);
        for (p, row) in sums.chunks_exact_mut(self.columns).enumerate() {
            if token(p) == NONE || (p > 0 && token(p - 1) == token(p)) {
                row.fill(0.0);
            }
        }
        let sums = harness.input("gradient", place, [tokens.count, self.columns], sums)?;
        Ok(Gradient::Sparse(sums, drawn.rows))
    }

    /// `parameter`, `gradient` and `scale`.
    pub(in crate::kernels) fn tensors(&self, harness: &mut Harness<'_>) -> Result<UpdateTensors> {
        let parameter = harness.random_in_place("parameter", Whole, self.shape())?;
        let gradient = self.gradient(harness, Whole)?;
        let scale = harness.input("scale", Whole, [1, 1], vec![SCALE])?;
        Ok(UpdateTensors {
            parameter,
            gradient,
            scale,
        })
    }

    /// Values of an optimiser's state: every other one is 0, as if it had seen no gradient yet.
    pub(in crate::kernels) fn state_values(&self, harness: &mut Harness<'_>) -> Vec<f32> {
        let mut values = harness.uniform(self.rows * self.columns, 1.0);
        for value in values.iter_mut().skip(1).step_by(2) {
            *value = 0.0;
        }
        values
    }

    /// The state `squares`: sums or means of squared gradients.
    pub(in crate::kernels) fn squares(&self, harness: &mut Harness<'_>) -> Result<Tensor> {
        let mut squares = self.state_values(harness);
        for value in &mut squares {
            *value *= *value;
        }
        harness.in_place("squares", Whole, self.shape(), squares)
    }
}

impl fmt::Display for UpdateCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tokens {
            Some(tokens) => write!(f, "{tokens} of [{}, {}]", self.rows, self.columns),
            None => write!(f, "dense [{}, {}]", self.rows, self.columns),
        }
    }
}
