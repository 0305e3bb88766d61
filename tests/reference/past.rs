//! Past decode regularization (Brahma 2018). With the distribution p of the softmax at a step and
//! the tied table E, the token w that was read at that step is predicted from p:
//!
//! ```text
//! m = Σ_v p_v E_v
//! y = tanh(W_past m + b_past)
//! q = softmax(E y + c_past)
//! ```
//!
//! Every step of a stream with a target and an input has the penalty -λ ln q_w.

use super::kernels::{Activation, softmax, softmax_cross_entropy};
use super::linear::{add_to, linear};
use super::network::{Named, Network, Window};
use super::passes::Step;

/// The names of W, b and c.
const WEIGHT: &str = "past.weight";
const BIAS: &str = "past.bias";
const OUTPUT_BIAS: &str = "past.decoder_bias";

/// What is computed for one row.
struct Past {
    probabilities: Vec<f64>,
    mean: Vec<f64>,
    decoded: Vec<f64>,
    logits: Vec<f64>,
}

impl Window {
    /// The token that is to be decoded at step t of stream b, if there is one.
    pub fn decoded_input(&self, t: usize, b: usize) -> Option<usize> {
        let place = t * self.batch + b;
        self.targets[place].and(self.inputs[place])
    }
}

impl Network {
    fn past(&self, row: &[f64]) -> Past {
        let size = row.len();
        let table = self.parameter("embedding.weight");
        let probabilities = softmax(&linear(row, size, table, self.bias("decoder.bias")));
        let mut mean = vec![0.0; size];
        for (p, word) in probabilities.iter().zip(table.chunks_exact(size)) {
            mean.iter_mut().zip(word).for_each(|(m, e)| *m += p * e);
        }
        let decoded: Vec<f64> = linear(&mean, size, self.parameter(WEIGHT), self.bias(BIAS))
            .into_iter()
            .map(|z| Activation::Tanh.value(z))
            .collect();
        let logits = linear(&decoded, size, table, self.bias(OUTPUT_BIAS));
        Past {
            probabilities,
            mean,
            decoded,
            logits,
        }
    }

    /// The penalty of a window.
    pub fn past_penalty(&self, window: &Window, steps: &[Step]) -> f64 {
        let size = self.architecture.decoder_input_size();
        if !self.architecture.past_decode {
            return 0.0;
        }
        let mut sum = 0.0;
        for (t, step) in steps.iter().enumerate() {
            for (b, row) in step.decoder_input.chunks_exact(size).enumerate() {
                if let Some(input) = window.decoded_input(t, b) {
                    sum += softmax_cross_entropy(&self.past(row).logits, Some(input), 1.0).0;
                }
            }
        }
        window.penalties.past * sum
    }

    /// Adds the gradient of `-scale ln q(input)` to the parameters' and returns that of the row.
    pub fn past_gradient(
        &self,
        input: usize,
        row: &[f64],
        scale: f64,
        gradients: &mut Named,
    ) -> Vec<f64> {
        let size = row.len();
        let past = self.past(row);
        let table = self.parameter("embedding.weight");
        let rows = || table.chunks_exact(size);
        let mut to_table = vec![0.0; table.len()];
        let (_, to_logits) = softmax_cross_entropy(&past.logits, Some(input), scale);

        let mut to_argument = vec![0.0; size];
        for ((d, word), to_word) in to_logits.iter().zip(rows()).zip(to_table.chunks_mut(size)) {
            for i in 0..size {
                to_argument[i] += d * word[i];
                to_word[i] += d * past.decoded[i];
            }
        }
        for (d, y) in to_argument.iter_mut().zip(&past.decoded) {
            *d *= Activation::Tanh.derivative(*y);
        }
        let weight = self.parameter(WEIGHT);
        let (mut to_weight, mut to_mean) = (vec![0.0; weight.len()], vec![0.0; size]);
        for (i, d) in to_argument.iter().enumerate() {
            for j in 0..size {
                to_weight[i * size + j] = d * past.mean[j];
                to_mean[j] += d * weight[i * size + j];
            }
        }

        let mut to_probabilities = Vec::new();
        let words = past.probabilities.iter().zip(rows());
        for ((p, word), to_word) in words.zip(to_table.chunks_mut(size)) {
            to_probabilities.push(word.iter().zip(&to_mean).map(|(e, d)| e * d).sum::<f64>());
            to_word
                .iter_mut()
                .zip(&to_mean)
                .for_each(|(sum, d)| *sum += p * d);
        }
        let pairs = || past.probabilities.iter().zip(&to_probabilities);
        let expected: f64 = pairs().map(|(p, d)| p * d).sum();
        let to_scores: Vec<f64> = pairs().map(|(p, d)| p * (d - expected)).collect();
        let mut back = vec![0.0; size];
        for ((d, word), to_word) in to_scores.iter().zip(rows()).zip(to_table.chunks_mut(size)) {
            for i in 0..size {
                back[i] += d * word[i];
                to_word[i] += d * row[i];
            }
        }

        add_to(gradients, "embedding.weight", &to_table);
        add_to(gradients, WEIGHT, &to_weight);
        if self.bias("decoder.bias").is_some() {
            add_to(gradients, "decoder.bias", &to_scores);
            add_to(gradients, BIAS, &to_argument);
            add_to(gradients, OUTPUT_BIAS, &to_logits);
        }
        back
    }
}
