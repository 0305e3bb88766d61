//! A window of tokens on a device.

use super::plan::OutputPlan;
use crate::kernels::SparseRows;
use crate::tensor::Tensor;

/// T steps of B streams. Tokens are time-major, `[T, B]`; [`NONE`](crate::tensor::NONE) means no
/// word.
///
/// Windows may overlap: the first `history` steps were predicted in earlier windows, and gradients
/// flow back through them again.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// T, at most that of the workspace.
    pub time_steps: usize,
    /// Number of steps at the start that predict nothing.
    pub history: usize,
    /// Number of steps from the start of this window to that of the next, at which the states are
    /// carried.
    pub advance: usize,
    /// The input of each step: the token before the one to predict.
    pub inputs: Tensor<u32>,
    /// The token that each step predicts.
    pub targets: Tensor<u32>,
    /// The positions of the inputs sorted by token, [`NONE`](crate::tensor::NONE) last; only needed
    /// in training.
    pub order: Option<Tensor<u32>>,
    /// The number of tokens that the window predicts; only needed in training with temporal
    /// regularization.
    pub predicted: usize,
    /// Those of them at steps after the window's first one; as `predicted`.
    pub changes: usize,
    /// The index of the draw of dropout masks, such as the number of updates.
    pub draw: u32,
    /// The output layer's plan for the targets; see [`Workspace::plan`](super::Workspace::plan).
    pub plan: OutputPlan,
}

impl Window {
    /// A window that starts where the previous one ended.
    pub fn new(time_steps: usize, inputs: Tensor<u32>, targets: Tensor<u32>) -> Self {
        Self {
            time_steps,
            history: 0,
            advance: time_steps,
            inputs,
            targets,
            order: None,
            predicted: 0,
            changes: 0,
            draw: 0,
            plan: OutputPlan::default(),
        }
    }

    /// The inputs, as the rows of a table's gradient.
    ///
    /// # Panics
    /// If the window has no order.
    pub(super) fn rows(&self) -> SparseRows {
        SparseRows {
            tokens: self.inputs,
            order: self.order.expect("a window in training has an order"),
        }
    }
}
