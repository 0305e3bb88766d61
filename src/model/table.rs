//! The first layer's input where a window has many more words than there are types, as with
//! characters: a product for each type and not for each word.
//!
//! A word's part of the first layer's sums is its row of the embedding times the layer's weight, so
//! the product of the whole embedding with the weight is a table in which it can be looked up.
//! Going back, gradients of words of one type are summed before they are multiplied.

use super::cell::{self, Capacity};
use super::config::Config;
use super::dropout::DropoutPlacement;
use super::products::{input_gradient, product, weight_gradient};
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{Add, Fill, Gather, Gradient, Matmul, Precision, Rows, ScatterAdd};
use crate::tensor::Tensor;

/// Words of a window for each type from which on the table pays: below, it has more rows than it
/// saves.
const WORDS_A_TYPE: usize = 2;

/// The table and its gradient.
#[derive(Debug)]
pub(super) struct Table {
    /// `[V, G*H]`: the embedding times the first layer's weight.
    products: Tensor,
    /// `[T*B, G*H]`: gradients of words, summed by type.
    sums: Tensor,
    /// `[V, G*H]`: the gradient of `products`.
    gradient: Tensor,
}

impl Table {
    /// Allocates the table where it pays: in training, where nothing is left out of embedded words.
    pub(super) fn new(
        device: &mut Device,
        config: &Config,
        capacity: &Capacity,
    ) -> Result<Option<Self>> {
        let (rows, columns) = (
            capacity.time_steps * capacity.batch,
            cell::kind(config).gates * config.layer_size(0),
        );
        let whole = capacity
            .dropout
            .rate(DropoutPlacement::Input, config.num_layers)
            == 0.0;
        if !capacity.training
            || !whole
            || config.embedding_size == 0
            || rows / WORDS_A_TYPE < config.vocab_size
        {
            return Ok(None);
        }
        let mut table = |what| device.tensor(what, config.vocab_size, columns);
        let products = table("inputs of every type")?;
        let gradient = table("gradient of the inputs of every type")?;
        let sums = device.tensor("gradient of the inputs by type", rows, columns)?;
        Ok(Some(Self {
            products,
            sums,
            gradient,
        }))
    }

    /// The layer's sums of what `tokens` say.
    pub(super) fn forward(
        &self,
        device: &mut Device,
        [embedding, weight]: [Tensor; 2],
        tokens: Tensor<u32>,
        inputs: Tensor,
        precision: Precision,
    ) {
        device.run(&product(embedding, weight, self.products, precision));
        device.run(&Gather {
            table: self.products,
            tokens,
            output: inputs,
        });
    }

    /// The gradients of embedding and weight from that of the sums; the embedding's is added to
    /// what is there where it is the output layer's too.
    pub(super) fn backward(
        &self,
        device: &mut Device,
        [embedding, weight]: [Tensor; 2],
        of: [Tensor; 2],
        gradient: Tensor,
        (rows, is_tied): (Rows, bool),
        precision: Precision,
    ) {
        let sums = self.sums.slice_rows(0..gradient.rows());
        device.run(&ScatterAdd {
            gradient,
            rows,
            sums,
        });
        device.run(&Fill {
            values: self.gradient,
            value: 0.0,
        });
        device.run(&Add {
            input: Gradient::Rows(sums, rows),
            output: self.gradient,
        });
        device.run(&weight_gradient(self.gradient, embedding, of[1], precision));
        device.run(&Matmul {
            accumulate: is_tied,
            ..input_gradient(self.gradient, weight, of[0], precision)
        });
    }
}
