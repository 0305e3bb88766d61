//! Where a model has dropout, and at which rates.

use serde::{Deserialize, Serialize};

/// The probability of setting a value to zero, place by place; 0 disables dropout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DropoutRates {
    /// Whole words of the input (Gal and Ghahramani 2016).
    pub words: f32,
    /// Elements of embedded words.
    pub input: f32,
    /// Outputs of all recurrent layers but the last.
    pub hidden: f32,
    /// Outputs of the last recurrent layer.
    pub output: f32,
    /// Latents of a mixture of softmaxes.
    pub latent: f32,
    /// Recurrent weights, or the input weights of quasi-recurrent units, one mask per window
    /// (Merity 2017).
    pub weights: f32,
    /// The f of quasi-recurrent units, one mask for each step; values that are kept are not scaled.
    /// Must be [`Config::zoneout`](super::Config::zoneout) where it is not 0.
    pub zoneout: f32,
    /// Whether all steps of a window have the same masks.
    pub variational: bool,
}

/// A place in a model where dropout applies.
#[derive(Debug, Clone, Copy)]
pub(super) enum DropoutPlacement {
    /// The input words.
    Words,
    /// The embedded words.
    Input,
    /// The output of a recurrent layer.
    Outputs(usize),
    /// The recurrent weight of a layer, or what takes its place.
    Weights(usize),
    /// The gates f of a layer of quasi-recurrent units.
    Zoneout(usize),
    /// The latents of a mixture of softmaxes.
    Latents,
}

impl DropoutPlacement {
    /// The index that makes masks at different places differ.
    pub(super) fn index(self) -> u32 {
        // Far above the indices of other places.
        const ZONEOUT: u32 = 1 << 31;
        let of_layer = |layer: usize, first: u32| {
            first + 2 * u32::try_from(layer).expect("a model has few layers")
        };
        match self {
            Self::Words => 0,
            Self::Input => 1,
            Self::Outputs(layer) => of_layer(layer, 2),
            Self::Weights(layer) => of_layer(layer, 3),
            Self::Zoneout(layer) => of_layer(layer, ZONEOUT),
            Self::Latents => u32::MAX,
        }
    }
}

impl DropoutRates {
    /// Whether there is dropout whose masks depend on [`Self::variational`]: that of words and of
    /// weights has one mask for each window in any case, and zoneout one for each step.
    pub fn can_be_variational(&self) -> bool {
        let rates = [self.input, self.hidden, self.output, self.latent];
        rates.iter().any(|&rate| rate > 0.0)
    }

    /// The rate at a place in a model of `num_layers` recurrent layers.
    pub(super) fn rate(&self, placement: DropoutPlacement, num_layers: usize) -> f32 {
        match placement {
            DropoutPlacement::Words => self.words,
            DropoutPlacement::Input => self.input,
            DropoutPlacement::Outputs(layer) if layer + 1 == num_layers => self.output,
            DropoutPlacement::Outputs(_) => self.hidden,
            DropoutPlacement::Weights(_) => self.weights,
            DropoutPlacement::Zoneout(_) => self.zoneout,
            DropoutPlacement::Latents => self.latent,
        }
    }
}
