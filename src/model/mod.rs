//! The model: its parameters, and the forward and backward pass over a window. The model composes
//! kernels and does not depend on the device that runs them.
//!
//! Inputs: windows of tokens. Outputs: losses, gradients, distributions.
//!
//! A [`Model`] has the parameters; a [`Workspace`] has the layers with their buffers. The layers of
//! a [`Config`] are built by the module `stack`, which has the equations. Cells and output layers
//! are rows of the tables [`CELLS`] and [`OUTPUTS`].

mod capacity;
mod cell;
mod cells;
mod classes;
mod clusters;
mod config;
mod dropout;
mod dropout_mask;
mod format;
mod layer;
mod layers;
mod noise;
mod option_fields;
mod options;
mod output;
mod outputs;
mod parameter_spec;
mod parameter_values;
mod parameters;
mod plan;
mod products;
mod stack;
mod validate;
mod window;
mod workspace;

pub use crate::kernels::{Activation, SampledObjective};
pub use capacity::Capacity;
pub use cell::{CellKind, Gates};
pub use cells::{CELLS, cell_kind, find_cell};
pub use classes::{Binning, Classes};
pub use clusters::Clusters;
pub use config::{Config, LONGEST_HISTORY, MAX_MIXTURE, MAX_ROUNDS};
pub use dropout::DropoutRates;
pub(crate) use format::comma_separated;
pub use noise::{Noise, NoiseSampler};
pub use options::{DEFAULT_CONTEXT, DEFAULT_ROUNDS, ModelOptions};
pub use output::OutputKind;
pub use outputs::{OUTPUTS, find_output, output_kind, outputs_with};
pub use parameter_spec::{
    DIRECT_WEIGHT, EMBEDDING_WEIGHT, Initializer, MemoryLayout, ParameterId, ParameterSpec,
};
pub use parameter_values::ParameterValues;
pub use parameters::{Parameters, find_parameter};
pub use plan::{OutputPlan, WindowWords};
pub use stack::{add_past_decoder, initial_values, parameter_specs, set_forget_bias};
pub use window::Window;
pub use workspace::Workspace;

use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::Precision;
use layer::Pass;
use products::activation_precision;

/// A model on a device: its configuration and its parameters. A [`Workspace`] has what processing
/// windows needs besides.
#[derive(Debug)]
pub struct Model {
    config: Config,
    parameters: Parameters,
    initial_states: Option<Vec<Vec<f32>>>,
}

impl Model {
    /// Uploads the parameters.
    ///
    /// # Errors
    /// If the configuration is invalid, the model is too large for the device, or the values do not
    /// have the sizes of the configuration.
    pub fn new(device: &mut Device, config: Config, values: &ParameterValues) -> Result<Self> {
        config.validate()?;
        let parameters = Parameters::new(device, parameter_specs(&config), values)?;
        Ok(Self {
            config,
            parameters,
            initial_states: None,
        })
    }

    /// Sets the states at the start of a text, one vector for each carried state. By default, every
    /// unit is [`Config::initial_state`].
    ///
    /// # Errors
    /// If the sizes are not those of the carried states.
    pub fn with_initial_states(mut self, states: Option<Vec<Vec<f32>>>) -> Result<Self> {
        if let Some(states) = &states {
            let of_layer =
                |layer| vec![self.config.layer_size(layer); cell_kind(&self.config).states];
            let previous_input = self.config.reads_previous_input();
            let sizes: Vec<usize> = previous_input
                .then_some(self.config.embedding_size)
                .into_iter()
                .chain((0..self.config.num_layers).flat_map(of_layer))
                .collect();
            if states.iter().map(Vec::len).ne(sizes.iter().copied()) {
                return Err(Error::invalid(
                    "the initial states",
                    format!(
                        "they do not have the sizes {} of the model's states",
                        comma_separated(&sizes)
                    ),
                    "Restore model.safetensors from a copy, or import the model again",
                ));
            }
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

    fn pass<'a>(
        &'a self,
        device: &'a mut Device,
        workspace: &Workspace,
        window: &'a Window,
        scale: f32,
        precision: Precision,
    ) -> Pass<'a> {
        Pass {
            device,
            parameters: &self.parameters,
            window,
            rows: window.time_steps * workspace.capacity().batch,
            scale,
            precision,
        }
    }

    /// Computes the layers of a window, from its tokens and the carried states to the output
    /// layer's input and the next carried states.
    pub fn forward(&self, device: &mut Device, workspace: &Workspace, window: &Window) {
        #[cfg(feature = "fault-injection")]
        crate::faults::in_forward_pass();
        let precision = activation_precision(workspace.capacity().mixed);
        let mut pass = self.pass(device, workspace, window, 1.0, precision);
        for layer in &workspace.layers {
            layer.forward(&mut pass);
        }
    }

    /// After [`Model::forward`]: -ln P of every target of the window, in [`Workspace::losses`].
    pub fn losses(&self, device: &mut Device, workspace: &Workspace, window: &Window) {
        let predictions = workspace.predictions(window);
        workspace
            .output
            .losses(device, &self.parameters, predictions);
    }

    /// After [`Model::forward`]: the losses, and the gradients of `scale` times their sum with
    /// respect to all parameters, in [`Workspace::gradients`], and all carried states.
    ///
    /// With activation regularization and past decode regularization, the gradients are those of
    /// the losses and the penalties; the losses themselves have none.
    ///
    /// This is back-propagation through time, truncated at the window's first step. Parameters are
    /// shared by all steps, so their gradients are sums over steps.
    pub fn backward(
        &self,
        device: &mut Device,
        workspace: &Workspace,
        window: &Window,
        scale: f32,
    ) {
        self.backward_in_stages(device, workspace, window, scale, &mut |_, _| {});
    }

    /// [`Model::backward`], which calls `completed` with parameters whose gradients are complete,
    /// those of the output layer first. The gradients of all other parameters are complete at
    /// the end.
    pub fn backward_in_stages(
        &self,
        device: &mut Device,
        workspace: &Workspace,
        window: &Window,
        scale: f32,
        completed: &mut dyn FnMut(&mut Device, &[ParameterId]),
    ) {
        let gradients = workspace.gradients(window);
        let output_gradient = workspace.output_gradient(device, window);
        workspace.output.losses_and_gradient(
            device,
            &self.parameters,
            workspace.predictions(window),
            scale,
            output_gradient,
            &gradients,
        );
        completed(device, &workspace.of_output);
        // Gradients that flow back through many steps may grow beyond the range of f16, and become
        // usable only when they are clipped. Products of layers take little of the time.
        let mut pass = self.pass(device, workspace, window, scale, Precision::Full);
        for layer in workspace.layers.iter().rev() {
            layer.backward(&mut pass, &gradients);
            completed(pass.device, &layer.completed());
        }
    }

    /// After [`Model::forward`] of a window of one step: a word for each stream, drawn from its
    /// distribution. `uniform` has a random value in [0, 1) for each stream, `words` the words
    /// before.
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
        let hidden = workspace.top().values(workspace.capacity().batch);
        workspace
            .output
            .draw(device, &self.parameters, hidden, words, uniform)
    }

    /// After [`Model::forward`]: ln P of every word after each step of each stream, `[T*B, V]`.
    /// `words` has the words before.
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
        let rows = time_steps * workspace.capacity().batch;
        let hidden = workspace.top().values(rows);
        workspace
            .output
            .distribution(device, &self.parameters, hidden, words)
    }
}
