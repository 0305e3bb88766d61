//! A window of tokens on a device.

use super::plan::OutputPlan;
use crate::kernels::Rows;
use crate::tensor::Tensor;

/// T steps of B streams. Tokens lie time first, `[T, B]`; [`NONE`](crate::tensor::NONE) stands for
/// no word.
///
/// Windows may overlap: then the first `history` steps of one were predicted in windows before, and
/// gradients flow back through them.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// T, at most what the workspace was made for.
    pub time_steps: usize,
    /// Steps at the front that predict nothing.
    pub history: usize,
    /// Steps from this window's beginning to the next one's: the state there is carried on.
    pub advance: usize,
    /// What each step reads: the token before the one to be predicted.
    pub inputs: Tensor<u32>,
    /// What each step predicts.
    pub targets: Tensor<u32>,
    /// Positions of the inputs sorted by token, [`NONE`](crate::tensor::NONE) last; needed for
    /// gradients only.
    pub order: Option<Tensor<u32>>,
    /// The number of the draw of dropout's masks, such as the update's.
    pub draw: u32,
    /// What the output layer planned for the targets; see
    /// [`Workspace::plan`](super::Workspace::plan).
    pub plan: OutputPlan,
}

impl Window {
    /// A window that begins where the one before it ended.
    pub fn new(time_steps: usize, inputs: Tensor<u32>, targets: Tensor<u32>) -> Self {
        Self {
            time_steps,
            history: 0,
            advance: time_steps,
            inputs,
            targets,
            order: None,
            draw: 0,
            plan: OutputPlan::default(),
        }
    }

    /// The inputs as a table's gradient is summed over them.
    ///
    /// # Panics
    /// If the window has no order.
    pub(super) fn rows(&self) -> Rows {
        Rows {
            tokens: self.inputs,
            order: self.order.expect("a window for training has an order"),
        }
    }
}
