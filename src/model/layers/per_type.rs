//! The input of the first recurrent layer where a window has many more tokens than there are types,
//! as with characters: one product per type instead of one per token.
//!
//! A token's `W x` is its row of the embedding times `W_ih`. The product of the whole embedding
//! with `W_ih` is therefore a table from which `W x` is gathered. In the backward pass, gradients
//! of tokens of one type are summed before they are multiplied.

use crate::error::Result;
use crate::kernels::{Add, Fill, Gather, Gradient, Matmul, ScatterAdd};
use crate::model::capacity::Capacity;
use crate::model::config::Config;
use crate::model::dropout::DropoutPlacement;
use crate::model::layer::{Activations, Layer, LayerContext, Pass};
use crate::model::parameter_spec::{EMBEDDING_WEIGHT, ParameterId};
use crate::model::products::{input_gradient, product, weight_gradient};
use crate::tensor::Tensor;

/// The smallest number of tokens per type for which the table saves products.
const TOKENS_PER_TYPE: usize = 2;

/// An embedding and an input product in one: writes `W x` to the pre-activations of the first
/// recurrent layer.
#[derive(Debug)]
pub(in crate::model) struct PerTypeInput {
    embedding: ParameterId,
    weight: ParameterId,
    /// Whether the embedding's gradient is added to that of the output layer.
    is_tied: bool,
    output: Activations,
    /// `[V, G*H]`: the embedding times the weight.
    products: Tensor,
    /// `[T*B, G*H]`: gradients of tokens, summed by type.
    sums: Tensor,
    /// `[V, G*H]`: the gradient of `products`.
    gradient: Tensor,
}

impl PerTypeInput {
    /// Whether it is faster than an [`Embedding`](super::Embedding), and equivalent: in training,
    /// without dropout of embedded words.
    pub(in crate::model) fn is_worthwhile(config: &Config, capacity: &Capacity) -> bool {
        let rate = capacity
            .dropout
            .rate(DropoutPlacement::Input, config.num_layers);
        config.embedding_size > 0
            && !config.reads_input(0)
            && !config.has_residual(0)
            && !config.reads_previous_input()
            && capacity.training
            && rate == 0.0
            && capacity.rows() / TOKENS_PER_TYPE >= config.vocab_size
    }

    /// Multiplies by `weight`, an input weight.
    pub(in crate::model) fn new(
        context: &mut LayerContext<'_>,
        weight: ParameterId,
        pre_activations: Activations,
    ) -> Result<Self> {
        let embedding = context.id(EMBEDDING_WEIGHT);
        let types = context.config.vocab_size;
        let columns = pre_activations.values.columns();
        let rows = context.capacity.rows();
        let is_tied = context.config.tied;
        let device = &mut *context.device;
        Ok(Self {
            embedding,
            weight,
            is_tied,
            output: pre_activations,
            products: device.tensor("inputs of every type", types, columns)?,
            gradient: device.tensor("gradient of the inputs of every type", types, columns)?,
            sums: device.tensor("gradient of the inputs by type", rows, columns)?,
        })
    }
}

impl Layer for PerTypeInput {
    fn output(&self) -> Activations {
        self.output
    }

    fn forward(&self, pass: &mut Pass<'_>) {
        pass.device.run(&product(
            pass.parameters.tensor(self.embedding),
            pass.parameters.tensor(self.weight),
            self.products,
            pass.precision,
        ));
        pass.device.run(&Gather {
            table: self.products,
            tokens: pass.window.inputs,
            output: self.output.values(pass.rows),
        });
    }

    fn backward(&self, pass: &mut Pass<'_>, gradients: &[Gradient]) {
        let rows = pass.window.rows();
        let sums = self.sums.slice_rows(0..pass.rows);
        pass.device.run(&ScatterAdd {
            gradient: self.output.gradient(pass.rows),
            rows,
            sums,
        });
        pass.device.run(&Fill {
            values: self.gradient,
            value: 0.0,
        });
        pass.device.run(&Add {
            input: Gradient::Sparse(sums, rows),
            output: self.gradient,
        });
        pass.device.run(&weight_gradient(
            self.gradient,
            pass.parameters.tensor(self.embedding),
            gradients[self.weight.index()].values(),
            pass.precision,
        ));
        pass.device.run(&Matmul {
            accumulate: self.is_tied,
            ..input_gradient(
                self.gradient,
                pass.parameters.tensor(self.weight),
                gradients[self.embedding.index()].values(),
                pass.precision,
            )
        });
    }
}
