//! How each kernel is set up: its tensors, what they hold, and the call.

use super::bench::{Bench, Place};
use super::{Recurrence, Setup, Step, TokenDraw, UpdateCase, gated};
use crate::error::Result;
use crate::kernels::{
    Activation, ActivationBackward, ActivationForward, Adagrad, Adam, Add, AddBias, AddSquares,
    Average, ClipGradNorm, ClipGradValue, CopyValues, Fill, Gather, Gradient, Matmul, Momentum,
    PARTIAL_SUMS, RecurrenceBackward, RecurrenceForward, Reset, Rmsprop, Scale, ScatterAdd, Sgd,
    SoftmaxCrossEntropy, SparseRows, Sum, SumOfSquares, SumRows, Transpose,
};
use crate::tensor::Tensor;

use Place::{Part, Whole};

/// Arguments at which exponentials in f32 overflow or vanish, or at which an implementation changes
/// its formula.
const ENDS: [f32; 16] = [
    0.0,
    -0.0,
    100.0,
    -100.0,
    44.5,
    -44.5,
    88.9,
    -88.9,
    3e4,
    -3e4,
    0.625,
    -0.624_999_9,
    1e-3,
    -1e-6,
    80.5,
    -80.5,
];
/// The optimisers' learning rate.
pub const RATE: f32 = 0.1;
/// What optimisers multiply gradients by.
const SCALE: f32 = 0.75;
/// The initial state of streams that begin afresh.
pub const INITIAL: f32 = 0.1;

impl Setup {
    /// Makes the tensors and runs the kernel.
    pub(super) fn run(&self, bench: &mut Bench<'_>) -> Result<()> {
        match *self {
            Self::Matmul {
                m,
                n,
                k,
                transpose_a,
                transpose_b,
                accumulate,
                precision,
            } => {
                let a = bench.random_input("a", Part, if transpose_a { [k, m] } else { [m, k] })?;
                let b = bench.random_input("b", Part, if transpose_b { [n, k] } else { [k, n] })?;
                let c = in_place_if(bench, "c", Part, [m, n], accumulate)?;
                bench.run(&Matmul {
                    a,
                    b,
                    c,
                    transpose_a,
                    transpose_b,
                    accumulate,
                    precision,
                });
            }
            Self::Transpose { rows, columns } => {
                let input = bench.random_input("input", Whole, [rows, columns])?;
                let output = bench.output("output", Whole, [columns, rows])?;
                bench.run(&Transpose { input, output });
            }
            Self::AddBias { rows, columns } => {
                let bias = bench.random_input("bias", Part, [1, columns])?;
                let values = in_place_if(bench, "values", Part, [rows, columns], true)?;
                bench.run(&AddBias { bias, values });
            }
            Self::SumRows {
                rows,
                columns,
                accumulate,
            } => {
                let values = bench.random_input("values", Part, [rows, columns])?;
                let output = in_place_if(bench, "output", Part, [1, columns], accumulate)?;
                bench.run(&SumRows {
                    values,
                    output,
                    accumulate,
                });
            }
            Self::ActivationForward {
                activation,
                count,
                bound,
            } => {
                let mut values = bench.uniform(count, bound);
                values
                    .iter_mut()
                    .skip(1)
                    .step_by(3)
                    .zip(ENDS)
                    .for_each(|(value, end)| *value = end);
                let values = bench.changed("values", Part, [1, count], values)?;
                bench.run(&ActivationForward { activation, values });
            }
            Self::ActivationBackward { activation, count } => {
                let outputs = states_of(bench, activation, count);
                let values = bench.input("values", Part, [1, count], outputs)?;
                let gradient = in_place_if(bench, "gradient", Part, [1, count], true)?;
                bench.run(&ActivationBackward {
                    activation,
                    values,
                    gradient,
                });
            }
            Self::RecurrenceForward(recurrence) => recurrence_forward(bench, recurrence)?,
            Self::RecurrenceBackward(recurrence) => recurrence_backward(bench, recurrence)?,
            Self::Lstm(gated) => gated::lstm(bench, gated)?,
            Self::Gru(gated) => gated::gru(bench, gated)?,
            Self::Copy { count } => {
                let input = bench.random_input("input", Part, [1, count])?;
                let output = bench.output("output", Part, [1, count])?;
                bench.run(&CopyValues { input, output });
            }
            Self::Dropout(dropped) => gated::dropout(bench, dropped)?,
            Self::Gather {
                vocabulary,
                columns,
                tokens,
            } => {
                let table = bench.random_input("table", Whole, [vocabulary, columns])?;
                let drawn = bench.draw(tokens, vocabulary);
                let tokens_on_device = bench.tokens("tokens", drawn)?;
                let output = bench.output("output", Part, [tokens.count, columns])?;
                bench.run(&Gather {
                    table,
                    tokens: tokens_on_device,
                    output,
                });
            }
            Self::ScatterAdd {
                vocabulary,
                columns,
                tokens,
            } => {
                let gradient = bench.random_input("gradient", Whole, [tokens.count, columns])?;
                let rows = rows(bench, tokens, vocabulary)?.0;
                let sums = bench.output("sums", Whole, [tokens.count, columns])?;
                bench.run(&ScatterAdd {
                    gradient,
                    rows,
                    sums,
                });
            }
            Self::SoftmaxCrossEntropy {
                columns,
                targets,
                gradient,
                scale,
                bound,
                exponential,
            } => {
                let values = bench.uniform(targets.count * columns, bound);
                let shape = [targets.count, columns];
                let logits = match gradient {
                    true => bench.changed("logits", Whole, shape, values)?,
                    false => bench.consumed("logits", Whole, shape, values)?,
                };
                let drawn = bench.draw(targets, columns);
                let targets_on_device = bench.tokens("targets", drawn)?;
                let losses = bench.output("losses", Part, [targets.count, 1])?;
                bench.run(&SoftmaxCrossEntropy {
                    logits,
                    targets: targets_on_device,
                    losses,
                    gradient,
                    scale,
                    exponential,
                });
            }
            Self::Ragged(ragged) => ragged.run(bench)?,
            Self::Sampled(sampled) => sampled.run(bench)?,
            Self::Sum { count } => {
                let values = bench.random_input("values", Part, [1, count])?;
                let partial = bench.scratch("partial", [1, PARTIAL_SUMS])?;
                let output = bench.output("output", Part, [1, 1])?;
                bench.run(&Sum {
                    values,
                    partial,
                    output,
                });
            }
            Self::SumOfSquares { count } => {
                let values = bench.random_input("values", Part, [1, count])?;
                let partial = bench.scratch("partial", [1, PARTIAL_SUMS])?;
                let output = bench.output("output", Part, [1, 1])?;
                bench.run(&SumOfSquares {
                    values,
                    partial,
                    output,
                });
            }
            Self::Fill { count, value } => {
                let values = bench.output("values", Part, [1, count])?;
                bench.run(&Fill { values, value });
            }
            Self::Add(update) => {
                let (input, output) = added(bench, update)?;
                bench.run(&Add { input, output });
            }
            Self::AddSquares(update) => {
                let (input, output) = added(bench, update)?;
                bench.run(&AddSquares { input, output });
            }
            Self::ClipGradNorm {
                count,
                bound,
                maximum,
            } => {
                let values = if bound > 0.0 {
                    bench.uniform(count, bound)
                } else {
                    vec![0.0; count]
                };
                let squares = bench.input(
                    "squares",
                    Part,
                    [1, count],
                    values.iter().map(|value| value.abs()).collect(),
                )?;
                let scale = bench.output("scale", Whole, [1, 1])?;
                bench.run(&ClipGradNorm {
                    squares,
                    maximum,
                    scale,
                });
            }
            Self::Scale { count, factor } => {
                let values = in_place_if(bench, "values", Whole, [1, count], true)?;
                bench.run(&Scale { values, factor });
            }
            Self::Sgd(update) => {
                let (parameter, gradient, scale) = updated(bench, update)?;
                bench.run(&Sgd {
                    parameter,
                    gradient,
                    scale,
                    rate: RATE,
                });
            }
            Self::Adagrad(update) => {
                let (parameter, gradient, scale) = updated(bench, update)?;
                let squares = squares(bench, update)?;
                bench.run(&Adagrad {
                    parameter,
                    squares,
                    gradient,
                    scale,
                    rate: RATE,
                });
            }
            Self::Adam(update, Step(step)) => {
                let (parameter, gradient, scale) = updated(bench, update)?;
                let shape = [update.rows, update.columns];
                let means: Vec<f32> = every_other(bench.uniform(parameter.len(), 1.0)).collect();
                // A mean's square is at most the mean of squares.
                let squares = means.iter().map(|mean| mean * mean * 1.5).collect();
                let first = bench.changed("first", Whole, shape, means)?;
                let second = bench.changed("second", Whole, shape, squares)?;
                bench.run(&Adam {
                    parameter,
                    first,
                    second,
                    gradient,
                    scale,
                    rate: RATE,
                    step,
                });
            }
            Self::Momentum { update, nesterov } => {
                let (parameter, gradient, scale) = updated(bench, update)?;
                let velocity: Vec<f32> = every_other(bench.uniform(parameter.len(), 1.0)).collect();
                let velocity =
                    bench.changed("velocity", Whole, [update.rows, update.columns], velocity)?;
                bench.run(&Momentum {
                    parameter,
                    velocity,
                    gradient,
                    scale,
                    rate: RATE,
                    nesterov,
                });
            }
            Self::Rmsprop(update) => {
                let (parameter, gradient, scale) = updated(bench, update)?;
                let squares = squares(bench, update)?;
                bench.run(&Rmsprop {
                    parameter,
                    squares,
                    gradient,
                    scale,
                    rate: RATE,
                });
            }
            Self::Average { count, weight } => {
                let values = bench.random_input("values", Whole, [1, count])?;
                let average = in_place_if(bench, "average", Whole, [1, count], true)?;
                bench.run(&Average {
                    average,
                    values,
                    weight,
                });
            }
            Self::ClipGradValue {
                count,
                bound,
                maximum,
            } => {
                let values = bench.uniform(count, bound);
                let values = bench.changed("values", Whole, [1, count], values)?;
                bench.run(&ClipGradValue { values, maximum });
            }
        }
        Ok(())
    }
}

/// A tensor that the kernel changes in place, or one that it overwrites.
pub(super) fn in_place_if(
    bench: &mut Bench<'_>,
    name: &'static str,
    place: Place,
    shape: [usize; 2],
    in_place: bool,
) -> Result<Tensor> {
    if !in_place {
        return bench.output(name, place, shape);
    }
    let values = bench.uniform(shape[0] * shape[1], 1.0);
    bench.changed(name, place, shape, values)
}

/// The numbers, every other one replaced by 0.
fn every_other(values: Vec<f32>) -> impl Iterator<Item = f32> {
    values
        .into_iter()
        .enumerate()
        .map(|(i, value)| if i % 2 == 0 { value } else { 0.0 })
}

/// Sums or means of squared gradients; every other number has seen no gradient yet.
fn squares(bench: &mut Bench<'_>, update: UpdateCase) -> Result<Tensor> {
    let squares = every_other(bench.uniform(update.rows * update.columns, 1.0))
        .map(|value| value * value)
        .collect();
    bench.changed("squares", Whole, [update.rows, update.columns], squares)
}

/// Numbers that the activation can give, its ends among them.
fn states_of(bench: &mut Bench<'_>, activation: Activation, count: usize) -> Vec<f32> {
    let numbers = bench.uniform(count, 1.0);
    let states = numbers.into_iter().map(|number| match activation {
        Activation::Sigmoid | Activation::RnnlmSigmoid => (number * 0.625 + 0.5).clamp(0.0, 1.0),
        Activation::Tanh => (number * 1.25).clamp(-1.0, 1.0),
        Activation::Relu => number.max(0.0),
    });
    states.collect()
}

/// TokenDraw on the device with their order, and the tokens and the order themselves.
fn rows(
    bench: &mut Bench<'_>,
    tokens: TokenDraw,
    vocabulary: usize,
) -> Result<(SparseRows, Vec<u32>, Vec<u32>)> {
    let drawn = bench.draw(tokens, vocabulary);
    let mut order: Vec<u32> = (0..drawn.len() as u32).collect();
    order.sort_by_key(|&position| (drawn[position as usize], position));
    let rows = SparseRows {
        tokens: bench.tokens("tokens", drawn.clone())?,
        order: bench.tokens("order", order.clone())?,
    };
    Ok((rows, drawn, order))
}

/// A parameter, its gradient and the gradient's factor.
fn updated(bench: &mut Bench<'_>, update: UpdateCase) -> Result<(Tensor, Gradient, Tensor)> {
    let shape = [update.rows, update.columns];
    let parameter = in_place_if(bench, "parameter", Whole, shape, true)?;
    let gradient = gradient(bench, update, Whole)?;
    let scale = bench.input("scale", Whole, [1, 1], vec![SCALE])?;
    Ok((parameter, gradient, scale))
}

/// A gradient and the tensor that it is added to.
fn added(bench: &mut Bench<'_>, update: UpdateCase) -> Result<(Gradient, Tensor)> {
    let output = in_place_if(bench, "output", Part, [update.rows, update.columns], true)?;
    Ok((gradient(bench, update, Part)?, output))
}

/// The input `gradient` in the form that the case asks for.
fn gradient(bench: &mut Bench<'_>, update: UpdateCase, place: Place) -> Result<Gradient> {
    let shape @ [_, columns] = [update.rows, update.columns];
    Ok(match update.tokens {
        None => Gradient::Dense(bench.random_input("gradient", place, shape)?),
        Some(tokens) => {
            let (rows, drawn, order) = rows(bench, tokens, update.rows)?;
            let token = |p: usize| drawn[order[p] as usize];
            let mut sums = bench.uniform(tokens.count * columns, 1.0);
            for (p, row) in sums.chunks_exact_mut(columns).enumerate() {
                if token(p) == crate::tensor::NONE || (p > 0 && token(p - 1) == token(p)) {
                    row.fill(0.0);
                }
            }
            Gradient::Sparse(
                bench.input("gradient", place, [tokens.count, columns], sums)?,
                rows,
            )
        }
    })
}

/// Inputs of a window, the boundary among them, and where the previous states go: a place of its
/// own only where they are kept.
fn reset(bench: &mut Bench<'_>, recurrence: Recurrence, forward: bool) -> Result<Reset> {
    let Recurrence {
        time_steps,
        batch,
        hidden_size,
        reset,
        ..
    } = recurrence;
    let rows = time_steps * batch;
    let inputs = bench.draw(
        TokenDraw {
            pattern: super::TokenPattern::Mixed,
            count: rows,
        },
        5,
    );
    let tokens = bench.tokens("tokens", inputs)?;
    let previous = if reset && forward {
        bench.output("previous", Whole, [rows, hidden_size])?
    } else {
        bench.input("previous", Whole, [1, 1], vec![7.0])?
    };
    Ok(Reset {
        enabled: reset,
        initial: INITIAL,
        tokens,
        previous,
    })
}

/// A recurrent weight under which states and gradients neither grow nor vanish.
fn recurrent_weight(bench: &mut Bench<'_>, hidden_size: usize) -> Result<Tensor> {
    let values = bench.uniform(hidden_size * hidden_size, 1.5 / (hidden_size as f32).sqrt());
    bench.input("weight", Whole, [hidden_size, hidden_size], values)
}

fn recurrence_forward(bench: &mut Bench<'_>, recurrence: Recurrence) -> Result<()> {
    let Recurrence {
        activation,
        time_steps,
        batch,
        hidden_size,
        bound,
        schedule,
        ..
    } = recurrence;
    let slots = [(time_steps + 1) * batch, hidden_size];
    let z = bench.uniform(slots[0] * slots[1], bound);
    let states = bench.changed("states", Whole, slots, z)?;
    let weight = recurrent_weight(bench, hidden_size)?;
    let weight_t = bench.scratch("weight_t", [hidden_size, hidden_size])?;
    let reset = reset(bench, recurrence, true)?;
    bench.run(&RecurrenceForward {
        activation,
        states,
        weight,
        weight_t,
        reset,
        schedule,
    });
    Ok(())
}

fn recurrence_backward(bench: &mut Bench<'_>, recurrence: Recurrence) -> Result<()> {
    let Recurrence {
        activation,
        time_steps,
        batch,
        hidden_size,
        bound,
        schedule,
        ..
    } = recurrence;
    let rows = time_steps * batch;
    let outputs = states_of(bench, activation, (rows + batch) * hidden_size);
    let states = bench.input("states", Whole, [rows + batch, hidden_size], outputs)?;
    let weight = recurrent_weight(bench, hidden_size)?;
    let from_above = bench.uniform(rows * hidden_size, bound);
    let gradient = bench.changed("gradient", Whole, [rows, hidden_size], from_above)?;
    let initial_gradient = bench.output("initial_gradient", Whole, [batch, hidden_size])?;
    let reset = reset(bench, recurrence, false)?;
    bench.run(&RecurrenceBackward {
        activation,
        states,
        weight,
        gradient,
        initial_gradient,
        reset,
        schedule,
    });
    Ok(())
}
