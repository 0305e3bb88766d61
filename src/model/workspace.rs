//! What processing windows needs besides the parameters: layers with their activations, carried
//! states, gradients, scratch memory.

use std::cell::RefCell;
use std::ops::Range;

use super::Model;
use super::capacity::Capacity;
use super::cell::Gates;
use super::layer::{Activations, Layer, LayerContext};
use super::output::{OutputLayer, Predictions};
use super::outputs::output_kind;
use super::parameter_spec::ParameterId;
use super::plan::{OutputPlan, WindowWords};
use super::stack;
use super::window::Window;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::{Fill, Gradient};
use crate::tensor::Tensor;

/// The layers of a model, with memory for windows of B streams and up to T steps. A model may have
/// several workspaces, such as one for training and one for evaluation.
#[derive(Debug)]
pub struct Workspace {
    capacity: Capacity,
    initial_state: f32,
    /// The states at the start of a text, if they are not `initial_state` in every unit.
    initial_states: Option<Vec<Vec<f32>>>,
    /// The first layer reads the tokens, the last one writes the output layer's input.
    pub(super) layers: Vec<Box<dyn Layer>>,
    pub(super) output: Box<dyn OutputLayer>,
    /// The parameters of the output layer that no other layer has.
    pub(super) of_output: Vec<ParameterId>,
    /// `[T*B, 1]`.
    losses: Tensor,
    /// The gradient of each parameter; empty outside of training.
    gradients: Vec<Tensor>,
}

/// Checks that sentences inside a text can start from the model's initial state.
fn check_initial_states(model: &Model, capacity: &Capacity) -> Result<()> {
    if capacity.independent && model.initial_states.is_some() {
        return Err(Error::config(
            "independent",
            true,
            "this model has a stored initial state, from which only the first sentence of a text \
             can start",
            "Remove `independent`, or score line by line with `elman score`, which starts every \
             line from that state",
        ));
    }
    Ok(())
}

impl Workspace {
    /// Allocates the memory. Every carried state is the initial one.
    ///
    /// # Errors
    /// If something is too large for the device, or sentences are to be independent and the model
    /// has stored initial states.
    pub fn new(device: &mut Device, model: &Model, capacity: Capacity) -> Result<Self> {
        Self::with_counts(device, model, capacity, &[])
    }

    /// The same for training on a text with these numbers of occurrences of each word, which output
    /// layers that sample words need.
    ///
    /// # Errors
    /// As [`Workspace::new`].
    pub fn with_counts(
        device: &mut Device,
        model: &Model,
        capacity: Capacity,
        counts: &[u64],
    ) -> Result<Self> {
        check_initial_states(model, &capacity)?;
        let config = model.config();
        let mut context = LayerContext {
            device,
            config,
            capacity: &capacity,
            parameters: model.parameters(),
            used: RefCell::default(),
        };
        let layers = stack::build(&mut context)?;
        let of_layers = context.used.take();
        let output = (output_kind(config).new)(&mut context, counts)?;
        let of_output = context.used.take();
        let mut workspace = Self {
            capacity,
            initial_state: config.initial_state,
            initial_states: model.initial_states.clone(),
            layers,
            output,
            of_output: of_output.difference(&of_layers).copied().collect(),
            losses: device.tensor("losses", capacity.rows(), 1)?,
            gradients: Vec::new(),
        };
        if capacity.training {
            workspace.gradients = workspace.allocate_gradients(device, model)?;
        }
        workspace.reset(device);
        Ok(workspace)
    }

    fn allocate_gradients(&self, device: &mut Device, model: &Model) -> Result<Vec<Tensor>> {
        let parameters = model.parameters();
        let mut gradients = Vec::new();
        for id in parameters.ids() {
            let spec = parameters.spec(id);
            let name = format!("gradient of {}", spec.name);
            let [_, columns] = spec.memory_shape();
            gradients.push(match self.max_touched_rows(id) {
                Some(rows) => device.tensor(&name, rows, columns)?,
                None => spec.allocate(device, &name)?,
            });
        }
        Ok(gradients)
    }

    fn max_touched_rows(&self, id: ParameterId) -> Option<usize> {
        let of_layers = self
            .layers
            .iter()
            .find_map(|layer| layer.max_touched_rows(id));
        of_layers.or_else(|| self.output.max_touched_rows(id))
    }

    /// The capacity that the workspace was allocated for.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Lets the output layer inspect a window's words before the window is processed. The plan is
    /// for this window, and valid until the next plan.
    pub fn plan(&self, device: &mut Device, words: &WindowWords<'_>) -> OutputPlan {
        self.output.plan(device, words)
    }

    /// Resets the states of all streams to those at the start of a text.
    pub fn reset(&self, device: &mut Device) {
        for (index, tensor) in self.carried().into_iter().enumerate() {
            match &self.initial_states {
                None => device.upload(&tensor, &vec![self.initial_state; tensor.len()]),
                Some(states) => device.upload(&tensor, &states[index].repeat(tensor.rows())),
            }
        }
    }

    /// Resets the states of some streams to those at the start of a text.
    pub fn reset_streams(&self, device: &mut Device, streams: &[Range<usize>]) {
        for (index, tensor) in self.carried().into_iter().enumerate() {
            for range in streams {
                let values = tensor.slice_rows(range.clone());
                match &self.initial_states {
                    None => device.run(&Fill {
                        values,
                        value: self.initial_state,
                    }),
                    Some(states) => device.upload(&values, &states[index].repeat(range.len())),
                }
            }
        }
    }

    /// The carried states of all layers, `[B, H]` each.
    pub fn carried(&self) -> Vec<Tensor> {
        self.layers
            .iter()
            .flat_map(|layer| layer.carried())
            .collect()
    }

    /// The gradients of the states carried into the window, in the same order.
    pub fn carried_gradient(&self) -> Vec<Tensor> {
        self.layers
            .iter()
            .flat_map(|layer| layer.carried_gradient())
            .collect()
    }

    /// The losses of a window in nats, for each step that predicts and each stream; 0 where there
    /// was no target.
    pub fn losses(&self, window: &Window) -> Tensor {
        self.losses.slice_rows(0..self.predicting(window).len())
    }

    /// What the output layer reads at the steps of a window that predict, `[rows, size]`.
    pub fn states(&self, window: &Window) -> Tensor {
        self.top().values.slice_rows(self.predicting(window))
    }

    /// The hidden units of each recurrent layer at the steps of a window that predict, `[rows, H]`,
    /// after [`Model::forward`]. A feed-forward network has none.
    pub fn units(&self, window: &Window) -> Vec<Tensor> {
        let units = self.layers.iter().filter_map(|layer| layer.units());
        units
            .map(|units| units.slice_rows(self.predicting(window)))
            .collect()
    }

    /// The activations of each recurrent layer that saturate, at the steps of a window that
    /// predict: between [`Model::forward`] and [`Model::backward`]. Units without two limits, such
    /// as ReLU, have none.
    pub fn gates(&self, window: &Window) -> Vec<Gates> {
        let gates = self.layers.iter().filter_map(|layer| layer.gates());
        gates
            .map(|gates| Gates {
                values: gates.values.slice_rows(self.predicting(window)),
                ..gates
            })
            .collect()
    }

    /// The gradients of the parameters after [`Model::backward`] of a window, in the parameters'
    /// order.
    pub fn gradients(&self, window: &Window) -> Vec<Gradient> {
        self.gradients
            .iter()
            .enumerate()
            .map(|(index, &values)| {
                let id = ParameterId(index);
                let touched = self
                    .layers
                    .iter()
                    .find_map(|layer| layer.touched_rows(id, window))
                    .or_else(|| self.output.touched_rows(id, window.plan));
                match touched {
                    Some(rows) => Gradient::Sparse(values.slice_rows(0..rows.tokens.len()), rows),
                    None => Gradient::Dense(values),
                }
            })
            .collect()
    }

    /// The rows of `[T*B, …]` in which a window predicts.
    fn predicting(&self, window: &Window) -> Range<usize> {
        let batch = self.capacity.batch;
        window.history * batch..window.time_steps * batch
    }

    /// The input of the output layer.
    pub(super) fn top(&self) -> Activations {
        let last = self.layers.last().expect("a model has a recurrent layer");
        last.output()
    }

    /// The rows of the output layer's input gradient that it writes. The others are set to zero.
    pub(super) fn output_gradient(&self, device: &mut Device, window: &Window) -> Tensor {
        let gradient = self.top().gradient;
        let rows = self.predicting(window);
        if rows.start > 0 {
            device.run(&Fill {
                values: gradient.slice_rows(0..rows.start),
                value: 0.0,
            });
        }
        gradient.slice_rows(rows)
    }

    /// The predictions of a window.
    pub(super) fn predictions(&self, window: &Window) -> Predictions {
        let targets = window.targets.reshape(window.targets.len(), 1);
        Predictions {
            hidden: self.states(window),
            targets: targets.slice_rows(self.predicting(window)),
            losses: self.losses(window),
            plan: window.plan,
            draw: window.draw,
        }
    }
}
