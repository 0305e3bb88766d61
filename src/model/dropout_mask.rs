//! The masks that dropout and zoneout draw for a window.

use super::capacity::Capacity;
use super::dropout::DropoutPlacement;
use super::window::Window;
use crate::kernels::{Mask, MaskPattern, StreamPart};
use crate::tensor::Tensor;

/// The masks of one place in a model.
#[derive(Debug, Clone, Copy)]
pub(super) struct DropoutMask {
    placement: DropoutPlacement,
    rate: f32,
    seed: u32,
    /// B where a window's masks are the same in all of its steps.
    shared_by_steps: Option<usize>,
    /// Which streams the rows are, if not all.
    part: Option<StreamPart>,
    /// `[T*B, N]`: the words of each row of activations, if these are not the window's inputs.
    contexts: Option<Tensor<u32>>,
}

impl DropoutMask {
    /// The masks at `placement` in a model of `num_layers` layers, if the rate there is not 0.
    pub(super) fn new(
        capacity: &Capacity,
        placement: DropoutPlacement,
        num_layers: usize,
    ) -> Option<Self> {
        let rates = &capacity.dropout;
        let rate = rates.rate(placement, num_layers);
        (rate > 0.0).then_some(Self {
            placement,
            rate,
            seed: capacity.seed,
            shared_by_steps: rates.variational.then_some(capacity.batch),
            // The masks of weights have no streams.
            part: match placement {
                DropoutPlacement::Weights(_) => None,
                _ => capacity.part,
            },
            contexts: None,
        })
    }

    /// The multiplier of elements that are kept.
    pub(super) fn factor(&self) -> f32 {
        Mask::factor(self.rate)
    }

    /// The masks of activations that have several words side by side, `[T*B, N]`.
    pub(super) fn with_contexts(self, contexts: Option<Tensor<u32>>) -> Self {
        Self { contexts, ..self }
    }

    /// Activations with a row for each word of a mask.
    pub(super) fn rows(&self, activations: Tensor) -> Tensor {
        match self.contexts {
            None => activations,
            Some(contexts) => {
                let words = activations.rows() * contexts.columns();
                activations.reshape(words, activations.len() / words)
            }
        }
    }

    /// The mask of a window.
    pub(super) fn mask(&self, window: &Window) -> Mask {
        let words = match self.contexts {
            None => window.inputs,
            Some(contexts) => contexts.slice_rows(0..window.inputs.len()),
        };
        let mask = self.of_draw(window.draw);
        match self.placement {
            DropoutPlacement::Words => Mask {
                pattern: MaskPattern::Words(words),
                ..mask
            },
            _ => mask,
        }
    }

    /// The mask of a draw, at a place whose masks do not depend on words.
    pub(super) fn of_draw(&self, draw: u32) -> Mask {
        let pattern = match (self.placement, self.shared_by_steps) {
            (DropoutPlacement::Weights(_) | DropoutPlacement::Zoneout(_), _) | (_, None) => {
                MaskPattern::Elements
            }
            (_, Some(batch)) => MaskPattern::Streams(batch),
        };
        Mask {
            rate: self.rate,
            seed: self.seed,
            site: self.placement.index(),
            draw,
            pattern,
            part: self.part,
        }
    }
}
