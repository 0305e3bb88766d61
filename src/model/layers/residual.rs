//! Connections past a recurrent layer: its output is the sum of its cell's output and its input.
//!
//! A connection is two layers, below and above the recurrent one, since gradients pass it in the
//! opposite order: the sum's gradient becomes that of the cell's output, and is added to the
//! input's gradient once the recurrent layer has written that.

use crate::error::Result;
use crate::kernels::{Add, CopyValues, Gradient};
use crate::model::layer::{Activations, Layer, LayerContext, Pass};

/// The lower end: `dx += dy`. Passes its input on.
#[derive(Debug, Clone, Copy)]
pub(in crate::model) struct ResidualInput {
    /// x.
    input: Activations,
    /// y.
    sum: Activations,
}

impl ResidualInput {
    pub(in crate::model) fn new(
        context: &mut LayerContext<'_>,
        input: Activations,
    ) -> Result<Self> {
        let columns = input.values.columns();
        Ok(Self {
            input,
            sum: Activations::new(context, "sum of a layer's output and input", columns)?,
        })
    }

    /// The upper end, above the recurrent layer.
    pub(in crate::model) fn sum_with(self, hidden: Activations) -> ResidualSum {
        ResidualSum {
            hidden,
            input: self.input,
            sum: self.sum,
        }
    }
}

impl Layer for ResidualInput {
    fn output(&self) -> Activations {
        self.input
    }

    fn forward(&self, _pass: &mut Pass<'_>) {}

    fn backward(&self, pass: &mut Pass<'_>, _gradients: &[Gradient]) {
        pass.device.run(&Add {
            input: Gradient::Dense(self.sum.gradient(pass.rows)),
            output: self.input.gradient(pass.rows),
        });
    }
}

/// The upper end: `y = h + x`, and `dh = dy`.
#[derive(Debug)]
pub(in crate::model) struct ResidualSum {
    hidden: Activations,
    input: Activations,
    sum: Activations,
}

impl Layer for ResidualSum {
    fn output(&self) -> Activations {
        self.sum
    }

    fn forward(&self, pass: &mut Pass<'_>) {
        let output = self.sum.values(pass.rows);
        pass.device.run(&CopyValues {
            input: self.hidden.values(pass.rows),
            output,
        });
        pass.device.run(&Add {
            input: Gradient::Dense(self.input.values(pass.rows)),
            output,
        });
    }

    fn backward(&self, pass: &mut Pass<'_>, _gradients: &[Gradient]) {
        pass.device.run(&CopyValues {
            input: self.sum.gradient(pass.rows),
            output: self.hidden.gradient(pass.rows),
        });
    }
}
