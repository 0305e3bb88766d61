//! The sizes and the purpose for which a workspace is allocated.

use super::dropout::DropoutRates;
use crate::kernels::StreamPart;

/// The largest window of a workspace, and what the workspace is used for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Capacity {
    /// B.
    pub batch: usize,
    /// Where the B streams are a part of more, which part they are: dropout masks are those of all
    /// streams.
    pub part: Option<StreamPart>,
    /// The largest T.
    pub time_steps: usize,
    /// Whether gradients are computed.
    pub training: bool,
    /// Whether every sentence starts from the initial state.
    pub independent: bool,
    /// Whether matrix products in training round their factors to f16. Recurrences do not.
    pub mixed: bool,
    /// Dropout rates; all 0 outside of training.
    pub dropout: DropoutRates,
    /// Coefficient of the squares of the last layer's output after dropout; 0 outside of training.
    pub activation_l2: f32,
    /// Coefficient of the squares of the changes of the last layer's states; 0 outside of training.
    pub temporal_l2: f32,
    /// Coefficient of past decode regularization; 0 outside of training. It has an effect on models
    /// with [`Config::past_decode`](super::Config::past_decode).
    pub past_decode: f32,
    /// The seed of the dropout masks and of sampled words.
    pub seed: u32,
}

impl Capacity {
    /// T*B, the rows of the largest window.
    pub(super) fn rows(&self) -> usize {
        self.time_steps * self.batch
    }

    /// The shape of a gradient: `[rows, columns]` in training, one element otherwise.
    pub(super) fn gradient_shape(&self, rows: usize, columns: usize) -> [usize; 2] {
        if self.training {
            [rows, columns]
        } else {
            [1, 1]
        }
    }
}
