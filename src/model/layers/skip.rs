//! Hidden units and what they were computed from, side by side: the output layer's direct
//! connections to the embedded words.

use crate::error::Result;
use crate::kernels::{CopyColumns, Gradient};
use crate::model::layer::{Activations, Layer, LayerContext, Pass};
use crate::tensor::Tensor;

/// `y = [h, x]`. Its gradient overwrites those of h and x.
#[derive(Debug)]
pub(in crate::model) struct Skip {
    /// h and x.
    parts: [Activations; 2],
    output: Activations,
}

impl Skip {
    pub(in crate::model) fn new(
        context: &mut LayerContext<'_>,
        hidden: Activations,
        input: Activations,
    ) -> Result<Self> {
        let parts = [hidden, input];
        let columns = parts.map(|part| part.values.columns()).iter().sum();
        Ok(Self {
            parts,
            output: Activations::new(context, "hidden units and embedded words", columns)?,
        })
    }

    /// The parts, each with its first column in the output.
    fn places(&self) -> [(usize, Activations); 2] {
        let [hidden, input] = self.parts;
        [(0, hidden), (hidden.values.columns(), input)]
    }
}

impl Layer for Skip {
    fn output(&self) -> Activations {
        self.output
    }

    fn forward(&self, pass: &mut Pass<'_>) {
        for (output_column, part) in self.places() {
            let input = part.values(pass.rows);
            pass.device.run(&CopyColumns {
                input,
                input_column: 0,
                output: self.output.values(pass.rows),
                output_column,
                columns: input.columns(),
            });
        }
    }

    fn backward(&self, pass: &mut Pass<'_>, _gradients: &[Gradient]) {
        for (input_column, part) in self.places() {
            let output: Tensor = part.gradient(pass.rows);
            pass.device.run(&CopyColumns {
                input: self.output.gradient(pass.rows),
                input_column,
                output,
                output_column: 0,
                columns: output.columns(),
            });
        }
    }
}
