//! Where in a model numbers are left out at random, and with which masks.

use serde::{Deserialize, Serialize};

use super::cell::Capacity;
use super::window::Window;
use crate::kernels::{Mask, MaskPattern};

/// The probability of leaving a number out, place by place; 0 where none is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DropoutRates {
    /// Whole words of the input (Gal and Ghahramani 2016).
    pub words: f32,
    /// Numbers of embedded words.
    pub input: f32,
    /// What a layer hands on to the next.
    pub hidden: f32,
    /// What the last layer hands on to the output layer.
    pub output: f32,
    /// Recurrent weights, for a window at a time (Merity 2017).
    pub weights: f32,
    /// Whether a window's masks are the same in all its steps.
    pub variational: bool,
}

/// A place of a model where dropout may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum DropoutPlacement {
    /// The words that are looked up.
    Words,
    /// The embedded words.
    Input,
    /// What a layer hands on.
    Outputs(usize),
    /// A layer's recurrent weight.
    Weights(usize),
}

impl DropoutPlacement {
    /// The number by which masks know it.
    fn number(self) -> u32 {
        let of_layer = |layer: usize, first: u32| {
            first + 2 * u32::try_from(layer).expect("a model has few layers")
        };
        match self {
            Self::Words => 0,
            Self::Input => 1,
            Self::Outputs(layer) => of_layer(layer, 2),
            Self::Weights(layer) => of_layer(layer, 3),
        }
    }
}

impl DropoutRates {
    /// The rate at a place of a model of `layers` layers.
    pub(super) fn rate(&self, site: DropoutPlacement, layers: usize) -> f32 {
        match site {
            DropoutPlacement::Words => self.words,
            DropoutPlacement::Input => self.input,
            DropoutPlacement::Outputs(layer) if layer + 1 == layers => self.output,
            DropoutPlacement::Outputs(_) => self.hidden,
            DropoutPlacement::Weights(_) => self.weights,
        }
    }
}

/// What is left out at a place in a window, if anything.
pub(super) fn mask(
    capacity: &Capacity,
    window: &Window,
    site: DropoutPlacement,
    layers: usize,
) -> Option<Mask> {
    let rates = &capacity.dropout;
    let rate = rates.rate(site, layers);
    let pattern = match site {
        DropoutPlacement::Words => MaskPattern::Words(window.inputs),
        DropoutPlacement::Input | DropoutPlacement::Outputs(_) if rates.variational => {
            MaskPattern::Streams(capacity.batch)
        }
        _ => MaskPattern::Elements,
    };
    (rate > 0.0).then(|| Mask {
        rate,
        seed: capacity.seed,
        site: site.number(),
        draw: window.draw,
        pattern,
    })
}
