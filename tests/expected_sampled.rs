//! The expected losses against a sample, element by element in f64.

use elman::kernels::SampledObjective;
use elman::kernels::cases::{Outcome, Sampled};

use super::compare::Tolerance;
use super::expected::{Expected, numbers, tokens};
use super::reference::sampled::loss;

/// The expected outputs of a run of the case.
pub fn outputs(case: Sampled, run: &Outcome) -> Expected {
    let Sampled {
        objective,
        rows,
        samples,
        scale,
        ..
    } = case;
    let (words, corrections) = (tokens(run, "words"), numbers(run, "corrections"));
    let (mut sample, mut targets, mut losses) =
        (numbers(run, "sample"), numbers(run, "targets"), Vec::new());
    for row in 0..rows {
        let logits = &mut sample[row * samples..][..samples];
        if words[row].is_none() {
            targets[row] = 0.0;
            logits.fill(0.0);
            losses.push(0.0);
            continue;
        }
        let corrected: Vec<f64> = logits
            .iter()
            .zip(&corrections[rows..])
            .map(|(logit, correction)| logit - correction)
            .collect();
        let is_target: Vec<bool> = words[rows..]
            .iter()
            .map(|&word| word == words[row])
            .collect();
        let nce = objective == SampledObjective::Nce;
        let (value, own, others) =
            loss(nce, targets[row] - corrections[row], &corrected, &is_target);
        losses.push(value);
        targets[row] = f64::from(scale) * own;
        logits
            .iter_mut()
            .zip(others)
            .for_each(|(logit, d)| *logit = f64::from(scale) * d);
    }
    vec![("sample", sample), ("targets", targets), ("losses", losses)]
}

/// The accepted error of the CPU.
pub fn tolerance(case: Sampled, output: &str) -> Tolerance {
    let epsilon = f64::from(f32::EPSILON);
    // Corrected logits are up to twice as large.
    let exponent = epsilon * (4.0 + 3.0 * f64::from(case.bound));
    // A factor 1 + e^-a of the sample is rounded to the precision of 1 for any e^-a.
    let factors = if case.objective == SampledObjective::Nce {
        case.samples as f64
    } else {
        1.0
    };
    match output {
        "losses" => Tolerance {
            absolute: exponent + epsilon * factors,
            relative: 16.0 * epsilon,
        },
        _ => Tolerance {
            absolute: exponent * f64::from(case.scale),
            relative: exponent,
        },
    }
}
