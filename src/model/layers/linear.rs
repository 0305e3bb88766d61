//! A matrix, with or without a bias and an activation function: `y = f(W x + b)`.

use crate::error::Result;
use crate::kernels::{
    Activation, ActivationBackward, ActivationForward, AddBias, Gradient, Matmul, SumRows,
};
use crate::model::cells::cell_kind;
use crate::model::config::Config;
use crate::model::layer::{Activations, Layer, LayerContext, Pass};
use crate::model::parameter_spec::{Initializer, ParameterId, ParameterSpec};
use crate::model::products::{input_gradient, product, weight_gradient};

/// The hidden layer of a feed-forward network; or the layer between the last hidden layer and the
/// output layer: the projection to the embedding's size, or the compression layer.
#[derive(Debug)]
pub(in crate::model) struct Linear {
    input: Activations,
    output: Activations,
    weight: ParameterId,
    bias: Option<ParameterId>,
    activation: Option<Activation>,
    /// Whether a layer above adds to the input's gradient before this one does.
    shares_input: bool,
}

/// The names of a feed-forward network's weight and bias.
const HIDDEN: [&str; 2] = ["hidden.weight", "hidden.bias"];

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
    /// The parameters of the hidden layer of a feed-forward network. Its weight starts as that of
    /// PyTorch's `nn.Linear`.
    pub(in crate::model) fn hidden_specs(config: &Config) -> Vec<ParameterSpec> {
        let [rows, columns] = [config.layer_size(0), config.input_size(0)];
        let [weight, bias] = HIDDEN;
        let initializer = Initializer::Uniform(columns);
        let mut specs = vec![ParameterSpec::weight(weight, rows, columns, initializer)];
        if config.bias {
            specs.push(ParameterSpec::bias(bias, rows));
        }
        specs
    }

    /// The hidden layer of a feed-forward network.
    pub(in crate::model) fn hidden(
        context: &mut LayerContext<'_>,
        input: Activations,
    ) -> Result<Self> {
        let config = context.config;
        let [weight, bias] = HIDDEN;
        Ok(Self {
            input,
            output: Activations::new(context, "hidden units", config.layer_size(0))?,
            weight: context.id(weight),
            bias: config.bias.then(|| context.id(bias)),
            activation: Some(Activation::Tanh),
            shares_input: config.skip_connection,
        })
    }

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
            bias: None,
            shares_input: false,
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
        if let Some(bias) = self.bias {
            pass.device.run(&AddBias {
                bias: pass.parameters.tensor(bias),
                second: None,
                values,
            });
        }
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
        if let Some(bias) = self.bias {
            pass.device.run(&SumRows {
                values: gradient,
                output: gradients[bias.index()].values(),
                copy: None,
                accumulate: false,
            });
        }
        pass.device.run(&weight_gradient(
            gradient,
            self.input.values(pass.rows),
            gradients[self.weight.index()].values(),
            pass.precision,
        ));
        pass.device.run(&Matmul {
            accumulate: self.shares_input,
            ..input_gradient(
                gradient,
                pass.parameters.tensor(self.weight),
                self.input.gradient(pass.rows),
                pass.precision,
            )
        });
    }
}
