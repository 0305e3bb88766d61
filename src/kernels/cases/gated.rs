//! Cases of the cells with gates, LSTM and GRU, and of dropout beside them.

use std::fmt;

use super::bench::{Bench, Place::Part, Place::Whole};
use super::run::{INITIAL, in_place_if};
use super::{Setup, TokenDraw, TokenPattern, option};
use crate::error::Result;
use crate::kernels::{
    Dropout, GruBackward, GruForward, LstmBackward, LstmForward, Mask, MaskPattern,
    RecurrentSchedule, Reset,
};
use crate::tensor::Tensor;

/// Which way a window is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the first step to the last.
    Forward,
    /// Back again, with gradients.
    Backward,
}

/// Sizes and options of the kernels of a cell with gates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gated {
    /// Which way.
    pub direction: Direction,
    /// T.
    pub time_steps: usize,
    /// B.
    pub batch: usize,
    /// H.
    pub hidden_size: usize,
    /// Whether streams begin afresh at the boundary.
    pub reset: bool,
    /// Largest number of the inputs' part, and of the gradient from above.
    pub bound: f32,
    /// How a GPU goes about it.
    pub schedule: RecurrentSchedule,
}

/// Sizes and options of dropout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropped {
    /// Rows of the values.
    pub rows: usize,
    /// Columns of the values.
    pub columns: usize,
    /// What is left out together.
    pub together: Together,
    /// The probability of leaving out.
    pub rate: f32,
    /// Whether the output is the input.
    pub in_place: bool,
}

/// What dropout leaves out together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Together {
    /// Nothing.
    Elements,
    /// The same of so many streams in every step.
    Streams(usize),
    /// The rows of a word.
    Words,
}

/// The seed, the site and the draw of dropout's masks.
pub const MASK: [u32; 3] = [0xdead_beef, 5, 12_345];

impl fmt::Display for Gated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            direction,
            time_steps,
            batch,
            hidden_size,
            reset,
            bound,
            schedule,
        } = self;
        let (direction, schedule) = (
            format!("{direction:?}").to_lowercase(),
            if *schedule == RecurrentSchedule::PerStep {
                " by steps"
            } else {
                ""
            },
        );
        write!(
            f,
            "{direction} [T {time_steps}, B {batch}, H {hidden_size}] below {bound}{schedule}{}",
            option(*reset, "reset")
        )
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rows,
            columns,
            together,
            rate,
            in_place,
        } = self;
        let together = match together {
            Together::Elements => "elements".to_owned(),
            Together::Streams(streams) => format!("{streams} streams"),
            Together::Words => "words".to_owned(),
        };
        write!(
            f,
            "{together} of [{rows}, {columns}] at {rate}{}",
            option(*in_place, "in place")
        )
    }
}

/// Both walks and both directions: streams that begin afresh and not, sizes around a workgroup and
/// a tile, a window of several dispatches.
pub(super) fn setups(setups: &mut Vec<Setup>) {
    let sizes = [
        (5, 3, 7, true, 1.0),
        (5, 3, 7, false, 100.0),
        (1, 1, 1, false, 1.0),
        (1, 5, 63, true, 1.0),
        (7, 1, 65, false, 1.0),
    ];
    let wider = [
        (3, 2, 257, true, 1.0),
        (2, 67, 5, true, 1.0),
        (17, 2, 64, false, 1.0),
        (2, 33, 33, true, 1.0),
    ];
    for schedule in [RecurrentSchedule::Fused, RecurrentSchedule::PerStep] {
        let long = if schedule == RecurrentSchedule::Fused {
            (67, 2, 301, true, 1.0)
        } else {
            (9, 2, 301, false, 1.0)
        };
        for (time_steps, batch, hidden_size, reset, bound) in
            sizes.into_iter().chain(wider).chain([long])
        {
            for direction in [Direction::Forward, Direction::Backward] {
                let gated = Gated {
                    direction,
                    time_steps,
                    batch,
                    hidden_size,
                    reset,
                    bound,
                    schedule,
                };
                setups.extend([Setup::Lstm(gated), Setup::Gru(gated)]);
            }
        }
    }
    for count in [1, 257, 20_011] {
        setups.push(Setup::Copy { count });
    }
    for (rows, columns, together, rate) in [
        (1, 1, Together::Elements, 0.5),
        (7, 3, Together::Elements, 0.0),
        (67, 257, Together::Elements, 0.1),
        (12, 5, Together::Streams(3), 0.5),
        (70, 331, Together::Streams(35), 0.9),
        (5, 1, Together::Words, 0.5),
        (67, 65, Together::Words, 0.25),
        (65_537, 1, Together::Elements, 0.75),
    ] {
        for in_place in [false, true] {
            setups.push(Setup::Dropout(Dropped {
                rows,
                columns,
                together,
                rate,
                in_place,
            }));
        }
    }
}

fn reset(bench: &mut Bench<'_>, gated: Gated) -> Result<Reset> {
    let Gated {
        direction,
        time_steps,
        batch,
        hidden_size,
        reset,
        ..
    } = gated;
    let inputs = bench.draw(
        TokenDraw {
            pattern: TokenPattern::Mixed,
            count: time_steps * batch,
        },
        5,
    );
    let tokens = bench.tokens("tokens", inputs)?;
    let previous = match direction {
        Direction::Forward if reset => {
            bench.output("previous", Whole, [time_steps * batch, hidden_size])?
        }
        _ => bench.input("previous", Whole, [1, 1], vec![7.0])?,
    };
    Ok(Reset {
        enabled: reset,
        initial: INITIAL,
        tokens,
        previous,
    })
}

/// A recurrent weight of G gates under which states and gradients neither grow nor vanish.
fn recurrent_weight(bench: &mut Bench<'_>, gates: usize, hidden_size: usize) -> Result<Tensor> {
    let values = bench.uniform(
        gates * hidden_size * hidden_size,
        1.5 / (hidden_size as f32).sqrt(),
    );
    bench.input("weight", Whole, [gates * hidden_size, hidden_size], values)
}

/// Gates as they come out of their functions; `tanh` is the number of the one that is between -1
/// and 1.
fn gates_of(
    bench: &mut Bench<'_>,
    [rows, gates, hidden_size]: [usize; 3],
    tanh: usize,
) -> Vec<f32> {
    let mut values = bench.uniform(rows * gates * hidden_size, 1.0);
    for (i, value) in values.iter_mut().enumerate() {
        if i / hidden_size % gates != tanh {
            *value = *value / 2.0 + 0.5;
        }
    }
    values
}

/// Slots of which the first is given, and the others are overwritten.
fn slots(
    bench: &mut Bench<'_>,
    name: &'static str,
    [rows, batch, hidden_size]: [usize; 3],
) -> Result<Tensor> {
    let values = bench.uniform((rows + batch) * hidden_size, 1.0);
    bench.changed(name, Whole, [rows + batch, hidden_size], values)
}

pub(super) fn lstm(bench: &mut Bench<'_>, gated: Gated) -> Result<()> {
    let Gated {
        direction,
        time_steps,
        batch,
        hidden_size,
        bound,
        schedule,
        ..
    } = gated;
    let rows = time_steps * batch;
    let weight = recurrent_weight(bench, 4, hidden_size)?;
    if direction == Direction::Forward {
        let inputs = bench.uniform(rows * 4 * hidden_size, bound);
        let gates = bench.changed("gates", Whole, [rows, 4 * hidden_size], inputs)?;
        let [cells, states] =
            ["cells", "states"].map(|name| slots(bench, name, [rows, batch, hidden_size]));
        let weight_t = bench.scratch("weight_t", [hidden_size, 4 * hidden_size])?;
        let reset = reset(bench, gated)?;
        bench.run(&LstmForward {
            gates,
            cells: cells?,
            states: states?,
            weight,
            weight_t,
            reset,
            schedule,
        });
    } else {
        let values = gates_of(bench, [rows, 4, hidden_size], 2);
        let gates = bench.changed("gates", Whole, [rows, 4 * hidden_size], values)?;
        let values = bench.uniform((rows + batch) * hidden_size, 1.0);
        let cells = bench.input("cells", Whole, [rows + batch, hidden_size], values)?;
        let values = bench.uniform(rows * hidden_size, bound);
        let gradient = bench.input("gradient", Whole, [rows, hidden_size], values)?;
        let initial_gradient = bench.output("initial_gradient", Whole, [2 * batch, hidden_size])?;
        let reset = reset(bench, gated)?;
        bench.run(&LstmBackward {
            gates,
            cells,
            weight,
            gradient,
            initial_gradient,
            reset,
            schedule,
        });
    }
    Ok(())
}

pub(super) fn gru(bench: &mut Bench<'_>, gated: Gated) -> Result<()> {
    let Gated {
        direction,
        time_steps,
        batch,
        hidden_size,
        bound,
        schedule,
        ..
    } = gated;
    let rows = time_steps * batch;
    let weight = recurrent_weight(bench, 3, hidden_size)?;
    if direction == Direction::Forward {
        let inputs = bench.uniform(rows * 3 * hidden_size, bound);
        let gates = bench.changed("gates", Whole, [rows, 3 * hidden_size], inputs)?;
        let recurrent = bench.output("recurrent", Whole, [rows, 3 * hidden_size])?;
        let states = slots(bench, "states", [rows, batch, hidden_size])?;
        let weight_t = bench.scratch("weight_t", [hidden_size, 3 * hidden_size])?;
        // Odd streams: with a bias.
        let bias = if batch % 2 == 1 {
            Some(bench.random_input("bias", Whole, [1, 3 * hidden_size])?)
        } else {
            None
        };
        let reset = reset(bench, gated)?;
        bench.run(&GruForward {
            gates,
            recurrent,
            states,
            weight,
            weight_t,
            bias,
            reset,
            schedule,
        });
    } else {
        let values = gates_of(bench, [rows, 3, hidden_size], 2);
        let gates = bench.changed("gates", Whole, [rows, 3 * hidden_size], values)?;
        let values = bench.uniform(rows * 3 * hidden_size, 1.0);
        let recurrent = bench.changed("recurrent", Whole, [rows, 3 * hidden_size], values)?;
        let values = bench.uniform((rows + batch) * hidden_size, 1.0);
        let states = bench.input("states", Whole, [rows + batch, hidden_size], values)?;
        let values = bench.uniform(rows * hidden_size, bound);
        let gradient = bench.input("gradient", Whole, [rows, hidden_size], values)?;
        let initial_gradient = bench.output("initial_gradient", Whole, [batch, hidden_size])?;
        let reset = reset(bench, gated)?;
        bench.run(&GruBackward {
            gates,
            recurrent,
            states,
            weight,
            gradient,
            initial_gradient,
            reset,
            schedule,
        });
    }
    Ok(())
}

pub(super) fn dropout(bench: &mut Bench<'_>, dropped: Dropped) -> Result<()> {
    let Dropped {
        rows,
        columns,
        together,
        rate,
        in_place,
    } = dropped;
    let shape = [rows, columns];
    let pattern = match together {
        Together::Elements => MaskPattern::Elements,
        Together::Streams(streams) => MaskPattern::Streams(streams),
        Together::Words => {
            let drawn = bench.draw(
                TokenDraw {
                    pattern: TokenPattern::Mixed,
                    count: rows,
                },
                300,
            );
            MaskPattern::Words(bench.tokens("tokens", drawn)?)
        }
    };
    let [seed, site, draw] = MASK;
    let mask = Mask {
        rate,
        seed,
        site,
        draw,
        pattern,
    };
    let (input, output) = match in_place {
        true => {
            let values = in_place_if(bench, "output", Part, shape, true)?;
            (values, values)
        }
        false => (
            bench.random_input("input", Part, shape)?,
            bench.output("output", Part, shape)?,
        ),
    };
    bench.run(&Dropout {
        input,
        output,
        mask,
    });
    Ok(())
}
