//! The last N words of every position, of which a feed-forward network reads the embeddings side by
//! side.
//!
//! Those before a window are carried, so contexts are exact whatever the windows are. The gradient
//! of a window reaches the words of the window only.

use crate::error::Result;
use crate::kernels::{ContextBackward, ContextForward};
use crate::model::layer::{LayerContext, Pass};
use crate::tensor::Tensor;

/// The tokens that a feed-forward network reads.
#[derive(Debug)]
pub(super) struct Contexts {
    vocabulary: usize,
    independent: bool,
    batch: usize,
    /// `[T*B, N]`.
    tokens: Tensor<u32>,
    /// `[B, N-1]`: the tokens before the window, the last one first, as numbers. The initial state,
    /// 0, is the boundary.
    carried: Tensor,
    /// `[T*B, D]`: the gradient of the embedding of each position; one element outside of training.
    gradient: Tensor,
}

impl Contexts {
    /// The contexts of the configuration, if they have more than one word.
    pub(super) fn new(context: &mut LayerContext<'_>) -> Result<Option<Self>> {
        let (config, capacity) = (context.config, context.capacity);
        if config.context < 2 {
            return Ok(None);
        }
        let rows = capacity.rows();
        let [gradient_rows, size] = capacity.gradient_shape(rows, config.embedding_size);
        let device = &mut *context.device;
        Ok(Some(Self {
            vocabulary: config.vocab_size,
            independent: capacity.independent,
            batch: capacity.batch,
            tokens: device.tensor("contexts", rows, config.context)?,
            carried: device.tensor("words before a window", capacity.batch, config.context - 1)?,
            gradient: device.tensor("gradient of the words", gradient_rows, size)?,
        }))
    }

    /// `[T*B, N]`.
    pub(super) fn tokens(&self) -> Tensor<u32> {
        self.tokens
    }

    /// `[B, N-1]`.
    pub(super) fn carried(&self) -> Tensor {
        self.carried
    }

    /// Collects the contexts of a window. The result is their tokens, and `embedded`, `[T*B, N*D]`,
    /// as a row for each of them.
    pub(super) fn forward(&self, pass: &mut Pass<'_>, embedded: Tensor) -> (Tensor<u32>, Tensor) {
        let contexts = self.tokens.slice_rows(0..pass.rows);
        pass.device.run(&ContextForward {
            tokens: pass.window.inputs,
            carried: self.carried,
            contexts,
            vocabulary: self.vocabulary,
            independent: self.independent,
            advance: pass.window.advance,
        });
        let words = contexts.len();
        let rows = embedded.reshape(words, embedded.len() / words);
        (contexts, rows)
    }

    /// The gradient of the embedding of each position, `[T*B, D]`, from that of the contexts.
    pub(super) fn backward(&self, pass: &mut Pass<'_>, gradient: Tensor) -> Tensor {
        let output = self.gradient.slice_rows(0..pass.rows);
        pass.device.run(&ContextBackward {
            gradient,
            tokens: pass.window.inputs,
            output,
            independent: self.independent,
            batch: self.batch,
        });
        output
    }
}
