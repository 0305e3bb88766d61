//! Layer normalization of the LSTM (Ba 2016, supplement). With
//! N(z) = (z - mean(z)) / √(var(z) + ε), mean and variance over all elements of a vector, and
//! ε = 1e-5:
//!
//! ```text
//! p = gain_ih N(W_ih x(t)) + b_ih        q = gain_hh N(W_hh h(t-1)) + b_hh      over all gates
//! c(t) = f c(t-1) + i g                  as without normalization
//! h(t) = o tanh(gain_c N(c(t)) + b_c)
//! ```
//!
//! c is carried as it is. PyTorch's benchmark of custom LSTMs carries the normalized c instead.

use super::cells::{Arguments, lstm_backward_through_gates, lstm_gates, written};
use super::kernels::{Activation, column_sums};
use super::linear::{add_to, linear};
use super::network::{Named, Network, Window};
use super::passes::{LayerStep, Step};

/// ε.
const VARIANCE_OFFSET: f64 = 1e-5;

/// Rounding errors of a row are divided by its deviation at every step and in every layer, forward
/// and backward. A network that divides by less than this shows how ill-conditioned it is, and not
/// whether the equations are right.
pub const LEAST_DEVIATION: f64 = 0.02;

/// N of every row of `size` elements, each with the inverse of its deviation.
fn normalize(rows: &[f64], size: usize) -> Vec<(Vec<f64>, f64)> {
    let normalize = |row: &[f64]| {
        let count = size as f64;
        let mean = row.iter().sum::<f64>() / count;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        let scale = 1.0 / (variance + VARIANCE_OFFSET).sqrt();
        (row.iter().map(|x| (x - mean) * scale).collect(), scale)
    };
    rows.chunks_exact(size).map(normalize).collect()
}

/// Back through N of one row, from the gradient of N to that of the row.
fn normalize_backward(normalized: &[f64], scale: f64, gradient: &[f64]) -> Vec<f64> {
    let count = normalized.len() as f64;
    let mean = gradient.iter().sum::<f64>() / count;
    let products = normalized.iter().zip(gradient).map(|(n, d)| n * d);
    let mean_product = products.sum::<f64>() / count;
    let pairs = normalized.iter().zip(gradient);
    pairs
        .map(|(n, d)| (d - mean - n * mean_product) * scale)
        .collect()
}

/// The smallest deviation of rows, of those that are not all zero: these are exact.
fn smallest_deviation(rows: &[f64], size: usize) -> f64 {
    let pairs = rows.chunks_exact(size).zip(normalize(rows, size));
    let inexact = pairs.filter(|(row, _)| row.iter().any(|&x| x != 0.0));
    inexact
        .map(|(_, (_, scale))| 1.0 / scale)
        .fold(f64::INFINITY, f64::min)
}

impl Network {
    /// The smallest number that the steps of a forward pass divide by, beside those of products of
    /// zeros; infinite without layer normalization.
    pub fn smallest_deviation(&self, window: &Window, steps: &[Step]) -> f64 {
        let a = &self.architecture;
        if !a.layer_norm {
            return f64::INFINITY;
        }
        let mut smallest = f64::INFINITY;
        for k in 0..a.num_layers() {
            let weight_ih = self.input_weight(window, k);
            let weight_hh = self.recurrent_weight(window, k).expect("an LSTM has one");
            for step in steps {
                let layer = &step.layers[k];
                let from_input = linear(&layer.input, a.input_size(k), &weight_ih, None);
                let from_state = linear(&layer.previous[0], a.layer_size(k), &weight_hh, None);
                for (rows, size) in [
                    (&from_input, a.gates_size(k)),
                    (&from_state, a.gates_size(k)),
                    (&layer.states[1], a.layer_size(k)),
                ] {
                    smallest = smallest.min(smallest_deviation(rows, size));
                }
            }
        }
        smallest
    }

    /// `gain N(z) + bias` of rows of as many elements as the gain has.
    pub(super) fn normalized(&self, rows: &[f64], gain: &str, bias: &str) -> Vec<f64> {
        let gain = self.parameter(gain);
        let bias = self.bias(bias);
        let rows = normalize(rows, gain.len()).into_iter();
        let of = |(row, _): (Vec<f64>, f64)| -> Vec<f64> {
            let values = row.iter().zip(gain).enumerate();
            values
                .map(|(i, (n, gain))| gain * n + bias.map_or(0.0, |bias| bias[i]))
                .collect()
        };
        rows.flat_map(of).collect()
    }

    /// Back through [`Self::normalized`] without its bias: adds to the gradient of the gain, and
    /// returns that of the rows.
    pub(super) fn normalized_backward(
        &self,
        rows: &[f64],
        gain_name: &str,
        gradient: &[f64],
        gradients: &mut Named,
    ) -> Vec<f64> {
        let gain = self.parameter(gain_name);
        let mut to_rows = Vec::new();
        let pairs = normalize(rows, gain.len()).into_iter();
        for ((row, scale), gradient) in pairs.zip(gradient.chunks_exact(gain.len())) {
            let to_gain: Vec<f64> = row.iter().zip(gradient).map(|(n, d)| n * d).collect();
            add_to(gradients, gain_name, &to_gain);
            let scaled: Vec<f64> = gain
                .iter()
                .zip(gradient)
                .map(|(gain, d)| gain * d)
                .collect();
            to_rows.extend(normalize_backward(&row, scale, &scaled));
        }
        to_rows
    }

    /// The gates' arguments of layer k from one of its products.
    pub(super) fn normalized_product(&self, k: usize, part: &str, product: &[f64]) -> Vec<f64> {
        let name = |what: &str| format!("rnn.{what}_{part}_l{k}");
        self.normalized(product, &name("gain"), &name("bias"))
    }

    /// Where memory starts and ends in the output gate: tanh of the normalized c(t).
    fn squashed(&self, k: usize, c: &[f64]) -> Vec<f64> {
        let m = self.normalized(c, &format!("rnn.gain_c_l{k}"), &format!("rnn.bias_c_l{k}"));
        m.into_iter().map(f64::tanh).collect()
    }

    /// i, f, g and o of every unit of `[B, H]`.
    fn gates_of(&self, k: usize, arguments: &Arguments) -> Vec<[f64; 4]> {
        let layer = self.architecture.layer(k);
        let units = 0..arguments.from_input.len() / 4;
        let gates = |unit| {
            let (p, q) = layer.gates(arguments, unit);
            lstm_gates(p, q)
        };
        units.map(gates).collect()
    }

    /// h(t) and c(t) of layer k.
    pub(super) fn normalized_lstm_forward(
        &self,
        k: usize,
        arguments: &Arguments,
        previous: &[Vec<f64>],
    ) -> Vec<Vec<f64>> {
        let capped = self.architecture.cap_input_gate;
        let gates = self.gates_of(k, arguments);
        let cells = gates.iter().zip(&previous[1]);
        let c: Vec<f64> = cells
            .map(|([i, f, g, _], c)| f * c + written(*i, *f, capped) * g)
            .collect();
        let squashed = self.squashed(k, &c);
        let h = gates.iter().zip(squashed).map(|(gates, m)| gates[3] * m);
        vec![h.collect(), c]
    }

    /// Back through a step of layer k, from the gradients of h(t) and c(t) to those of the gates'
    /// arguments and of the states before, of which h is 0.
    pub(super) fn normalized_lstm_backward(
        &self,
        k: usize,
        step: &LayerStep,
        reached: &[Vec<f64>],
        gradients: &mut Named,
    ) -> (Arguments, Vec<Vec<f64>>) {
        let layer = self.architecture.layer(k);
        let gates = self.gates_of(k, &step.arguments);
        let c = &step.states[1];
        let squashed = self.squashed(k, c);
        let units = || gates.iter().zip(&squashed).zip(&reached[0]);
        let to_m: Vec<f64> = units()
            .map(|((gates, m), to_h)| to_h * gates[3] * Activation::Tanh.derivative(*m))
            .collect();
        let bias = format!("rnn.bias_c_l{k}");
        if self.bias(&bias).is_some() {
            add_to(gradients, &bias, &column_sums(&to_m, layer.size));
        }
        let gain = format!("rnn.gain_c_l{k}");
        let through = self.normalized_backward(c, &gain, &to_m, gradients);
        let zeros = || vec![0.0; step.arguments.from_input.len()];
        let mut back = Arguments {
            from_input: zeros(),
            from_state: zeros(),
        };
        let mut to_c = Vec::new();
        for (unit, ((gates, m), to_h)) in units().enumerate() {
            let (arguments, to_previous) = lstm_backward_through_gates(
                *gates,
                step.previous[1][unit],
                [to_h * m, reached[1][unit] + through[unit]],
                layer.capped,
            );
            layer.set_gates(&mut back, unit, arguments, arguments);
            to_c.push(to_previous);
        }
        (back, vec![vec![0.0; c.len()], to_c])
    }
}
