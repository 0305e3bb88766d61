//! What the cases of the gated cells, LSTM and GRU, have in common, and what they share with those
//! of the simple recurrence.

use std::fmt;

use super::{
    EPSILON, Harness, INITIAL, MANY, Place, TRANSCENDENTAL, TokenDraw, TokenPattern, Tolerance,
    option,
};
use crate::error::Result;
use crate::kernels::{Carried, RecurrentSchedule, Reset};
use crate::tensor::Tensor;

use Place::Whole;

/// The direction in which a kernel runs through a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the first step to the last.
    Forward,
    /// From the last step to the first, with gradients.
    Backward,
}

/// Sizes and options of the kernels of a gated cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GatedCase {
    /// Forward or backward.
    pub direction: Direction,
    /// T.
    pub time_steps: usize,
    /// B.
    pub batch: usize,
    /// H.
    pub hidden_size: usize,
    /// Whether streams are reset at the boundary token.
    pub reset: bool,
    /// Bound of the inputs' part of pre-activations, and of the gradient from above.
    pub bound: f32,
    /// How a GPU runs the window.
    pub schedule: RecurrentSchedule,
}

impl GatedCase {
    /// Both schedules and both directions: streams that are reset and streams that are not, sizes
    /// around a workgroup and a tile, a window of several dispatches, many streams.
    pub(in crate::kernels) fn all() -> Vec<Self> {
        let sizes = [
            (5, 3, 7, true, 1.0),
            (5, 3, 7, false, 100.0),
            (1, 1, 1, false, 1.0),
            (1, 5, 63, true, 1.0),
            (7, 1, 65, false, 1.0),
            (3, 2, 257, true, 1.0),
            (2, 67, 5, true, 1.0),
            (17, 2, 64, false, 1.0),
            (2, 33, 33, true, 1.0),
        ];
        let mut all = Vec::new();
        for schedule in [RecurrentSchedule::Fused, RecurrentSchedule::PerStep] {
            // More streams than a dispatch has workgroups in one dimension.
            let large = match schedule {
                RecurrentSchedule::Fused => &[(67, 2, 301, true, 1.0), (1, MANY, 1, true, 1.0)][..],
                RecurrentSchedule::PerStep => &[(9, 2, 301, false, 1.0)],
            };
            for &(time_steps, batch, hidden_size, reset, bound) in sizes.iter().chain(large) {
                for direction in [Direction::Forward, Direction::Backward] {
                    all.push(Self {
                        direction,
                        time_steps,
                        batch,
                        hidden_size,
                        reset,
                        bound,
                        schedule,
                    });
                }
            }
        }
        all
    }

    /// Both directions, for cells whose units do not read one another: streams that are reset and
    /// streams that are not, sizes around a workgroup, windows that CPU threads share by streams
    /// and by units, many streams.
    pub(in crate::kernels) fn of_units() -> Vec<Self> {
        let sizes = [
            (5, 3, 7, true, 1.0),
            (5, 3, 7, false, 100.0),
            (1, 1, 1, false, 1.0),
            (1, 5, 63, true, 1.0),
            (7, 1, 65, false, 1.0),
            (2, 67, 5, true, 1.0),
            (300, 1, 67, true, 1.0),
            (67, 5, 131, true, 1.0),
            (1, MANY, 1, true, 1.0),
        ];
        let mut all = Vec::new();
        for (time_steps, batch, hidden_size, reset, bound) in sizes {
            all.extend(
                [Direction::Forward, Direction::Backward].map(|direction| Self {
                    direction,
                    time_steps,
                    batch,
                    hidden_size,
                    reset,
                    bound,
                    schedule: RecurrentSchedule::Fused,
                }),
            );
        }
        all
    }

    /// Whether there is a workgroup for each of many streams.
    pub(in crate::kernels) fn is_slow(&self) -> bool {
        self.schedule == RecurrentSchedule::Fused && self.batch >= MANY
    }

    /// T*B, the rows of a window.
    pub(in crate::kernels) fn rows(&self) -> usize {
        self.time_steps * self.batch
    }

    /// Gate activations, `gates` for each unit; gate number `tanh` is between -1 and 1, the others
    /// between 0 and 1.
    pub(in crate::kernels) fn gate_activations(
        &self,
        harness: &mut Harness<'_>,
        gates: usize,
        tanh: usize,
    ) -> Vec<f32> {
        let mut values = harness.uniform(self.rows() * gates * self.hidden_size, 1.0);
        for (i, value) in values.iter_mut().enumerate() {
            if i / self.hidden_size % gates != tanh {
                *value = *value / 2.0 + 0.5;
            }
        }
        values
    }

    /// Gate activations of an LSTM. Where input gates are capped, they have few values, so that i
    /// is often 1 - f.
    pub(in crate::kernels) fn lstm_gates(
        &self,
        harness: &mut Harness<'_>,
        capped: bool,
    ) -> Vec<f32> {
        let mut values = self.gate_activations(harness, 4, 2);
        if capped {
            values
                .iter_mut()
                .for_each(|value| *value = (*value * 8.0).round() / 8.0);
        }
        values
    }

    /// Whether the window is one of the small ones, on which variants of a cell are tried too.
    pub(in crate::kernels) fn is_small(&self) -> bool {
        self.batch * self.hidden_size <= 1100
    }

    /// The steps from the start of the window to that of the next one.
    pub fn advance(&self) -> usize {
        advance(self.time_steps)
    }

    /// `[(T+1)*B, H]`: states that the kernel overwrites, and `[B, H]`: the carried states behind
    /// them, which it reads and replaces.
    pub(in crate::kernels) fn states(
        &self,
        harness: &mut Harness<'_>,
        name: &'static str,
    ) -> Result<[Tensor; 2]> {
        let shape = [self.rows() + 2 * self.batch, self.hidden_size];
        let all = harness.random_in_place(name, Whole, shape)?;
        Ok(with_carried(all, self.batch))
    }

    /// The carried states of a window.
    pub(in crate::kernels) fn carried<const S: usize>(&self, states: [Tensor; S]) -> Carried<S> {
        Carried {
            states,
            advance: self.advance(),
        }
    }

    /// Where streams are reset.
    pub(in crate::kernels) fn reset(&self, harness: &mut Harness<'_>) -> Result<Reset> {
        let keeps_previous = self.reset && self.direction == Direction::Forward;
        reset(
            harness,
            self.reset,
            keeps_previous,
            [self.rows(), self.hidden_size],
        )
    }

    /// Where streams are reset, for a kernel that does not keep the previous states.
    pub(in crate::kernels) fn reset_without_previous(
        &self,
        harness: &mut Harness<'_>,
    ) -> Result<Reset> {
        reset(harness, self.reset, false, [self.rows(), self.hidden_size])
    }

    /// The difference between two devices. An error of a gate reaches the state, and the next
    /// gates, in full. Weights shrink with the square root of H, so that products of a row and a
    /// state stay as large as their terms.
    pub(in crate::kernels) fn tolerance(&self) -> Tolerance {
        let bound = f64::from(self.bound.max(1.0));
        let terms = EPSILON * (8.0 + 4.0 * (self.hidden_size as f64).sqrt()) * bound;
        Tolerance {
            absolute: terms + 2.0 * TRANSCENDENTAL * bound,
            relative: 2.0 * TRANSCENDENTAL,
        }
    }
}

/// A number of steps after which the next window starts: all, or two thirds of three or more.
pub(in crate::kernels) fn advance(time_steps: usize) -> usize {
    time_steps - time_steps / 3
}

/// A buffer of states without its last slot of `batch` rows, and this slot.
pub(in crate::kernels) fn with_carried(states: Tensor, batch: usize) -> [Tensor; 2] {
    let end = states.rows() - batch;
    [0..end, end..states.rows()].map(|rows| states.slice_rows(rows))
}

/// Where streams are reset in a window of `rows` × `hidden_size` states: the tokens, the boundary
/// among them, and a tensor for the previous states, of one element where they are not kept.
pub(in crate::kernels) fn reset(
    harness: &mut Harness<'_>,
    enabled: bool,
    keeps_previous: bool,
    [rows, hidden_size]: [usize; 2],
) -> Result<Reset> {
    let draw = TokenDraw {
        pattern: TokenPattern::Mixed,
        count: rows,
    };
    let inputs = harness.draw(draw, 5);
    let tokens = harness.tokens("tokens", inputs)?;
    let previous = if keeps_previous {
        harness.output("previous", Whole, [rows, hidden_size])?
    } else {
        harness.input("previous", Whole, [1, 1], vec![7.0])?
    };
    Ok(Reset {
        enabled,
        initial: INITIAL,
        tokens,
        previous,
    })
}

/// A recurrent weight of `gates` × H rows under which states and gradients neither grow nor
/// vanish.
pub(in crate::kernels) fn recurrent_weight(
    harness: &mut Harness<'_>,
    gates: usize,
    hidden_size: usize,
) -> Result<Tensor> {
    let shape = [gates * hidden_size, hidden_size];
    let values = harness.uniform(shape[0] * shape[1], 1.5 / (hidden_size as f32).sqrt());
    harness.input("weight", Whole, shape, values)
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
        })
    }
}

impl fmt::Display for GatedCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} [T {}, B {}, H {}] below {}{}{}",
            self.direction,
            self.time_steps,
            self.batch,
            self.hidden_size,
            self.bound,
            option(self.schedule == RecurrentSchedule::PerStep, "by steps"),
            option(self.reset, "reset")
        )
    }
}
