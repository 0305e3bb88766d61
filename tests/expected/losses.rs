//! The equations of losses over all logits and against a sample.

use elman::kernels::cases::{
    MixtureLossCase, Outcome, SampledLossCase, SoftmaxBackwardCase, SoftmaxCrossEntropyCase,
};
use elman::kernels::{Exponential, SampledObjective, SoftmaxResult};

use super::super::compare::Tolerance;
use super::super::reference::kernels as reference;
use super::super::reference::sampled::loss;
use super::{EPSILON, Expectation, Expected, floats, tokens};

/// A row's loss and gradient: the reference's softmax with this exponential.
pub fn softmax(
    exponential: Exponential,
    logits: &[f64],
    target: Option<usize>,
    scale: f32,
) -> (f64, Vec<f64>) {
    let softmax = match exponential {
        Exponential::Exact => reference::softmax_cross_entropy,
        Exponential::Rnnlm => reference::rnnlm_softmax_cross_entropy,
    };
    softmax(logits, target, f64::from(scale))
}

/// How much an output of a softmax of logits up to `bound` may differ.
pub fn softmax_tolerance(
    output: &str,
    exponential: Exponential,
    bound: f32,
    scale: f32,
) -> Tolerance {
    // Exponents are rounded in proportion to the logits, and rnnlm's function rounds a product of
    // 30 bits to 24.
    let rounding = match exponential {
        Exponential::Exact => 2.0,
        Exponential::Rnnlm => 160.0,
    };
    let exponent = EPSILON * (rounding + f64::from(bound));
    if output == "losses" {
        Tolerance {
            absolute: exponent,
            relative: EPSILON,
        }
    } else {
        Tolerance {
            absolute: exponent * f64::from(scale),
            relative: exponent,
        }
    }
}

impl Expectation for SoftmaxCrossEntropyCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let logits = floats(run, "logits");
        let targets = tokens(run, "targets");
        let mut losses = Vec::new();
        let mut results = Vec::new();
        let scale = self.scale();
        let bias = if self.bias {
            floats(run, "bias")
        } else {
            vec![0.0; self.columns]
        };
        for (index, row) in logits.chunks_exact(self.columns).enumerate() {
            let target = targets[index / self.rows_per_target];
            let row: Vec<f64> = row
                .iter()
                .zip(&bias)
                .map(|(row, bias)| row + bias)
                .collect();
            let (loss, mut result) = softmax(self.exponential, &row, target, scale);
            if let (SoftmaxResult::Probabilities, Some(target)) = (self.result, target) {
                result[target] += 1.0;
            }
            losses.push(loss);
            results.extend(result);
        }
        match self.result {
            SoftmaxResult::Losses => vec![("losses", losses)],
            _ => vec![("logits", results), ("losses", losses)],
        }
    }

    fn tolerance(&self, output: &str) -> Tolerance {
        softmax_tolerance(output, self.exponential, self.largest_logit(), self.scale())
    }
}

impl Expectation for SoftmaxBackwardCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let gradient = floats(run, "gradient");
        let mut probabilities = floats(run, "probabilities");
        let targets = tokens(run, "targets");
        let rows = probabilities
            .chunks_exact_mut(self.columns)
            .zip(gradient.chunks_exact(self.columns));
        for ((row, gradient), target) in rows.zip(targets) {
            let mean: f64 = row.iter().zip(gradient).map(|(p, d)| p * d).sum();
            for (word, (p, d)) in row.iter_mut().zip(gradient).enumerate() {
                let expected = f64::from(u8::from(target == Some(word)));
                let of_loss = match target {
                    None => 0.0,
                    Some(_) => f64::from(self.scale) * (*p - expected),
                };
                *p = of_loss + *p * (d - mean);
            }
        }
        vec![("probabilities", probabilities)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        let terms = EPSILON * (4.0 + f64::from(self.scale));
        Tolerance {
            absolute: terms,
            relative: 4.0 * EPSILON,
        }
    }
}

impl Expectation for MixtureLossCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let targets = tokens(run, "targets");
        let (mut prior, mut components) = (floats(run, "prior"), floats(run, "components"));
        let mut losses = Vec::new();
        let rows = prior
            .chunks_exact_mut(self.columns)
            .zip(components.chunks_exact_mut(self.columns));
        for ((prior, components), target) in rows.zip(targets) {
            if target.is_none() {
                prior.fill(0.0);
                components.fill(0.0);
                losses.push(0.0);
                continue;
            }
            let log_prior = |k: usize| -reference::softmax_cross_entropy(prior, Some(k), 1.0).0;
            let joint: Vec<f64> = (0..self.columns)
                .map(|k| log_prior(k) - components[k])
                .collect();
            let responsibilities = reference::softmax(&joint);
            // The cross-entropy is ln Σ e^joint - joint.
            let loss = -reference::softmax_cross_entropy(&joint, Some(0), 1.0).0 - joint[0];
            losses.push(loss);
            let weights = reference::softmax(prior);
            for (k, r) in responsibilities.into_iter().enumerate() {
                prior[k] = f64::from(self.scale) * (weights[k] - r);
                components[k] = r;
            }
        }
        let mut outputs = vec![("losses", losses)];
        if self.gradient {
            outputs.extend([("prior", prior), ("components", components)]);
        }
        outputs
    }

    fn tolerance(&self, output: &str) -> Tolerance {
        // Exponents are sums of a logit and a loss of up to twice the bound.
        let exponent = EPSILON * (4.0 + 3.0 * f64::from(self.bound));
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

impl Expectation for SampledLossCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let (rows, samples) = (self.rows, self.samples);
        let scale = f64::from(self.scale);
        let words = tokens(run, "words");
        let corrections = floats(run, "corrections");
        let mut sample = floats(run, "sample");
        let mut targets = floats(run, "targets");
        let mut losses = Vec::new();
        for row in 0..rows {
            let logits = &mut sample[row * samples..][..samples];
            if words[row].is_none() {
                targets[row] = 0.0;
                logits.fill(0.0);
                losses.push(0.0);
                continue;
            }
            let corrected: Vec<f64> = (0..samples)
                .map(|k| logits[k] - corrections[rows + k])
                .collect();
            let is_target: Vec<bool> = words[rows..]
                .iter()
                .map(|&word| word == words[row])
                .collect();
            let nce = self.objective == SampledObjective::Nce;
            let (value, own, others) =
                loss(nce, targets[row] - corrections[row], &corrected, &is_target);
            losses.push(value);
            targets[row] = scale * own;
            for (logit, d) in logits.iter_mut().zip(others) {
                *logit = scale * d;
            }
        }
        vec![("sample", sample), ("targets", targets), ("losses", losses)]
    }

    fn tolerance(&self, output: &str) -> Tolerance {
        // Corrected logits are up to twice as large.
        let exponent = EPSILON * (4.0 + 3.0 * f64::from(self.bound));
        // A factor 1 + e^-a of the sample is rounded to the precision of 1 for any e^-a.
        let factors = match self.objective {
            SampledObjective::Nce => self.samples as f64,
            SampledObjective::Softmax => 1.0,
        };
        if output == "losses" {
            Tolerance {
                absolute: exponent + EPSILON * factors,
                relative: 16.0 * EPSILON,
            }
        } else {
            Tolerance {
                absolute: exponent * f64::from(self.scale),
                relative: exponent,
            }
        }
    }
}
