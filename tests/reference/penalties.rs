//! Activation regularization (Merity 2017): penalties of the last layer's states.
//!
//! With the states h(t) of the last layer and d(t) = m(t) h(t), its output after dropout, both of H
//! units, a window of n predicted tokens, of which p are at steps after its first, has the penalty
//!
//! ```text
//! activation Σ_t mean(d(t)²) + temporal n/p Σ_{t>0} mean((h(t) - h(t-1))²)
//! ```
//!
//! The sums are over steps and streams with a target; a step at which the stream is reset has no
//! term in the second one. Divided by n, they are means as in the paper: of all d², and of the
//! squares of all differences within the window.

use super::masks::Masks;
use super::network::Window;
use super::passes::Step;

/// The coefficients.
#[derive(Debug, Clone, Copy, Default)]
pub struct Penalties {
    /// That of the output.
    pub activation: f64,
    /// That of the changes.
    pub temporal: f64,
    /// That of past decode regularization, in networks that have it: see [`past`](super::past).
    pub past: f64,
}

/// A step of a stream with a target: where its values are in `[B, H]`, and the factor of its
/// change.
struct Place {
    first: usize,
    temporal: f64,
}

/// The places of step t.
fn places(window: &Window, t: usize, size: usize) -> Vec<Place> {
    let predicted = window.predicted() as f64;
    let changes = window.targets[window.batch.min(window.targets.len())..]
        .iter()
        .flatten()
        .count() as f64;
    let streams = 0..window.batch;
    streams
        .filter(|b| window.targets[t * window.batch + b].is_some())
        .map(|b| Place {
            first: b * size,
            temporal: match t {
                0 => 0.0,
                _ if window.reset_state(t, b).is_some() => 0.0,
                _ => window.penalties.temporal * predicted / changes / size as f64,
            },
        })
        .collect()
}

/// Element `i` of `[B, H]` of the last layer's mask at step t.
fn mask(masks: &Masks, layer: usize, t: usize, elements: usize, i: usize) -> f64 {
    masks
        .output(layer)
        .map_or(1.0, |mask| mask[t * elements + i])
}

/// h(t) of the last layer.
fn states(steps: &[Step], t: usize) -> &[f64] {
    &steps[t].layers.last().expect("a layer").output
}

/// The penalty of a window.
pub fn penalty(window: &Window, steps: &[Step]) -> f64 {
    let mut sum = 0.0;
    for (t, step) in steps.iter().enumerate() {
        let layer = step.layers.len() - 1;
        let h = states(steps, t);
        let size = h.len() / window.batch;
        for Place { first, temporal } in places(window, t, size) {
            for i in first..first + size {
                let d = mask(&window.masks, layer, t, h.len(), i) * h[i];
                sum += window.penalties.activation / size as f64 * d * d;
                if temporal > 0.0 {
                    let change = h[i] - states(steps, t - 1)[i];
                    sum += temporal * change * change;
                }
            }
        }
    }
    sum
}

/// The gradient of the penalty with respect to h(t), `[B, H]`.
pub fn gradient(window: &Window, steps: &[Step], t: usize) -> Vec<f64> {
    let layer = steps[t].layers.len() - 1;
    let h = states(steps, t);
    let size = h.len() / window.batch;
    let mut gradient = vec![0.0; h.len()];
    for Place { first, temporal } in places(window, t, size) {
        for i in first..first + size {
            let m = mask(&window.masks, layer, t, h.len(), i);
            gradient[i] += 2.0 * window.penalties.activation / size as f64 * m * m * h[i];
            if temporal > 0.0 {
                gradient[i] += 2.0 * temporal * (h[i] - states(steps, t - 1)[i]);
            }
        }
    }
    if t + 1 < steps.len() {
        let after = states(steps, t + 1);
        for Place { first, temporal } in places(window, t + 1, size) {
            for i in first..first + size {
                gradient[i] -= 2.0 * temporal * (after[i] - h[i]);
            }
        }
    }
    gradient
}
