//! The input: a row of a table for each token, or for each of the last tokens.

use crate::error::Result;
use crate::kernels::{Add, Gather, Gradient, ScatterAdd, SparseRows};
use crate::model::cells::cell_kind;
use crate::model::config::Config;
use crate::model::layer::{Activations, Layer, LayerContext, Pass};
use crate::model::parameter_spec::{EMBEDDING_WEIGHT, ParameterId, ParameterSpec};
use crate::model::window::Window;
use crate::tensor::Tensor;

use super::Contexts;

/// Gathers a row of a table for each token. The table is the embedding, or the transposed input
/// weight of the first recurrent layer: with one-hot input, `W_ih x` is a row of it. For a
/// feed-forward network, the rows of the last N tokens stand side by side.
#[derive(Debug)]
pub(in crate::model) struct Embedding {
    table: ParameterId,
    output: Activations,
    /// What a feed-forward network reads if N is above 1.
    contexts: Option<Contexts>,
    /// `[T*B, D]`: this layer's part of the gradient, a row for each token, if the table is also
    /// the output layer's weight.
    tied_sums: Option<Tensor>,
}

impl Embedding {
    /// The embedding, if the configuration has one.
    pub(in crate::model) fn parameter_specs(config: &Config) -> Vec<ParameterSpec> {
        match config.embedding_size {
            0 => Vec::new(),
            size => vec![ParameterSpec::weight(
                EMBEDDING_WEIGHT,
                config.vocab_size,
                size,
                cell_kind(config).table_initializer(),
            )],
        }
    }

    /// Writes the rows of `table`, an input weight, to the pre-activations of a recurrent layer.
    pub(in crate::model) fn one_hot(table: ParameterId, pre_activations: Activations) -> Self {
        Self {
            table,
            output: pre_activations,
            contexts: None,
            tied_sums: None,
        }
    }

    /// Writes the rows of the embedding. Their gradient overwrites them, unless two layers read
    /// them.
    pub(in crate::model) fn new(context: &mut LayerContext<'_>) -> Result<Self> {
        let config = context.config;
        let rows = context.capacity.rows();
        let size = config.embedding_size;
        let output = if config.skip_connection {
            Activations::new(context, "embedded words", config.embedded_size())?
        } else {
            let columns = config.embedded_size();
            let embedded = context.device.tensor("embedded words", rows, columns)?;
            Activations {
                values: embedded,
                gradient: embedded,
            }
        };
        let name = "gradient of the embedded words";
        let tied_sums = match config.tied && context.capacity.training {
            true => Some(context.device.tensor(name, rows, size)?),
            false => None,
        };
        Ok(Self {
            table: context.id(EMBEDDING_WEIGHT),
            output,
            contexts: Contexts::new(context)?,
            tied_sums,
        })
    }

    /// `[T*B, N]`: the tokens whose rows stand side by side, if there are several.
    pub(in crate::model) fn context_tokens(&self) -> Option<Tensor<u32>> {
        self.contexts.as_ref().map(Contexts::tokens)
    }
}

impl Layer for Embedding {
    fn output(&self) -> Activations {
        self.output
    }

    fn forward(&self, pass: &mut Pass<'_>) {
        let output = self.output.values(pass.rows);
        let (tokens, output) = match &self.contexts {
            None => (pass.window.inputs, output),
            Some(contexts) => contexts.forward(pass, output),
        };
        pass.device.run(&Gather {
            table: pass.parameters.tensor(self.table),
            tokens,
            output,
        });
    }

    fn backward(&self, pass: &mut Pass<'_>, gradients: &[Gradient]) {
        let gradient = self.output.gradient(pass.rows);
        let gradient = match &self.contexts {
            None => gradient,
            Some(contexts) => contexts.backward(pass, gradient),
        };
        let table = gradients[self.table.index()].values();
        let rows = pass.window.rows();
        let Some(sums) = self.tied_sums else {
            return pass.device.run(&ScatterAdd {
                gradient,
                rows,
                sums: table,
            });
        };
        let sums = sums.slice_rows(0..pass.rows);
        pass.device.run(&ScatterAdd {
            gradient,
            rows,
            sums,
        });
        pass.device.run(&Add {
            input: Gradient::Sparse(sums, rows),
            output: table,
        });
    }

    fn max_touched_rows(&self, id: ParameterId) -> Option<usize> {
        (id == self.table && self.tied_sums.is_none()).then(|| self.output.values.rows())
    }

    fn touched_rows(&self, id: ParameterId, window: &Window) -> Option<SparseRows> {
        (id == self.table && self.tied_sums.is_none()).then(|| window.rows())
    }

    fn carried(&self) -> Vec<Tensor> {
        self.contexts.iter().map(Contexts::carried).collect()
    }
}
