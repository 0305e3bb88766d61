//! The model: parameters, and the step that walks a window forward and back. It knows kernels, and
//! never which device runs them.
//!
//! In: windows of tokens. Out: losses, gradients, distributions.

mod adaptive;
mod blocks;
mod cell;
mod class;
mod classes;
mod clusters;
mod config;
mod direct;
mod dropout;
mod elman;
mod gru;
mod lstm;
mod noise;
mod output;
mod parameters;
mod plan;
mod products;
mod sampled;
mod softmax;
mod table;
mod window;
mod workspace;

pub use crate::kernels::{Activation, SampledObjective};
pub use cell::{AllocateCell, CELLS, Capacity, Cell, CellKind, Recurrent};
pub use class::DIRECT;
pub use classes::{Binning, Classes};
pub use clusters::Clusters;
pub use config::Config;
pub(crate) use config::list;
pub use direct::LONGEST_HISTORY;
pub use dropout::DropoutRates;
pub use noise::{Draws, Noise};
pub use output::{AllocateOutput, OUTPUTS, OutputKind, OutputLayer, Predictions};
pub use parameters::{
    Initial, MemoryLayout, ParameterSpec, Parameters, initial_values, parameter_specs,
    set_forget_bias,
};
pub use plan::{OutputPlan, WindowWords};
pub use window::Window;
pub use workspace::Workspace;

use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::{
    ActivationBackward, ActivationForward, Add, AddBias, Gather, Gradient, ScatterAdd, SumRows,
};
use crate::tensor::Tensor;
use dropout::DropoutPlacement;
use products::{input_gradient, of_activations, of_gradients, product, weight_gradient};

/// A model on a device: its configuration and its parameters. What a run needs besides is in a
/// [`Workspace`].
#[derive(Debug)]
pub struct Model {
    config: Config,
    parameters: Parameters,
    initial_states: Option<Vec<Vec<f32>>>,
}

impl Model {
    /// Uploads the parameters, given in the order and layout of the file.
    ///
    /// # Errors
    /// If the configuration is no model, or too large for the device.
    pub fn new(device: &mut Device, config: Config, values: &[Vec<f32>]) -> Result<Self> {
        config.validate()?;
        let parameters = Parameters::new(device, &config, values)?;
        Ok(Self {
            config,
            parameters,
            initial_states: None,
        })
    }

    /// Lets texts begin with these states, a carried state's each, instead of one number in every
    /// unit.
    ///
    /// # Errors
    /// If they are not those of the model's cells.
    pub fn with_initial_states(mut self, states: Option<Vec<Vec<f32>>>) -> Result<Self> {
        let sizes: Vec<usize> = (0..self.config.num_layers)
            .flat_map(|layer| {
                std::iter::repeat_n(
                    self.config.layer_size(layer),
                    cell::kind(&self.config).states,
                )
            })
            .collect();
        if states
            .as_ref()
            .is_some_and(|states| states.iter().map(Vec::len).ne(sizes.iter().copied()))
        {
            return Err(Error::invalid(
                "the states that a text begins with",
                format!(
                    "they do not have the sizes {} of the model's states",
                    list(&sizes)
                ),
                "Restore model.safetensors from a copy, or import the model again",
            ));
        }
        self.initial_states = states;
        Ok(self)
    }

    /// Sizes and kinds.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn tensor(&self, name: &str) -> Tensor {
        self.parameters.tensors()[self.number(name)]
    }

    /// The name of the weight between the last layer and the output layer, where there is one.
    fn projection(&self) -> &'static str {
        if self.config.compression_size > 0 {
            "compression.weight"
        } else {
            "projection.weight"
        }
    }

    /// The function of the compression layer's units: the sigmoid, as the hidden units have it.
    fn compression(&self) -> Activation {
        match self.config.activation {
            Activation::RnnlmSigmoid => Activation::RnnlmSigmoid,
            _ => Activation::Sigmoid,
        }
    }

    fn number(&self, name: &str) -> usize {
        self.parameters
            .position(name)
            .expect("the configuration says which parameters there are")
    }

    /// A layer's recurrent parameters out of `tensors`, one for each parameter.
    fn recurrent(&self, layer: usize, tensor: impl Fn(usize) -> Tensor) -> Recurrent {
        let number = |part: &str| self.number(&format!("rnn.{part}_hh_l{layer}"));
        Recurrent {
            weight: tensor(number("weight")),
            bias: self.config.bias.then(|| tensor(number("bias"))),
        }
    }

    /// Walks the window from the carried state to the new one, layer by layer, up to what the
    /// output layer reads.
    pub fn forward(&self, device: &mut Device, workspace: &Workspace, window: &Window) {
        let steps = window.time_steps;
        let precision = of_activations(workspace.capacity().mixed);
        for (layer, cell) in workspace.cells.iter().enumerate() {
            let weight = self.tensor(&format!("rnn.weight_ih_l{layer}"));
            let inputs = cell.inputs(steps);
            match (layer, workspace.embedded(steps), &workspace.table) {
                (0, None, _) => {
                    device.run(&Gather {
                        table: weight,
                        tokens: window.inputs,
                        output: inputs,
                    });
                    workspace.apply_dropout(device, window, DropoutPlacement::Words, inputs);
                }
                (0, Some(_), Some(table)) => {
                    let tensors = [self.tensor("embedding.weight"), weight];
                    table.forward(device, tensors, window.inputs, inputs, precision);
                    workspace.apply_dropout(device, window, DropoutPlacement::Words, inputs);
                }
                (0, Some(embedded), None) => {
                    device.run(&Gather {
                        table: self.tensor("embedding.weight"),
                        tokens: window.inputs,
                        output: embedded,
                    });
                    workspace.apply_dropout(device, window, DropoutPlacement::Words, embedded);
                    workspace.apply_dropout(device, window, DropoutPlacement::Input, embedded);
                    device.run(&product(embedded, weight, inputs, precision));
                }
                _ => device.run(&product(
                    workspace.layer_output(layer - 1, steps),
                    weight,
                    inputs,
                    precision,
                )),
            }
            if self.config.bias {
                device.run(&AddBias {
                    bias: self.tensor(&format!("rnn.bias_ih_l{layer}")),
                    values: inputs,
                });
            }
            let recurrent = self.recurrent(layer, |number| self.parameters.tensors()[number]);
            let weight = workspace.mask_weight(device, window, layer, recurrent.weight);
            cell.forward(
                device,
                window,
                Recurrent {
                    weight,
                    ..recurrent
                },
            );
            workspace.write_layer_output(device, window, layer);
        }
        if let Some([projected, _]) = workspace.projected(steps) {
            let top = workspace.layer_output(workspace.cells.len() - 1, steps);
            device.run(&product(
                top,
                self.tensor(self.projection()),
                projected,
                precision,
            ));
            if self.config.compression_size > 0 {
                device.run(&ActivationForward {
                    activation: self.compression(),
                    values: projected,
                });
            }
        }
    }

    /// After [`Model::forward`]: -ln P of every target of the window, in [`Workspace::losses`].
    pub fn losses(&self, device: &mut Device, workspace: &Workspace, window: &Window) {
        workspace
            .output
            .losses(device, &self.parameters, workspace.predictions(window));
    }

    /// After [`Model::forward`]: the losses, and the gradient of `scale` times their sum for every
    /// parameter and every carried state.
    ///
    /// This is back-propagation through time, cut at the window's first step; parameters are shared
    /// by all steps, so their gradients are sums over them.
    pub fn backward(
        &self,
        device: &mut Device,
        workspace: &Workspace,
        window: &Window,
        scale: f32,
    ) {
        let steps = window.time_steps;
        let gradients = workspace.gradients(window);
        let precision = of_gradients(workspace.capacity().mixed, scale);
        let last = workspace.cells.len() - 1;
        let top = workspace.cells[last].output_gradient(steps);
        let predictions = workspace.predictions(window);
        let read = workspace
            .projected(steps)
            .map_or(top, |[_, gradient]| gradient);
        let read = workspace.predicting_part(device, window, read);
        workspace.output.losses_and_gradient(
            device,
            &self.parameters,
            predictions,
            scale,
            read,
            &gradients,
        );
        if let Some([projected, gradient]) = workspace.projected(steps) {
            if self.config.compression_size > 0 {
                device.run(&ActivationBackward {
                    activation: self.compression(),
                    values: projected,
                    gradient,
                });
            }
            let number = self.number(self.projection());
            device.run(&weight_gradient(
                gradient,
                workspace.layer_output(last, steps),
                gradients[number].values(),
                precision,
            ));
            device.run(&input_gradient(
                gradient,
                self.parameters.tensors()[number],
                top,
                precision,
            ));
        }
        for (layer, cell) in workspace.cells.iter().enumerate().rev() {
            workspace.apply_dropout(
                device,
                window,
                DropoutPlacement::Outputs(layer),
                cell.output_gradient(steps),
            );
            let recurrent = self.recurrent(layer, |number| self.parameters.tensors()[number]);
            let of_recurrent = self.recurrent(layer, |number| gradients[number].values());
            let weight = workspace.masked_weight(layer, recurrent.weight);
            cell.backward(
                device,
                window,
                Recurrent {
                    weight,
                    ..recurrent
                },
                of_recurrent,
                precision,
            );
            workspace.apply_dropout(
                device,
                window,
                DropoutPlacement::Weights(layer),
                of_recurrent.weight,
            );
            let gradient = cell.input_gradient(steps);
            if self.config.bias {
                let output = gradients[self.number(&format!("rnn.bias_ih_l{layer}"))].values();
                device.run(&SumRows {
                    values: gradient,
                    output,
                    accumulate: false,
                });
            }
            let input = self.number(&format!("rnn.weight_ih_l{layer}"));
            let weight = self.parameters.tensors()[input];
            match (layer, workspace.embedded(steps), &workspace.table) {
                (0, None, _) => {
                    workspace.apply_dropout(device, window, DropoutPlacement::Words, gradient);
                    self.embedding_backward(device, workspace, gradient, window, gradients[input]);
                }
                (0, Some(_), Some(table)) => {
                    workspace.apply_dropout(device, window, DropoutPlacement::Words, gradient);
                    let of = [self.number("embedding.weight"), input]
                        .map(|number| gradients[number].values());
                    let rows = (window.rows(), self.config.tied);
                    table.backward(
                        device,
                        [self.tensor("embedding.weight"), weight],
                        of,
                        gradient,
                        rows,
                        precision,
                    );
                }
                (0, Some(embedded), None) => {
                    device.run(&weight_gradient(
                        gradient,
                        embedded,
                        gradients[input].values(),
                        precision,
                    ));
                    // The looked-up rows are not needed any more: their gradient takes their place.
                    device.run(&input_gradient(gradient, weight, embedded, precision));
                    workspace.apply_dropout(device, window, DropoutPlacement::Input, embedded);
                    workspace.apply_dropout(device, window, DropoutPlacement::Words, embedded);
                    self.embedding_backward(
                        device,
                        workspace,
                        embedded,
                        window,
                        gradients[self.number("embedding.weight")],
                    );
                }
                _ => {
                    device.run(&weight_gradient(
                        gradient,
                        workspace.layer_output(layer - 1, steps),
                        gradients[input].values(),
                        precision,
                    ));
                    device.run(&input_gradient(
                        gradient,
                        weight,
                        workspace.cells[layer - 1].output_gradient(steps),
                        precision,
                    ));
                }
            }
        }
    }

    /// The gradient of a table from that of the rows looked up in it; added to the output layer's
    /// where it is the same table.
    fn embedding_backward(
        &self,
        device: &mut Device,
        workspace: &Workspace,
        gradient: Tensor,
        window: &Window,
        table: Gradient,
    ) {
        let Some(sums) = workspace.tied else {
            return device.run(&ScatterAdd {
                gradient,
                rows: window.rows(),
                sums: table.values(),
            });
        };
        let (rows, sums) = (window.rows(), sums.slice_rows(0..gradient.rows()));
        device.run(&ScatterAdd {
            gradient,
            rows,
            sums,
        });
        device.run(&Add {
            input: Gradient::Rows(sums, rows),
            output: table.values(),
        });
    }

    /// After [`Model::forward`] of a window of one step: a word for each stream, drawn from its
    /// distribution with the stream's number of `uniform`, from 0 to below 1. `words` says what
    /// came before.
    ///
    /// # Errors
    /// If the device failed.
    pub fn draw(
        &self,
        device: &mut Device,
        workspace: &Workspace,
        words: &WindowWords<'_>,
        uniform: &[f64],
    ) -> Result<Vec<u32>> {
        workspace.output.draw(
            device,
            &self.parameters,
            workspace.decoder_input(1),
            words,
            uniform,
        )
    }

    /// After [`Model::forward`]: ln P of every word after each step of each stream, `[T*B, V]`.
    /// `words` says what came before.
    ///
    /// # Errors
    /// If the device failed.
    pub fn distribution(
        &self,
        device: &mut Device,
        workspace: &Workspace,
        time_steps: usize,
        words: &WindowWords<'_>,
    ) -> Result<Vec<f32>> {
        workspace.output.distribution(
            device,
            &self.parameters,
            workspace.decoder_input(time_steps),
            words,
        )
    }
}
