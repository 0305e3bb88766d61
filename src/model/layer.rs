//! The interface of layers.
//!
//! A model is a stack of layers between the tokens of a window and the output layer. A layer is
//! connected when it is built: it holds the activations that it reads and those that it writes, and
//! the ids of its parameters. [`stack`](super::stack) builds the stack of a configuration.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Debug;

use super::capacity::Capacity;
use super::cell::Gates;
use super::config::Config;
use super::parameter_spec::ParameterId;
use super::parameters::Parameters;
use super::window::Window;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{Gradient, Precision, SparseRows};
use crate::tensor::Tensor;

/// One layer of a model, with its buffers for windows of up to T steps of B streams.
pub(super) trait Layer: Debug + Send + Sync {
    /// What the layer computes.
    fn output(&self) -> Activations;

    /// Computes the output from the input.
    fn forward(&self, pass: &mut Pass<'_>);

    /// Computes the gradients of the input and of the layer's parameters from that of the output,
    /// after [`Layer::forward`]. `gradients` has an entry for each parameter of the model.
    fn backward(&self, pass: &mut Pass<'_>, gradients: &[Gradient]);

    /// The parameters whose gradients are complete after [`Layer::backward`] of this layer. Those
    /// that no layer names are complete after that of the first one.
    fn completed(&self) -> Vec<ParameterId> {
        Vec::new()
    }

    /// If the gradient of this parameter consists of rows: the largest number of rows that a window
    /// touches, at least 1.
    fn max_touched_rows(&self, _id: ParameterId) -> Option<usize> {
        None
    }

    /// If the gradient of this parameter consists of rows: those that the window touches.
    fn touched_rows(&self, _id: ParameterId, _window: &Window) -> Option<SparseRows> {
        None
    }

    /// `[T*B, H]`: the values of the hidden units, if the layer has them.
    fn units(&self) -> Option<Tensor> {
        None
    }

    /// The activations of a recurrent layer that saturate, if it has some, between
    /// [`Layer::forward`] and [`Layer::backward`].
    fn gates(&self) -> Option<Gates> {
        None
    }

    /// The states carried from window to window, `[B, H]` each.
    fn carried(&self) -> Vec<Tensor> {
        Vec::new()
    }

    /// The gradients of the states carried into the window, after [`Layer::backward`].
    fn carried_gradient(&self) -> Vec<Tensor> {
        Vec::new()
    }
}

/// The output of a layer, `[T*B, size]`, and its gradient, which outside of training may be a
/// single element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Activations {
    pub(super) values: Tensor,
    pub(super) gradient: Tensor,
}

impl Activations {
    /// Allocates activations of this many columns.
    pub(super) fn new(context: &mut LayerContext<'_>, name: &str, columns: usize) -> Result<Self> {
        let rows = context.capacity.rows();
        let [gradient_rows, gradient_columns] = context.capacity.gradient_shape(rows, columns);
        Ok(Self {
            values: context.device.tensor(name, rows, columns)?,
            gradient: context.device.tensor(
                &format!("gradient of the {name}"),
                gradient_rows,
                gradient_columns,
            )?,
        })
    }

    /// The values of a window of `rows` rows.
    pub(super) fn values(&self, rows: usize) -> Tensor {
        self.values.slice_rows(0..rows)
    }

    /// The gradient of a window of `rows` rows.
    pub(super) fn gradient(&self, rows: usize) -> Tensor {
        self.gradient.slice_rows(0..rows)
    }
}

/// What layers need to process a window.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    pub(super) device: &'a mut Device,
    pub(super) parameters: &'a Parameters,
    pub(super) window: &'a Window,
    /// T*B of the window.
    pub(super) rows: usize,
    /// The factor of the losses whose gradient is computed.
    pub(super) scale: f32,
    /// The precision of matrix products outside of recurrences; of gradients always f32.
    pub(super) precision: Precision,
}

/// What layers are built from.
#[derive(Debug)]
pub(super) struct LayerContext<'a> {
    pub(super) device: &'a mut Device,
    pub(super) config: &'a Config,
    pub(super) capacity: &'a Capacity,
    pub(super) parameters: &'a Parameters,
    /// The parameters of the layers so far.
    pub(super) used: RefCell<BTreeSet<ParameterId>>,
}

impl LayerContext<'_> {
    /// The id of a parameter that the configuration demands.
    ///
    /// # Panics
    /// If the model has no such parameter.
    pub(super) fn id(&self, name: &str) -> ParameterId {
        let id = self
            .parameters
            .find(name)
            .expect("the layer's parameters are among the model's");
        self.used.borrow_mut().insert(id);
        id
    }
}
