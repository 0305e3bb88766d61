//! What the cases of optimizers, and of kernels that add gradients, have in common: a parameter and
//! its gradient, dense or by rows.

use std::fmt;

use super::{Harness, MANY, Place, TokenDraw, TokenPattern};
use crate::error::Result;
use crate::kernels::Gradient;
use crate::tensor::{NONE, Tensor};

use Place::Whole;

/// The learning rate of the optimizers.
pub const RATE: f32 = 0.1;
/// The factor of gradients.
const SCALE: f32 = 0.75;

/// Names of the tensors of up to five parameters.
type Names = [&'static str; 5];

macro_rules! numbered {
    ($name:literal) => {
        [
            $name,
            concat!($name, "_1"),
            concat!($name, "_2"),
            concat!($name, "_3"),
            concat!($name, "_4"),
        ]
    };
}

/// The parameters.
pub const PARAMETERS: Names = numbered!("parameter");
/// Their gradients.
pub const GRADIENTS: Names = numbered!("gradient");
/// Sums or means of squared gradients.
pub const SQUARES: Names = numbered!("squares");
/// The velocities of momentum.
pub const VELOCITIES: Names = numbered!("velocity");
/// Adam's first moments.
pub const FIRST_MOMENTS: Names = numbered!("first");
/// Adam's second moments.
pub const SECOND_MOMENTS: Names = numbered!("second");

/// A parameter and the form of its gradient, and further parameters that are updated in the same
/// run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UpdateCase {
    /// Rows of the parameter.
    pub rows: usize,
    /// Columns of the parameter.
    pub columns: usize,
    /// Where the gradient is by rows: the tokens that own them.
    pub tokens: Option<TokenDraw>,
    /// The number of further parameters, at most 4. Their gradients are dense.
    pub others: usize,
}

/// The tensors that every optimizer has for a parameter, and its rate.
pub(in crate::kernels) struct UpdateTensors {
    pub(in crate::kernels) parameter: Tensor,
    pub(in crate::kernels) gradient: Gradient,
    pub(in crate::kernels) scale: Tensor,
    pub(in crate::kernels) rate: f32,
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
                others: 0,
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
                others: 0,
            });
        }
        all
    }

    /// As [`Self::all`], and updates of several parameters in one run.
    pub(in crate::kernels) fn with_others() -> Vec<Self> {
        let mut all = Self::all();
        let dense = Self {
            rows: 67,
            columns: 65,
            tokens: None,
            others: 1,
        };
        let by_rows = TokenDraw {
            pattern: TokenPattern::Mixed,
            count: 67,
        };
        all.extend([
            dense,
            Self { others: 2, ..dense },
            Self { others: 4, ..dense },
            Self {
                tokens: Some(by_rows),
                others: 3,
                ..dense
            },
        ]);
        all
    }

    /// The first parameter's shape.
    pub(in crate::kernels) fn shape(&self) -> [usize; 2] {
        self.shape_of(0)
    }

    /// The shape of a parameter.
    fn shape_of(&self, index: usize) -> [usize; 2] {
        match index {
            0 => [self.rows, self.columns],
            _ => [index, 2 * index * index + 255],
        }
    }

    /// The indices of the parameters.
    pub fn indices(&self) -> std::ops::RangeInclusive<usize> {
        0..=self.others
    }

    /// The learning rate of a parameter.
    pub fn rate(index: usize) -> f32 {
        RATE / (1 + index) as f32
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

    /// The tensors of every parameter, without states.
    pub(in crate::kernels) fn tensors(
        &self,
        harness: &mut Harness<'_>,
    ) -> Result<Vec<UpdateTensors>> {
        let scale = harness.input("scale", Whole, [1, 1], vec![SCALE])?;
        let mut all = Vec::new();
        for index in self.indices() {
            let shape = self.shape_of(index);
            all.push(UpdateTensors {
                parameter: harness.random_in_place(PARAMETERS[index], Whole, shape)?,
                gradient: match index {
                    0 => self.gradient(harness, Whole)?,
                    _ => Gradient::Dense(harness.random_input(GRADIENTS[index], Whole, shape)?),
                },
                scale,
                rate: Self::rate(index),
            });
        }
        Ok(all)
    }

    /// Values of an optimizer's state of a parameter: every other one is 0, as if it had seen no
    /// gradient yet.
    pub(in crate::kernels) fn state_values(
        &self,
        harness: &mut Harness<'_>,
        index: usize,
    ) -> Vec<f32> {
        let [rows, columns] = self.shape_of(index);
        let mut values = harness.uniform(rows * columns, 1.0);
        for value in values.iter_mut().skip(1).step_by(2) {
            *value = 0.0;
        }
        values
    }

    /// An optimizer's state of a parameter.
    pub(in crate::kernels) fn state(
        &self,
        harness: &mut Harness<'_>,
        names: Names,
        index: usize,
        values: Vec<f32>,
    ) -> Result<Tensor> {
        harness.in_place(names[index], Whole, self.shape_of(index), values)
    }

    /// The state `squares` of every parameter: sums or means of squared gradients.
    pub(in crate::kernels) fn squares(&self, harness: &mut Harness<'_>) -> Result<Vec<Tensor>> {
        let squares = |index| {
            let mut squares = self.state_values(harness, index);
            for value in &mut squares {
                *value *= *value;
            }
            self.state(harness, SQUARES, index, squares)
        };
        self.indices().map(squares).collect()
    }
}

impl fmt::Display for UpdateCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tokens {
            Some(tokens) => write!(f, "{tokens} of [{}, {}]", self.rows, self.columns)?,
            None => write!(f, "dense [{}, {}]", self.rows, self.columns)?,
        }
        match self.others {
            0 => Ok(()),
            others => write!(f, " and {others} more"),
        }
    }
}
