//! The rounds of a mogrifier (Melis 2020), in which the layer's input x and the state h before the
//! step gate each other, the state first. What is left of both goes to an LSTM; the states that it
//! carries have no gates.
//!
//! ```text
//! round i = 1, 3, …     a = M_i h + b_i     x <- 2σ(a) x
//! round i = 2, 4, …     a = M_i x + b_i     h <- 2σ(a) h
//! M_i = weight_i, or left_i right_i
//! ```

use super::cells::Cell;
use super::kernels::{Activation, column_sums};
use super::linear::{add, add_to, linear, linear_backward};
use super::network::{Architecture, Named, Network};

/// What the rounds of a layer compute at one step.
#[derive(Debug, Clone)]
pub struct Rounds {
    /// x and h before each round, and after all of them.
    pub values: Vec<[Vec<f64>; 2]>,
    /// σ(a) of each round.
    sigmoids: Vec<Vec<f64>>,
}

impl Rounds {
    /// x and h after all rounds.
    pub fn last(&self) -> &[Vec<f64>; 2] {
        self.values
            .last()
            .expect("at least those before the rounds")
    }
}

/// The index in x and h of what round `i`, from 1 on, multiplies; it reads the other one.
fn gated(i: usize) -> usize {
    1 - i % 2
}

impl Architecture {
    /// The rounds before a step: none for other cells.
    pub fn rounds(&self) -> usize {
        match self.cell {
            Cell::Mogrifier if self.feed_forward.is_none() => self.mogrifier_rounds,
            _ => 0,
        }
    }

    /// Name and shape of the parameters of the rounds of layer k.
    pub fn round_shapes(&self, k: usize) -> Vec<(String, Vec<usize>)> {
        let sizes = [self.input_size(k), self.layer_size(k)];
        let mut shapes = Vec::new();
        for i in 1..=self.rounds() {
            let (rows, columns) = (sizes[gated(i)], sizes[1 - gated(i)]);
            let name = |part: &str| format!("rnn.mogrifier_{part}{i}_l{k}");
            match self.mogrifier_rank {
                0 => shapes.push((name("weight"), vec![rows, columns])),
                rank => {
                    shapes.push((name("left"), vec![rows, rank]));
                    shapes.push((name("right"), vec![rank, columns]));
                }
            }
            shapes.extend(self.bias.then(|| (name("bias"), vec![rows])));
        }
        shapes
    }
}

impl Network {
    /// The matrices of a round, first the one that reads, with their columns.
    fn round_matrices(&self, k: usize, i: usize) -> Vec<(String, usize)> {
        let a = &self.architecture;
        let columns = [a.input_size(k), a.layer_size(k)][1 - gated(i)];
        let name = |part: &str| format!("rnn.mogrifier_{part}{i}_l{k}");
        match a.mogrifier_rank {
            0 => vec![(name("weight"), columns)],
            rank => vec![(name("right"), columns), (name("left"), rank)],
        }
    }

    /// The rounds of layer k, from x and h before the step.
    pub fn rounds_forward(&self, k: usize, before: [Vec<f64>; 2]) -> Rounds {
        let mut rounds = Rounds {
            values: vec![before],
            sigmoids: Vec::new(),
        };
        for i in 1..=self.architecture.rounds() {
            let mut values = rounds.last().clone();
            let mut argument = values[1 - gated(i)].clone();
            for (name, columns) in self.round_matrices(k, i) {
                let is_last = !name.contains("right");
                let bias = self.bias(&format!("rnn.mogrifier_bias{i}_l{k}"));
                let bias = bias.filter(|_| is_last);
                argument = linear(&argument, columns, self.parameter(&name), bias);
            }
            let sigmoid: Vec<f64> = argument
                .into_iter()
                .map(|a| Activation::Sigmoid.value(a))
                .collect();
            for (value, sigmoid) in values[gated(i)].iter_mut().zip(&sigmoid) {
                *value *= 2.0 * sigmoid;
            }
            rounds.values.push(values);
            rounds.sigmoids.push(sigmoid);
        }
        rounds
    }

    /// Maps the gradients of x and h after the rounds to those before them.
    pub fn rounds_backward(
        &self,
        k: usize,
        rounds: &Rounds,
        mut to_values: [Vec<f64>; 2],
        gradients: &mut Named,
    ) -> [Vec<f64>; 2] {
        for i in (1..=self.architecture.rounds()).rev() {
            let before = &rounds.values[i - 1];
            let sigmoid = &rounds.sigmoids[i - 1];
            let mut to_argument = Vec::new();
            let gated_values = to_values[gated(i)].iter_mut().zip(&before[gated(i)]);
            for ((gradient, value), sigmoid) in gated_values.zip(sigmoid) {
                to_argument
                    .push(*gradient * value * 2.0 * Activation::Sigmoid.derivative(*sigmoid));
                *gradient *= 2.0 * sigmoid;
            }
            let bias = format!("rnn.mogrifier_bias{i}_l{k}");
            if let Some(values) = self.bias(&bias) {
                let sums = column_sums(&to_argument, values.len());
                add_to(gradients, &bias, &sums);
            }
            // What each matrix reads.
            let matrices = self.round_matrices(k, i);
            let mut read = vec![before[1 - gated(i)].clone()];
            for (name, columns) in &matrices[..matrices.len() - 1] {
                let last = read.last().expect("the first matrix reads");
                read.push(linear(last, *columns, self.parameter(name), None));
            }
            for ((name, columns), read) in matrices.iter().zip(&read).rev() {
                let back = linear_backward(&to_argument, read, *columns, self.parameter(name));
                add_to(gradients, name, &back.weight);
                to_argument = back.input;
            }
            add(&mut to_values[1 - gated(i)], &to_argument);
        }
        to_values
    }
}
