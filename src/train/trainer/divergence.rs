//! When training has diverged, and what to do about it.

use super::Trainer;
use crate::error::Error;
use crate::train::choices::PrecisionKind;

impl Trainer<'_> {
    /// The validation loss above which training has diverged: 1 above that of a model to which all
    /// types are equally likely.
    pub fn divergence_loss(&self) -> f64 {
        (self.model.config().vocab_size as f64).ln() + 1.0
    }

    /// What to do where training has diverged.
    pub fn divergence_hint(&self) -> String {
        let clip = if self.recipe.clip > 0.0 {
            format!("a `clip` below {}", self.recipe.clip)
        } else {
            "`clip = 1`".to_owned()
        };
        let full = match self.recipe.precision {
            PrecisionKind::Full => "",
            PrecisionKind::Mixed => ", or `precision = full`, whose products cannot overflow f16",
        };
        format!("Use an `lr` below {}, or {clip}{full}", self.recipe.lr)
    }

    /// Sets how often training has diverged: each time halves the learning rate.
    pub fn set_divergences(&mut self, divergences: u32) {
        self.progress.divergences = divergences;
    }

    /// The error for a loss or a gradient that is not finite.
    pub(super) fn not_finite(&self, tensor: String, window: usize) -> Error {
        Error::NotFinite {
            tensor,
            window,
            epoch: self.progress.epochs + 1,
            hint: self.divergence_hint(),
        }
    }
}
