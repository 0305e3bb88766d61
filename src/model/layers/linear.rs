//! A matrix without bias, with or without an activation function: `y = f(W x)`.

use crate::error::Result;
use crate::kernels::{Activation, ActivationBackward, ActivationForward, Gradient};
use crate::model::cells::cell_kind;
use crate::model::config::Config;
use crate::model::layer::{Activations, Layer, LayerContext, Pass};
use crate::model::parameter_spec::{ParameterId, ParameterSpec};
use crate::model::products::{input_gradient, product, weight_gradient};

/// The layer between the last recurrent layer and the output layer: the projection to the
/// embedding's size, or the compression layer.
#[derive(Debug)]
pub(in crate::model) struct Linear {
    input: Activations,
    output: Activations,
    weight: ParameterId,
    activation: Option<Activation>,
}

/// The name of the weight, if the configuration has this layer.
fn weight_name(config: &Config) -> Option<&'static str> {
    if config.compression_size > 0 {
        Some("compression.weight")
    } else if config.projection {
        Some("projection.weight")
    } else {
        None
    }
}

impl Linear {
    pub(in crate::model) fn parameter_specs(config: &Config) -> Vec<ParameterSpec> {
        let size = config.output_size();
        let spec = |name| {
            let initializer = (cell_kind(config).initializer)(size);
            ParameterSpec::weight(name, config.decoder_input_size(), size, initializer)
        };
        weight_name(config).map(spec).into_iter().collect()
    }

    /// The layer, if the configuration has it.
    pub(in crate::model) fn new(
        context: &mut LayerContext<'_>,
        input: Activations,
    ) -> Result<Option<Self>> {
        let config = context.config;
        let Some(name) = weight_name(config) else {
            return Ok(None);
        };
        Ok(Some(Self {
            input,
            output: Activations::new(context, "projected states", config.decoder_input_size())?,
            weight: context.id(name),
            activation: (config.compression_size > 0)
                .then(|| compression_activation(config.activation)),
        }))
    }
}

/// The activation function of compression units: the hidden units' sigmoid, or the plain one.
fn compression_activation(hidden: Activation) -> Activation {
    match hidden {
        Activation::RnnlmSigmoid => Activation::RnnlmSigmoid,
        Activation::Sigmoid | Activation::Tanh | Activation::Relu => Activation::Sigmoid,
    }
}

impl Layer for Linear {
    fn output(&self) -> Activations {
        self.output
    }

    fn forward(&self, pass: &mut Pass<'_>) {
        let values = self.output.values(pass.rows);
        pass.device.run(&product(
            self.input.values(pass.rows),
            pass.parameters.tensor(self.weight),
            values,
            pass.precision,
        ));
        if let Some(activation) = self.activation {
            pass.device.run(&ActivationForward { activation, values });
        }
    }

    fn backward(&self, pass: &mut Pass<'_>, gradients: &[Gradient]) {
        let gradient = self.output.gradient(pass.rows);
        if let Some(activation) = self.activation {
            pass.device.run(&ActivationBackward {
                activation,
                values: self.output.values(pass.rows),
                gradient,
            });
        }
        pass.device.run(&weight_gradient(
            gradient,
            self.input.values(pass.rows),
            gradients[self.weight.index()].values(),
            pass.precision,
        ));
        pass.device.run(&input_gradient(
            gradient,
            pass.parameters.tensor(self.weight),
            self.input.gradient(pass.rows),
            pass.precision,
        ));
    }
}
