//! The model: parameters, and the step that walks a window forward and back. It knows kernels, and never which device runs them.
//!
//! In: windows of tokens. Out: losses, gradients, distributions.

mod cell;
mod config;
mod elman;
mod output;
mod parameters;
mod products;
mod softmax;
mod window;
mod workspace;

pub use cell::{CELLS, Capacity, Cell, CellKind};
pub use config::Config;
pub use output::{AllocateOutput, OUTPUTS, OutputKind, OutputLayer, Predictions};
pub use parameters::{Initial, Parameters, Specification, initial_values, specifications};
pub use window::Window;
pub use workspace::Workspace;

use crate::device::Device;
use crate::error::Result;
use crate::kernels::{AddBias, Gather, Gradient, ScatterAdd, SumRows};
use crate::tensor::Tensor;
use products::{input_gradient, of_activations, of_gradients, product, weight_gradient};

/// A model on a device: its configuration and its parameters. What a run needs besides is in a [`Workspace`].
#[derive(Debug)]
pub struct Model {
    config: Config,
    parameters: Parameters,
}

impl Model {
    /// Uploads the parameters, given in the order and layout of the file.
    ///
    /// # Errors
    /// If the configuration is no model, or too large for the device.
    pub fn new(device: &mut Device, config: Config, values: &[Vec<f32>]) -> Result<Self> {
        config.validate()?;
        let parameters = Parameters::new(device, &config, values)?;
        Ok(Self { config, parameters })
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

    fn number(&self, name: &str) -> usize {
        self.parameters.position(name).expect("the configuration says which parameters there are")
    }

    /// Walks the window from the carried state to the new one: `s(t) = f(W x(t) + U s(t-1))` in every layer.
    pub fn forward(&self, device: &mut Device, workspace: &Workspace, window: &Window) {
        let steps = window.time_steps;
        let precision = of_activations(workspace.capacity().mixed);
        for (layer, cell) in workspace.cells.iter().enumerate() {
            let weight = self.tensor(&format!("rnn.weight_ih_l{layer}"));
            let inputs = cell.inputs(steps);
            match (layer, workspace.embedded(steps)) {
                (0, None) => device.run(&Gather { table: weight, tokens: window.inputs, output: inputs }),
                (0, Some(embedded)) => {
                    device.run(&Gather { table: self.tensor("embedding.weight"), tokens: window.inputs, output: embedded });
                    device.run(&product(embedded, weight, inputs, precision));
                }
                _ => device.run(&product(workspace.cells[layer - 1].outputs(steps), weight, inputs, precision)),
            }
            if self.config.bias {
                for bias in ["ih", "hh"] {
                    device.run(&AddBias { bias: self.tensor(&format!("rnn.bias_{bias}_l{layer}")), values: inputs });
                }
            }
            cell.forward(device, window, self.tensor(&format!("rnn.weight_hh_l{layer}")));
        }
    }

    /// After [`Model::forward`]: -ln P of every target of the window, in [`Workspace::losses`].
    pub fn losses(&self, device: &mut Device, workspace: &Workspace, window: &Window) {
        workspace.output.losses(device, &self.parameters, workspace.predictions(window));
    }

    /// After [`Model::forward`]: the losses, and the gradient of `scale` times their sum for every parameter and every carried state.
    ///
    /// This is back-propagation through time, cut at the window's first step; parameters are shared by all steps, so their gradients are
    /// sums over them.
    pub fn backward(&self, device: &mut Device, workspace: &Workspace, window: &Window, scale: f32) {
        let steps = window.time_steps;
        let gradients = workspace.gradients(window);
        let precision = of_gradients(workspace.capacity().mixed, scale);
        let top = workspace.cells.last().expect("a model has a layer");
        let predictions = workspace.predictions(window);
        workspace.output.losses_and_gradient(device, &self.parameters, predictions, scale, top.output_gradient(steps), &gradients);
        for (layer, cell) in workspace.cells.iter().enumerate().rev() {
            let recurrent = self.number(&format!("rnn.weight_hh_l{layer}"));
            cell.backward(device, window, self.parameters.tensors()[recurrent], gradients[recurrent].values(), precision);
            let gradient = cell.input_gradient(steps);
            if self.config.bias {
                for bias in ["ih", "hh"] {
                    let output = gradients[self.number(&format!("rnn.bias_{bias}_l{layer}"))].values();
                    device.run(&SumRows { values: gradient, output, accumulate: false });
                }
            }
            let input = self.number(&format!("rnn.weight_ih_l{layer}"));
            let weight = self.parameters.tensors()[input];
            match (layer, workspace.embedded(steps)) {
                (0, None) => self.looked_up(device, gradient, window, &gradients[input]),
                (0, Some(embedded)) => {
                    device.run(&weight_gradient(gradient, embedded, gradients[input].values(), precision));
                    // The looked-up rows are not needed any more: their gradient takes their place.
                    device.run(&input_gradient(gradient, weight, embedded, precision));
                    self.looked_up(device, embedded, window, &gradients[self.number("embedding.weight")]);
                }
                _ => {
                    let below = &workspace.cells[layer - 1];
                    device.run(&weight_gradient(gradient, below.outputs(steps), gradients[input].values(), precision));
                    device.run(&input_gradient(gradient, weight, below.output_gradient(steps), precision));
                }
            }
        }
    }

    /// The gradient of a table from that of the rows looked up in it.
    fn looked_up(&self, device: &mut Device, gradient: Tensor, window: &Window, table: &Gradient) {
        device.run(&ScatterAdd { gradient, rows: window.rows(), sums: table.values() });
    }

    /// After [`Model::forward`]: ln P of every word after each step of each stream, `[T*B, V]`.
    ///
    /// # Errors
    /// If the device failed.
    pub fn distribution(&self, device: &mut Device, workspace: &Workspace, time_steps: usize) -> Result<Vec<f32>> {
        workspace.output.distribution(device, &self.parameters, workspace.top().outputs(time_steps))
    }
}
