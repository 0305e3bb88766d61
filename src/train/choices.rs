//! The enumerations of a [`Recipe`](super::Recipe), with their names in files and on the command
//! line.

use serde::{Deserialize, Serialize};

use crate::field::choices;

choices! {
    /// Whether an update's gradient is the sum over its tokens or their mean.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum LossReduction {
        /// The sum: an update moves as far as rnnlm's updates for its tokens together.
        Sum = "sum",
        /// The mean: the size of an update does not grow with the window.
        Mean = "mean",
    }

    /// The precision of matrix products in training. Evaluation is always f32.
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum PrecisionKind {
        /// f32.
        #[default]
        Full = "full",
        /// Factors rounded to f16, but not the gradients of layers; sums and weights in f32. Uses
        /// cooperative matrices where the adapter has them. For GPUs only.
        Mixed = "mixed",
    }

    /// How the learning rate changes.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum ScheduleKind {
        /// Halved before every epoch from the first insignificant improvement on; the second
        /// insignificant improvement ends training (rnnlm).
        Halve = "halve",
        /// Always `lr`.
        Constant = "constant",
        /// Multiplied by `lr_decay` after more than `lr_patience` consecutive epochs without a
        /// better validation loss.
        Plateau = "plateau",
        /// Multiplied by `lr_decay` after every epoch from `lr_decay_after` on.
        Step = "step",
        /// From `lr` to `lr_end` along half a cosine over all updates (Loshchilov and Hutter 2017).
        Cosine = "cosine",
        /// From `lr` to `lr_end` linearly over all updates.
        Linear = "linear",
        /// From 1/25 of `lr` up to `lr` over the first 30 % of all updates, then down to 1/250 000
        /// of it, both along half a cosine (Smith 2018).
        OneCycle = "one-cycle",
    }

    /// Which weights are the model when training ends. [`ScheduleKind::Halve`] keeps by its own
    /// rule.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Keep {
        /// The weights of the epoch with the best validation loss.
        Best = "best",
        /// The weights of the last epoch.
        Last = "last",
    }

    /// When weight averaging starts. Averages are validated and kept; training continues from the
    /// weights themselves.
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum AverageKind {
        /// Never.
        #[default]
        Off = "off",
        /// From the first update.
        Always = "always",
        /// After the first epoch whose validation loss is worse than the best loss before the
        /// preceding 5 epochs (Merity 2017).
        Triggered = "triggered",
    }
}

impl ScheduleKind {
    /// Whether the rate depends on the total number of updates.
    pub fn needs_total_updates(self) -> bool {
        matches!(self, Self::Cosine | Self::Linear | Self::OneCycle)
    }
}
