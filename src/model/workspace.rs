//! What a run of a model needs besides its parameters: activations, carried states, gradients,
//! scratch.

use super::Model;
use super::cell::{self, Capacity, Cell};
use super::dropout::{self, DropoutPlacement};
use super::output::{self, OutputLayer, Predictions};
use super::plan::{OutputPlan, WindowWords};
use super::table::Table;
use super::window::Window;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::{Dropout, Fill, Gradient, Mask};
use crate::tensor::Tensor;

/// Memory for windows of B streams and up to T steps. One model may have several: one to train in,
/// one to evaluate in.
#[derive(Debug)]
pub struct Workspace {
    capacity: Capacity,
    initial_state: f32,
    /// The states that texts begin with, where they are not that number in every unit.
    initial_states: Option<Vec<Vec<f32>>>,
    pub(super) cells: Vec<Box<dyn Cell>>,
    pub(super) output: Box<dyn OutputLayer>,
    /// `[T*B, D]`: the looked-up rows where there is an embedding.
    embedded: Option<Tensor>,
    /// Where the first layer's inputs are looked up by type.
    pub(super) table: Option<Table>,
    /// What layers hand on where some of it is left out, `[T*B, H]` each.
    dropped: Vec<Option<Tensor>>,
    /// The recurrent weights where some of their numbers are left out.
    dropped_weights: Vec<Option<Tensor>>,
    /// `[T*B, D]` where there is a projection or a compression layer, and its gradient.
    projected: Option<[Tensor; 2]>,
    /// `[T*B, 1]`.
    losses: Tensor,
    /// The parameters' gradients; none where nothing is trained.
    gradients: Vec<Tensor>,
    /// The parameters' names.
    names: Vec<String>,
    /// Where the looked-up table is tied, and not by way of `table`: a row of its gradient for each
    /// position of the window. Where neither is, the table's entry of `gradients` is of that
    /// shape.
    pub(super) tied: Option<Tensor>,
}

/// Checks that sentences in the middle of a text can begin as texts do, where they are to.
fn check_initial_states(model: &Model, capacity: Capacity) -> Result<()> {
    if capacity.independent && model.initial_states.is_some() {
        return Err(Error::usage(
            "--independent",
            "the model begins a text with a state that it brought along, and a sentence inside a \
             text can begin with one number in every unit alone",
            "Leave --independent out, or score line by line with elman score, which begins every \
             line with that state",
        ));
    }
    Ok(())
}

/// The number of the looked-up table: the first parameter, with an embedding and without.
const TABLE: usize = 0;

impl Workspace {
    /// Allocates the memory; every carried state is the initial one.
    ///
    /// # Errors
    /// If something is too large for the device, or sentences are to be independent and the model's
    /// texts begin with a state of their own.
    pub fn new(device: &mut Device, model: &Model, capacity: Capacity) -> Result<Self> {
        Self::with_counts(device, model, capacity, &[])
    }

    /// The same for training on a text in which words occur so often: what output layers that
    /// sample draw by.
    ///
    /// # Errors
    /// As [`Workspace::new`].
    pub fn with_counts(
        device: &mut Device,
        model: &Model,
        capacity: Capacity,
        counts: &[u64],
    ) -> Result<Self> {
        let config = model.config();
        check_initial_states(model, capacity)?;
        let rows = capacity.time_steps * capacity.batch;
        let allocate = cell::kind(config).allocate;
        let cells = (0..config.num_layers)
            .map(|layer| allocate(device, config, layer, capacity))
            .collect::<Result<_>>()?;
        let output = (output::kind(config).allocate)(device, config, rows, capacity, counts)?;
        let embedded = match config.embedding_size {
            0 => None,
            size => Some(device.tensor("embedded words", rows, size)?),
        };
        let table = Table::new(device, config, &capacity)?;
        let (mut dropped, mut dropped_weights) = (Vec::new(), Vec::new());
        for layer in 0..config.num_layers {
            let size = config.layer_size(layer);
            let has = |site| capacity.dropout.rate(site, config.num_layers) > 0.0;
            let mut if_dropped = |site, what, [rows, columns]: [usize; 2]| -> Result<_> {
                if has(site) {
                    device.tensor(what, rows, columns).map(Some)
                } else {
                    Ok(None)
                }
            };
            dropped.push(if_dropped(
                DropoutPlacement::Outputs(layer),
                "states with some left out",
                [rows, size],
            )?);
            let weight = [cell::kind(config).gates * size, size];
            dropped_weights.push(if_dropped(
                DropoutPlacement::Weights(layer),
                "recurrent weight with some left out",
                weight,
            )?);
        }
        let projected = match config.projection || config.compression_size > 0 {
            false => None,
            true => {
                let gradient_rows = if capacity.training { rows } else { 1 };
                let size = config.decoder_input_size();
                Some([
                    device.tensor("projected states", rows, size)?,
                    device.tensor("gradient of the projected states", gradient_rows, size)?,
                ])
            }
        };
        let mut gradients = Vec::new();
        let mut tied = None;
        let is_dense = config.tied || table.is_some();
        if capacity.training {
            for (number, spec) in model.parameters().parameter_specs().iter().enumerate() {
                let what = format!("gradient of {}", spec.name);
                let by_position =
                    |device: &mut Device| device.tensor(&what, rows, spec.memory_shape()[1]);
                let columns = spec.memory_shape()[1];
                gradients.push(match output.most_rows(&spec.name) {
                    Some(most) => device.tensor(&what, most, columns)?,
                    None if number == TABLE && !is_dense => by_position(device)?,
                    None => spec.allocate(device, &what)?,
                });
                if number == TABLE && config.tied && table.is_none() {
                    tied = Some(by_position(device)?);
                }
            }
        }
        let losses = device.tensor("losses", rows, 1)?;
        let initial_state = config.initial_state;
        let names = model
            .parameters()
            .parameter_specs()
            .iter()
            .map(|spec| spec.name.clone())
            .collect();
        let workspace = Self {
            capacity,
            names,
            initial_state,
            initial_states: model.initial_states.clone(),
            cells,
            output,
            embedded,
            table,
            dropped,
            dropped_weights,
            projected,
            losses,
            gradients,
            tied,
        };
        workspace.reset(device);
        Ok(workspace)
    }

    /// What this workspace was made for.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Lets the output layer look at a window's words before the window is walked. The plan is the
    /// window's, and holds until the next.
    pub fn plan(&self, device: &mut Device, words: &WindowWords<'_>) -> OutputPlan {
        self.output.plan(device, words)
    }

    /// Puts the state that texts begin with into every stream.
    pub fn reset(&self, device: &mut Device) {
        for (number, tensor) in self.carried().into_iter().enumerate() {
            match &self.initial_states {
                None => device.upload(&tensor, &vec![self.initial_state; tensor.len()]),
                Some(states) => device.upload(&tensor, &states[number].repeat(tensor.rows())),
            }
        }
    }

    /// The carried states of all layers, `[B, H]` each.
    pub fn carried(&self) -> Vec<Tensor> {
        self.cells.iter().flat_map(|cell| cell.carried()).collect()
    }

    /// The gradients of the carried states as they were before the window, in the same order.
    pub fn carried_gradient(&self) -> Vec<Tensor> {
        self.cells
            .iter()
            .flat_map(|cell| cell.carried_gradient())
            .collect()
    }

    /// The losses of a window in nats, for each step that predicts and each stream; 0 where nothing
    /// was predicted.
    pub fn losses(&self, window: &Window) -> Tensor {
        self.losses.slice_rows(0..self.predicting(window).len())
    }

    /// The rows of `[T*B, …]` at which something is predicted.
    fn predicting(&self, window: &Window) -> std::ops::Range<usize> {
        window.history * self.capacity.batch..window.time_steps * self.capacity.batch
    }

    /// Of the gradient of what the output layer reads, `[T*B, …]`: the rows that it writes. The
    /// others become zero.
    pub(super) fn predicting_part(
        &self,
        device: &mut Device,
        window: &Window,
        gradient: Tensor,
    ) -> Tensor {
        let rows = self.predicting(window);
        if rows.start > 0 {
            device.run(&Fill {
                values: gradient.slice_rows(0..rows.start),
                value: 0.0,
            });
        }
        gradient.slice_rows(rows)
    }

    /// The parameters' gradients after a window's backward step, in the parameters' order.
    pub fn gradients(&self, window: &Window) -> Vec<Gradient> {
        let rows = window.time_steps * self.capacity.batch;
        self.gradients
            .iter()
            .enumerate()
            .map(|(number, &values)| {
                match (
                    number,
                    self.output.touched_rows(&self.names[number], window.plan),
                ) {
                    (_, Some(touched)) => {
                        Gradient::Rows(values.slice_rows(0..touched.tokens.len()), touched)
                    }
                    (TABLE, None) if self.tied.is_none() && self.table.is_none() => {
                        Gradient::Rows(values.slice_rows(0..rows), window.rows())
                    }
                    _ => Gradient::Dense(values),
                }
            })
            .collect()
    }

    pub(super) fn embedded(&self, time_steps: usize) -> Option<Tensor> {
        self.embedded
            .map(|tensor| tensor.slice_rows(0..time_steps * self.capacity.batch))
    }

    /// What is left out at a place in a window, if anything.
    fn mask(&self, window: &Window, site: DropoutPlacement) -> Option<Mask> {
        dropout::mask(&self.capacity, window, site, self.cells.len())
    }

    /// Leaves out of a tensor what the place's mask says: going forward, or of its gradient going
    /// back.
    pub(super) fn apply_dropout(
        &self,
        device: &mut Device,
        window: &Window,
        site: DropoutPlacement,
        values: Tensor,
    ) {
        if let Some(mask) = self.mask(window, site) {
            device.run(&Dropout {
                input: values,
                output: values,
                mask,
            });
        }
    }

    /// Makes what a layer hands on of its outputs.
    pub(super) fn write_layer_output(&self, device: &mut Device, window: &Window, layer: usize) {
        if let Some(mask) = self.mask(window, DropoutPlacement::Outputs(layer)) {
            let input = self.cells[layer].outputs(window.time_steps);
            device.run(&Dropout {
                input,
                output: self.layer_output(layer, window.time_steps),
                mask,
            });
        }
    }

    /// `[T*B, H]`: what a layer hands on to the next.
    pub(super) fn layer_output(&self, layer: usize, time_steps: usize) -> Tensor {
        let rows = 0..time_steps * self.capacity.batch;
        self.dropped[layer].map_or_else(
            || self.cells[layer].outputs(time_steps),
            |dropped| dropped.slice_rows(rows),
        )
    }

    /// Makes a layer's recurrent weight as the window uses it, and returns it.
    pub(super) fn mask_weight(
        &self,
        device: &mut Device,
        window: &Window,
        layer: usize,
        weight: Tensor,
    ) -> Tensor {
        if let Some(mask) = self.mask(window, DropoutPlacement::Weights(layer)) {
            device.run(&Dropout {
                input: weight,
                output: self.masked_weight(layer, weight),
                mask,
            });
        }
        self.masked_weight(layer, weight)
    }

    /// A layer's recurrent weight as the window used it.
    pub(super) fn masked_weight(&self, layer: usize, weight: Tensor) -> Tensor {
        self.dropped_weights[layer].unwrap_or(weight)
    }

    /// `[T*B, D]`, and its gradient, where there is a projection or a compression layer.
    pub(super) fn projected(&self, time_steps: usize) -> Option<[Tensor; 2]> {
        self.projected.map(|both| {
            both.map(|tensor| {
                tensor.slice_rows(0..tensor.rows().min(time_steps * self.capacity.batch))
            })
        })
    }

    /// What the output layer reads at the steps of a window that predict, `[rows, size]`.
    pub fn states(&self, window: &Window) -> Tensor {
        self.decoder_input(window.time_steps)
            .slice_rows(self.predicting(window))
    }

    /// What the output layer reads.
    pub(super) fn decoder_input(&self, time_steps: usize) -> Tensor {
        self.projected(time_steps).map_or_else(
            || self.layer_output(self.cells.len() - 1, time_steps),
            |[projected, _]| projected,
        )
    }

    pub(super) fn predictions(&self, window: &Window) -> Predictions {
        let rows = self.predicting(window);
        let targets = window
            .targets
            .reshape(window.targets.len(), 1)
            .slice_rows(rows.clone());
        let hidden = self.decoder_input(window.time_steps).slice_rows(rows);
        Predictions {
            hidden,
            targets,
            losses: self.losses(window),
            plan: window.plan,
        }
    }
}
