//! Turns an interpolated model, as IRSTLM writes it ("iARPA"), into a back-off model.
//!
//! In: a model whose values above order 1 are discounted frequencies. Out: the same model with
//! probabilities. IRSTLM's rule, which `lmtable::loadtxt_level` applies order by order:
//!
//! ```text
//! p(w | h) = f(w | h) + b(h) p(w | h without its first word)
//! ```
//!
//! Back-off weights stay as they are.

use super::trie::Path;
use super::{History, NgramModel};

/// An n-gram whose probability exceeds 1 by more than rounding.
#[derive(Debug)]
pub(super) struct ImpossibleNgram {
    pub(super) words: Vec<u32>,
    pub(super) probability: f64,
}

/// Replaces the discounted frequencies of a model by probabilities. Logarithms between 0 and
/// `tolerance` become 0.
pub(super) fn interpolate(model: &mut NgramModel, tolerance: f64) -> Result<(), ImpossibleNgram> {
    for order in 2..=model.order() {
        let mut path = Path::new(order);
        // The context of the last n-gram, and the history that backing off from it leads to.
        let mut last = None;
        let mut shorter = History::default();
        for node in 0..model.probabilities[order - 1].len() {
            let frequency = model.probabilities[order - 1][node];
            if frequency.is_nan() {
                continue;
            }
            path.advance_to(&model.trie, node as u32);
            let words: Vec<u32> = path.words(&model.trie).collect();
            if path.context() != last {
                last = path.context();
                shorter = model.history(&words[1..order - 1]);
            }
            let backoff = last.map_or(0.0, |context| {
                f64::from(model.backoffs[order - 2][context as usize])
            });
            let lower = model.log10_prob(&shorter, words[order - 1]);
            let probability = 10_f64.powf(f64::from(frequency)) + 10_f64.powf(backoff + lower);
            let log10 = probability.log10();
            if log10 > tolerance {
                return Err(ImpossibleNgram { words, probability });
            }
            model.probabilities[order - 1][node] = (log10 as f32).min(0.0);
        }
    }
    Ok(())
}
