//! The rounds in which a layer's input and its state gate each other before every step.
//!
//! In round i = 1, 3, … the state gates the input, in round i = 2, 4, … the input the state:
//!
//! ```text
//! x = 2σ(Q_i h + b_i) x            h = 2σ(R_i x + b_i) h
//! ```
//!
//! Q_i and R_i are matrices, or products of a left one of r columns and a right one of r rows.

use std::ops::Range;

use crate::device::Device;
use crate::error::Result;
use crate::kernels::{Matmul, MogrifyBackward, MogrifyForward, Precision, SumRows};
use crate::model::capacity::Capacity;
use crate::model::cell::RecurrentParameters;
use crate::model::config::Config;
use crate::model::parameter_spec::{Initializer, ParameterSpec};
use crate::model::products::{input_gradient, product, weight_gradient};
use crate::tensor::Tensor;

/// What a round multiplies: the input or the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gated {
    Input = 0,
    State = 1,
}

/// The rounds of a configuration, the first first.
fn gated(config: &Config) -> impl Iterator<Item = Gated> {
    (0..config.mogrifier_rounds).map(|index| match index % 2 {
        0 => Gated::Input,
        _ => Gated::State,
    })
}

/// The sizes of what a round of a layer multiplies and of what it reads.
fn sizes(config: &Config, layer: usize, gated: Gated) -> [usize; 2] {
    let [input, state] = [config.input_size(layer), config.layer_size(layer)];
    match gated {
        Gated::Input => [input, state],
        Gated::State => [state, input],
    }
}

/// The parameters of the rounds of a layer. Gates of small matrices are near 1, so that a new
/// network is nearly an LSTM.
pub(super) fn parameter_specs(config: &Config, layer: usize) -> Vec<ParameterSpec> {
    let rank = config.mogrifier_rank;
    let matrix = |part: &str, round: usize, [rows, columns]: [usize; 2]| ParameterSpec {
        may_be_sharded: false,
        ..ParameterSpec::weight(
            format!("mogrifier_{part}{round}"),
            rows,
            columns,
            Initializer::Uniform(columns),
        )
    };
    let mut specs = Vec::new();
    for (round, gated) in (1..).zip(gated(config)) {
        let [rows, columns] = sizes(config, layer, gated);
        if rank == 0 {
            specs.push(matrix("weight", round, [rows, columns]));
        } else {
            specs.push(matrix("left", round, [rows, rank]));
            specs.push(matrix("right", round, [rank, columns]));
        }
        if config.bias {
            specs.push(ParameterSpec::bias(format!("mogrifier_bias{round}"), rows));
        }
    }
    specs
}

/// The rounds of a layer.
#[derive(Debug)]
pub(super) struct Rounds {
    rounds: Vec<Round>,
    /// The matrices and the bias of a round.
    parameters: usize,
}

/// The buffers of a round.
#[derive(Debug)]
struct Round {
    gated: Gated,
    /// `[T*B, size]`: the gates, then the gradient of what their sigmoid was applied to.
    gates: Tensor,
    /// `[T*B, size]`.
    output: Tensor,
    /// `[T*B, r]`, and its gradient, of a product of two matrices.
    inner: Option<[Tensor; 2]>,
}

impl Rounds {
    pub(super) fn new(
        device: &mut Device,
        config: &Config,
        layer: usize,
        capacity: &Capacity,
    ) -> Result<Self> {
        let rows = capacity.rows();
        let rank = config.mogrifier_rank;
        let rounds = gated(config).map(|gated| {
            let [size, _] = sizes(config, layer, gated);
            let inner = match rank {
                0 => None,
                _ => {
                    let [rows_back, columns] = capacity.gradient_shape(rows, rank);
                    Some([
                        device.tensor("inner values of a round", rows, rank)?,
                        device.tensor("their gradient", rows_back, columns)?,
                    ])
                }
            };
            Ok(Round {
                gated,
                gates: device.tensor("gates of a round", rows, size)?,
                output: device.tensor("gated values of a round", rows, size)?,
                inner,
            })
        });
        Ok(Self {
            rounds: rounds.collect::<Result<_>>()?,
            parameters: usize::from(rank > 0) + 1 + usize::from(config.bias),
        })
    }

    /// The input and the state before each round, and after all of them.
    fn values(&self, before: [Tensor; 2]) -> Vec<[Tensor; 2]> {
        let mut values = before;
        let after = self.rounds.iter().map(|round| {
            values[round.gated as usize] = round.output;
            values
        });
        std::iter::once(before).chain(after).collect()
    }

    /// The input and the state after all rounds, given those before them.
    pub(super) fn last(&self, before: [Tensor; 2]) -> [Tensor; 2] {
        self.values(before).last().copied().unwrap_or(before)
    }

    /// Computes some rows of all rounds, given the input and the state of all rows.
    pub(super) fn forward(
        &self,
        device: &mut Device,
        parameters: &RecurrentParameters,
        before: [Tensor; 2],
        rows: &Range<usize>,
    ) {
        let part = |tensor: Tensor| tensor.slice_rows(rows.clone());
        for (index, (round, values)) in self.rounds.iter().zip(self.values(before)).enumerate() {
            let (factors, bias) = self.parameters(parameters, index);
            let [input, read] = round.pair(values).map(part);
            let gates = part(round.gates);
            match (factors, round.inner) {
                ([left, right], Some([inner, _])) => {
                    device.run(&full(product, read, *right, part(inner)));
                    device.run(&full(product, part(inner), *left, gates));
                }
                _ => device.run(&full(product, read, factors[0], gates)),
            }
            device.run(&MogrifyForward {
                gates,
                bias,
                input,
                output: part(round.output),
            });
        }
    }

    /// Back through some rows of all rounds: `gradients`, of these rows, are those of the input and
    /// the state, after the rounds and then before them. `before` as in [`Self::forward`].
    pub(super) fn backward(
        &self,
        device: &mut Device,
        parameters: &RecurrentParameters,
        before: [Tensor; 2],
        rows: &Range<usize>,
        gradients: [Tensor; 2],
    ) {
        let part = |tensor: Tensor| tensor.slice_rows(rows.clone());
        let rounds = self.rounds.iter().zip(self.values(before)).enumerate();
        let mut rounds: Vec<_> = rounds.collect();
        while let Some((index, (round, values))) = rounds.pop() {
            let (factors, _) = self.parameters(parameters, index);
            let [input, _] = round.pair(values).map(part);
            let [gradient, read_gradient] = round.pair(gradients);
            let gates = part(round.gates);
            device.run(&MogrifyBackward {
                gates,
                input,
                gradient,
            });
            let (from, factor) = match (factors, round.inner) {
                ([left, right], Some([_, inner])) => {
                    device.run(&full(input_gradient, gates, *left, part(inner)));
                    (part(inner), *right)
                }
                _ => (gates, factors[0]),
            };
            device.run(&Matmul {
                accumulate: true,
                ..full(input_gradient, from, factor, read_gradient)
            });
        }
    }

    /// After [`Self::backward`] of all rows: overwrites the gradients of the parameters, sums over
    /// `rows` rows.
    pub(super) fn parameter_gradients(
        &self,
        device: &mut Device,
        gradients: &RecurrentParameters,
        before: [Tensor; 2],
        rows: usize,
    ) {
        let part = |tensor: Tensor| tensor.slice_rows(0..rows);
        for (index, (round, values)) in self.rounds.iter().zip(self.values(before)).enumerate() {
            let (factors, bias) = self.parameters(gradients, index);
            let [_, read] = round.pair(values).map(part);
            let gates = part(round.gates);
            match (factors, round.inner) {
                ([left, right], Some([inner, gradient])) => {
                    device.run(&full(weight_gradient, gates, part(inner), *left));
                    device.run(&full(weight_gradient, part(gradient), read, *right));
                }
                _ => device.run(&full(weight_gradient, gates, read, factors[0])),
            }
            if let Some(output) = bias {
                device.run(&SumRows {
                    values: gates,
                    output,
                    copy: None,
                    accumulate: false,
                });
            }
        }
    }

    /// The matrices of a round, W or left and right, and its bias; or their gradients.
    fn parameters<'a>(
        &self,
        all: &'a RecurrentParameters,
        round: usize,
    ) -> (&'a [Tensor], Option<Tensor>) {
        let own = &all.units[round * self.parameters..][..self.parameters];
        let factors = 1 + usize::from(self.rounds[round].inner.is_some());
        (&own[..factors], own.get(factors).copied())
    }
}

impl Round {
    /// Of the input and the state, that which the round multiplies and that which it reads.
    fn pair(&self, [input, state]: [Tensor; 2]) -> [Tensor; 2] {
        match self.gated {
            Gated::Input => [input, state],
            Gated::State => [state, input],
        }
    }
}

/// A product in f32, as all products of recurrences.
pub(super) fn full(
    product: fn(Tensor, Tensor, Tensor, Precision) -> Matmul,
    a: Tensor,
    b: Tensor,
    c: Tensor,
) -> Matmul {
    product(a, b, c, Precision::Full)
}
